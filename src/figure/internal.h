/* internal.h - shared by the kinds of figures when they select points; private to this folder. */
#ifndef DRIFTLINE_FIGURE_INTERNAL_H
#define DRIFTLINE_FIGURE_INTERNAL_H

#include <stdbool.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"
#include "src/figure/plot.h"
#include "src/result/read.h"

/* The input of every kind of figure, and the figure that it fills. */
struct gather {
    struct figure *figure;
    const struct result *result;
    const json_t *spec;
    char recall[32]; /* "recall@10" */
};

/* Frees the points alone. */
void figure_free_points(struct figure *);
/* Whether the specification's `where` allows the value of a key, or a cell's
   label, point and method. */
bool figure_allows(const json_t *spec, const char *key, const char *value);
bool figure_allows_cell(const struct gather *, const struct result_cell *);
/* The tags for which a label has `metric`, in order of first appearance. New array of strings. */
json_t *figure_tags_with(const struct gather *, const char *metric);
/* The *n cells that `where` allows, one per point; with by_build, only the first of each build. The
   caller frees the array with free(). NULL: out of memory. */
const struct result_cell **figure_cells(const struct gather *, bool by_build, size_t *n);
/* Whether all points of a build share the metric of operations of these tags: none of them runs at each
   point, or it is of a whole sweep. */
bool figure_is_of_build(const struct gather *, const char *metric, const json_t *tags);
/* Whether figure_value_of() is a parameter, as the result has no metric of the name. */
bool figure_is_parameter(const struct gather *, const struct result_cell *, const char *name,
                         const char *tag);
/* A value of one variant: the summary's median of a metric, else a parameter or knob of that name,
   else NAN. */
double figure_value_of(const struct gather *, const struct result_cell *, const char *name,
                       const char *tag);
/* The 95 % interval of a variant's metric: over repeats, with one repeat over the passes of its step; else NAN. */
void figure_interval(const struct gather *, const struct result_cell *, const char *name,
                     const char *tag, double *low, double *high);
/* Adds one variant's y with its interval at x; adds nothing if there is no value. */
int figure_add_variant(struct gather *, const struct result_cell *, const char *panel,
                       const char *series, double x, const char *x_label, const char *y_name,
                       const char *tag);

/* Sets each point's x to the place of its x_label among the distinct ones, in order of appearance:
   the order of XLABEL in the figure's script. */
void figure_place_by_label(struct figure *);

/* figure_gather_KIND() of each kind; returns OK or ERR_NO_MEMORY. */
#define FIGURE(kind, x, y, log_from, traits, help) int figure_gather_##kind(struct gather *);
#include "src/base/figures.def"
#undef FIGURE

#endif
