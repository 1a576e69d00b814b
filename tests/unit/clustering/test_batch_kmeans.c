/* test_batch_kmeans.c - mini-batch k-means: its result is consistent, and
   of the expected quality. */
#include "algorithms/common/clustering/batch_kmeans.h"
#include "tests/support/testing.h"

struct points {
    struct test_bench bench;
    struct rng rng;
    size_t n, k;
    float *rows;
    struct batch_kmeans out;
    double checked;
};

static void points_open(struct points *p, size_t n, size_t dim, size_t k, size_t clusters,
                        double spread)
{
    memset(p, 0, sizeof *p);
    test_bench_begin(&p->bench, INDEX_F32, INDEX_L2SQ, dim, 1);
    p->rng = rng_at(test_seed(), 5);
    p->n = n;
    p->k = k;
    p->rows = calloc(n * dim, sizeof *p->rows);
    p->out.centroids = calloc(k * dim, sizeof *p->out.centroids);
    p->out.count = calloc(k, sizeof *p->out.count);
    p->out.label = calloc(n, sizeof *p->out.label);
    p->out.distance = calloc(n, sizeof *p->out.distance);
    test_fill_f32(&p->rng, p->rows, n, dim, clusters, spread);
}

static void points_close(struct points *p)
{
    free(p->rows);
    free(p->out.centroids);
    free(p->out.count);
    free(p->out.label);
    free(p->out.distance);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
}

static int run(struct points *p, size_t batch, size_t steps, size_t restarts, uint64_t seed)
{
    const struct batch_kmeans_options o = { p->k, batch, steps, restarts, seed };

    return batch_kmeans_train(&p->bench.env, &o, p->rows, p->n, &p->out, &p->checked);
}

/* Labels are those of the nearest centroids; counts and inertia match the labels. */
static void expect_sound(struct points *p)
{
    const size_t dim = p->bench.env.dim;
    const struct kernels *k = p->bench.env.kernels;
    double inertia = 0;
    size_t total = 0;

    assert_in_range(p->out.made, 1, p->k);
    for (size_t i = 0; i < p->n; i++) {
        assert_true(p->out.label[i] < p->out.made);
        for (size_t c = 0; c < p->out.made; c++) {
            const float d = k->l2sq_f32(p->rows + i * dim, p->out.centroids + c * dim, dim);
            assert_true(p->out.distance[i] <= d);
            if (c == p->out.label[i])
                assert_true(p->out.distance[i] == d);
        }
        inertia += (double)p->out.distance[i];
    }
    for (size_t c = 0; c < p->out.made; c++) {
        size_t n = 0;
        for (size_t i = 0; i < p->n; i++)
            n += p->out.label[i] == c;
        assert_int_equal(p->out.count[c], n);
        assert_true(n > 0);
        total += n;
    }
    assert_int_equal(total, p->n);
    assert_true(fabs(inertia - p->out.inertia) <= 1e-9 * (1 + inertia));
}

static void test_sound(void **state)
{
    const struct {
        size_t n, dim, k, clusters;
    } cases[] = { { 1, 1, 1, 0 },     { 1, 7, 5, 0 },     { 2, 3, 2, 0 },   { 300, 16, 8, 4 },
                  { 4000, 17, 8, 8 }, { 500, 130, 3, 0 }, { 64, 5, 64, 0 }, { 1000, 2, 300, 3 } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct points p;

        points_open(&p, cases[i].n, cases[i].dim, cases[i].k, cases[i].clusters, 0.3);
        for (uint64_t seed = 0; seed < 4; seed++) {
            assert_ok(run(&p, 1 + 85 * seed, 1 + 16 * seed, 1 + seed, seed), &p.bench.error);
            expect_sound(&p);
        }
        points_close(&p);
    }
}

