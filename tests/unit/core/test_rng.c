/* test_rng.c - known values, ranges, and distributions within bounds that a correct generator does
   not exceed by chance. */
#include "tests/support/testing.h"

/* The reference implementation's first numbers from the state 1, 2, 3, 4 (Blackman and Vigna). */
static void test_known_values(void **state)
{
    struct rng r = { { 1, 2, 3, 4 } };
    static const uint64_t expected[] = { 41943041, 58720359, 3588806011781223, 3591011842654386,
                                         UINT64_C(9228616714210784205) };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(rng_u64(&r), expected[i]);
}

static void test_streams(void **state)
{
    struct rng a = rng_at(1, 0), b = rng_at(1, 1), c = rng_at(2, 0), d = rng_at(1, 0);
    for (size_t i = 0; i < 100; i++) {
        const uint64_t x = rng_u64(&a);
        assert_true(x != rng_u64(&b));
        assert_true(x != rng_u64(&c));
        assert_int_equal(x, rng_u64(&d));
    }
    assert_true(rng_mix(1, 2) != rng_mix(2, 1));
    assert_int_equal(rng_mix(5, 6), rng_mix(5, 6));
}

static void test_below(void **state)
{
    struct rng r = rng_at(test_seed(), 1);
    size_t counts[7] = { 0 };
    for (size_t i = 0; i < 70000; i++)
        counts[rng_below(&r, 7)]++;
    for (size_t i = 0; i < 7; i++)
        assert_in_range(counts[i], 9400, 10600); /* within six standard deviations */
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(rng_below(&r, 1), 0);
    }
    /* Without rejection, one value in three would be drawn twice as often as the others. */
    size_t thirds[3] = { 0 };
    for (size_t i = 0; i < 30000; i++) {
        const uint64_t x = rng_below(&r, UINT64_C(3) << 62);
        assert_true(x < UINT64_C(3) << 62);
        thirds[x % 3]++;
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(thirds[i], 9500, 10500);
}

static void test_reals(void **state)
{
    struct rng r = rng_at(test_seed(), 2);
    double sum = 0, normal = 0, square = 0, fourth = 0;
    const size_t n = 200000;
    for (size_t i = 0; i < n; i++) {
        const double u = rng_unit(&r), x = rng_normal(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
        normal += x;
        square += x * x;
        fourth += x * x * x * x;
    }
    const double m = (double)n;
    assert_true(fabs(sum / m - 0.5) < 6 * 0.289 / sqrt(m));
    assert_true(fabs(normal / m) < 6 / sqrt(m));
    assert_true(fabs(square / m - 1) < 6 * sqrt(2 / m));
    assert_true(fabs(fourth / m - 3) < 6 * sqrt(96 / m));
}

static void test_shuffle(void **state)
{
    struct rng r = rng_at(test_seed(), 3);
    size_t first[5][5] = { 0 };
    for (size_t t = 0; t < 10000; t++) {
        uint32_t a[5] = { 0, 1, 2, 3, 4 };
        uint64_t b[5] = { 0, 1, 2, 3, 4 };
        rng_shuffle_u32(&r, a, 5);
        rng_shuffle_u64(&r, b, 5);
        uint32_t seen_a = 0, seen_b = 0;
        for (size_t i = 0; i < 5; i++) {
            seen_a |= 1U << a[i];
            seen_b |= 1U << b[i];
            first[i][a[i]]++;
        }
        assert_int_equal(seen_a, 31);
        assert_int_equal(seen_b, 31);
    }
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++)
            assert_in_range(first[i][j], 1750, 2250);
    rng_shuffle_u32(&r, NULL, 0);
}

/* Numbers are distinct and in range, and each is equally likely at each position. */
static void test_sample(void **state)
{
    struct rng r = rng_at(test_seed(), 4);
    static const struct {
        uint64_t n;
        size_t m;
    } rows[] = { { 1, 1 },  { 5, 0 },     { 10, 10 },    { 10, 6 },
                 { 10, 5 }, { 1000, 30 }, { 1000, 900 }, { UINT64_MAX, 5 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t out[1000];
        rng_sample(&r, rows[i].n, rows[i].m, out);
        for (size_t j = 0; j < rows[i].m; j++) {
            assert_true(out[j] < rows[i].n);
            for (size_t k = 0; k < j; k++)
                assert_true(out[j] != out[k]);
        }
    }
    size_t counts[2][3][8] = { 0 };
    for (size_t t = 0; t < 8000; t++) {
        uint64_t few[3], many[6];
        rng_sample(&r, 8, 3, few);
        rng_sample(&r, 8, 6, many);
        for (size_t j = 0; j < 3; j++) {
            counts[0][j][few[j]]++;
            counts[1][j][many[j]]++;
        }
    }
    for (size_t i = 0; i < 48; i++)
        assert_in_range(counts[i / 24][i / 8 % 3][i % 8], 820, 1180);
}

int main(void)
{
    return test_run_all("core_rng", test_known_values, test_streams, test_below, test_reals,
                        test_shuffle, test_sample);
}
