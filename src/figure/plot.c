/* plot.c - draws figures: writes a CSV and a small gnuplot script that loads a template of plots/,
 * then runs gnuplot. */
#include "src/figure/plot.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/atomic_file.h"
#include "src/base/path.h"
#include "src/base/quote.h"
#include "src/base/result_metrics.h"
#include "src/base/stats.h"
#include "src/figure/gnuplot.h"
#include "src/result/result.h"

/* A file that is gathered in memory. */
struct text {
    char *data;
    size_t bytes;
    FILE *out;
};

static int text_begin(struct text *t, struct error *error)
{
    *t = (struct text){ 0 };
    t->out = open_memstream(&t->data, &t->bytes);
    return t->out ? OK : fail(error, ERR_NO_MEMORY, "out of memory writing a figure");
}

static int text_write(struct text *t, const char *dir, const char *file, const char *extension,
                      struct error *error)
{
    char path[4096];
    fclose(t->out);
    snprintf(path, sizeof path, "%s/%s.%s", dir, file, extension);
    int rc = atomic_file_write(path, t->data, t->bytes, error);
    free(t->data);
    return rc;
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
   both axes and better on one. If that is a point of the same series, the curve skips this one. */
enum standing { ON_FRONTIER, DOMINATED, DOMINATED_BY_OWN };

static enum standing standing_of(const struct figure *f, size_t i)
{
    int x_better = result_metric(f->x_name)->better, y_better = result_metric(f->y_name)->better;
    const struct plot_point *p = &f->points[i];
    enum standing standing = ON_FRONTIER;
    for (size_t j = 0; j < f->n; j++) {
        const struct plot_point *q = &f->points[j];
        double dx = (q->x - p->x) * (x_better ? x_better : 1),
               dy = (q->y - p->y) * (y_better ? y_better : 1);
        if (strcmp(p->panel, q->panel) != 0 || dx < 0 || dy < 0 || dx + dy <= 0)
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
    struct text t;
    int rc = text_begin(&t, error);
    if (rc)
        return rc;
    const bool values = f->kind->traits & FIGURE_HAS_VALUES,
               beaten = f->kind->traits & FIGURE_MARKS_BEATEN;
    json_t *panels = distinct(f, offsetof(struct plot_point, panel));
    json_t *series = distinct(f, offsetof(struct plot_point, series));
    fprintf(t.out,
            "panel_number,series_number,x,y,%s,y_high,dominated,mark,panel,series,x_label,"
            "point\n",
            values ? "value" : "y_low");
    for (size_t i = 0; i < f->n; i++) {
        const struct plot_point *p = &f->points[i];
        fprintf(t.out, "%zu,%zu", place_in(panels, p->panel), place_in(series, p->series));
        csv_number(t.out, p->x);
        csv_number(t.out, p->y);
        csv_number(t.out, values || !isnan(p->y_low) ? p->y_low : p->y);
        csv_number(t.out, isnan(p->y_high) ? p->y : p->y_high);
        fprintf(t.out, ",%d,%d", beaten ? standing_of(f, i) : ON_FRONTIER, p->mark);
        csv_text(t.out, p->panel);
        csv_text(t.out, p->series);
        csv_text(t.out, p->x_label);
        csv_text(t.out, p->point);
        fputc('\n', t.out);
    }
    json_decref(panels);
    json_decref(series);
    return text_write(&t, dir, f->file, "csv", error);
}

/* The script of a figure. SVG has all letters; for PNG and PDF draw.gp runs PRINTED, assignments of
   the strings of which a letter has no font. */
struct gp_script {
    FILE *out;
    json_t *letters;  /* of gnuplot_drawable() */
    size_t n_printed; /* entries of PRINTED so far */
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

/* VARIANT distinguishes the series of one label, one per point of a sweep: they have one colour, unless the
   figure has no other label. */
static void gp_styles(FILE *out, const json_t *result, const json_t *series)
{
    size_t n = json_array_size(series), space = n ? n : 1;
    size_t *styles = calloc(space, sizeof *styles);
    const bool one_label = is_one_label(result, series);
    fprintf(out, "array STYLE[%zu]\narray VARIANT[%zu]\nSTYLE[1] = 1\nVARIANT[1] = 0\n", space,
            space);
    for (size_t i = 0; styles && i < n; i++) {
        size_t variant = 0;
        styles[i] = one_label
                        ? i + 1
                        : style_of(result, json_string_value(json_array_get(series, i)), i) + 1;
        for (size_t j = 0; j < i; j++)
            variant += styles[j] == styles[i];
        fprintf(out, "STYLE[%zu] = %zu\nVARIANT[%zu] = %zu\n", i + 1, styles[i], i + 1, variant);
    }
    free(styles);
}

static const char *axis_title(const char *name)
{
    const struct result_metric *info = result_metric(name);
    if (!strncmp(name, "recall@", 7) || result_metric_is_at_recall(name) || !*info->title)
        return name;
    return info->title;
}

/* The panel's largest value divided by its smallest; INFINITY if the smallest is not positive. */
static double spread_of(const struct figure *f, const char *panel)
{
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->points[i].panel, panel) != 0)
            continue;
        least = fmin(least, f->points[i].y);
        most = fmax(most, f->points[i].y);
    }
    return least > 0 ? most / least : INFINITY;
}

