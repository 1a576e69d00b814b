/* script.c - writes a figure as a CSV and as a gnuplot script, which sets what the figure shows and loads plots/draw.gp. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/atomic_file.h"
#include "src/base/quote.h"
#include "src/base/result_metrics.h"
#include "src/base/stats.h"
#include "src/core/order.h"
#include "src/figure/axis.h"
#include "src/figure/ends.h"
#include "src/figure/gnuplot.h"
#include "src/figure/plot.h"

static int write_text(struct atomic_text *t, const char *dir, const char *file,
                      const char *extension, struct error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", dir, file, extension);
    return atomic_text_write(t, path, error);
}

static void csv_text(FILE *out, const char *text)
{
    fputc(',', out);
    quote_csv(out, text);
}

static void csv_number(FILE *out, double value)
{
    fputc(',', out);
    if (isnan(value))
        fputs("NaN", out);
    else
        fprintf(out, "%.9g", value);
}

/* In a Pareto figure, a point is dominated if another point of the panel is at least as good on
   both axes and better on one. No value of a parameter is better, nor of a metric that is neither good nor bad. If
   that is a point of the same series, the curve skips this one. */
enum standing { ON_FRONTIER, DOMINATED, DOMINATED_BY_OWN };

static enum standing standing_of(const struct figure *f, size_t i)
{
    int x_better = result_metric(f->x_name)->better, y_better = result_metric(f->y_name)->better;
    const struct plot_point *p = &f->points[i];
    enum standing standing = ON_FRONTIER;
    for (size_t j = 0; j < f->n; j++) {
        const struct plot_point *q = &f->points[j];
        double dx = (q->x - p->x) * x_better, dy = (q->y - p->y) * y_better;
        if (!x_better || !y_better || strcmp(p->panel, q->panel) != 0 || dx < 0 || dy < 0 ||
            dx + dy <= 0)
            continue;
        if (!strcmp(p->series, q->series))
            return DOMINATED_BY_OWN;
        standing = DOMINATED;
    }
    return standing;
}

/* Distinct values of a column, in order of appearance. New array. */
static json_t *distinct(const struct figure *f, size_t column_offset)
{
    json_t *seen = json_object(), *list = json_array();
    for (size_t i = 0; i < f->n; i++) {
        const char *value = *(char *const *)((const char *)&f->points[i] + column_offset);
        if (json_object_get(seen, value))
            continue;
        json_object_set_new(seen, value, json_true());
        json_array_append_new(list, json_string(value));
    }
    json_decref(seen);
    return list;
}

static size_t place_in(const json_t *list, const char *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(json_string_value(json_array_get(list, i)), value))
            return i + 1;
    return 0;
}

/* gnuplot does not parse quoted CSV fields. So all columns that it reads come before the strings,
   and it selects rows by the numbers of panel and series. */
static int write_csv(const struct figure *f, const char *dir, struct error *error)
{
    struct atomic_text t;
    int rc = atomic_text_begin(&t, error);
    if (rc)
        return rc;
    const bool values = f->kind->traits & FIGURE_HAS_VALUES,
               beaten = f->kind->traits & FIGURE_MARKS_BEATEN;
    json_t *panels = distinct(f, offsetof(struct plot_point, panel));
    json_t *series = distinct(f, offsetof(struct plot_point, series));
    fprintf(t.out,
            "panel_number,series_number,x,y,%s,y_high,x_low,x_high,dominated,mark,panel,series,"
            "x_label,point\n",
            values ? "value" : "y_low");
    for (size_t i = 0; i < f->n; i++) {
        const struct plot_point *p = &f->points[i];
        fprintf(t.out, "%zu,%zu", place_in(panels, p->panel), place_in(series, p->series));
        csv_number(t.out, p->x);
        csv_number(t.out, p->y);
        csv_number(t.out, values || !isnan(p->y_low) ? p->y_low : p->y);
        csv_number(t.out, isnan(p->y_high) ? p->y : p->y_high);
        csv_number(t.out, isnan(p->x_low) ? p->x : p->x_low);
        csv_number(t.out, isnan(p->x_high) ? p->x : p->x_high);
        fprintf(t.out, ",%d,%d", beaten ? standing_of(f, i) : ON_FRONTIER, p->mark);
        csv_text(t.out, p->panel);
        csv_text(t.out, p->series);
        csv_text(t.out, p->x_label);
        csv_text(t.out, p->point);
        fputc('\n', t.out);
    }
    json_decref(panels);
    json_decref(series);
    return write_text(&t, dir, f->file, "csv", error);
}

