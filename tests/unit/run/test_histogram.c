/* test_histogram.c - quantiles against sorted arrays, at every magnitude; merging; the clock
   that supplies the values. */
#include "src/base/clock.h"
#include "src/run/measure/histogram.h"
#include "tests/support/testing.h"

/* Values evenly spread over `bits` octaves. */
static void fill(struct rng *r, uint64_t *values, size_t n, unsigned bits)
{
    for (size_t i = 0; i < n; i++)
        values[i] = rng_u64(r) >> (64 - 1 - rng_below(r, bits));
}

static void expect_quantiles(const struct histogram *h, uint64_t *values, size_t n, double error)
{
    static const double shares[] = { 0, .001, .25, .5, .9, .99, .999, 1 };

    qsort(values, n, sizeof *values, test_by_u64);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        const double rank = ceil(shares[i] * (double)n);
        const double want = (double)values[rank < 1 ? 0 : (size_t)rank - 1];
        const double got = histogram_quantile(h, shares[i]);

        if (!(fabs(got - want) <= error * want)) {
            print_error("n = %zu, share %g: %.17g, not %.17g\n", n, shares[i], got, want);
            _fail(__FILE__, __LINE__);
        }
    }
}

static void test_quantiles(void **state)
{
    static uint64_t values[20000];
    static struct histogram h;
    struct rng r = rng_at(test_seed(), 1);

    for (unsigned bits = 1; bits <= 63; bits++) {
        for (size_t n = 1; n <= 20000; n = n * 7 + 1) {
            double sum = 0;

            histogram_clear(&h);
            fill(&r, values, n, bits);
            for (size_t i = 0; i < n; i++) {
                histogram_add(&h, values[i]);
                sum += (double)values[i];
            }
            expect_quantiles(&h, values, n, bits <= 7 ? 0 : .005);
            assert_true(h.max == values[n - 1]);
            assert_true(fabs(histogram_mean(&h) - sum / (double)n) <= 1e-9 * sum);
        }
    }
}

static void test_edges(void **state)
{
    static const uint64_t edges[] = { 0,         1,   127, 128, 255,
                                      256,       257, 511, 512, UINT64_MAX / 2,
                                      UINT64_MAX };
    static struct histogram h;

    histogram_clear(&h);
    assert_true(isnan(histogram_quantile(&h, .5)));
    assert_true(isnan(histogram_mean(&h)));
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        histogram_clear(&h);
        histogram_add(&h, edges[i]);
        histogram_add(&h, UINT64_MAX);
        const double got = histogram_quantile(&h, .5);
        assert_true(fabs(got - (double)edges[i]) <= .005 * (double)edges[i]);
    }
}

static void test_merging_and_walking(void **state)
{
    static struct histogram a, b, both;
    struct rng r = rng_at(test_seed(), 2);
    uint64_t values[3000], value, count, before = 0, total = 0;

    histogram_clear(&a);
    histogram_clear(&b);
    histogram_clear(&both);
    fill(&r, values, 3000, 40);
    for (size_t i = 0; i < 3000; i++) {
        histogram_add(i % 3 ? &a : &b, values[i]);
        histogram_add(&both, values[i]);
    }
    histogram_merge(&a, &b);
    assert_true(a.n == both.n && a.max == both.max);
    assert_memory_equal(a.counts, both.counts, sizeof a.counts);
    for (size_t at = 0; (count = histogram_next(&a, &at, &value)) > 0;) {
        assert_true(total == 0 || value > before);
        before = value;
        total += count;
    }
    assert_true(total == 3000);
}

static void test_the_clock(void **state)
{
    const uint64_t cost = clock_cost_ns(), start = clock_ns();

    assert_true(cost < 100000);
    clock_wait_until(start + 3000000);
    const uint64_t end = clock_ns();
    assert_true(end - start >= 3000000);
    clock_wait_until(start); /* long ago: returns at once */
}

/* The 99th percentile of fewer than 100 values would be their maximum. */
static void test_tails_need_values(void **state)
{
    static struct histogram h;
    static const struct {
        double share;
        size_t needs;
    } tails[] = { { .9, 10 }, { .99, 100 }, { .999, 1000 } };

    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        histogram_clear(&h);
        assert_true(isnan(histogram_tail(&h, tails[i].share)));
        for (size_t n = 1; n <= tails[i].needs; n++) {
            histogram_add(&h, n);
            assert_true(isnan(histogram_tail(&h, tails[i].share)) == (n < tails[i].needs));
        }
    }
}

int main(void)
{
    return test_run_all("histogram", test_quantiles, test_edges, test_tails_need_values,
                        test_merging_and_walking, test_the_clock);
}
