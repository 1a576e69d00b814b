/* test_sample.c - the rows that found clusters: spread, farthest first, equal rows. Equal results
 * with any number of threads are test_build. */
#include "tests/unit/channi/support.h"

static const char *const kind_names[] = { "uniform", "distant", "farthest", "density", "kmeans" };
enum { KINDS = 5 };

/* Most rows are in one crowd; a few are in each of BLOBS small groups far from it and
   one another. */
enum { BLOBS = 19, IN_BLOB = 5, SPREAD_ROWS = 2000, DIM = 8 };

/* Group rows lie among the others. BLOBS: the row is in the crowd. */
static size_t blob_of(size_t row)
{
    const size_t first = SPREAD_ROWS / 2;

    return row < first || row >= first + BLOBS * IN_BLOB ? BLOBS : (row - first) / IN_BLOB;
}

static void fill_spread(struct rng *rng, uint8_t *rows)
{
    for (size_t i = 0; i < SPREAD_ROWS; i++) {
        const size_t blob = blob_of(i);

        for (size_t j = 0; j < DIM; j++) {
            const unsigned far = blob < BLOBS ? (unsigned)(rng_mix(blob, j) % 2) * 200 + 10 : 120;
            rows[i * DIM + j] = (uint8_t)(far + rng_below(rng, 16));
        }
    }
}

/* Returns the number of rows chosen. */
static size_t sample(struct test_bench *b, enum channi_sampling kind, const void *rows, size_t n,
                     size_t k, uint32_t *out)
{
    struct rng rng = rng_at(test_seed(), 77 + kind);
    double checked = 0;

    assert_ok(channi_sample(&b->env, kind, &rng, rows, n, &k, out, &checked), &b->error);
    for (size_t i = 0; i < k; i++)
        assert_true(out[i] < n && (i == 0 || out[i] > out[i - 1]));
    assert_true(kind == SAMPLE_UNIFORM ? checked == 0 : k == 1 || checked >= (double)n);
    return k;
}

static size_t blobs_hit(const uint32_t *out, size_t k)
{
    bool hit[BLOBS] = { false };
    size_t n = 0;

    for (size_t i = 0; i < k; i++)
        if (blob_of(out[i]) < BLOBS && !hit[blob_of(out[i])]) {
            hit[blob_of(out[i])] = true;
            n++;
        }
    return n;
}

/* Mean squared distance of the rows from the nearest chosen one. */
static double mean_nearest(const uint8_t *rows, size_t n, const uint32_t *out, size_t k)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        double least = INFINITY;

        for (size_t j = 0; j < k; j++) {
            double d = 0;
            for (size_t x = 0; x < DIM; x++) {
                const double e = (double)rows[i * DIM + x] - rows[out[j] * DIM + x];
                d += e * e;
            }
            least = d < least ? d : least;
        }
        sum += least;
    }
    return sum / (double)n;
}

/* Distant and farthest reach every group, uniform misses some; density reaches more than uniform;
   k-means has the smallest distances to the rows. */
static void test_kinds_spread(void **state)
{
    enum { K = 40 };
    struct test_bench b;
    struct rng rng = rng_at(test_seed(), 3);
    static uint8_t rows[SPREAD_ROWS * DIM];
    uint32_t out[KINDS][K];
    size_t hit[KINDS];
    double near[KINDS];

    test_bench_begin(&b, INDEX_U8, INDEX_L2SQ, DIM, 2);
    fill_spread(&rng, rows);
    for (size_t kind = 0; kind < KINDS; kind++) {
        assert_int_equal(sample(&b, (enum channi_sampling)kind, rows, SPREAD_ROWS, K, out[kind]),
                         K);
        hit[kind] = blobs_hit(out[kind], K);
        near[kind] = mean_nearest(rows, SPREAD_ROWS, out[kind], K);
        print_message("seed %" PRIu64 ", %s: %zu of %d blobs, %.1f\n", test_seed(),
                      kind_names[kind], hit[kind], BLOBS, near[kind]);
    }
    assert_true(hit[SAMPLE_UNIFORM] < 8);
    assert_int_equal(hit[SAMPLE_FARTHEST], BLOBS);
    assert_true(hit[SAMPLE_DISTANT] >= BLOBS - 2);
    assert_true(hit[SAMPLE_DENSITY] > hit[SAMPLE_UNIFORM] + 2);
    assert_true(near[SAMPLE_DISTANT] < .5 * near[SAMPLE_UNIFORM]);
    assert_true(near[SAMPLE_KMEANS] < .8 * near[SAMPLE_UNIFORM]);
    test_bench_end(&b);
    assert_int_equal(mem_live(&b.mem), 0);
}

