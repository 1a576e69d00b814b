/* test_rabitq.c - the RaBitQ quantizer: that its estimates are fair, its bounds as seldom wrong as said,
 * and a scan that trusts them finds what a full scan does.
 */
#include "tests/testing.h"

#include "algorithms/common/quantizer.h"
#include "algorithms/common/rabitq.h"
#include "algorithms/common/rotation.h"

/* One list's codes: rows of `dim`, their centroid, and blocks of codes. */
struct list {
    const struct quantizer *q;
    const float *rows;
    size_t n, blocks;
    float *centroid, *turned; /* given, transformed */
    unsigned char *codes;
};

static struct quantizer *train(struct test_bench *b, size_t bits, double eps0, uint64_t seed,
                               const float *rows, size_t n)
{
    struct quantizer *q = NULL;
    const struct quantizer_options options = {
        .kind = QUANTIZER_RABITQ, .seed = seed, .bits = bits, .eps0 = eps0
    };
    assert_ok(quantizer_train(&q, &b->env, &options, rows, n), b->env.error);
    assert_true(q->per_list && !q->certain && q->refines == (bits > 1));
    assert_true(q->block_bytes % 64 == 0 && q->query_bytes % 64 == 0);
    return q;
}

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, bytes); /* NaN: what is not written must not be read */
    return p;
}

static unsigned char *block_of(const struct list *l, size_t i)
{
    return l->codes + i / QUANTIZER_BLOCK * l->q->block_bytes;
}

/* centroid NULL: the mean. */
static struct list list_make(const struct quantizer *q, const float *rows, size_t n,
                             const float *centroid)
{
    struct list l = { .q = q, .rows = rows, .n = n, .blocks = (n + 63) / 64 };
    l.centroid = calloc(q->dim, sizeof *l.centroid);
    l.turned = room(q->work_dim * sizeof(float));
    l.codes = room(l.blocks * q->block_bytes);
    for (size_t i = 0; !centroid && i < n; i++)
        for (size_t d = 0; d < q->dim; d++)
            l.centroid[d] += rows[i * q->dim + d] / (float)n;
    if (centroid)
        memcpy(l.centroid, centroid, q->dim * sizeof *centroid);
    float *turned = room(q->work_dim * sizeof(float));
    quantizer_transform(q, l.centroid, 1, l.turned);
    for (size_t i = 0; i < n; i++) {
        quantizer_transform(q, rows + i * q->dim, 1, turned);
        assert_true(quantizer_put(q, turned, l.turned, block_of(&l, i), i % 64) == 0);
    }
    free(turned);
    return l;
}

static void list_free(struct list *l)
{
    free(l->centroid);
    free(l->turned);
    free(l->codes);
}

static float exact(const struct list *l, const float *query, size_t i)
{
    double sum = 0;
    for (size_t d = 0; d < l->q->dim; d++) {
        const double difference = (double)query[d] - (double)l->rows[i * l->q->dim + d];
        sum += difference * difference;
    }
    return (float)sum;
}

/* A query turned to a list. Free it. */
static void *prepare(const struct list *l, const float *query)
{
    void *prepared = room(l->q->query_bytes);
    float *turned = room(l->q->work_dim * sizeof(float));
    double distance = 0;
    for (size_t d = 0; d < l->q->dim; d++)
        distance += pow((double)query[d] - (double)l->centroid[d], 2);
    quantizer_transform(l->q, query, 1, turned);
    quantizer_query(l->q, turned, prepared);
    quantizer_query_list(l->q, prepared, l->turned, (float)distance, 0);
    free(turned);
    return prepared;
}

static float scan_one(const struct list *l, const void *prepared, size_t i, float limit, bool *in)
{
    float estimate[64];
    const uint64_t mask = quantizer_scan(l->q, prepared, block_of(l, i), limit, estimate);
    *in = mask >> i % 64 & 1;
    return estimate[i % 64];
}

/* The best there is: by all bits where there is more than one. */
static float look_at(const struct list *l, const void *prepared, size_t i, float limit, bool *in)
{
    float estimate = scan_one(l, prepared, i, limit, in);
    if (l->q->refines)
        *in = quantizer_refine(l->q, prepared, block_of(l, i), i % 64, limit, &estimate);
    return estimate;
}