/* The script of a figure. SVG has all letters; for PNG and PDF draw.gp runs PRINTED, assignments of
   the strings of which a letter has no font. */
struct gp_script {
    FILE *out;
    const struct figure *figure;
    json_t *letters;          /* of gnuplot_drawable() */
    size_t n_printed, n_ends; /* entries of PRINTED and of END_TEXT so far */
    enum figure_style style;
};

static void gp_text(struct gp_script *s, const char *name, const char *text)
{
    char *drawable = gnuplot_drawable(text, s->letters), *assignment = NULL;
    size_t bytes;

    fprintf(s->out, "%s = ", name);
    quote_gnuplot(s->out, text);
    fputc('\n', s->out);
    FILE *inner =
        drawable && strcmp(drawable, text) != 0 ? open_memstream(&assignment, &bytes) : NULL;
    if (inner) {
        fprintf(inner, "%s = ", name);
        quote_gnuplot(inner, drawable);
        fclose(inner);
        fprintf(s->out, "PRINTED[%zu] = ", ++s->n_printed);
        quote_gnuplot(s->out, assignment);
        fputc('\n', s->out);
    }
    free(assignment);
    free(drawable);
}

static void gp_array(struct gp_script *s, const char *name, const json_t *texts)
{
    FILE *out = s->out;
    size_t n = json_array_size(texts);
    fprintf(out, "array %s[%zu]\n", name, n ? n : 1);
    if (!n)
        fprintf(out, "%s[1] = \"\"\n", name);
    for (size_t i = 0; i < n; i++) {
        char element[32];
        snprintf(element, sizeof element, "%s[%zu]", name, i + 1);
        gp_text(s, element, json_string_value(json_array_get(texts, i)));
    }
}

/* A label has the same colour and mark in all figures of a result: its position
 * among the config's methods. */
static size_t style_of(const json_t *result, const char *series, size_t otherwise)
{
    json_t *labels = json_object_get(json_object_get(result, "experiment"), "labels");
    size_t i, best = otherwise, longest = 0;
    json_t *label;
    json_array_foreach(labels, i, label) {
        size_t length = json_string_length(label);
        if (length <= longest || strncmp(series, json_string_value(label), length) != 0)
            continue;
        if (series[length] != '\0' && !strchr("[ ,", series[length]))
            continue;
        best = i;
        longest = length;
    }
    return best;
}

/* Whether all series are of one label, as in a figure of its ablations or of its grid. */
static bool is_one_label(const json_t *result, const json_t *series)
{
    const size_t n = json_array_size(series);
    bool one = n > 1;
    for (size_t i = 0; i < n; i++)
        one &= style_of(result, json_string_value(json_array_get(series, i)), n) ==
               style_of(result, json_string_value(json_array_get(series, 0)), n + 1);
    return one;
}

/* STYLE gives a label its colour and mark; VARIANT numbers the series of one label, VARIANTS of them, which differ in
   tint and dashes. In a figure of one label alone, each series has a style. */
static void gp_styles(FILE *out, const json_t *result, const json_t *series)
{
    size_t n = json_array_size(series), space = n ? n : 1;
    size_t *styles = calloc(space, sizeof *styles);
    const bool one_label = is_one_label(result, series);
    fprintf(out, "array STYLE[%zu]\narray VARIANT[%zu]\narray VARIANTS[%zu]\nSTYLE[1] = 1\n", space,
            space, space);
    for (size_t i = 0; styles && i < n; i++)
        styles[i] = one_label
                        ? i + 1
                        : style_of(result, json_string_value(json_array_get(series, i)), i) + 1;
    for (size_t i = 0; styles && i < n; i++) {
        size_t variant = 0, variants = 0;
        for (size_t j = 0; j < n; j++) {
            variant += j < i && styles[j] == styles[i];
            variants += styles[j] == styles[i];
        }
        fprintf(out, "STYLE[%zu] = %zu\nVARIANT[%zu] = %zu\nVARIANTS[%zu] = %zu\n", i + 1,
                styles[i], i + 1, variant, i + 1, variants);
    }
    free(styles);
}

