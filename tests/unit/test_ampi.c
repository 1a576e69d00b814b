/* test_ampi.c - ampi: sorted projections, the bound that ends a search, drift, and random histories
 * against a plain list. */
#include "algorithms/ampi/ampi.h"
#include "src/core/param.h"
#include "tests/testing.h"

struct world {
    struct test_bench bench;
    struct ampi_params params;
    struct index *index;
    struct rng rng;
    size_t dim, capacity;
    float *rows; /* capacity x dim: id i's vector is row i, stored or not */
    bool *stored;
};

static struct ampi_params defaults(void)
{
    struct ampi_params params;
    param_defaults(ampi_ops.params, &params);
    return params;
}

static void world_open(struct world *w, struct ampi_params params, size_t dim, size_t capacity,
                       uint64_t stream)
{
    memset(w, 0, sizeof *w);
    test_bench_begin(&w->bench, ELEMENT_F32, METRIC_L2SQ, dim, 2);
    w->params = params;
    w->dim = dim;
    w->capacity = capacity;
    w->rng = rng_at(test_seed(), stream);
    w->rows = calloc(capacity * dim, sizeof *w->rows);
    w->stored = calloc(capacity, sizeof *w->stored);
    assert_non_null(w->rows);
    assert_non_null(w->stored);
    assert_ok(ampi_ops.create(&w->index, &w->bench.env, &w->params), &w->bench.error);
}

static void world_close(struct world *w)
{
    ampi_ops.destroy(w->index);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
    free(w->rows);
    free(w->stored);
}

static void world_check(struct world *w)
{
    assert_ok(ampi_ops.check(w->index, NULL), &w->bench.error);
}

static struct vectors world_vectors(const struct world *w, size_t first, size_t n)
{
    return (struct vectors){ w->rows + first * w->dim, n, w->dim, ELEMENT_F32 };
}

static void world_insert(struct world *w, size_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;
    assert_non_null(ids);
    for (size_t i = 0; i < n; i++) {
        ids[i] = first + i;
        w->stored[first + i] = true;
    }
    assert_ok(ampi_ops.insert(w->index, world_vectors(w, first, n), ids, &done), &w->bench.error);
    assert_int_equal(done, n);
    free(ids);
    world_check(w);
}

static void world_remove(struct world *w, const uint64_t *ids, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++)
        w->stored[ids[i]] = false;
    assert_ok(ampi_ops.remove(w->index, ids, n, &done), &w->bench.error);
    assert_int_equal(done, n);
    world_check(w);
}

static void world_remove_run(struct world *w, uint64_t first, size_t n)
{
    uint64_t ids[1000];
    assert_true(n <= 1000);
    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    world_remove(w, ids, n);
}

static const struct ampi_knobs everything = { 1 << 22, 1 << 22, 1 << 30 };

