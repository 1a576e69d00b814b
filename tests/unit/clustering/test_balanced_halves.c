/* test_balanced_halves.c - splits of a posting into two halves. */
#include "algorithms/common/clustering/balanced.h"
#include "tests/support/testing.h"

struct posting {
    struct test_bench bench;
    struct vectors rows;
    void *data;
    uint8_t *sides;
    float *centres;
    size_t ones;
    bool even;
};

static void posting_open(struct posting *p, enum element element, size_t n, size_t dim,
                         size_t clusters, double spread)
{
    struct rng rng = rng_at(test_seed(), 8);

    test_bench_begin(&p->bench, element, INDEX_L2SQ, dim, 1);
    p->data = calloc(n * dim, sizeof(float));
    p->sides = calloc(n, 1);
    p->centres = calloc(2 * dim, sizeof *p->centres);
    assert_non_null(p->data);
    if (element == INDEX_F32)
        test_fill_f32(&rng, p->data, n, dim, clusters, spread);
    else
        test_fill_u8(&rng, p->data, n, dim, clusters, spread);
    p->rows = (struct vectors){ p->data, n, dim, element };
}

static void posting_close(struct posting *p)
{
    free(p->data);
    free(p->sides);
    free(p->centres);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
}

static double at(const struct posting *p, size_t row, size_t j)
{
    const size_t i = row * p->rows.dim + j;

    return p->rows.element == INDEX_F32 ? (double)((const float *)p->data)[i]
                                        : ((const uint8_t *)p->data)[i];
}

/* Neither half is empty, and the centres are the means of the halves. */
static void halve(struct posting *p, double balance, size_t samples, uint64_t seed)
{
    const struct balanced_options o = { 2, 1, samples, 100, balance, seed };
    const size_t n = p->rows.n, dim = p->rows.dim;
    double *sums = calloc(2 * dim, sizeof *sums);
    size_t count[2] = { 0 };

    memset(p->sides, 7, n);
    assert_ok(balanced_halves(&p->bench.env, &o, p->rows, p->sides, p->centres, &p->even),
              &p->bench.error);
    for (size_t i = 0; i < n; i++) {
        assert_true(p->sides[i] <= 1);
        count[p->sides[i]]++;
        for (size_t j = 0; j < dim; j++)
            sums[p->sides[i] * dim + j] += at(p, i, j);
    }
    assert_true(count[0] > 0 && count[1] > 0);
    for (size_t j = 0; j < 2 * dim; j++) {
        const double mean = sums[j] / (double)count[j / dim];
        assert_true(fabs(mean - (double)p->centres[j]) <= 1e-5 * (fabs(mean) + 1));
    }
    p->ones = count[1];
    free(sums);
}

static void expect_quarters(const struct posting *p)
{
    const size_t n = p->rows.n, least = n < 4 ? 1 : n / 4;

    assert_true(p->ones >= least && n - p->ones >= least);
}

static void test_sizes(void **state)
{
    for (size_t n = 2; n <= 700; n += n < 20 ? 1 : 77) {
        for (int kind = 0; kind < 2; kind++) {
            struct posting p;
            posting_open(&p, kind ? INDEX_U8 : INDEX_F32, n, 1 + n % 40, 0, 1);
            for (uint64_t seed = 0; seed < 4; seed++) {
                halve(&p, 1, 100, seed);
                expect_quarters(&p);
                halve(&p, -1, 1000, seed);
                expect_quarters(&p);
                halve(&p, 0, 2, seed);
            }
            posting_close(&p);
        }
    }
}

static void test_blobs_are_told_apart(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct posting p;
        posting_open(&p, INDEX_F32, 150, 24, 0, 1);
        float *x = p.data;
        for (size_t i = 0; i < 150; i++)
            if (i % 5 < 2)
                x[i * 24 + 3] += 20;
        halve(&p, 1, 1000, seed);
        assert_false(p.even);
        for (size_t i = 0; i < 150; i++)
            assert_int_equal(p.sides[i] == p.sides[0], i % 5 < 2);
        posting_close(&p);
    }
}

/* Without balance, the half whose rows are far apart would have one or two rows. */
static void test_balance_evens_halves(void **state)
{
    double plain = 0, even = 0;

    for (uint64_t seed = 0; seed < 30; seed++) {
        struct posting p;
        posting_open(&p, INDEX_F32, 200, 6, 0, 1);
        float *x = p.data;
        for (size_t i = 0; i < 200 * 6; i++)
            x[i] = x[i] * x[i] * x[i];
        halve(&p, 0, 1000, seed);
        plain += fmin((double)p.ones, 200.0 - (double)p.ones);
        halve(&p, 1, 1000, seed);
        even += fmin((double)p.ones, 200.0 - (double)p.ones);
        expect_quarters(&p);
        posting_close(&p);
    }
    if (even < 1.5 * plain)
        print_error("smaller half of 200: plain %.1f, balanced %.1f\n", plain / 30, even / 30);
    assert_true(even > 1.5 * plain);
}

static void test_identical_rows(void **state)
{
    for (int kind = 0; kind < 2; kind++) {
        struct posting p;
        posting_open(&p, kind ? INDEX_U8 : INDEX_F32, 10000, 20, 0, 1);
        const size_t bytes = index_row_bytes(p.rows.element, 20);
        for (size_t i = 1; i < 10000; i++)
            memcpy((char *)p.data + i * bytes, p.data, bytes);
        halve(&p, 1, 1000, 1);
        assert_true(p.even);
        assert_int_equal(p.ones, 5000);
        for (size_t i = 0; i < 10000; i++)
            assert_int_equal(p.sides[i], i >= 5000);
        /* One row differs, which samples are unlikely to contain: it is separated, and the
           rest is still halved. */
        ((unsigned char *)p.data)[7777 * bytes + bytes - (kind ? 1 : 2)] ^= 0x40;
        halve(&p, 1, 1000, 1);
        assert_false(p.even);
        expect_quarters(&p);
        halve(&p, 0, 1000, 1);
        assert_int_equal(p.ones == 1 ? p.ones : 10000 - p.ones, 1);
        posting_close(&p);
    }
}

static void test_same_again(void **state)
{
    struct posting p, q;

    posting_open(&p, INDEX_U8, 333, 31, 3, 0.5);
    posting_open(&q, INDEX_U8, 333, 31, 3, 0.5);
    halve(&p, 1, 50, 5);
    halve(&q, 1, 50, 5);
    assert_memory_equal(p.sides, q.sides, 333);
    assert_memory_equal(p.centres, q.centres, 2 * 31 * sizeof(float));
    posting_close(&p);
    posting_close(&q);
}

static void test_out_of_memory(void **state)
{
    bool done = false;

    for (size_t fail_at = 1; !done; fail_at++) {
        struct posting p;
        const struct balanced_options o = { 2, 1, 1000, 100, 1, 1 };
        posting_open(&p, INDEX_F32, 90, 8, 0, 1);
        p.bench.mem.fail_at = fail_at;
        const int rc = balanced_halves(&p.bench.env, &o, p.rows, p.sides, p.centres, &p.even);
        done = !p.bench.mem.failed;
        if (!done)
            assert_code(rc, ERR_NO_MEMORY, &p.bench.error);
        else
            assert_ok(rc, &p.bench.error);
        posting_close(&p);
    }
}

int main(void)
{
    return test_run_all("balanced halves", test_sizes, test_blobs_are_told_apart,
                        test_balance_evens_halves, test_identical_rows, test_same_again,
                        test_out_of_memory);
}
