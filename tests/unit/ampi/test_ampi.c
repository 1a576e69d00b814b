/* test_ampi.c - ampi: sorted projections, the bound that ends a
   search, copies, tombstones, drift. */
#include "tests/unit/ampi/support.h"

/* -------------------------------------------------------------------- sorted projections */

static struct ampi_entry random_entry(struct rng *rng, uint32_t slot)
{
    return (struct ampi_entry){ (float)rng_below(rng, 20), slot }; /* many are equal */
}

static void test_merge(void **state)
{
    struct stored_rows w;
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
    stored_close(&w);
}

static void test_choose_fans(void **state)
{
    struct stored_rows w;
    struct ampi_params params = defaults();
    params.fans = 6;
    world_open(&w, params, 3, 1, 2);
    const float projections[6] = { 3, -5, 1, 9, INFINITY, 2 }, centre[6] = { 1, 0, 1, 4, 0, 4 };
    const float lost[6] = { INFINITY, 1, 2, 3, 4, 5 }, zero[6] = { INFINITY, 0, 0, 0, 0, 0 };
    uint32_t fans[6];
    ampi_choose_fans(world_ampi(&w), projections, centre, 4, fans);
    assert_int_equal(fans[0], 4); /* infinity */
    assert_int_equal(fans[1], 1); /* 5, and 5 again: the smaller axis first */
    assert_int_equal(fans[2], 3);
    assert_int_equal(fans[3], 0); /* 2, as axis 5 */
    ampi_choose_fans(world_ampi(&w), lost, zero, 6, fans);
    assert_int_equal(fans[0], 5);
    assert_int_equal(fans[5], 0); /* NaN comes last */
    stored_close(&w);
}

/* ------------------------------------------------------------------------------- searching */

/* In few dimensions the gaps along the axes exclude most of a cone: answers are exact and most
   vectors are not read, also after the centroid has moved away from its place at the build. */
static void test_bound(void **state)
{
    struct stored_rows w;
    float query[3];
    double read = 0;
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
    stored_close(&w);
}

static void test_knobs_bound_work(void **state)
{
    struct stored_rows w;
    uint64_t ids[10];
    float distances[10];
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
        assert_true(work.scanned <= (double)(some[i].nprobe * some[i].fan_probes * some[i].window *
                                             2 * params.fans));
    }
    assert_true(world_search(&w, w.rows, 10, everything, NULL, ids, distances).scanned == 4000);
    assert_int_equal(ids[0], 0);
    stored_close(&w);
}

/* ---------------------------------------------------------------------- copies, tombstones */

static uint64_t filed(struct stored_rows *w)
{
    uint64_t n = 0;
    for (size_t c = 0; c < world_ampi(w)->part.n; c++)
        n += world_ampi(w)->part.cluster[c].live;
    return n;
}

static void test_built_and_added(void **state)
{
    struct stored_rows w;
    struct ampi_params params = defaults();
    params.clusters = 10;
    world_open(&w, params, 8, 1500, 6);
    test_fill_f32(&w.rng, w.rows, 1500, 8, 10, 0.3);
    train_on(&w, 1000);
    struct ampi_partition *p = &world_ampi(&w)->part;
    float before[80];
    memcpy(before, p->centroids, sizeof before);
    world_insert(&w, 0, 1000);
    assert_int_equal(filed(&w), 1000); /* built: one copy each, no centroid moves */
    assert_memory_equal(before, p->centroids, sizeof before);
    world_insert(&w, 1000, 500);
    assert_int_equal(filed(&w), 2000); /* inserted: two copies each */
    assert_memory_not_equal(before, p->centroids, sizeof before);
    /* A moved centroid is the mean of its vectors, built or inserted. */
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
        /* k-means returns the centroids of the previous pass, so they are not exactly the means. */
        for (size_t j = 0; j < 8; j++)
            assert_true(fabs(sum[j] / (double)n - (double)p->centroids[c * 8 + j]) < 0.05);
    }
    stored_close(&w);
}

static void test_tombstones(void **state)
{
    struct stored_rows w;
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
    world_remove_run(&w, 100, 1); /* more than a tenth */
    assert_int_equal(a->counters.refreshes, 1);
    assert_int_equal(a->part.cluster[0].dead, 0);
    assert_int_equal(a->slots.n_free, 101);
    expect_exact(&w, w.rows, 10, NULL);
    /* Slots are reused: the index of a sliding window does not grow. */
    for (size_t round = 0; round < 20; round++) {
        world_insert(&w, 0, 101);
        world_remove_run(&w, 0, 101);
    }
    assert_true(a->slots.n <= 1000 + 101);
    bool more = true;
    assert_ok(ampi_ops.maintain(w.index, 0, &more), &w.bench.error);
    assert_false(more);
    assert_int_equal(a->slots.n - a->slots.n_free, 899);
    stored_close(&w);
}

/* ----------------------------------------------------------------------------------- drift */

/* Vectors at distance 6 from the origin, all in one direction or its opposite. */
static void fill_along(struct stored_rows *w, size_t first, size_t n, const double *axis)
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

static void run_drift(double theta, struct stored_rows *w, double *axis)
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
    struct stored_rows w;
    double axis[40];
    run_drift(15, &w, axis);
    const struct ampi_cluster *c = &world_ampi(&w)->part.cluster[0];
    assert_true(c->drift_rebuilds >= 1 && c->drift_rebuilds < 10);
    assert_int_equal(c->drift_rebuilds, world_ampi(&w)->counters.drift_rebuilds);
    assert_non_null(c->axes);
    assert_true(along(c->axes, axis, 40) > cos(15 / 57.29577951308232));
    assert_true(c->angle < 15);
    stored_close(&w);

    /* The signal without the remedy: none of 16 random axes in 40 dimensions is as close. */
    run_drift(0, &w, axis);
    c = &world_ampi(&w)->part.cluster[0];
    assert_int_equal(c->drift_rebuilds, 0);
    assert_null(c->axes);
    assert_true(c->angle > 30);
    stored_close(&w);
}

/* Vectors from one side move the centroid there; the norm gives the distance. */
static void test_drift_norm(void **state)
{
    struct stored_rows w;
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
    stored_close(&w);
}

/* Equal vectors, and more fans than dimensions: no direction is left to orthonormalise. */
static void test_drift_degenerate(void **state)
{
    struct stored_rows w;
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
        stored_close(&w);
    }
}

int main(void)
{
    return test_run_all("ampi", test_merge, test_choose_fans, test_bound, test_knobs_bound_work,
                        test_built_and_added, test_tombstones, test_drift, test_drift_norm,
                        test_drift_degenerate);
}