static struct work world_search(struct world *w, const float *query, size_t k,
                                struct ampi_knobs knobs, const struct id_filter *filter,
                                uint64_t *ids, float *distances)
{
    struct search_request request = { { query, 1, w->dim, ELEMENT_F32 }, k, &knobs, filter, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(ampi_ops.search(w->index, &request, &result), &w->bench.error);
    return result.work;
}

struct truth {
    float distance;
    uint64_t id;
};

static int truth_order(const void *a, const void *b)
{
    const struct truth *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* All stored vectors the filter allows, nearest first; the caller frees. */
static struct truth *world_truth(const struct world *w, const float *query,
                                 const struct id_filter *filter, size_t *n)
{
    struct truth *t = calloc(w->capacity + 1, sizeof *t);
    assert_non_null(t);
    *n = 0;
    for (uint64_t i = 0; i < w->capacity; i++) {
        if (!w->stored[i] || !id_filter_allows(filter, i))
            continue;
        t[*n].distance = w->bench.env.kernels->l2sq_f32(query, w->rows + i * w->dim, w->dim);
        t[(*n)++].id = i;
    }
    qsort(t, *n, sizeof *t, truth_order);
    return t;
}

/* With every cluster, cone and rank to be had, the answer is the truth. Returns the vectors read. */
static double expect_exact(struct world *w, const float *query, size_t k,
                           const struct id_filter *filter)
{
    uint64_t *ids = calloc(k, sizeof *ids);
    float *distances = calloc(k, sizeof *distances);
    size_t n = 0;
    struct truth *t = world_truth(w, query, filter, &n);
    double scanned = world_search(w, query, k, everything, filter, ids, distances).scanned;
    for (size_t i = 0; i < k; i++) {
        if (i >= n) {
            assert_true(ids[i] == ID_NONE && isinf(distances[i]));
        } else {
            assert_int_equal(ids[i], t[i].id);
            assert_true(distances[i] == t[i].distance);
        }
    }
    free(t);
    free(ids);
    free(distances);
    return scanned;
}

static struct ampi *world_ampi(struct world *w)
{
    return ampi_of(w->index);
}

static void train_on(struct world *w, size_t n)
{
    assert_ok(ampi_ops.train(w->index, world_vectors(w, 0, n)), &w->bench.error);
    world_check(w);
}

/* -------------------------------------------------------------------- sorted projections */

static struct ampi_entry random_entry(struct rng *rng, uint32_t slot)
{
    return (struct ampi_entry){ (float)rng_below(rng, 20), slot }; /* many are equal */
}

static void test_merge(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, defaults(), 3, 1, 1);
    for (size_t round = 0; round < 40; round++) {
        struct ampi_cone cone = { 0 };
        struct ampi_entry all[400], batch[100];
        size_t n = 0;
        while (n < 300) {
            size_t m = rng_below(&w.rng, 3) ? 1 + rng_below(&w.rng, 4) : rng_below(&w.rng, 100);
            for (size_t i = 0; i < m; i++)
                all[n + i] = batch[i] = random_entry(&w.rng, (uint32_t)(n + i) * 7919 % 4096);
            ampi_entries_sort(batch, m);
            assert_true(ampi_cone_reserve(world_ampi(&w), &cone, n + m));
            for (size_t f = 0; f < world_ampi(&w)->fans; f++)
                ampi_cone_merge(&cone, f, batch, m);
            cone.n += (uint32_t)m;
            n += m;
            ampi_entries_sort(all, n);
            for (size_t f = 0; f < world_ampi(&w)->fans; f += 15) {
                for (size_t i = 0; i < n; i++) {
                    assert_true(cone.projections[f * cone.capacity + i] == all[i].projection);
                    assert_int_equal(cone.slots[f * cone.capacity + i], all[i].slot);
                }
                double value = (double)rng_below(&w.rng, 22) - 0.5 * (double)rng_below(&w.rng, 2);
                size_t rank = ampi_cone_rank(&cone, f, value);
                assert_true(rank == 0 || (double)all[rank - 1].projection < value);
                assert_true(rank == n || (double)all[rank].projection >= value);
            }
        }
        ampi_cone_free(world_ampi(&w), &cone);
    }
    world_close(&w);
}

static void test_choose_fans(void **state)
{
    struct world w;
    (void)state;
    struct ampi_params params = defaults();
    params.fans = 6;
    world_open(&w, params, 3, 1, 2);
    const float projections[6] = { 3, -5, 1, 9, INFINITY, 2 }, centre[6] = { 1, 0, 1, 4, 0, 4 };
    const float lost[6] = { INFINITY, 1, 2, 3, 4, 5 }, zero[6] = { INFINITY, 0, 0, 0, 0, 0 };
    uint32_t fans[6];
    ampi_choose_fans(world_ampi(&w), projections, centre, 4, fans);
    assert_int_equal(fans[0], 4); /* infinity */
    assert_int_equal(fans[1], 1); /* 5, and 5 again: the smaller first */
    assert_int_equal(fans[2], 3);
    assert_int_equal(fans[3], 0); /* 2, as axis 5 */
    ampi_choose_fans(world_ampi(&w), lost, zero, 6, fans);
    assert_int_equal(fans[0], 5);
    assert_int_equal(fans[5], 0); /* what is no number comes last */
    world_close(&w);
}

/* ------------------------------------------------------------------------------- searching */

/* In few dimensions the gaps along the axes prove most of a cone to be too far: answers are exact and
   most vectors unread; also after the centroid has moved away from where cones were built. */
static void test_bound(void **state)
{
    struct world w;
    float query[3];
    double read = 0;
    (void)state;
    struct ampi_params params = defaults();
    params.clusters = 4;
    params.fans = 3;
    params.drift_theta = 0;
    world_open(&w, params, 3, 6000, 3);
    test_fill_f32(&w.rng, w.rows, 4000, 3, 0, 1);
    test_fill_f32(&w.rng, w.rows + 4000 * 3, 2000, 3, 0, 1);
    for (size_t i = 4000 * 3; i < 6000 * 3; i++)
        w.rows[i] += 20;
    train_on(&w, 4000);
    world_insert(&w, 0, 4000);
    world_insert(&w, 4000, 2000);
    for (size_t i = 0; i < 200; i++) {
        test_fill_f32(&w.rng, query, 1, 3, 0, 1);
        for (size_t j = 0; j < 3 && i % 2; j++)
            query[j] += 20;
        read += expect_exact(&w, query, 1 + rng_below(&w.rng, 20), NULL) / 200;
    }
    print_message("%.0f of 6000 vectors read\n", read);
    assert_true(read < 2000);
    world_close(&w);
}

static void test_knobs_bound_work(void **state)
{
    struct world w;
    uint64_t ids[10];
    float distances[10];
    (void)state;
    struct ampi_params params = defaults();
    params.clusters = 4;
    params.cones = 1;
    world_open(&w, params, 64, 4000, 4);
    test_fill_f32(&w.rng, w.rows, 4000, 64, 0, 1);
    train_on(&w, 4000);
    world_insert(&w, 0, 4000);
    const struct ampi_knobs some[] = { { 1, 1, 10 }, { 2, 3, 10 }, { 4, 16, 1 }, { 3, 2, 20 } };
    for (size_t i = 0; i < 4; i++) {
        struct work work = world_search(&w, w.rows, 10, some[i], NULL, ids, distances);
        assert_true(work.scanned > 0);
        assert_true(work.scanned <= (double)(some[i].probes * some[i].fan_probes * some[i].window *
                                             2 * params.fans));
    }
    assert_true(world_search(&w, w.rows, 10, everything, NULL, ids, distances).scanned == 4000);
    assert_int_equal(ids[0], 0);
    world_close(&w);
}

struct found {
    bool seen[6000];
    size_t n;
};

static int note_found(void *to, size_t query, uint64_t id, float distance)
{
    struct found *f = to;
    (void)query, (void)distance;
    assert_false(f->seen[id]);
    f->seen[id] = true;
    f->n++;
    return OK;
}

static void test_range(void **state)
{
    struct world w;
    static struct found found;
    double read = 0;
    (void)state;
    struct ampi_params params = defaults();
    params.clusters = 3;
    world_open(&w, params, 3, 3000, 5);
    test_fill_f32(&w.rng, w.rows, 3000, 3, 0, 1);
    train_on(&w, 2000);
    world_insert(&w, 0, 2000);
    world_insert(&w, 2000, 1000);
    world_remove_run(&w, 100, 50);
    for (size_t i = 0; i < 100; i++) {
        const float *query = w.rows + rng_below(&w.rng, 3000) * 3;
        const double radius = i == 0 ? 0 : i == 1 ? 1e30 : 0.5 * rng_unit(&w.rng);
        const struct range_request request = {
            { query, 1, 3, ELEMENT_F32 }, radius, &everything, NULL, 1
        };
        struct range_result result = { .found = note_found, .to = &found };
        size_t n = 0, within = 0;
        memset(&found, 0, sizeof found);
        assert_ok(ampi_ops.range(w.index, &request, &result), &w.bench.error);
        struct truth *t = world_truth(&w, query, NULL, &n);
        for (; within < n && (double)t[within].distance <= radius; within++)
            assert_true(found.seen[t[within].id]);
        assert_int_equal(found.n, within);
        free(t);
        read += i > 1 ? result.work.scanned / 98 : 0;
    }
    print_message("%.0f of 2950 vectors read\n", read);
    assert_true(read < 2000);
    world_close(&w);
}

/* ---------------------------------------------------------------------- copies, tombstones */

static uint64_t filed(struct world *w)
{
    uint64_t n = 0;
    for (size_t c = 0; c < world_ampi(w)->part.n; c++)
        n += world_ampi(w)->part.cluster[c].live;
    return n;
}

static void test_built_and_added(void **state)
{
    struct world w;
    (void)state;
    struct ampi_params params = defaults();
    params.clusters = 10;
    world_open(&w, params, 8, 1500, 6);
    test_fill_f32(&w.rng, w.rows, 1500, 8, 10, 0.3);
    train_on(&w, 1000);
    struct ampi_partition *p = &world_ampi(&w)->part;
    float before[80];
    memcpy(before, p->centroids, sizeof before);
    world_insert(&w, 0, 1000);
    assert_int_equal(filed(&w), 1000); /* built: once each, and nothing moves */
    assert_memory_equal(before, p->centroids, sizeof before);
    world_insert(&w, 1000, 500);
    assert_int_equal(filed(&w), 2000); /* added: twice each */
    assert_memory_not_equal(before, p->centroids, sizeof before);
    /* A moved centroid is the mean of its vectors: those built into it and those added. */
    for (size_t c = 0; c < 10; c++) {
        double sum[8] = { 0 };
        size_t n = 0;
        for (size_t s = 0; s < 1500; s++) {
            const uint32_t *clusters = ampi_filed(world_ampi(&w), p, s);
            if (clusters[0] != c && clusters[1] != c)
                continue;
            n++;
            for (size_t j = 0; j < 8; j++)
                sum[j] += (double)ampi_row(world_ampi(&w), s)[j];
        }
        /* k-means' last centroids are those of the pass before, so not the mean to the digit. */
        for (size_t j = 0; j < 8; j++)
            assert_true(fabs(sum[j] / (double)n - (double)p->centroids[c * 8 + j]) < 0.05);
    }
    world_close(&w);
}

static void test_tombstones(void **state)
{
    struct world w;
    (void)state;
    struct ampi_params params = defaults();
    params.clusters = 1;
    params.refresh_at = 0.1;
    world_open(&w, params, 5, 1000, 7);
    test_fill_f32(&w.rng, w.rows, 1000, 5, 0, 1);
    train_on(&w, 1000);
    world_insert(&w, 0, 1000);
    struct ampi *a = world_ampi(&w);
    world_remove_run(&w, 0, 100);
    assert_int_equal(a->counters.refreshes, 0);
    assert_int_equal(a->part.cluster[0].dead, 100);
    world_remove_run(&w, 100, 1); /* past a tenth */
    assert_int_equal(a->counters.refreshes, 1);
    assert_int_equal(a->part.cluster[0].dead, 0);
    assert_int_equal(a->slots.n_free, 101);
    expect_exact(&w, w.rows, 10, NULL);
    /* Slots are used again: a window that slides does not grow. */
    for (size_t round = 0; round < 20; round++) {
        world_insert(&w, 0, 101);
        world_remove_run(&w, 0, 101);
    }
    assert_true(a->slots.n <= 1000 + 101);
    bool more = true;
    assert_ok(ampi_ops.maintain(w.index, 0, &more), &w.bench.error);
    assert_false(more);
    assert_int_equal(a->slots.n - a->slots.n_free, 899);
    world_close(&w);
}

/* ----------------------------------------------------------------------------------- drift */

/* Vectors at 6 from the origin, all in one direction and its opposite. */
static void fill_along(struct world *w, size_t first, size_t n, const double *axis)
{
    for (size_t i = first; i < first + n; i++) {
        double sign = i % 2 ? 6 : -6;
        for (size_t j = 0; j < w->dim; j++)
            w->rows[i * w->dim + j] = (float)(sign * axis[j] + 0.3 * rng_normal(&w->rng));
    }
}

static double along(const float *v, const double *axis, size_t dim)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++)
        sum += (double)v[j] * axis[j];
    return fabs(sum);
}

