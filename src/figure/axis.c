/* axis.c - see axis.h. */
#include "src/figure/axis.h"

#include <math.h>
#include <stdio.h>

static const double FREE_SPACE = .04; /* of the range, beside its outermost values */

const struct figure_values figure_no_values = { INFINITY, -INFINITY, INFINITY, true, true };

void figure_values_add(struct figure_values *v, double value)
{
    int exponent;
    if (!(fabs(value) < 1e150)) /* nothing measured is; the ends of a range must not overflow */
        return;
    if (fabs(value) < 1e-150)
        value = 0;
    v->least = fmin(v->least, value);
    v->most = fmax(v->most, value);
    if (value > 0)
        v->least_positive = fmin(v->least_positive, value);
    v->whole &= floor(value) == value;
    v->doubling &= value >= 1 && frexp(value, &exponent) == .5;
}

/* ---- units */

struct unit {
    double size;
    const char *name;
};

/* The largest unit that `typical` has at least one of. */
static void choose_unit(struct figure_axis *a, enum result_unit unit, double typical)
{
    static const struct unit times[] = { { 1, "ns" }, { 1e3, "µs" }, { 1e6, "ms" }, { 1e9, "s" } },
                             sizes[] = { { 1, "bytes" },
                                         { 0x1p10, "KiB" },
                                         { 0x1p20, "MiB" },
                                         { 0x1p30, "GiB" },
                                         { 0x1p40, "TiB" } };
    const bool bytes = unit == UNIT_BYTES;
    const struct unit *units = bytes ? sizes : times;
    const size_t n = bytes ? sizeof sizes / sizeof *sizes : sizeof times / sizeof *times;
    const double one = unit == UNIT_SECONDS ? 1e-9 : 1;

    a->unit = 1;
    a->unit_name = "";
    if (!bytes && unit != UNIT_NS && unit != UNIT_SECONDS)
        return;
    for (size_t i = 0; i < n && (i == 0 || units[i].size * one <= typical * 1.000001); i++) {
        a->unit = units[i].size * one;
        a->unit_name = units[i].name;
    }
}

void figure_axis_label(const struct figure_axis *a, double value, char *text, size_t bytes)
{
    static const char *const suffixes[] = { "", "k", "M", "G", "T" };
    const bool wide = fmax(fabs(a->low), fabs(a->high)) / a->unit >= 1e4;
    size_t s = 0;

    value /= a->unit;
    for (; wide && fabs(value) >= 999.9999 && s + 1 < sizeof suffixes / sizeof *suffixes; s++)
        value /= 1000;
    (void)snprintf(text, bytes, "%.6g%s", value, suffixes[s]);
}

/* ---- ticks */

static void add_tick(struct figure_axis *a, double at, bool labelled)
{
    if (at >= a->low && at <= a->high && a->n < FIGURE_TICKS)
        a->ticks[a->n++] = (struct figure_tick){ at, labelled };
}

/* 10 to a whole power, as exact as a literal. */
static double power_of_ten(int exponent)
{
    return exponent < 0 ? 1 / pow(10, -exponent) : pow(10, exponent);
}

static void linear_ticks(struct figure_axis *a, bool whole, int most)
{
    const double low = a->low / a->unit, high = a->high / a->unit, span = high - low;
    for (int exponent = (int)floor(log10(span)) - 2;; exponent++) {
        static const int rounds[] = { 1, 2, 5 };
        for (size_t r = 0; r < 3; r++) {
            const double step = rounds[r] * power_of_ten(exponent);
            const double first = ceil(low / step - 1e-9), last = floor(high / step + 1e-9);
            if (last - first >= most || (whole && step < 1))
                continue;
            a->n = 0;
            for (double k = first + 0.0; k <= last; k++) /* + 0.0: no -0 */
                a->ticks[a->n++] =
                    (struct figure_tick){ fmin(fmax(k * step * a->unit, a->low), a->high), true };
            return;
        }
    }
}

/* Those of a linear axis, which lie ever closer on a logarithmic one: with a larger step where the last two labels
   would run into each other, unless that leaves fewer than three. */
static void linear_ticks_apart(struct figure_axis *a, bool whole, int most)
{
    const double apart = log10(a->high / a->low) / (most + 2);

    linear_ticks(a, whole, most);
    struct figure_axis coarser = *a;
    for (int n = most - 1; n > 1; n--) {
        linear_ticks(&coarser, whole, n);
        const struct figure_tick *last = &a->ticks[a->n - 1];
        if (coarser.n < 3 || log10(last->at / last[-1].at) >= apart)
            return;
        *a = coarser;
    }
}

/* Labels at 1, 2 and 5 times each power of ten; over many decades at every power, or every second one. Over less
   than a decade these are too few, and the ticks are those of a linear axis. */
