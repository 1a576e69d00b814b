/* test_axis.c - ranges, units and ticks of axes, on data of every decade. */
#include "src/figure/axis.h"
#include "tests/support/testing.h"

static struct figure_axis fitted(enum figure_scale scale, enum result_unit unit, double least,
                                 double most)
{
    struct figure_values v = figure_no_values;
    struct figure_axis a;

    figure_values_add(&v, least);
    figure_values_add(&v, most);
    figure_axis_fit(&a, scale, unit, &v, 8);
    return a;
}

/* 1 for 1, 10 and .01; 2.5 for 250. */
static double digits_of(double value)
{
    const double digits = value / pow(10, floor(log10(value) + 1e-9));

    return round(digits * 1e6) / 1e6;
}

static bool is_round(double value)
{
    const double digits = digits_of(value);

    return digits == 1 || digits == 2 || digits == 5;
}

/* The labelled ticks, in units of the axis. */
static size_t labelled(const struct figure_axis *a, double at[FIGURE_TICKS])
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++)
        if (a->ticks[i].labelled)
            at[n++] = a->ticks[i].at / a->unit;
    return n;
}

/* All at 1, 2 or 5 times a power of ten, or a step of that apart. */
static bool are_round(const double *at, size_t n, bool is_log)
{
    bool by_digits = is_log, by_step = true;

    for (size_t i = 0; i < n; i++) {
        by_digits &= at[i] > 0 && is_round(at[i]);
        by_step &= i == 0 || (is_round(at[i] - at[i - 1]) &&
                              fabs(at[i] - at[i - 1] - (at[1] - at[0])) < 1e-9 * fabs(at[n - 1]));
        by_step &= fabs(at[i] / (at[1] - at[0]) - round(at[i] / (at[1] - at[0]))) < 1e-6;
    }
    return by_digits || by_step;
}

static const double ratios[] = { 1, 1.02, 1.3, 2, 4.7, 9, 30, 99, 470, 1e3, 1e5, 3e8 };

static void check_axis(const struct figure_axis *a, double least, double most, bool is_log)
{
    double at[FIGURE_TICKS];
    const size_t n = labelled(a, at);
    const double span = is_log ? log(most / least) : most - least;
    const double below = is_log ? log(least / a->low) : least - a->low,
                 above = is_log ? log(a->high / most) : a->high - most;

    assert_true(a->low < least && most < a->high);
    if (span > 1e-6 * most) /* beside the outermost values a twentieth is free, no more */
        assert_true(below < .05 * span && above < .05 * span);
    for (size_t i = 0; i < a->n; i++)
        assert_true(a->ticks[i].at >= a->low && a->ticks[i].at <= a->high);
    for (size_t i = 0; i < n; i++) {
        char label[32];
        assert_true(i == 0 || at[i - 1] < at[i]);
        if (is_log && n > 5) /* side by side, as below a panel */
            assert_true(i == 0 || log(at[i] / at[i - 1]) > .09 * log(a->high / a->low));
        figure_axis_label(a, at[i] * a->unit, label, sizeof label);
        assert_true(strlen(label) <= 9 && strcmp(label, "-0") != 0);
    }
    const bool few = (is_log && span > log(99)) || most - least == 1;
    assert_in_range(n, most > least ? 3 - few : 1, 10);
    assert_true(n == 1 || are_round(at, n, is_log));
}

static void test_ticks_of_every_decade(void **state)
{
    for (int exponent = -6; exponent <= 12; exponent++)
        for (double digits = 1; digits < 10; digits += .37)
            for (size_t r = 0; r < sizeof ratios / sizeof *ratios; r++) {
                const double least = digits * pow(10, exponent), most = least * ratios[r];
                struct figure_axis a = fitted(SCALE_LINEAR, UNIT_NONE, least, most);
                check_axis(&a, least, most, false);
                a = fitted(SCALE_LOG, UNIT_NONE, least, most);
                check_axis(&a, least, most, true);
                a = fitted(SCALE_LOG, UNIT_BYTES, least, most);
                check_axis(&a, least, most, true);
            }
}

/* Of times less than two powers of ten apart, every label is a number that one reads at once. */
static void test_units_of_every_decade(void **state)
{
    static const char *const names[] = { "ns", "µs", "ms", "s" };
    for (int exponent = 0; exponent <= 11; exponent++)
        for (size_t r = 0; ratios[r] < 100; r++) {
            const double least = 3 * pow(10, exponent), most = least * ratios[r];
            for (int log = 0; log < 2; log++) {
                double at[FIGURE_TICKS];
                const struct figure_axis a = fitted(log ? SCALE_LOG : SCALE_LINEAR, UNIT_NS, least,
                                                    most),
                                         s = fitted(a.scale, UNIT_SECONDS, least / 1e9, most / 1e9);
                const size_t n = labelled(&a, at);
                check_axis(&a, least, most, log);
                assert_true(at[n - 1] >= 1 && (at[0] == 0 || at[0] > .05));
                assert_true(at[n - 1] < 1e4 || !strcmp(a.unit_name, "s"));
                assert_string_equal(a.unit_name, s.unit_name);
                assert_true(fabs(a.unit / s.unit - 1e9) < 1);
                assert_string_equal(a.unit_name, names[(size_t)round(log10(a.unit) / 3)]);
            }
        }
}