static void run_drift(double theta, struct world *w, double *axis)
{
    enum { D = 40 };
    struct ampi_params params = defaults();
    params.clusters = 1;
    params.drift_theta = theta;
    world_open(w, params, D, 1400, 8);
    double length = 0;
    for (size_t j = 0; j < D; j++) {
        axis[j] = rng_normal(&w->rng);
        length += axis[j] * axis[j];
    }
    for (size_t j = 0; j < D; j++)
        axis[j] /= sqrt(length);
    test_fill_f32(&w->rng, w->rows, 400, D, 0, 1);
    fill_along(w, 400, 1000, axis);
    train_on(w, 400);
    world_insert(w, 0, 400);
    assert_int_equal(world_ampi(w)->part.cluster[0].drifted, 0);
    assert_true(ampi_drift_norm(world_ampi(w), 0) == 0);
    for (size_t i = 400; i < 1400; i += 250)
        world_insert(w, i, 250);
    const struct ampi_cluster *c = &world_ampi(w)->part.cluster[0];
    assert_int_equal(c->drifted, 1000);
    assert_true(c->leading > 0.7);
    float length_sq = w->bench.env.kernels->ip_f32(c->sketch, c->sketch, D);
    assert_true(along(c->sketch, axis, D) > 0.97 * sqrt((double)length_sq));
    expect_exact(w, w->rows + 400 * D, 10, NULL);
}

