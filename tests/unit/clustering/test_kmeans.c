/* test_kmeans.c - nearest centroids against a full computation, and the guarantees of k-means. */
#include "algorithms/common/clustering/kmeans.h"
#include "tests/support/testing.h"

struct points {
    struct test_bench bench;
    struct rng rng;
    size_t n, dim;
    float *rows;
};

static void points_open(struct points *p, size_t n, size_t dim, size_t clusters, double spread,
                        size_t threads)
{
    test_bench_begin(&p->bench, INDEX_F32, INDEX_L2SQ, dim, threads);
    p->rng = rng_at(test_seed(), 3);
    p->n = n;
    p->dim = dim;
    p->rows = calloc(n * dim, sizeof *p->rows);
    assert_non_null(p->rows);
    test_fill_f32(&p->rng, p->rows, n, dim, clusters, spread);
}

static void points_close(struct points *p)
{
    free(p->rows);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
}

struct near {
    float distance;
    uint32_t centroid;
};

static int near_order(const void *a, const void *b)
{
    const struct near *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->centroid < y->centroid ? -1 : x->centroid > y->centroid;
}

/* Compares the s nearest centroids of each row with a sort of all distances. */
static void expect_nearest(struct points *p, const float *centroids, size_t k, size_t s)
{
    const struct kernels *kernels = p->bench.env.kernels;
    float *norms = calloc(k, sizeof *norms), *distances = calloc(k, sizeof *distances);
    struct near *all = calloc(k, sizeof *all);
    uint32_t *out = calloc(p->n * s, sizeof *out), one[16];
    struct centroids c = {
        centroids, norms, nearest_centroid_norms(kernels, centroids, k, p->dim, norms), k, p->dim, 0
    };
    assert_ok(nearest_all(&p->bench.env, &c, p->rows, p->n, s, out), &p->bench.error);
    for (size_t i = 0; i < p->n; i++) {
        kernels->l2sq_f32_1n(p->rows + i * p->dim, centroids, k, p->dim, distances);
        for (size_t j = 0; j < k; j++)
            all[j] = (struct near){ distances[j], (uint32_t)j };
        qsort(all, k, sizeof *all, near_order);
        nearest_one(kernels, &c, p->rows + i * p->dim, s, distances, one);
        for (size_t a = 0; a < s; a++) {
            bool found = false;
            for (size_t b = 0; b < s; b++)
                found |= out[i * s + b] == all[a].centroid;
            if (!found)
                print_error("row %zu of %zu x %zu, k %zu s %zu: %u is missing\n", i, p->n, p->dim,
                            k, s, all[a].centroid);
            assert_true(found);
            assert_int_equal(one[a], all[a].centroid);
        }
    }
    free(norms);
    free(distances);
    free(all);
    free(out);
}

