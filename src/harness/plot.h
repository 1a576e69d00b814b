/* plot.h - result.json -> figures. Reads the file, so that old results redraw.
 *
 * Each figure is a CSV with every data point, and a drawing of it by gnuplot in SVG, PNG and PDF
 * from one template of plots/. Columns of the CSV: see plot.c, write_csv().
 */
#ifndef DRIFTLINE_PLOT_H
#define DRIFTLINE_PLOT_H

#include <jansson.h>
#include <stdbool.h>

#include "core/error.h"

/* Draws all figures of dir/result.json into dir, in place of those drawn before, and records their
 * names in its "figures". root: for plots/. interrupted: may be NULL; once set, drawing ends with
 * ERR_INTERRUPTED. *bare: a new array of the names and titles of those that were not drawn, for
 * none of their values was measured. */
int plot_result(const char *dir, const char *root, const volatile int *interrupted, json_t **bare,
                struct error *);

/* One drawn point of a figure; NAN where a column does not apply. */
struct plot_point {
    char *panel, *series, *x_label, *point; /* owned */
    double x, y, y_low, y_high;
    bool crossing; /* no measurement: where its series meets the figure's baseline */
};
struct figure {
    char *kind, *file, *title, *x_name, *y_name; /* owned; file without extension */
    struct plot_point *points;
    size_t n, capacity;
};

/* The points a figure specification { kind, x, y, group, where, title, baseline } asks of a result. */
int figure_gather(struct figure *, const json_t *result, const json_t *spec, struct error *);
/* The specifications of a result: its config's, or sensible ones for the operations present. New
 * reference. */
json_t *figure_specs(const json_t *result);
void figure_free(struct figure *);
/* Writes dir/FILE.csv and dir/FILE.gp, which gnuplot draws. */
int figure_write(const struct figure *, const json_t *result, const char *dir, const char *root,
                 struct error *);
int figure_add(struct figure *, const char *panel, const char *series, const char *point, double x,
               const char *x_label, double y, double low, double high);

#endif