/* ------------------------------------------------------------------------------ the rotation */

static void test_rotation(void **state)
{
    (void)state;
    static const size_t dims[] = { 1, 2, 7, 8, 9, 24, 64, 100, 128, 324, 784, 1000, 4096 };
    struct rng r = rng_at(test_seed(), 9);
    for (size_t c = 0; c < sizeof dims / sizeof *dims; c++) {
        const size_t dim = dims[c];
        float *x = calloc(3 * dim, sizeof *x);
        test_fill_f32(&r, x, 3, dim, 0, 1);
        struct rotation t;
        assert_true(rotation_init(&t, NULL, x + 2 * dim, dim, test_seed()));
        float *y = calloc(2 * t.out_dim, sizeof *y);
        rotation_apply(&t, x, y);
        rotation_apply(&t, x + dim, y + t.out_dim);
        double before = 0, after = 0;
        for (size_t d = 0; d < dim; d++)
            before += pow((double)x[d] - (double)x[dim + d], 2);
        for (size_t d = 0; d < t.out_dim; d++)
            after += pow((double)y[d] - (double)y[t.out_dim + d], 2);
        assert_true(fabs(before - after) <= 1e-5 * before);
        memset(x, 0, dim * sizeof *x); /* one axis: its image is spread over all dimensions */
        for (size_t d = 0; d < dim; d++)
            x[d] = x[2 * dim + d] + (d == dim / 2 ? 1 : 0);
        rotation_apply(&t, x, y);
        float most = 0;
        for (size_t d = 0; d < t.out_dim; d++)
            most = fmaxf(most, fabsf(y[d]));
        assert_true((double)most <= 5.5 / sqrt((double)t.out_dim));
        rotation_free(&t, NULL);
        free(x);
        free(y);
    }
}

/* ----------------------------------------------------------------------------- the estimates */

/* Over 1000 rotations an estimate's mean is the distance: |t| < 4, once in 16 000 by chance. */
static void test_unbiased(void **state)
{
    (void)state;
    enum { DIM = 40, ROTATIONS = 1000 };
    struct test_bench b;
    struct rng r = rng_at(test_seed(), 1);
    float rows[5 * DIM];
    test_bench_begin(&b, ELEMENT_F32, METRIC_L2SQ, DIM, 1);
    for (size_t bits = 1; bits <= 5; bits += 2) {
        test_fill_f32(&r, rows, 5, DIM, 0, 1);
        for (size_t d = 0; d < DIM; d++) /* the query is nearer to the vector than to most */
            rows[4 * DIM + d] = rows[d] + rows[4 * DIM + d] / 2;
        double sum = 0, square = 0;
        for (uint64_t seed = 0; seed < ROTATIONS; seed++) {
            struct quantizer *q = train(&b, bits, 1.9, test_seed() + seed, rows, 4);
            struct list l = list_make(q, rows, 1, rows + DIM);
            void *prepared = prepare(&l, rows + 4 * DIM);
            bool in;
            const double off = (double)look_at(&l, prepared, 0, INFINITY, &in) -
                               (double)exact(&l, rows + 4 * DIM, 0);
            assert_true(in);
            sum += off;
            square += off * off;
            free(prepared);
            list_free(&l);
            quantizer_destroy(&b.env, q);
        }
        const double mean = sum / ROTATIONS, deviation = sqrt(square / ROTATIONS - mean * mean);
        const double t = mean / (deviation / sqrt(ROTATIONS));
        if (fabs(t) >= 4 || deviation == 0)
            fail_msg("%zu bits: mean error %g, deviation %g, t = %.2f", bits, mean, deviation, t);
    }
    test_bench_end(&b);
}

struct world {
    struct test_bench b;
    float *rows, *queries;
    size_t n, n_queries, dim;
};