static void test_nearest(void **state)
{
    const struct {
        size_t n, dim, k, s;
        double spread;
    } cases[] = {
        { 1, 1, 1, 1, 1 },        { 5, 3, 7, 7, 1 },     { 300, 17, 255, 1, 1 },
        { 257, 16, 257, 2, 0.1 }, { 100, 8, 600, 8, 1 }, { 513, 33, 1000, 3, 1 },
        { 64, 784, 40, 2, 0.01 }, { 90, 7, 50, 9, 1 },   { 200, 130, 316, 1, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct points p;
        points_open(&p, cases[i].n, cases[i].dim, 3, cases[i].spread, 1 + i % 2 * 2);
        float *centroids = calloc(cases[i].k * p.dim, sizeof *centroids);
        test_fill_f32(&p.rng, centroids, cases[i].k, p.dim, 3, cases[i].spread);
        expect_nearest(&p, centroids, cases[i].k, cases[i].s);
        free(centroids);
        points_close(&p);
    }
}

/* Where products round, only an exact recheck separates centroids: far from the origin, equal in
   pairs, and more equal ones than candidates are kept. */
static void test_nearest_of_near_ties(void **state)
{
    struct points p;
    points_open(&p, 300, 24, 1, 1e-3, 1);
    float *centroids = calloc(700 * 24, sizeof *centroids);
    for (size_t i = 0; i < 300 * 24; i++)
        p.rows[i] += 500;
    for (size_t i = 0; i < 700; i++)
        memcpy(centroids + i * 24, p.rows + i % 100 * 24, 24 * sizeof(float));
    expect_nearest(&p, centroids, 100, 1);
    expect_nearest(&p, centroids, 100, 4);
    expect_nearest(&p, centroids, 700, 2);
    for (size_t i = 0; i < 700; i++)
        memcpy(centroids + i * 24, p.rows, 24 * sizeof(float));
    expect_nearest(&p, centroids, 700, 3);
    /* Few candidates that are too close for the product to separate: pairs and triples of
       centroids, far from one another. */
    test_fill_f32(&p.rng, centroids, 120, 24, 0, 1e-3);
    test_fill_f32(&p.rng, p.rows, p.n, 24, 0, 1e-3);
    for (size_t i = 0; i < 120 * 24; i++)
        centroids[i] += (float)(100 * (i / 24 / 3) + 500);
    for (size_t i = 0; i < p.n * 24; i++)
        p.rows[i] += (float)(100 * (i / 24 % 40) + 500);
    expect_nearest(&p, centroids, 120, 1);
    expect_nearest(&p, centroids, 120, 2);
    free(centroids);
    points_close(&p);
}

/* Far from the origin, and at scales at which bounds in float would fail. */
static void test_nearest_at_any_scale(void **state)
{
    static const struct {
        double scale, offset;
    } cases[] = {
        { 1e-3, 1e4 }, { 1e-17, 0 }, { 1e-25, 0 }, { 1e12, 0 }, { 1e15, 1e17 }, { 0, 3 }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct points p;
        points_open(&p, 200, 19, 8, 1, 1);
        float *centroids = calloc(70 * 19, sizeof *centroids);
        test_fill_f32(&p.rng, centroids, 70, 19, 8, 1);
        for (size_t j = 0; j < 200 * 19; j++)
            p.rows[j] = (float)(p.rows[j] * cases[i].scale + cases[i].offset);
        for (size_t j = 0; j < 70 * 19; j++)
            centroids[j] = (float)(centroids[j] * cases[i].scale + cases[i].offset);
        expect_nearest(&p, centroids, 70, 1);
        expect_nearest(&p, centroids, 70, 3);
        free(centroids);
        points_close(&p);
    }
}

/* The deciding component is lost when rounded to bytes: in the centroids, whose second
 * component is large, or in the rows, while the others are exact as bytes. Centroids come in
 * pairs whose mean is 0. */
static void test_nearest_by_what_bytes_leave_out(void **state)
{
    struct points p;
    points_open(&p, 300, 40, 0, 1, 1);
    float *centroids = calloc(80 * 40, sizeof *centroids);
    for (size_t i = 0; i < 300 * 40; i++)
        p.rows[i] = i % 40 == 0 ? 1000 : 0;
    for (size_t i = 0; i < 80; i++) {
        centroids[i * 40] = (float)rng_unit(&p.rng);
        centroids[i * 40 + 1] = i % 2 ? 1000 : -1000;
        if (i % 2)
            centroids[i * 40] = -centroids[(i - 1) * 40];
    }
    expect_nearest(&p, centroids, 80, 1);
    expect_nearest(&p, centroids, 80, 3);
    test_fill_f32(&p.rng, p.rows, 300, 40, 0, 1);
    memset(centroids, 0, 80 * 40 * sizeof *centroids);
    for (size_t i = 0; i < 300; i++)
        p.rows[i * 40] = i % 2 ? 1000 : -1000;
    for (size_t i = 0; i < 80; i++)
        centroids[i * 40 + i / 2] = i / 2 == 0 ? 0 : i % 2 ? 1000 : -1000;
    expect_nearest(&p, centroids, 80, 1);
    expect_nearest(&p, centroids, 80, 3);
    free(centroids);
    points_close(&p);
}

/* A scratch is used for several sets of centroids, for single rows and many, and without memory
 * for its acceleration structures. */
static void test_nearest_scratch_is_used_again(void **state)
{
    struct points p;
    points_open(&p, 120, 31, 5, 1, 1);
    const struct kernels *kernels = p.bench.env.kernels;
    for (size_t fail_at = 0; fail_at < 6; fail_at++) {
        p.bench.mem.fail_at = 0;
        struct nearest *t = nearest_create(&p.bench.mem, 2);
        assert_non_null(t);
        atomic_store(&p.bench.mem.calls, 0);
        p.bench.mem.fail_at = fail_at;
        for (uint64_t version = 1; version <= 8; version++) {
            const size_t k = 300 - 30 * version;
            float *rows = calloc(k * 31, sizeof *rows), *norms = calloc(k, sizeof *norms);
            float *distances = calloc(k, sizeof *distances);
            uint32_t out[120], one;
            test_fill_f32(&p.rng, rows, k, 31, 5, 1);
            struct centroids c = { rows, norms, nearest_centroid_norms(kernels, rows, k, 31, norms),
                                   k,    31,    version % 4 };
            nearest_rows(t, kernels, &c, p.rows, version % 2 ? 1 : p.n, 1, out);
            nearest_rows(t, kernels, &c, p.rows, p.n, 1, out);
            for (size_t i = 0; i < p.n; i++) {
                nearest_one(kernels, &c, p.rows + i * 31, 1, distances, &one);
                assert_int_equal(out[i], one);
            }
            free(rows);
            free(norms);
            free(distances);
        }
        assert_true(nearest_bytes(t) <= mem_live(&p.bench.mem));
        nearest_destroy(&p.bench.mem, t);
    }
    p.bench.mem.fail_at = 0;
    points_close(&p);
}

static double cost(struct points *p, const float *centroids, size_t k)
{
    double sum = 0;
    float *distances = calloc(k, sizeof *distances);
    for (size_t i = 0; i < p->n; i++) {
        p->bench.env.kernels->l2sq_f32_1n(p->rows + i * p->dim, centroids, k, p->dim, distances);
        sum += (double)distances[p->bench.env.kernels->argmin_f32(distances, k)];
    }
    free(distances);
    return sum;
}

static void test_more_passes_cost_less(void **state)
{
    for (int init = KMEANS_RANDOM; init <= KMEANS_PLUS_PLUS; init++) {
        struct points p;
        points_open(&p, 3000, 20, 30, 0.4, 1);
        float *centroids = calloc(40 * 20, sizeof *centroids);
        double before = INFINITY;
        for (size_t passes = 1; passes <= 16; passes *= 2) {
            struct kmeans_options options = {
                .k = 40, .iterations = passes, .init = (enum kmeans_init)init, .seed = test_seed()
            };
            size_t made = 0;
            assert_ok(kmeans_train(&p.bench.env, &options, p.rows, p.n, centroids, &made),
                      &p.bench.error);
            assert_int_equal(made, 40);
            double now = cost(&p, centroids, made);
            assert_true(now <= before * 1.0001);
            before = now;
        }
        free(centroids);
        points_close(&p);
    }
}

static void test_same_at_any_thread_count(void **state)
{
    float first[50 * 12], again[50 * 12];
    for (size_t threads = 1; threads <= 4; threads++) {
        struct points p;
        points_open(&p, 4000, 12, 10, 0.5, threads);
        struct kmeans_options options = {
            .k = 50, .iterations = 12, .init = KMEANS_RANDOM, .seed = 99
        };
        size_t made;
        assert_ok(
            kmeans_train(&p.bench.env, &options, p.rows, p.n, threads == 1 ? first : again, &made),
            &p.bench.error);
        assert_int_equal(made, 50);
        if (threads > 1)
            assert_memory_equal(first, again, sizeof first);
        points_close(&p);
    }
}

/* There are as many clusters as distinct vectors, and no undefined centroid. */
static void test_too_few_vectors(void **state)
{
    float centroids[64 * 5];
    for (int init = KMEANS_RANDOM; init <= KMEANS_PLUS_PLUS; init++) {
        for (size_t distinct = 1; distinct <= 9; distinct += 4) {
            struct points p;
            points_open(&p, 500, 5, 0, 1, 1);
            for (size_t i = 0; i < p.n; i++)
                memcpy(p.rows + i * 5, p.rows + i % distinct * 5, 5 * sizeof(float));
            struct kmeans_options options = {
                .k = 64, .iterations = 25, .init = (enum kmeans_init)init, .seed = test_seed()
            };
            size_t made = 0;
            assert_ok(kmeans_train(&p.bench.env, &options, p.rows, p.n, centroids, &made),
                      &p.bench.error);
            assert_int_equal(made, distinct);
            assert_true(cost(&p, centroids, made) < 1e-9);
            assert_ok(kmeans_train(&p.bench.env, &options, p.rows, distinct, centroids, &made),
                      &p.bench.error);
            assert_int_equal(made, distinct);
            points_close(&p);
        }
    }
}

/* Two groups far apart; both seeds may fall into one: the empty cluster is seeded
   again in the other. */
static void test_empty_clusters_are_seeded_again(void **state)
{
    struct points p;
    points_open(&p, 1000, 4, 1, 0.01, 1);
    for (size_t i = 990; i < 1000; i++)
        for (size_t j = 0; j < 4; j++)
            p.rows[i * 4 + j] += (float)(50 + 10 * i);
    for (uint64_t seed = 0; seed < 20; seed++) {
        float centroids[12 * 4];
        struct kmeans_options options = {
            .k = 12, .iterations = 20, .init = KMEANS_RANDOM, .seed = seed
        };
        size_t made = 0;
        assert_ok(kmeans_train(&p.bench.env, &options, p.rows, p.n, centroids, &made),
                  &p.bench.error);
        assert_int_equal(made, 12);
        for (size_t i = 0; i < made * 4; i++)
            assert_true(isfinite(centroids[i]));
    }
    points_close(&p);
}

static void test_out_of_memory(void **state)
{
    bool done = false;
    for (size_t at = 1; !done; at++) {
        struct points p;
        float centroids[20 * 6];
        points_open(&p, 600, 6, 0, 1, 2);
        for (size_t i = 0; i < p.n; i++)
            memcpy(p.rows + i * 6, p.rows + i % 7 * 6, 6 * sizeof(float));
        p.bench.mem.fail_at = at;
        p.bench.mem.fail_after = at % 2;
        struct kmeans_options options = {
            .k = 20, .iterations = 5, .init = KMEANS_PLUS_PLUS, .seed = 1
        };
        size_t made = 0;
        int rc = kmeans_train(&p.bench.env, &options, p.rows, p.n, centroids, &made);
        done = !p.bench.mem.failed;
        if (rc)
            assert_code(rc, ERR_NO_MEMORY, &p.bench.error);
        else
            assert_int_equal(made, 7);
        points_close(&p);
    }
}

int main(void)
{
    return test_run_all("kmeans", test_nearest, test_nearest_of_near_ties,
                        test_nearest_at_any_scale, test_nearest_by_what_bytes_leave_out,
                        test_nearest_scratch_is_used_again, test_more_passes_cost_less,
                        test_same_at_any_thread_count, test_too_few_vectors,
                        test_empty_clusters_are_seeded_again, test_out_of_memory);
}
