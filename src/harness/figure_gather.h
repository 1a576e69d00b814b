/* figure_gather.h - what the kinds of figures share while they pick their points; private to figure*.c. */
#ifndef DRIFTLINE_FIGURE_GATHER_H
#define DRIFTLINE_FIGURE_GATHER_H

#include <stdbool.h>

#include "harness/json_field.h"
#include "harness/metric.h"
#include "harness/plot.h"
#include "harness/series.h"

/* What every kind of figure reads while it gathers. */
struct gather {
    struct figure *figure;
    const json_t *result, *spec;
    struct summary_index index;
    json_t *variants; /* first cell of each LABEL[point] */
    char recall[32];  /* "recall@10" */
};

json_t *steps_of(const json_t *cell);

/* Whether the specification's `where` lets a value, or a cell's label, point and method, through. */
bool where_allows(const json_t *spec, const char *key, const char *value);
bool where_allows_cell(const struct gather *, const json_t *cell);
/* Tags for which any label has `metric`, in order of first appearance. New array of strings. */
json_t *tags_with(const struct gather *, const char *metric);
/* The cells `where` lets through, a new array: one a point, or by_build the first of each build,
 * which stands for all its points. */
json_t *cells_drawn(const struct gather *, bool by_build);
/* A metric that all points of a build share: measured before any knob mattered, or over a sweep. */
bool is_of_build(const char *metric);
/* A value of one variant: a summary metric, or a parameter or knob by name; NAN. */
double value_of(const struct gather *, const json_t *cell, const char *name, const char *tag);
/* Adds one variant's y, with its interval, over x. Nothing where it has none. */
int add_variant(struct gather *, const json_t *cell, const char *panel, const char *series,
                double x, const char *x_label, const char *y_name, const char *tag);

/* The kinds: ERR_NO_MEMORY is all that can go wrong. */
int gather_pareto(struct gather *);
int gather_bars(struct gather *);
int gather_timeline(struct gather *);
int gather_radius(struct gather *);
int gather_scaling(struct gather *);
int gather_heatmap(struct gather *);
int gather_ccdf(struct gather *);
int gather_sizes(struct gather *);
int gather_profile(struct gather *);
int gather_memory(struct gather *);

#endif