static void test_drift(void **state)
{
    struct world w;
    double axis[40];
    (void)state;
    run_drift(15, &w, axis);
    const struct ampi_cluster *c = &world_ampi(&w)->part.cluster[0];
    assert_true(c->drift_rebuilds >= 1 && c->drift_rebuilds < 10);
    assert_int_equal(c->drift_rebuilds, world_ampi(&w)->counters.drift_rebuilds);
    assert_non_null(c->axes);
    assert_true(along(c->axes, axis, 40) > cos(15 / 57.29577951308232));
    assert_true(c->angle < 15);
    world_close(&w);

    /* The signal without the remedy: none of 16 random axes of 40 dimensions is that near. */
    run_drift(0, &w, axis);
    c = &world_ampi(&w)->part.cluster[0];
    assert_int_equal(c->drift_rebuilds, 0);
    assert_null(c->axes);
    assert_true(c->angle > 30);
    world_close(&w);
}

/* What comes from one side moves the centroid there; the norm says how far. */
static void test_drift_norm(void **state)
{
    struct world w;
    (void)state;
    struct ampi_params params = defaults();
    params.clusters = 1;
    params.drift_theta = 0;
    world_open(&w, params, 4, 400, 9);
    test_fill_f32(&w.rng, w.rows, 400, 4, 0, 0.1);
    for (size_t i = 200; i < 400; i++)
        w.rows[i * 4 + 2] += 10;
    train_on(&w, 200);
    world_insert(&w, 0, 200);
    world_insert(&w, 200, 200);
    assert_true(fabs(ampi_drift_norm(world_ampi(&w), 0) - 5) < 0.1);
    assert_true(fabsf(world_ampi(&w)->part.centroids[2] - 5) < 0.1F);
    world_close(&w);
}