/* ---- axes */

/* Names that are no metric and end with a unit are of that unit: "latency, ns". */
static enum result_unit unit_of(const char *name)
{
    const struct result_metric *info = result_metric(name);
    const char *comma = strrchr(name, ',');

    if (*info->name || !comma)
        return info->unit;
    return !strcmp(comma, ", ns") ? UNIT_NS : !strcmp(comma, ", bytes") ? UNIT_BYTES : UNIT_NONE;
}

/* "median latency, ms"; bars whose axis does not begin at 0 say so. */
static void axis_title(const struct figure *f, char direction, const char *name,
                       const struct figure_axis *a, char *text, size_t bytes)
{
    const bool is_y = direction == 'Y';
    const struct result_metric *info = result_metric(name);
    const bool by_name =
        !strncmp(name, "recall@", 7) || result_metric_is_at_recall(name) || !*info->title;
    const int n = *info->name || unit_of(name) == UNIT_NONE ? -1 : (int)strcspn(name, ",");
    char begin[64] = "", low[32];

    figure_axis_label(a, a->low, low, sizeof low);
    if (is_y && f->kind->traits & FIGURE_HAS_BARS && a->low > 0)
        (void)snprintf(begin, sizeof begin, " (the axis begins at %s)", low);
    (void)snprintf(text, bytes, "%s%.*s%s%s%s", is_y && f->is_difference ? "difference: " : "", n,
                   by_name ? name : info->title, *a->unit_name ? ", " : "", a->unit_name, begin);
}

/* Figures of several metrics have a panel for each. */
static const char *metric_of(const struct figure *f, const char *panel)
{
    const bool of_panel =
        *result_metric(panel)->name || (f->kind->traits & FIGURE_OF_TABLE && *panel);

    return of_panel ? panel : f->kind->traits & FIGURE_HAS_VALUES ? f->points[0].series : f->y_name;
}

/* The values of a panel's points, or of all for NULL. A heat map's are in y_low. */
static void values_of(const struct figure *f, const char *panel, struct figure_values *x,
                      struct figure_values *y)
{
    *x = *y = figure_no_values;
    for (size_t i = 0; i < f->n; i++) {
        const struct plot_point *p = &f->points[i];
        if (panel && strcmp(p->panel, panel) != 0)
            continue;
        figure_values_add(x, p->x);
        figure_values_add(x, p->x_low);
        figure_values_add(x, p->x_high);
        figure_values_add(y, f->kind->traits & FIGURE_HAS_VALUES ? p->y_low : p->y);
        figure_values_add(y, p->y_low);
        figure_values_add(y, p->y_high);
    }
}

/* figures.def explains log_from. */
static enum figure_scale y_scale_of(const struct figure *f, const char *name,
                                    const struct figure_values *v)
{
    const unsigned traits = f->kind->traits;
    const double from = f->kind->log_from, spread = v->least > 0 ? v->most / v->least : INFINITY;
    const bool far = isfinite(spread) && spread >= from;
    bool log = result_metric(name)->logarithmic && far;
    const bool recall = strstr(name, "recall@") != NULL;

    if (f->is_difference)
        return SCALE_LINEAR;
    if (traits & FIGURE_HAS_BARS)
        return recall ? SCALE_RECALL_BARS : SCALE_BARS;
    if (recall && !(traits & FIGURE_HAS_VALUES))
        return SCALE_NINES;
    if (traits & FIGURE_HAS_VALUES)
        log = isfinite(spread) && spread > 50;
    if (traits & FIGURE_OF_TABLE)
        log = from > 0 && far;
    if (traits & FIGURE_HAS_LOG_Y)
        log = !strstr(name, "recall"); /* a share has no power law */
    return log ? SCALE_LOG : SCALE_LINEAR;
}