/* Rows about one centre, or `clusters`; queries that lie near some of them. */
static void world_make(struct world *w, size_t n, size_t dim, size_t n_queries, size_t clusters,
                       double nearness, uint64_t stream)
{
    *w = (struct world){ .n = n, .dim = dim, .n_queries = n_queries };
    struct rng r = rng_at(test_seed(), stream);
    test_bench_begin(&w->b, ELEMENT_F32, METRIC_L2SQ, dim, 1);
    w->rows = calloc(n * dim, sizeof *w->rows);
    w->queries = calloc(n_queries * dim, sizeof *w->queries);
    test_fill_f32(&r, w->rows, n, dim, clusters, clusters ? 0.4 : 1);
    test_fill_f32(&r, w->queries, n_queries, dim, 0, 1);
    for (size_t i = 0; i < n_queries; i++) {
        const float *row = w->rows + rng_below(&r, n) * dim;
        for (size_t d = 0; d < dim; d++)
            w->queries[i * dim + d] = row[d] + (float)nearness * (w->queries[i * dim + d] - row[d]);
    }
}

static void world_free(struct world *w)
{
    free(w->rows);
    free(w->queries);
    test_bench_end(&w->b);
}

static double rms_error(struct world *w, size_t bits)
{
    struct quantizer *q = train(&w->b, bits, 1.9, test_seed(), w->rows, w->n);
    struct list l = list_make(q, w->rows, w->n, NULL);
    double square = 0;
    for (size_t i = 0; i < w->n_queries; i++) {
        const float *query = w->queries + i * w->dim;
        void *prepared = prepare(&l, query);
        for (size_t v = 0; v < w->n; v++) {
            bool in;
            const float estimate = look_at(&l, prepared, v, INFINITY, &in);
            square += pow((double)estimate - (double)exact(&l, query, v), 2);
        }
        free(prepared);
    }
    list_free(&l);
    quantizer_destroy(&w->b.env, q);
    return sqrt(square / (double)(w->n * w->n_queries));
}

/* A bit more, half the error; the first two steps, from coarse levels, gain a little less. */
static void test_error_halves(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, 192, 128, 10, 0, 1, 2);
    double before = 0;
    for (size_t bits = 1; bits <= 9; bits++) {
        const double error = rms_error(&w, bits);
        if (bits > 1 && !(error < 0.62 * before && error > 0.38 * before))
            fail_msg("%zu bits: error %g, %g with one less", bits, error, before);
        before = error;
    }
    world_free(&w);
}

/* How often vectors whose distance is the limit itself are thrown away. */
static double violations(struct world *w, size_t bits, double eps0)
{
    struct quantizer *q = train(&w->b, bits, eps0, test_seed(), w->rows, w->n);
    struct list l = list_make(q, w->rows, w->n, NULL);
    size_t missed = 0, all = 0;
    for (size_t i = 0; i < w->n_queries; i++) {
        const float *query = w->queries + i * w->dim;
        void *prepared = prepare(&l, query);
        for (size_t v = 0; v < w->n; v++, all++) {
            bool in;
            if (q->refines)
                look_at(&l, prepared, v, exact(&l, query, v), &in);
            else
                scan_one(&l, prepared, v, exact(&l, query, v), &in);
            missed += !in;
        }
        free(prepared);
    }
    list_free(&l);
    quantizer_destroy(&w->b.env, q);
    return (double)missed / (double)all;
}

/* The bound is eps0 standard deviations of a normal variable, for a query at right angles to the
   residual, the worst there is: at most the normal distribution's tail, and not far below it. */
static void test_bound_is_as_said(void **state)
{
    (void)state;
    static const struct {
        double eps0, tail;
    } cases[] = { { 0.5, 0.3085 }, { 1, 0.1587 }, { 1.9, 0.0287 }, { 3.1, 0.00097 } };
    struct world w;
    world_make(&w, 640, 128, 80, 0, 1, 3);
    for (size_t bits = 1; bits <= 4; bits += 3) {
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            const double rate = violations(&w, bits, cases[c].eps0);
            if (rate > 1.25 * cases[c].tail + 2e-4 || rate < 0.4 * cases[c].tail - 2e-4)
                fail_msg("%zu bits, eps0 %.1f: %.5f beyond the bound, %.5f expected", bits,
                         cases[c].eps0, rate, cases[c].tail);
        }
    }
    world_free(&w);
}

/* The angle between a near neighbour's residual and the query's is small, and only the query's part
   at right angles to the residual errs: below 0.1 % at 1.9, one in 3000 here. */