/* Farthest-first (Gonzalez): every choice after the first is the farthest from those before it, so
   the distances between chosen rows are at least that of any row to its nearest chosen one. */
static void test_farthest_is_farthest(void **state)
{
    enum { N = 300, K = 12 };
    struct test_bench b;
    struct rng rng = rng_at(test_seed(), 4);
    float rows[N * DIM];
    uint32_t out[K];
    double apart = INFINITY, covered = 0;

    test_bench_begin(&b, INDEX_F32, INDEX_L2SQ, DIM, 1);
    test_fill_f32(&rng, rows, N, DIM, 6, .5);
    assert_int_equal(sample(&b, SAMPLE_FARTHEST, rows, N, K, out), K);
    for (size_t i = 0; i < N; i++) {
        double least = INFINITY;

        for (size_t j = 0; j < K; j++) {
            const double d =
                (double)b.env.kernels->l2sq_f32(rows + i * DIM, rows + out[j] * DIM, DIM);
            if (out[j] != i)
                least = d < least ? d : least;
        }
        bool chosen = false;
        for (size_t j = 0; j < K; j++)
            chosen |= out[j] == i;
        if (chosen)
            apart = least < apart ? least : apart;
        else
            covered = least > covered ? least : covered;
    }
    assert_true(apart >= covered * (1 - 1e-6));
    test_bench_end(&b);
}

/* Of 30 distinct rows with many copies, none is chosen twice. */
static void test_equal_rows(void **state)
{
    enum { N = 900, DISTINCT = 30 };
    struct test_bench b;
    struct rng rng = rng_at(test_seed(), 5);
    uint8_t few[DISTINCT * DIM], rows[N * DIM];
    uint32_t out[N];

    test_bench_begin(&b, INDEX_U8, INDEX_L2SQ, DIM, 2);
    test_fill_u8(&rng, few, DISTINCT, DIM, 0, 1);
    for (size_t i = 0; i < N; i++) {
        const size_t which = i < DISTINCT ? i : rng_below(&rng, 3);
        memcpy(rows + i * DIM, few + which * DIM, DIM);
    }
    for (size_t kind = 0; kind < KINDS; kind++) {
        const size_t ks[] = { 1, 7, DISTINCT, 100, N };

        for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
            const size_t k = sample(&b, (enum channi_sampling)kind, rows, N, ks[i], out);
            size_t distinct = 0;

            for (size_t j = 0; j < k; j++) {
                bool fresh = true;
                for (size_t x = 0; x < j; x++)
                    fresh &= memcmp(rows + out[j] * DIM, rows + out[x] * DIM, DIM) != 0;
                distinct += fresh;
            }
            assert_int_equal(distinct, ks[i] < DISTINCT ? ks[i] : DISTINCT);
            assert_int_equal(k, distinct);
        }
    }
    test_bench_end(&b);
}

/* Any allocation may fail. */
static void test_out_of_memory(void **state)
{
    enum { N = 3000, K = 50 };
    struct test_bench b;
    struct rng rng = rng_at(test_seed(), 6);
    static float rows[N * DIM];
    uint32_t out[K];

    test_bench_begin(&b, INDEX_F32, INDEX_L2SQ, DIM, 1);
    test_fill_f32(&rng, rows, N, DIM, 20, .4);
    for (size_t kind = 0; kind < KINDS; kind++) {
        double checked = 0;
        int rc = ERR_NO_MEMORY;

        for (size_t at = 1; rc != OK; at++) {
            struct rng draws = rng_at(1, 1);
            size_t k = K;

            test_fail_allocation(&b.mem, at, false);
            rc = channi_sample(&b.env, (enum channi_sampling)kind, &draws, rows, N, &k, out,
                               &checked);
            (void)test_allocations_succeed(&b.mem);
            if (rc != OK)
                assert_code(rc, ERR_NO_MEMORY, &b.error);
            assert_int_equal(mem_live(&b.mem), 0);
        }
    }
    test_bench_end(&b);
}

int main(void)
{
    return test_run_all("channi_sample", test_kinds_spread, test_farthest_is_farthest,
                        test_equal_rows, test_out_of_memory);
}
