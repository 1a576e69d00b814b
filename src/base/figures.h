/* figures.h - the kinds of figures that a config may contain: figures.def as a table. */
#ifndef DRIFTLINE_BASE_FIGURES_H
#define DRIFTLINE_BASE_FIGURES_H

enum figure_trait {
    FIGURE_OF_TABLE = 1,
    FIGURE_HAS_BASELINE = 2,
    FIGURE_MARKS_BEATEN = 4,
    FIGURE_HAS_VALUES = 8,
    FIGURE_HAS_SEVERAL_Y = 16,
    FIGURE_HAS_LOG_X = 32,
    FIGURE_HAS_LOG_Y = 64,
    FIGURE_HAS_BARS = 128,
    FIGURE_SUBTRACTS = 256
};

/* A row of figures.def, which describes the fields. */
struct figure_kind {
    const char *name, *x, *y;
    double log_from;
    unsigned traits;
    const char *help;
};

#define FIGURE(kind, x, y, log_from, traits, help) FIGURE_##kind,
enum figure_number {
#include "src/base/figures.def"
    FIGURE_KINDS
};
#undef FIGURE

/* Indexed by enum figure_number. */
extern const struct figure_kind figure_kinds[FIGURE_KINDS];

/* NULL if no kind has this name. */
const struct figure_kind *figure_kind_named(const char *name);

#endif
