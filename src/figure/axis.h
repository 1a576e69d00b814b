/* axis.h - the range, the unit and the ticks of a figure's axis. */
#ifndef DRIFTLINE_FIGURE_AXIS_H
#define DRIFTLINE_FIGURE_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/result_metrics.h"

/* SCALE_NINES is logarithmic in 1 - value: it spreads a recall near 1. SCALE_BARS is linear from 0, or logarithmic where
   bars differ widely; SCALE_RECALL_BARS is linear from the twentieth below the least recall. The script of a figure has
   these numbers. */
enum figure_scale { SCALE_LINEAR, SCALE_LOG, SCALE_NINES, SCALE_BARS, SCALE_RECALL_BARS };

enum { FIGURE_TICKS = 80 };

/* The values that an axis has to show. */
struct figure_values {
    double least, most, least_positive; /* INFINITY, -INFINITY, INFINITY: there is none */
    bool whole, doubling;               /* all are whole numbers; all are powers of two */
};
extern const struct figure_values figure_no_values;
void figure_values_add(struct figure_values *, double value); /* ignores NAN */

struct figure_axis {
    enum figure_scale scale;
    double low, high;      /* the range */
    double unit;           /* a label is the value divided by this: 1000 where ns are shown as us */
    const char *unit_name; /* "" */
    size_t n;
    struct figure_tick {
        double at;
        bool labelled; /* else a minor tick */
    } ticks[FIGURE_TICKS];
};

/* Fits an axis to the values: its ticks are 1, 2 or 5 times a power of ten, and its range ends beside the outermost
   values. most: labels that it has space for. */
void figure_axis_fit(struct figure_axis *, enum figure_scale, enum result_unit unit,
                     const struct figure_values *, int most);
/* Values on the scale on which the axis is even. plots/style.gp has the same for gnuplot. */
double figure_axis_even(enum figure_scale, double value);
/* The label of a tick, without the unit's name: 1500, or 150k on an axis of more than four digits. */
void figure_axis_label(const struct figure_axis *, double at, char *text, size_t bytes);

#endif
