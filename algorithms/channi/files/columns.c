/* columns.c - summaries of columns of attributes. */
#include "algorithms/channi/files/columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/order.h"
#include "src/core/rng.h"

enum { SUMMARY_BITS = 64 * SUMMARY_WORDS };

static size_t bit_of(int64_t number)
{
    return rng_mix(0x636f6c756d6e, (uint64_t)number) % SUMMARY_BITS;
}

static bool may_be(const struct channi_summary *s, int64_t number)
{
    const size_t bit = bit_of(number);

    return number >= s->steps[0] && number <= s->steps[SUMMARY_STEPS] &&
           s->bits[bit / 64] >> (bit % 64) & 1;
}

void channi_summary_make(struct channi_summary *s, const int64_t *column, size_t n,
                         int64_t *scratch)
{
    size_t present = 0;

    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < n; i++) {
        if (column[i] == INDEX_ATTRIBUTE_NONE)
            continue;
        const size_t bit = bit_of(column[i]);
        s->bits[bit / 64] |= UINT64_C(1) << bit % 64;
        scratch[present++] = column[i];
    }
    s->present = present;
    if (present == 0)
        return;
    qsort(scratch, present, sizeof *scratch, order_i64);
    for (size_t i = 0; i <= SUMMARY_STEPS; i++)
        s->steps[i] = scratch[i * (present - 1) / SUMMARY_STEPS];
}

bool channi_summary_fits(const struct channi_summary *s, const int64_t *column, size_t n)
{
    uint64_t present = 0;

    for (size_t i = 0; i < n; i++) {
        if (column[i] == INDEX_ATTRIBUTE_NONE)
            continue;
        present++;
        if (!may_be(s, column[i]))
            return false;
    }
    return present == s->present;
}

bool channi_summary_may(const struct channi_summary *s, size_t n,
                        const struct attribute_condition *c, const int64_t *values)
{
    values += c->first;
    if (c->test == INDEX_ATTRIBUTE_MISSING)
        return s->present < n;
    if (s->present == 0)
        return false;
    switch (c->test) {
        case INDEX_ATTRIBUTE_RANGE:
            return values[0] <= s->steps[SUMMARY_STEPS] && values[1] >= s->steps[0];
        case INDEX_ATTRIBUTE_IN:
            for (uint64_t i = 0; i < c->n; i++)
                if (may_be(s, values[i]))
                    return true;
            return false;
        default: /* excluded only if all rows have one number */
            return s->steps[0] != s->steps[SUMMARY_STEPS] ||
                   index_attribute_meets(c, values - c->first, s->steps[0]);
    }
}

/* The share of the present numbers that are less than x; between two quantiles, in proportion. */
static double share_below(const struct channi_summary *s, int64_t x)
{
    size_t i = 0;

    while (i <= SUMMARY_STEPS && s->steps[i] < x)
        i++;
    if (i == 0 || i > SUMMARY_STEPS)
        return i == 0 ? 0 : 1;
    const double from = (double)s->steps[i - 1], to = (double)s->steps[i];
    /* As doubles, great numbers may be equal. */
    const double part = to > from ? ((double)x - from) / (to - from) : .5;
    return ((double)(i - 1) + part) / SUMMARY_STEPS;
}

/* The share of one number: that of the inner quantiles that are equal to it, halved for a single
   one, which may be chance; but at least the share of a number if all occurred equally often. The
   filter gives the count of different numbers: of b bits, m numbers leave b (1 - 1/b)^m unset
   (linear counting; Whang et al., 1990). */
static double share_of(const struct channi_summary *s, int64_t number)
{
    size_t equal = 0, set = 0;

    if (!may_be(s, number))
        return 0;
    for (size_t i = 1; i < SUMMARY_STEPS; i++)
        equal += s->steps[i] == number;
    for (size_t i = 0; i < SUMMARY_WORDS; i++)
        set += (size_t)__builtin_popcountll(s->bits[i]);
    const double unset = set < SUMMARY_BITS ? (double)(SUMMARY_BITS - set) : .5,
                 distinct = -SUMMARY_BITS * log(unset / SUMMARY_BITS),
                 even = 1 / (distinct > 1 ? distinct : 1),
                 seen = (double)equal / (equal > 1 ? 1 : 2) / (SUMMARY_STEPS - 1);
    return seen > even ? seen : even;
}

double channi_summary_share(const struct channi_summary *s, size_t n,
                            const struct attribute_condition *c, const int64_t *values)
{
    const double present = n > 0 ? (double)s->present / (double)n : 0;
    double share = 0;

    if (!channi_summary_may(s, n, c, values))
        return 0;
    values += c->first;
    if (c->test == INDEX_ATTRIBUTE_MISSING)
        return 1 - present;
    if (c->test == INDEX_ATTRIBUTE_RANGE) {
        share = values[1] == INT64_MAX ? 1 : share_below(s, values[1] + 1);
        share -= share_below(s, values[0]);
        if (values[0] == values[1])
            share = share_of(s, values[0]);
        return present * share;
    }
    for (uint64_t i = 0; i < c->n; i++)
        share += share_of(s, values[i]);
    share = share < 1 ? share : 1;
    return present * (c->test == INDEX_ATTRIBUTE_IN ? share : 1 - share);
}