static void gp_axis(struct gp_script *s, char direction, size_t panel, const char *name,
                    const struct figure_axis *a)
{
    char title[300], variable[32], label[32];

    fprintf(s->out, "%c_SCALE[%zu] = %d\n%c_UNIT[%zu] = %.9g\n%c_LOW[%zu] = %.9g\n", direction,
            panel, a->scale, direction, panel, a->unit, direction, panel, a->low);
    /* gnuplot leaves out a tick at the end of a logarithmic axis if its rounding is the other way. */
    fprintf(s->out, "%c_RANGE[%zu] = \"[%.12g:%.12g]\"\n%c_TICS[%zu] = '(", direction, panel,
            a->low - 1e-9 * fabs(a->low), a->high + 1e-9 * fabs(a->high), direction, panel);
    for (size_t i = 0; i < a->n; i++) {
        figure_axis_label(a, a->ticks[i].at, label, sizeof label);
        fprintf(s->out, "%s\"%s\" %.9g %d", i ? ", " : "", a->ticks[i].labelled ? label : "",
                a->ticks[i].at, !a->ticks[i].labelled);
    }
    fputs(")'\n", s->out);
    (void)snprintf(variable, sizeof variable, "%c_TITLE[%zu]", direction, panel);
    axis_title(s->figure, direction, name, a, title, sizeof title);
    gp_text(s, variable, title);
}

enum { ENDS = 200 }; /* labels of a figure, at most */

/* Adds the labels at the ends of the curves of a panel, the p-th, to those that the figure has. */
static void gp_ends(struct gp_script *s, const char *panel, size_t p, const struct figure_axis *x,
                    const struct figure_axis *y)
{
    const struct figure *f = s->figure;
    struct figure_end ends[ENDS];
    json_t *series = distinct(f, offsetof(struct plot_point, series));
    bool *on_curve = calloc(f->n + 1, sizeof *on_curve);
    size_t placed = 0;

    for (size_t i = 0; on_curve && i < f->n; i++)
        on_curve[i] = standing_of(f, i) != DOMINATED_BY_OWN;
    if (on_curve)
        placed = figure_ends_place(f, panel, x, y, s->style, on_curve, ends, ENDS - s->n_ends);
    for (size_t i = 0; i < placed; i++) {
        char variable[32];
        const size_t n = ++s->n_ends;
        fprintf(s->out,
                "END_PANEL[%zu] = %zu\nEND_SERIES[%zu] = %zu\nEND_X[%zu] = %.4f\nEND_Y[%zu] = "
                "%.4f\n",
                n, p, n, place_in(series, ends[i].of->series), n, ends[i].x, n, ends[i].y);
        (void)snprintf(variable, sizeof variable, "END_TEXT[%zu]", n);
        gp_text(s, variable, ends[i].text);
    }
    free(on_curve);
    json_decref(series);
}

/* All panels have the same x axis, so that they compare. */
static void gp_axes(struct gp_script *s, const json_t *panels)
{
    const struct figure *f = s->figure;
    const unsigned traits = f->kind->traits;
    const size_t n = json_array_size(panels);
    struct figure_values x, y, ignored;
    struct figure_axis x_axis, y_axis;
    const bool narrow = s->style == FIGURE_PAPER || s->style == FIGURE_PAPER_WIDE,
               log_x = traits & FIGURE_HAS_LOG_X || result_metric(f->x_name)->logarithmic;

    fprintf(
        s->out,
        "array END_PANEL[%d]\narray END_SERIES[%d]\narray END_X[%d]\narray END_Y[%d]\narray "
        "END_TEXT[%d]\nEND_PANEL[1] = 0\nEND_SERIES[1] = 1\nEND_TEXT[1] = \"\"\n", /* gnuplot reads the first always */
        ENDS, ENDS, ENDS, ENDS, ENDS);
    for (const char *d = "XY"; *d; d++)
        fprintf(s->out,
                "array %c_SCALE[%zu]\narray %c_RANGE[%zu]\narray %c_TICS[%zu]\narray "
                "%c_TITLE[%zu]\narray %c_UNIT[%zu]\narray %c_LOW[%zu]\n",
                *d, n, *d, n, *d, n, *d, n, *d, n, *d, n);
    values_of(f, NULL, &x, &ignored);
    figure_axis_fit(&x_axis, log_x ? SCALE_LOG : SCALE_LINEAR, unit_of(f->x_name), &x,
                    narrow ? 6 : 8);
    for (size_t p = 0; p < n; p++) {
        const char *panel = json_string_value(json_array_get(panels, p)),
                   *metric = metric_of(f, panel);
        /* The panels of a heat map have one scale of colours. */
        values_of(f, traits & FIGURE_HAS_VALUES ? NULL : panel, &ignored, &y);
        gp_axis(s, 'X', p + 1, f->x_name, &x_axis);
        if (f->x_is_parameter) {
            char title[32];
            (void)snprintf(title, sizeof title, "X_TITLE[%zu]", p + 1);
            gp_text(s, title, f->x_name); /* `clusters` is a metric, too */
        }
        figure_axis_fit(&y_axis, y_scale_of(f, metric, &y), unit_of(metric), &y,
                        narrow && traits & FIGURE_HAS_BARS ? 6 : 8);
        gp_axis(s, 'Y', p + 1, metric, &y_axis);
        if (traits & FIGURE_MARKS_BEATEN && !f->x_is_parameter) /* the axis has the knob */
            gp_ends(s, panel, p + 1, &x_axis, &y_axis);
    }
    fprintf(s->out, "n_ends = %zu\n", s->n_ends);
}

