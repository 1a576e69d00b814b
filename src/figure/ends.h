/* ends.h - the labels at both ends of a sweep's curve, which say what was swept from where to where. */
#ifndef DRIFTLINE_FIGURE_ENDS_H
#define DRIFTLINE_FIGURE_ENDS_H

#include "src/figure/axis.h"
#include "src/figure/plot.h"

struct figure_end {
    const struct plot_point *of;
    char text[64]; /* "nprobe=4" */
    double x, y;   /* its middle, as shares of the panel */
};

/* Places the labels of a panel's curves where they cover no point and no other label; leaves out those without such a
   place. on_curve: of each point of the figure. Returns the number of labels, at most `most`. */
size_t figure_ends_place(const struct figure *, const char *panel, const struct figure_axis *x,
                         const struct figure_axis *y, enum figure_style, const bool *on_curve,
                         struct figure_end *ends, size_t most);

#endif