static void test_bound_of_near_ones(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, 512, 96, 2000, 0, 0.4, 4);
    struct quantizer *q = train(&w.b, 1, 1.9, test_seed(), w.rows, w.n);
    struct list l = list_make(q, w.rows, w.n, NULL);
    size_t missed = 0, all = 0;
    for (size_t i = 0; i < w.n_queries; i++) {
        const float *query = w.queries + i * w.dim;
        void *prepared = prepare(&l, query);
        size_t nearest = 0;
        for (size_t v = 1; v < w.n; v++)
            nearest = exact(&l, query, v) < exact(&l, query, nearest) ? v : nearest;
        bool in;
        scan_one(&l, prepared, nearest, exact(&l, query, nearest), &in);
        missed += !in;
        all++;
        free(prepared);
    }
    if (missed > all / 1000)
        fail_msg("%zu of %zu nearest vectors beyond the bound", missed, all);
    list_free(&l);
    quantizer_destroy(&w.b.env, q);
    world_free(&w);
}

/* --------------------------------------------------------------------------------- searching */

enum { K = 10 };

struct best {
    float distance[K];
    size_t row[K], n;
};

static void keep(struct best *b, float distance, size_t row)
{
    if (b->n == K && distance >= b->distance[K - 1])
        return;
    size_t at = b->n < K ? b->n++ : K - 1;
    for (; at > 0 && b->distance[at - 1] > distance; at--) {
        b->distance[at] = b->distance[at - 1];
        b->row[at] = b->row[at - 1];
    }
    b->distance[at] = distance;
    b->row[at] = row;
}

static float kth(const struct best *b)
{
    return b->n == K ? b->distance[K - 1] : INFINITY;
}

/* Exact distances for those only that the bound leaves in; `looked` counts them. */
static void search(const struct list *l, const float *query, struct best *best, size_t *looked)
{
    void *prepared = prepare(l, query);
    for (size_t block = 0; block < l->blocks; block++) {
        float estimate[64];
        uint64_t mask =
            quantizer_scan(l->q, prepared, block_of(l, 64 * block), kth(best), estimate);
        for (size_t v = 0; v < 64 && 64 * block + v < l->n; v++) {
            const size_t row = 64 * block + v;
            if (!(mask >> v & 1))
                continue;
            if (l->q->refines && !quantizer_refine(l->q, prepared, block_of(l, row), (unsigned)v,
                                                   kth(best), estimate + v))
                continue;
            ++*looked;
            keep(best, exact(l, query, row), row);
        }
    }
    free(prepared);
}

static void test_recall(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, 8000, 64, 200, 400, 0.4, 5);
    size_t looked_before = SIZE_MAX;
    for (size_t bits = 1; bits <= 9; bits += 4) {
        struct quantizer *q = train(&w.b, bits, 1.9, test_seed(), w.rows, w.n);
        struct list l = list_make(q, w.rows, w.n, NULL);
        size_t found = 0, looked = 0;
        for (size_t i = 0; i < w.n_queries; i++) {
            struct best got = { .n = 0 }, truth = { .n = 0 };
            search(&l, w.queries + i * w.dim, &got, &looked);
            for (size_t v = 0; v < w.n; v++)
                keep(&truth, exact(&l, w.queries + i * w.dim, v), v);
            for (size_t j = 0; j < K; j++)
                found += got.distance[j] <= truth.distance[K - 1];
        }
        const double recall = (double)found / (double)(K * w.n_queries);
        if (recall < 0.999)
            fail_msg("%zu bits: recall %.4f of a full scan's", bits, recall);
        assert_true(looked < w.n * w.n_queries / 2 && looked < looked_before);
        looked_before = looked;
        list_free(&l);
        quantizer_destroy(&w.b.env, q);
    }
    world_free(&w);
}

/* ------------------------------------------------------------------------- tables, files, copies */

static void assert_near(float a, float b, float size)
{
    assert_true(fabs((double)a - (double)b) <= 2e-5 * (double)size);
}