/* Whether a panel has a logarithmic axis; figures.def explains log_from. */
static bool is_log(const struct figure *f, const char *panel)
{
    const double from = f->kind->log_from, spread = from > 0 ? spread_of(f, panel) : 0;
    const bool far = spread >= from && isfinite(spread);

    return f->kind->traits & FIGURE_OF_TABLE ? from > 0 && far
                                             : far && result_metric(panel)->logarithmic;
}

static void gp_panel_axes(FILE *out, const struct figure *f, const json_t *panels)
{
    const size_t n = json_array_size(panels);
    fprintf(out, "array PANEL_LOG[%zu]\nPANEL_LOG[1] = 0\n", n ? n : 1);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "PANEL_LOG[%zu] = %d\n", i + 1,
                is_log(f, json_string_value(json_array_get(panels, i))));
}

/* The distinct numbers of a column, ascending: the positions of a heat map's fields. */
static void gp_values(FILE *out, const char *name, const struct figure *f, size_t column_offset)
{
    double *values = malloc((f->n ? f->n : 1) * sizeof *values);
    size_t n = 0;
    for (size_t i = 0; values && i < f->n; i++)
        values[i] = *(const double *)(const void *)((const char *)&f->points[i] + column_offset);
    if (values)
        qsort(values, f->n, sizeof *values, stats_by_value);
    for (size_t i = 0; values && i < f->n; i++)
        if (n == 0 || values[i] > values[n - 1])
            values[n++] = values[i];
    fprintf(out, "array %s[%zu]\n", name, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s[%zu] = %.9g\n", name, i + 1, values[i]);
    free(values);
}

static void gp_heat(struct gp_script *s, const struct figure *f)
{
    gp_values(s->out, "XVALUE", f, offsetof(struct plot_point, x));
    gp_values(s->out, "YVALUE", f, offsetof(struct plot_point, y));
    gp_text(s, "value_title", f->n ? axis_title(f->points[0].series) : "");
}

const char *const figure_styles[] = { "page", "paper", "slides" };

static int write_script(const struct figure *f, const json_t *result, const char *dir,
                        const char *plots, enum figure_style style, json_t *letters,
                        struct error *error)
{
    struct text t;
    int rc = text_begin(&t, error);
    if (rc)
        return rc;
    json_t *panels = distinct(f, offsetof(struct plot_point, panel));
    json_t *series = distinct(f, offsetof(struct plot_point, series));
    json_t *x_labels = distinct(f, offsetof(struct plot_point, x_label));
    struct gp_script script = { .out = t.out, .letters = letters };
    fprintf(t.out, "# %s.gp - redraw with: gnuplot %s.gp\n", f->file, f->file);
    fprintf(t.out, "array PRINTED[%zu]\n",
            5 + json_array_size(panels) + json_array_size(series) + json_array_size(x_labels));
    gp_text(&script, "plots", plots);
    gp_text(&script, "file", f->file);
    gp_text(&script, "kind", f->kind->name);
    gp_text(&script, "style", figure_styles[style]);
    gp_text(&script, "title_text", f->title);
    gp_text(&script, "x_title", axis_title(f->x_name));
    gp_text(&script, "y_title", axis_title(f->y_name));
    fprintf(t.out, "x_log = %d\ny_log = %d\n", result_metric(f->x_name)->logarithmic,
            result_metric(f->y_name)->logarithmic);
    fprintf(t.out, "y_recall = %d\n", !strncmp(f->y_name, "recall@", 7));
    gp_array(&script, "PANEL", panels);
    gp_panel_axes(t.out, f, panels);
    gp_array(&script, "SERIES", series);
    gp_array(&script, "XLABEL", x_labels);
    gp_styles(t.out, result, series);
    if (f->kind->traits & FIGURE_HAS_VALUES)
        gp_heat(&script, f);
    fprintf(t.out, "n_printed = %zu\n", script.n_printed);
    fputs("load plots.\"/draw.gp\"\n", t.out);
    json_decref(panels);
    json_decref(series);
    json_decref(x_labels);
    return text_write(&t, dir, f->file, "gp", error);
}

int figure_write(const struct figure *f, const json_t *result, const char *dir, const char *plots,
                 enum figure_style style, json_t *letters, struct error *error)
{
    const int rc = write_csv(f, dir, error);
    return rc ? rc : write_script(f, result, dir, plots, style, letters, error);
}

/* Shared by all figures of a result. */
struct drawing {
    const json_t *result;
    const char *dir, *plots;
    enum figure_style style;
    const volatile int *interrupted;
    json_t *files, *bare, *letters;
};

static int draw(const struct drawing *d, const json_t *spec, size_t number, struct error *error)
{
    struct figure f;
    int rc = figure_gather(&f, d->result, spec, error);
    char file[240], svg[260];
    /* Two specifications may have the same kind and axes, so file names start with a number. */
    snprintf(file, sizeof file, "%02zu-%s", number, f.file ? f.file : "figure");
    free(f.file);
    f.file = strdup(file);
    if (!rc && f.n == 0)
        json_array_append_new(d->bare, json_sprintf("%s, \"%s\"", file, f.title));
    if (!rc && f.n) {
        rc = figure_write(&f, d->result, d->dir, d->plots, d->style, d->letters, error);
        if (!rc)
            rc = gnuplot_run(d->dir, file, d->interrupted, error);
        snprintf(svg, sizeof svg, "%s.svg", file);
        if (!rc)
            rc = figure_mend_svg(&f, d->dir, svg, error);
        if (!rc)
            json_array_append_new(d->files, json_string(svg));
    }
    figure_free(&f);
    return rc;
}

static bool is_figure(const char *name)
{
    static const char *const extensions[] = { ".svg", ".png", ".pdf", ".csv", ".gp", ".log" };
    const size_t digits = strspn(name, "0123456789");
    const char *extension = strrchr(name, '.');
    if (digits < 2 || name[digits] != '-' || !extension)
        return false;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (!strcmp(extension, extensions[i]))
            return true;
    return false;
}

/* Removes earlier figures: a changed config may number its figures differently, and gnuplot would
   write through a symbolic link of the same name. */
static void remove_old(const char *dir)
{
    DIR *folder = opendir(dir);
    for (struct dirent *e; folder && (e = readdir(folder));)
        if (is_figure(e->d_name))
            unlinkat(dirfd(folder), e->d_name, 0);
    if (folder)
        closedir(folder);
}

int plot_result(const char *dir, const char *root, enum figure_style style,
                const volatile int *interrupted, json_t **bare, json_t **letters,
                struct error *error)
{
    char path[PATH_MAX], plots[PATH_MAX];
    json_t *result = NULL;
    *bare = json_array();
    *letters = json_object();
    if (snprintf(path, sizeof path, "%s/plots", root) >= (int)sizeof path || !realpath(path, plots))
        return fail_errno(error, ERR_NOT_FOUND, "%s/plots: cannot find the templates of figures",
                          root);
    snprintf(path, sizeof path, "%s/result.json", dir);
    int rc = result_load(path, &result, error);
    if (rc)
        return rc;
    json_t *specs = figure_specs(result);
    const struct drawing d = {
        result, dir, plots, style, interrupted, json_array(), *bare, *letters
    };
    remove_old(dir);
    for (size_t i = 0; !rc && i < json_array_size(specs); i++)
        rc = draw(&d, json_array_get(specs, i), i + 1, error);
    json_object_set_new(result, "figures", d.files); /* after an error, those drawn so far */
    const int unsaved = result_save(result, dir, error);
    rc = rc ? rc : unsaved;
    json_decref(specs);
    json_decref(result);
    return rc;
}