static void test_labels(void **state)
{
    static const struct {
        double most, at;
        const char *label;
    } cases[] = { { 9000, 8000, "8000" },  { 20000, 0, "0" },       { 20000, 15000, "15k" },
                  { 2e6, 1.5e6, "1.5M" },  { 2e6, 500000, "500k" }, { 0.002, 0.0015, "0.0015" },
                  { 3e10, 2.5e10, "25G" }, { 20000, -500, "-500" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct figure_axis a = fitted(SCALE_LINEAR, UNIT_NONE, 0, cases[i].most);
        char label[32];
        figure_axis_label(&a, cases[i].at, label, sizeof label);
        assert_string_equal(label, cases[i].label);
    }
}

static void test_recall_is_spread_near_1(void **state)
{
    double at[FIGURE_TICKS];
    struct figure_axis a = fitted(SCALE_NINES, UNIT_SHARE, .78, 1);
    assert_int_equal(labelled(&a, at), 8);
    assert_true(at[0] == .8 && at[1] == .9 && at[7] == 1 && a.low > .7 && a.high < 1.0008);
    a = fitted(SCALE_NINES, UNIT_SHARE, .962, .973); /* none of these is in it */
    assert_true(labelled(&a, at) >= 3 && are_round(at, labelled(&a, at), false));
    a = fitted(SCALE_NINES, UNIT_SHARE, 1, 1); /* of exact methods: no tick above 1 */
    assert_true(a.low < 1 && a.high > 1 && labelled(&a, at) == 3 && at[0] == .995 && at[2] == 1);
    a = fitted(SCALE_LINEAR, UNIT_SHARE, .9, 1); /* no tick above 1 */
    assert_true(a.high > 1 && at[labelled(&a, at) - 1] == 1);
}

static void test_bars_begin_at_0(void **state)
{
    struct figure_axis a = fitted(SCALE_BARS, UNIT_NS, 30, 800);
    double at[FIGURE_TICKS];
    assert_true(a.low == 0 && a.high > 800 && a.high < 850 && a.scale == SCALE_BARS);
    a = fitted(SCALE_BARS, UNIT_NS, 30, 8e6); /* else one bar only would be seen */
    assert_true(a.scale == SCALE_LOG && a.low > 9.99 && a.low < 10.01);
    a = fitted(SCALE_RECALL_BARS, UNIT_SHARE, .78, 1);
    assert_true(a.low == .75 && a.high > 1);
    a = fitted(SCALE_RECALL_BARS, UNIT_SHARE, 1, 1); /* whole numbers, but not counts */
    assert_true(labelled(&a, at) >= 3);
    a = fitted(SCALE_BARS, UNIT_NONE, 0, 0);
    assert_true(a.low == 0 && a.high > 0 && a.n >= 1);
}

/* Ranks and numbers of lists are doubled in sweeps. */
static void test_powers_of_two_have_ticks_of_their_own(void **state)
{
    double at[FIGURE_TICKS];
    struct figure_axis a = fitted(SCALE_LOG, UNIT_NONE, 2, 64);
    assert_int_equal(labelled(&a, at), 6);
    assert_true(at[0] == 2 && at[1] == 4 && at[5] == 64);
    a = fitted(SCALE_LOG, UNIT_NONE, 1, 0x1p30);
    assert_true(labelled(&a, at) <= 10);
}

static void test_whole_numbers_have_no_ticks_between(void **state)
{
    double at[FIGURE_TICKS];
    const struct figure_axis a = fitted(SCALE_LINEAR, UNIT_NONE, 2, 5);
    assert_int_equal(labelled(&a, at), 4);
    assert_true(at[0] == 2 && at[3] == 5);
}

/* Results of strangers have any numbers: an axis is finite, and the loops end. */
static void test_odd_values(void **state)
{
    static const double odd[] = { 0,         -1,      1,        NAN,      INFINITY,
                                  -INFINITY, 1e300,   -1.7e308, 1.7e308,  5e-324,
                                  1e-149,    -1e-310, 1e149,    0x1p1000, -1e149 };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t j = 0; j < sizeof odd / sizeof *odd; j++)
            for (int scale = SCALE_LINEAR; scale <= SCALE_RECALL_BARS; scale++) {
                const struct figure_axis a =
                    fitted((enum figure_scale)scale, UNIT_NS, odd[i], odd[j]);
                assert_true(isfinite(a.low) && isfinite(a.high) && a.low < a.high);
            }
}

int main(void)
{
    return test_run_all("axis", test_ticks_of_every_decade, test_units_of_every_decade, test_labels,
                        test_recall_is_spread_near_1, test_bars_begin_at_0,
                        test_powers_of_two_have_ticks_of_their_own,
                        test_whole_numbers_have_no_ticks_between, test_odd_values);
}