static void log_ticks(struct figure_axis *a, bool whole, int most)
{
    const int first = (int)floor(log10(a->low / a->unit)),
              last = (int)floor(log10(a->high / a->unit));
    const bool fives = log10(a->high / a->low) * 3 < most;
    const int stride = (last - first) / most + 1;
    size_t labelled = 0;

    a->n = 0;
    for (int exponent = first; exponent <= last; exponent++)
        for (int m = 1; m < 10 && (m == 1 || stride == 1); m++)
            add_tick(a, m * power_of_ten(exponent) * a->unit,
                     fives ? m == 1 || m == 2 || m == 5
                           : m == 1 && (exponent % stride + stride) % stride == 0);
    for (size_t i = 0; i < a->n; i++)
        labelled += a->ticks[i].labelled;
    if (fives && labelled < 3)
        linear_ticks_apart(a, whole, most);
}

static void doubling_ticks(struct figure_axis *a, int most)
{
    const int stride = (int)(log2(a->high / a->low) / most) + 1;

    a->n = 0;
    for (int exponent = 0; ldexp(1, exponent) <= a->high; exponent += stride)
        add_tick(a, ldexp(1, exponent), true);
}

static void nines_ticks(struct figure_axis *a)
{
    static const double at[] = { 0, .5, .8, .9, .95, .98, .99, .995, .999, 1 };

    a->n = 0;
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        add_tick(a, at[i], true);
    if (a->n < 3)
        linear_ticks(a, false, 8);
}

/* ---- range */

double figure_axis_even(enum figure_scale scale, double value)
{
    return scale == SCALE_LOG     ? log10(value)
           : scale == SCALE_NINES ? -log10(1.0008 - value)
                                  : value;
}

static double uneven(enum figure_scale scale, double place)
{
    return scale == SCALE_LOG     ? pow(10, place)
           : scale == SCALE_NINES ? 1.0008 - pow(10, -place)
                                  : place;
}

/* With one value only, the range is a tenth of it. */
static void fit_range(struct figure_axis *a, double least, double most, bool share)
{
    const double from = figure_axis_even(a->scale, least), to = figure_axis_even(a->scale, most);
    double space = FREE_SPACE * (to - from);

    if (to - from <= 1e-9 * fabs(to))
        space = a->scale != SCALE_LINEAR ? .05 : to != 0 ? .05 * fabs(to) : .5;
    a->low = uneven(a->scale, from - space);
    a->high = uneven(a->scale, to + space);
    if (share && a->scale == SCALE_LINEAR && most <= 1)
        a->high = fmin(a->high, 1 + FREE_SPACE * (1 - a->low));
}

/* A linear axis would show only the longest of bars that differ widely. */
static void fit_bars(struct figure_axis *a, enum result_unit unit, const struct figure_values *v)
{
    const double most = fmax(v->most, 0);

    if (a->scale == SCALE_RECALL_BARS) {
        a->low = fmax(floor((v->least - .02) * 20) / 20, 0);
    } else if (v->least > 0 && most > 30 * v->least) {
        a->scale = SCALE_LOG;
        choose_unit(a, unit, sqrt(v->least) * sqrt(most));
        a->low = a->unit * power_of_ten((int)floor(log10(v->least / a->unit)));
    } else {
        a->low = fmin(v->least, 0);
    }
    a->high = most + FREE_SPACE / 2 * (most > a->low ? most - a->low : 1);
}

void figure_axis_fit(struct figure_axis *a, enum figure_scale scale, enum result_unit unit,
                     const struct figure_values *v, int most_ticks)
{
    double least = v->least, most = v->most;

    if (!(least <= most))
        least = most = 0;
    if (scale == SCALE_LOG)
        least = v->least_positive;
    if (scale == SCALE_LOG && !(least <= most)) {
        scale = SCALE_LINEAR;
        least = v->least <= most ? v->least : most;
    }
    if (!(v->least >= 0 && v->least <= v->most && v->most <= 1)) /* not a recall */
        scale = scale == SCALE_NINES         ? SCALE_LINEAR
                : scale == SCALE_RECALL_BARS ? SCALE_BARS
                                             : scale;
    if (scale == SCALE_NINES) /* at 1 alone, a tenth of a thousandth around it would be drawn */
        least = fmin(least, .995);
    *a = (struct figure_axis){ .scale = scale };
    choose_unit(a, unit, scale == SCALE_LOG ? sqrt(least) * sqrt(most) : most);
    const bool whole = v->whole && unit == UNIT_NONE;
    if (scale >= SCALE_BARS)
        fit_bars(a, unit, v);
    else
        fit_range(a, least, most, unit == UNIT_SHARE);
    if (a->scale == SCALE_LOG && v->doubling && most > least)
        doubling_ticks(a, most_ticks);
    else if (a->scale == SCALE_LOG)
        log_ticks(a, whole, most_ticks);
    else if (a->scale == SCALE_NINES)
        nines_ticks(a);
    else
        linear_ticks(a, whole, most_ticks);
}
