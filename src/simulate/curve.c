/* curve.c - costs by rows, between and beyond the numbers of rows that were measured. */
#include <math.h>

#include "src/simulate/simulate.h"

enum field { BATCH, SINGLE, MISSED };

static double field_of(const struct simulate_cost *c, enum field field)
{
    return field == BATCH ? c->batch_s : field == SINGLE ? c->single_s : 1 - c->recall;
}

/* The pair of measured costs around the rows, or nearest to them. */
static size_t pair_of(const struct simulate_curve *c, double rows)
{
    size_t i = 0;
    while (i + 2 < c->n && c->at[i + 1].rows <= rows)
        i++;
    return i;
}

static double power_law(const struct simulate_curve *c, double rows, enum field field)
{
    if (c->n == 1)
        return field_of(&c->at[0], field);
    const struct simulate_cost *a = &c->at[pair_of(c, rows)], *b = a + 1;
    const double low = field_of(a, field), high = field_of(b, field);
    const struct simulate_cost *from = rows > b->rows ? b : a;
    if (!(low > 0) || !(high > 0)) /* no power law: a straight line, and none beyond */
        return rows <= a->rows ? low
               : rows >= b->rows
                   ? high
                   : low + (high - low) * log(rows / a->rows) / log(b->rows / a->rows);
    double slope = log(high / low) / log(b->rows / a->rows);
    if (rows < a->rows || rows > b->rows)
        slope = fmin(fmax(slope, 0), 1);
    return field_of(from, field) * pow(rows / from->rows, slope);
}

double simulate_batch_s(const struct simulate_curve *c, double rows)
{
    return power_law(c, rows, BATCH);
}

double simulate_single_s(const struct simulate_curve *c, double rows)
{
    return power_law(c, rows, SINGLE);
}

double simulate_recall(const struct simulate_curve *c, double rows)
{
    return fmax(1 - power_law(c, rows, MISSED), 0);
}

double simulate_bytes(const struct simulate_curve *c, double rows)
{
    const struct simulate_cost *most = &c->at[c->n - 1];
    return most->bytes * (rows / most->rows);
}

/* That of the nearest measured number of rows, by their ratio. */
double simulate_shape(const struct simulate_curve *c, double rows, double u)
{
    const struct simulate_cost *best = &c->at[0];
    for (size_t i = 1; i < c->n; i++)
        if (fabs(log(c->at[i].rows / rows)) < fabs(log(best->rows / rows)))
            best = &c->at[i];
    const double place = fmin(fmax(u * SIMULATE_SHAPE - .5, 0), SIMULATE_SHAPE - 1);
    const size_t i = place >= SIMULATE_SHAPE - 1 ? SIMULATE_SHAPE - 2 : (size_t)place;
    return best->shape[i] + (place - (double)i) * (best->shape[i + 1] - best->shape[i]);
}

bool simulate_is_extrapolated(const struct simulate_curve *c, double rows)
{
    /* Hashes do not divide rows evenly. */
    static const double slack = 1.02;
    return rows * slack < c->at[0].rows || rows > c->at[c->n - 1].rows * slack;
}