/* Codes from one table serve the others; signs and lookup tables are the same bytes. */
static void test_tables_agree(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, 130, 100, 5, 0, 0.7, 6);
    for (size_t bits = 1; bits <= 9; bits += 2) {
        struct list list[3];
        struct quantizer *q[3];
        size_t n = 0;
        for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++, n++) {
            w.b.env.kernels = kernels_select(isa);
            q[n] = train(&w.b, bits, 1.9, test_seed(), w.rows, w.n);
            list[n] = list_make(q[n], w.rows, w.n, NULL);
            assert_memory_equal(list[n].codes, list[0].codes, q[0]->work_dim / 8 * 64);
        }
        for (size_t t = 1; t < n; t++) {
            struct list other = list[0];
            other.q = q[t];
            for (size_t i = 0; i < w.n_queries; i++) {
                const float *query = w.queries + i * w.dim;
                void *a = prepare(&list[0], query), *b = prepare(&other, query);
                assert_memory_equal((struct rabitq_query *)a + 1, (struct rabitq_query *)b + 1,
                                    q[0]->work_dim / 8 * 32);
                for (size_t v = 0; v < w.n; v++) {
                    bool in;
                    const float size = 400;
                    assert_near(scan_one(&list[0], a, v, 1, &in), scan_one(&other, b, v, 1, &in),
                                size);
                    assert_near(look_at(&list[0], a, v, 1, &in), look_at(&other, b, v, 1, &in),
                                size);
                }
                free(a);
                free(b);
            }
        }
        for (size_t t = 0; t < n; t++) {
            list_free(&list[t]);
            quantizer_destroy(&w.b.env, q[t]);
        }
    }
    world_free(&w);
}

/* Copied to any place, a code says the same; its neighbours stay. */
static void test_copy(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, 64, 52, 3, 0, 0.7, 7);
    for (size_t bits = 1; bits <= 9; bits += 4) {
        struct quantizer *q = train(&w.b, bits, 1.9, test_seed(), w.rows, w.n);
        struct list l = list_make(q, w.rows, w.n, NULL), copy = l;
        copy.codes = room(q->block_bytes);
        for (unsigned v = 0; v < 64; v++)
            quantizer_copy(q, l.codes, v, copy.codes, 63 - (v ^ 5));
        for (size_t i = 0; i < w.n_queries; i++) {
            void *prepared = prepare(&l, w.queries + i * w.dim);
            for (unsigned v = 0; v < 64; v++) {
                bool in, in_copy;
                assert_true(look_at(&l, prepared, v, 50, &in) ==
                            look_at(&copy, prepared, 63 - (v ^ 5), 50, &in_copy));
                assert_true(in == in_copy);
                assert_true(scan_one(&l, prepared, v, 50, &in) ==
                            scan_one(&copy, prepared, 63 - (v ^ 5), 50, &in_copy));
            }
            free(prepared);
        }
        free(copy.codes);
        list_free(&l);
        quantizer_destroy(&w.b.env, q);
    }
    world_free(&w);
}

static void test_save_and_load(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, 64, 20, 1, 0, 0.7, 8);
    struct quantizer *q = train(&w.b, 5, 1.9, test_seed(), w.rows, w.n), *again = NULL;
    const size_t bytes = quantizer_save(q, NULL);
    unsigned char *saved = room(bytes + 1);
    assert_int_equal(quantizer_save(q, saved), bytes);
    assert_ok(quantizer_load(&again, &w.b.env, saved, bytes), w.b.env.error);
    assert_int_equal(again->block_bytes, q->block_bytes);
    assert_int_equal(quantizer_bytes(again), quantizer_bytes(q));
    struct list l = list_make(q, w.rows, w.n, NULL), l2 = list_make(again, w.rows, w.n, NULL);
    assert_memory_equal(l.codes, l2.codes, q->block_bytes);
    list_free(&l);
    list_free(&l2);
    quantizer_destroy(&w.b.env, again);
    for (size_t n = 0; n <= bytes + 1; n++)
        if (n != bytes)
            assert_code(quantizer_load(&again, &w.b.env, saved, n), ERR_CORRUPT, w.b.env.error);
    for (size_t at = 16; at < bytes; at += 8) { /* past kind and dimension; the seed may be any */
        if (at == 24)
            continue;
        unsigned char *wrong = room(bytes);
        memcpy(wrong, saved, bytes);
        memset(wrong + at, 0xff, 8);
        assert_code(quantizer_load(&again, &w.b.env, wrong, bytes), ERR_CORRUPT, w.b.env.error);
        free(wrong);
    }
    free(saved);
    quantizer_destroy(&w.b.env, q);
    assert_int_equal(mem_live(&w.b.mem), 0);
    world_free(&w);
}