/* Equal vectors, more fans than dimensions: nothing left to orthonormalise. */
static void test_drift_degenerate(void **state)
{
    struct world w;
    (void)state;
    for (size_t dim = 1; dim < 4; dim++) {
        struct ampi_params params = defaults();
        params.clusters = 2;
        params.drift_theta = 1;
        world_open(&w, params, dim, 600, 10);
        test_fill_f32(&w.rng, w.rows, 100, dim, 2, 0.1);
        for (size_t i = 100 * dim; i < 600 * dim; i++)
            w.rows[i] = 3;
        train_on(&w, 100);
        world_insert(&w, 0, 100);
        for (size_t i = 100; i < 600; i += 100)
            world_insert(&w, i, 100);
        for (size_t c = 0; c < world_ampi(&w)->part.n; c++) {
            const struct ampi_cluster *k = &world_ampi(&w)->part.cluster[c];
            assert_true(k->angle >= 0 && k->angle <= 90);
            for (size_t i = 0; k->sketch && i < world_ampi(&w)->rank * dim; i++)
                assert_true(isfinite(k->sketch[i]));
        }
        expect_exact(&w, w.rows, 7, NULL);
        world_close(&w);
    }
}

/* ------------------------------------------------------------------------------- histories */

static void history_insert(struct world *w, size_t *next)
{
    size_t n = rng_below(&w->rng, 4) == 0 ? 1 + rng_below(&w->rng, 3) : rng_below(&w->rng, 500);
    if (*next + n > w->capacity)
        n = w->capacity - *next;
    uint64_t kind = rng_below(&w->rng, 4);
    test_fill_f32(&w->rng, w->rows + *next * w->dim, n, w->dim, kind == 0 ? 1 : 20,
                  kind == 3 ? 0 : 0.2);
    world_insert(w, *next, n);
    *next += n;
}

static void history_remove(struct world *w, size_t next)
{
    uint64_t ids[400];
    size_t n = 0, most = rng_below(&w->rng, 4) ? rng_below(&w->rng, 400) : 2;
    for (size_t tries = 0; n < most && tries < 2000 && next > 0; tries++) {
        uint64_t id = rng_below(&w->rng, next);
        if (!w->stored[id])
            continue;
        w->stored[id] = false; /* so that it is not drawn twice */
        ids[n++] = id;
    }
    world_remove(w, ids, n);
}

static void history_return(struct world *w, size_t next)
{
    for (size_t i = 0; i < 20 && next > 0; i++) {
        uint64_t id = rng_below(&w->rng, next);
        if (w->stored[id])
            continue;
        test_fill_f32(&w->rng, w->rows + id * w->dim, 1, w->dim, 1, 0.5);
        world_insert(w, id, 1);
    }
}

