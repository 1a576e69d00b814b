/* plot.h - draws the figures of a result. Reads result.json, so old results can be drawn again.
 *
 * Each figure is a CSV with every data point, and a drawing of it by gnuplot in SVG, PNG and PDF
 * from a template of plots/. write_csv() in script.c has the columns of the CSV. */
#ifndef DRIFTLINE_FIGURE_PLOT_H
#define DRIFTLINE_FIGURE_PLOT_H

#include <jansson.h>

#include "src/base/figures.h"
#include "src/core/error.h"
#include "src/result/read.h"

/* What figures are drawn for: reports, one column or both of a paper, or a slide. The names of --style. */
enum figure_style { FIGURE_PAGE, FIGURE_PAPER, FIGURE_PAPER_WIDE, FIGURE_SLIDES, FIGURE_STYLES };
extern const char *const figure_styles[FIGURE_STYLES];

/* Draws all figures of dir/result.json into dir, replaces those drawn before, and records their
 * names in its "figures". root: the folder of plots/. interrupted: may be NULL; once set, drawing
 * ends with ERR_INTERRUPTED. *bare: a new array with name and title of each figure that was not
 * drawn because it has no values. *letters: a new object, letters of the figures -> whether a font has
 * them (gnuplot_drawable()). Both are set also on failure. */
int plot_result(const char *dir, const char *root, enum figure_style,
                const volatile int *interrupted, json_t **bare, json_t **letters, struct error *);

/* One drawn point of a figure; a number that does not apply is NAN. */
struct plot_point {
    char *panel, *series, *x_label, *point; /* owned */
    double x, y, x_low, x_high, y_low, y_high;
    /* A crossing is where the series meets the figure's baseline; maintenance is a step in which the
       method did some, and has no y. Neither is measured. */
    enum { MARK_NONE, MARK_CROSSING, MARK_MAINTENANCE } mark;
};
struct figure {
    const struct figure_kind *kind;
    char *file, *title, *x_name, *y_name; /* owned; file without extension */
    bool is_difference;                   /* y is a difference between two labels */
    bool x_is_parameter;                  /* not a metric, though one may have its name */
    struct plot_point *points;
    size_t n, capacity;
};

/* Fills a figure from a specification { kind, x, y, group, where, title, baseline, minus } and a result.
   The caller calls figure_free(), also on failure. ERR_CORRUPT: the kind is unknown. */
int figure_gather(struct figure *, const struct result *, const json_t *spec, struct error *);
/* The specifications of a result: those of its config, or defaults for its operations. Returns a
 * new reference. */
json_t *figure_specs(const struct result *);
void figure_free(struct figure *);
/* Writes dir/FILE.csv and dir/FILE.gp, which gnuplot draws. plots: the absolute path of the folder of templates.
   letters: of gnuplot_drawable(), as several figures have the same. */
int figure_write(const struct figure *, const json_t *result, const char *dir, const char *plots,
                 enum figure_style, json_t *letters, struct error *);
/* Gives each point of dir/NAME, an SVG that gnuplot drew, the text that a browser shows over it; escapes what
   gnuplot does not. */
int figure_mend_svg(const struct figure *, const char *dir, const char *name, struct error *);
/* Adds a point; copies the strings. OK or ERR_NO_MEMORY. */
int figure_add(struct figure *, const char *panel, const char *series, const char *point, double x,
               const char *x_label, double y, double low, double high);

#endif