static void test_refusals(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, 64, 20, 1, 0, 0.7, 8);
    struct quantizer *q = NULL;
    const struct quantizer_options wrong[] = {
        { .kind = QUANTIZER_RABITQ, .bits = 0, .eps0 = 1.9 },
        { .kind = QUANTIZER_RABITQ, .bits = 10, .eps0 = 1.9 },
        { .kind = QUANTIZER_RABITQ, .bits = 1, .eps0 = 0 },
        { .kind = QUANTIZER_RABITQ, .bits = 1, .eps0 = NAN },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_code(quantizer_train(&q, &w.b.env, &wrong[i], w.rows, w.n), ERR_ARGUMENT,
                    w.b.env.error);
    const struct quantizer_options right = { .kind = QUANTIZER_RABITQ, .bits = 2, .eps0 = 1.9 };
    int rc = ERR_NO_MEMORY;
    for (size_t i = 1; rc; i++) {
        w.b.mem.fail_at = mem_live(&w.b.mem) ? 0 : w.b.mem.calls + i;
        rc = quantizer_train(&q, &w.b.env, &right, w.rows, w.n);
        if (rc) {
            assert_code(rc, ERR_NO_MEMORY, w.b.env.error);
            assert_int_equal(mem_live(&w.b.mem), 0);
        }
    }
    quantizer_destroy(&w.b.env, q);
    assert_int_equal(mem_live(&w.b.mem), 0);
    world_free(&w);
}

/* --------------------------------------------------------------------------------- the corners */

/* Any dimension; vectors that are the centroid, that are alike, and queries that are one of them.
   At four deviations no vector at the limit is lost. */
static void test_corners(void **state)
{
    (void)state;
    static const size_t dims[] = { 1, 2, 3, 4, 5, 7, 8, 9, 12, 31, 32, 33, 63, 64, 65, 100, 257 };
    for (size_t c = 0; c < sizeof dims / sizeof *dims * 3; c++) {
        const size_t dim = dims[c / 3], bits = c % 3 == 0 ? 1 : c % 3 == 1 ? 5 : 9;
        struct world w;
        world_make(&w, 70, dim, 4, 0, 0.5, 10 + c);
        struct quantizer *q = train(&w.b, bits, 4, test_seed(), w.rows, w.n);
        float *centroid = calloc(dim, sizeof *centroid);
        memcpy(centroid, w.rows + 3 * dim, dim * sizeof *centroid); /* vector 3: r = 0 */
        memcpy(w.rows + 4 * dim, centroid, dim * sizeof *centroid);
        memcpy(w.rows + 6 * dim, w.rows + 5 * dim, dim * sizeof *centroid);
        for (size_t d = 0; d < dim; d += 2) /* some r_i = 0 */
            w.rows[7 * dim + d] = centroid[d];
        memcpy(w.queries, centroid, dim * sizeof *centroid);
        memcpy(w.queries + dim, w.rows + 5 * dim, dim * sizeof *centroid);
        struct list l = list_make(q, w.rows, w.n, centroid);
        for (size_t i = 0; i < w.n_queries; i++) {
            const float *query = w.queries + i * dim;
            void *prepared = prepare(&l, query);
            for (size_t v = 0; v < w.n; v++) {
                bool in_scan, in;
                const float limit = exact(&l, query, v);
                const float first = scan_one(&l, prepared, v, limit, &in_scan);
                const float estimate = look_at(&l, prepared, v, limit, &in);
                if (!in_scan || !in || !isfinite(first) || !isfinite(estimate))
                    fail_msg("dim %zu, %zu bits, query %zu, vector %zu: %g, estimates %g %g", dim,
                             bits, i, v, (double)limit, (double)first, (double)estimate);
                if (v == 3 || v == 4)
                    assert_near(estimate, limit, limit);
            }
            free(prepared);
        }
        list_free(&l);
        free(centroid);
        quantizer_destroy(&w.b.env, q);
        world_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_unbiased),
        cmocka_unit_test(test_error_halves),
        cmocka_unit_test(test_bound_is_as_said),
        cmocka_unit_test(test_bound_of_near_ones),
        cmocka_unit_test(test_recall),
        cmocka_unit_test(test_tables_agree),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_save_and_load),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_corners),
    };
    return test_run("rabitq", tests);
}