static void history_search(struct world *w)
{
    float *query = calloc(w->dim, sizeof *query);
    uint64_t bits[64], ids[5];
    float distances[5];
    assert_non_null(query);
    for (size_t i = 0; i < 64; i++)
        bits[i] = rng_u64(&w->rng);
    struct id_filter filter = { bits, rng_below(&w->rng, 64 * 64) };
    test_fill_f32(&w->rng, query, 1, w->dim, 1, 0.2);
    expect_exact(w, query, 1 + rng_below(&w->rng, 30), NULL);
    expect_exact(w, query, 1 + rng_below(&w->rng, 30), &filter);
    struct ampi_knobs knobs = { 1 + (int64_t)rng_below(&w->rng, 4),
                                1 + (int64_t)rng_below(&w->rng, 6),
                                1 + (int64_t)rng_below(&w->rng, 60) };
    world_search(w, query, 5, knobs, NULL, ids, distances);
    for (size_t i = 0; i < 5 && ids[i] != ID_NONE; i++) {
        assert_true(w->stored[ids[i]]);
        for (size_t j = 0; j < i; j++)
            assert_true(ids[j] != ids[i]);
    }
    free(query);
}

/* Saved and loaded, with tombstones and free slots: the same answers at any knobs, and it goes on. */
static void history_reload(struct world *w, const char *dir)
{
    const struct ampi_knobs knobs = { 2, 2, 12 };
    uint64_t ids[2][9];
    float distances[2][9];
    struct index *loaded = NULL;
    assert_ok(ampi_ops.save(w->index, dir), &w->bench.error);
    world_search(w, w->rows, 9, knobs, NULL, ids[0], distances[0]);
    assert_ok(ampi_ops.load(&loaded, &w->bench.env, dir), &w->bench.error);
    ampi_ops.destroy(w->index);
    w->index = loaded;
    world_check(w);
    world_search(w, w->rows, 9, knobs, NULL, ids[1], distances[1]);
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
}

static void run_history(struct ampi_params params, size_t dim, uint64_t stream, const char *dir)
{
    struct world w;
    bool more;
    size_t next = 0;
    world_open(&w, params, dim, 4000, stream);
    for (int step = 0; step < 40; step++) {
        switch (rng_below(&w.rng, 10)) {
            case 0:
            case 1:
            case 2: history_insert(&w, &next); break;
            case 3: history_remove(&w, next); break;
            case 4: history_return(&w, next); break;
            case 5:
            case 6: history_search(&w); break;
            case 7: history_reload(&w, dir); break;
            case 8:
                assert_ok(ampi_ops.maintain(w.index, rng_below(&w.rng, 2000), &more),
                          &w.bench.error);
                break;
            default:
                if (rng_below(&w.rng, 4) == 0 && next > 0)
                    train_on(&w, 1 + rng_below(&w.rng, next));
        }
        world_check(&w);
    }
    history_search(&w);
    world_close(&w);
}

static void test_histories(void **state)
{
    char dir[PATH_MAX];
    (void)state;
    test_dir_make(dir);
    for (uint64_t run = 0; run < 16; run++) {
        struct rng rng = rng_at(test_seed(), 100 + run);
        struct ampi_params params = defaults();
        const double refresh_at[] = { 0, 0.1, 0.5, 1 }, theta[] = { 0, 2, 15, 80 };
        params.clusters = run % 3 == 0 ? 0 : 1 + (int64_t)rng_below(&rng, 20);
        params.fans = 1 + (int64_t)rng_below(&rng, 12);
        params.cones = 1 + (int64_t)rng_below(&rng, 3);
        params.refresh_at = refresh_at[rng_below(&rng, 4)];
        params.drift_theta = theta[rng_below(&rng, 4)];
        params.train_sample = run % 5 == 0 ? 100 : 0;
        run_history(params, 1 + (size_t)rng_below(&rng, 40), 200 + run, dir);
    }
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),      cmocka_unit_test(test_choose_fans),
        cmocka_unit_test(test_bound),      cmocka_unit_test(test_knobs_bound_work),
        cmocka_unit_test(test_range),      cmocka_unit_test(test_built_and_added),
        cmocka_unit_test(test_tombstones), cmocka_unit_test(test_drift),
        cmocka_unit_test(test_drift_norm), cmocka_unit_test(test_drift_degenerate),
        cmocka_unit_test(test_histories),
    };
    return test_run("ampi", tests);
}