/* The distinct numbers of a column, ascending: the positions of a heat map's fields. */
static void gp_values(FILE *out, const char *name, const struct figure *f, size_t column_offset)
{
    double *values = malloc((f->n ? f->n : 1) * sizeof *values);
    size_t n = 0;
    for (size_t i = 0; values && i < f->n; i++)
        values[i] = *(const double *)(const void *)((const char *)&f->points[i] + column_offset);
    if (values)
        qsort(values, f->n, sizeof *values, order_f64);
    for (size_t i = 0; values && i < f->n; i++)
        if (n == 0 || values[i] > values[n - 1])
            values[n++] = values[i];
    fprintf(out, "array %s[%zu]\n", name, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s[%zu] = %.9g\n", name, i + 1, values[i]);
    free(values);
}

const char *const figure_styles[] = { "page", "paper", "paper-wide", "slides" };

static int write_script(const struct figure *f, const json_t *result, const char *dir,
                        const char *plots, enum figure_style style, json_t *letters,
                        struct error *error)
{
    struct atomic_text t;
    int rc = atomic_text_begin(&t, error);
    if (rc)
        return rc;
    json_t *panels = distinct(f, offsetof(struct plot_point, panel));
    json_t *series = distinct(f, offsetof(struct plot_point, series));
    json_t *x_labels = distinct(f, offsetof(struct plot_point, x_label));
    struct gp_script script = { .out = t.out, .figure = f, .letters = letters, .style = style };
    fprintf(t.out, "# %s.gp - redraw with: gnuplot %s.gp\n", f->file, f->file);
    fprintf(t.out, "array PRINTED[%zu]\n",
            5 + ENDS + 3 * json_array_size(panels) + json_array_size(series) +
                json_array_size(x_labels));
    gp_text(&script, "plots", plots);
    gp_text(&script, "file", f->file);
    gp_text(&script, "kind", f->kind->name);
    gp_text(&script, "style", figure_styles[style]);
    gp_text(&script, "title_text", f->title);
    gp_array(&script, "PANEL", panels);
    gp_axes(&script, panels);
    gp_array(&script, "SERIES", series);
    gp_array(&script, "XLABEL", x_labels);
    gp_styles(t.out, result, series);
    if (f->kind->traits & FIGURE_HAS_VALUES) {
        gp_values(t.out, "XVALUE", f, offsetof(struct plot_point, x));
        gp_values(t.out, "YVALUE", f, offsetof(struct plot_point, y));
        gp_text(&script, "row_title", f->y_name);
        /* X_TITLE is of a metric, and `clusters` is one too */
        gp_text(&script, "column_title", f->x_name);
    }
    fprintf(t.out, "n_printed = %zu\n", script.n_printed);
    fputs("load plots.\"/draw.gp\"\n", t.out);
    json_decref(panels);
    json_decref(series);
    json_decref(x_labels);
    return write_text(&t, dir, f->file, "gp", error);
}

int figure_write(const struct figure *f, const json_t *result, const char *dir, const char *plots,
                 enum figure_style style, json_t *letters, struct error *error)
{
    const int rc = write_csv(f, dir, error);
    return rc ? rc : write_script(f, result, dir, plots, style, letters, error);
}