static void test_same_seed_same_result(void **state)
{
    struct points p;
    float first[8 * 12];

    points_open(&p, 2000, 12, 8, 8, 0.5);
    assert_ok(run(&p, 256, 50, 3, 7), &p.bench.error);
    memcpy(first, p.out.centroids, sizeof first);
    assert_ok(run(&p, 256, 50, 3, 7), &p.bench.error);
    assert_memory_equal(first, p.out.centroids, sizeof first);
    assert_ok(run(&p, 256, 50, 3, 8), &p.bench.error);
    assert_memory_not_equal(first, p.out.centroids, sizeof first);
    points_close(&p);
}

/* The centroid of one cluster is the running mean of the drawn rows: with
   enough rows, their mean. */
static void test_rate_is_one_over_count(void **state)
{
    struct points p;
    double mean = 0;

    points_open(&p, 200, 1, 1, 0, 1);
    for (size_t i = 0; i < p.n; i++)
        mean += (double)p.rows[i] / (double)p.n;
    assert_ok(run(&p, 1000, 400, 1, 3), &p.bench.error);
    /* 400 000 draws of deviation 1: within five deviations of the mean */
    assert_true(fabs((double)p.out.centroids[0] - mean) < 5 / sqrt(400000.));
    assert_ok(run(&p, 1, 1, 1, 3), &p.bench.error);
    bool is_row = false;
    for (size_t i = 0; i < p.n; i++)
        is_row |= p.rows[i] == p.out.centroids[0];
    assert_true(is_row); /* the first row fully replaces the seed */
    points_close(&p);
}

/* k-means++ with restarts finds well separated groups for each of many seeds. */
static void test_finds_groups(void **state)
{
    struct points p;
    size_t missed = 0;

    points_open(&p, 4000, 24, 8, 8, 0.02);
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_ok(run(&p, 256, 50, 3, test_seed() + seed), &p.bench.error);
        missed += p.out.inertia > 1.2 * 24 * 0.02 * 0.02 * 4000;
    }
    if (missed > 1)
        print_error("seed %" PRIu64 ": %zu of 20 runs missed a group\n", test_seed(), missed);
    assert_true(missed <= 1);
    points_close(&p);
}

static void test_restarts_keep_the_best(void **state)
{
    struct points p;
    double before = INFINITY;

    points_open(&p, 1000, 6, 12, 12, 0.2);
    for (size_t restarts = 1; restarts <= 8; restarts++) {
        assert_ok(run(&p, 64, 10, restarts, 11), &p.bench.error);
        assert_true(p.out.inertia <= before);
        before = p.out.inertia;
        expect_sound(&p);
    }
    points_close(&p);
}

static void test_fewer_distinct_rows(void **state)
{
    for (size_t distinct = 1; distinct <= 9; distinct += 4) {
        struct points p;

        points_open(&p, 500, 5, 16, 0, 1);
        for (size_t i = distinct; i < p.n; i++)
            memcpy(p.rows + i * 5, p.rows + i % distinct * 5, 5 * sizeof(float));
        assert_ok(run(&p, 256, 50, 3, 1), &p.bench.error);
        expect_sound(&p);
        assert_true(p.out.made <= distinct);
        if (distinct == 1)
            assert_true(p.out.inertia == 0);
        points_close(&p);
    }
}

static void test_out_of_memory(void **state)
{
    bool done = false;

    for (size_t at = 1; !done; at++) {
        struct points p;

        points_open(&p, 100, 4, 5, 0, 1);
        p.bench.mem.fail_at = at;
        const int rc = run(&p, 16, 3, 2, 1);
        done = !p.bench.mem.failed;
        assert_code(rc, done ? OK : ERR_NO_MEMORY, &p.bench.error);
        points_close(&p);
    }
}

int main(void)
{
    return test_run_all("batch_kmeans", test_sound, test_same_seed_same_result,
                        test_rate_is_one_over_count, test_finds_groups, test_restarts_keep_the_best,
                        test_fewer_distinct_rows, test_out_of_memory);
}
