/* points.c - selects and adds points for all kinds of figures; see internal.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/figure/internal.h"

json_t *figure_steps_of(const json_t *cell)
{
    return json_object_get(cell, "steps");
}

int figure_add(struct figure *f, const char *panel, const char *series, const char *point, double x,
               const char *x_label, double y, double low, double high)
{
    if (f->n == f->capacity) {
        size_t capacity = f->capacity ? 2 * f->capacity : 64;
        struct plot_point *more = realloc(f->points, capacity * sizeof *more);
        if (!more)
            return ERR_NO_MEMORY;
        f->points = more;
        f->capacity = capacity;
    }
    f->points[f->n++] = (struct plot_point){ .panel = strdup(panel),
                                             .series = strdup(series),
                                             .x_label = strdup(x_label),
                                             .point = strdup(point),
                                             .x = x,
                                             .y = y,
                                             .x_low = NAN,
                                             .x_high = NAN,
                                             .y_low = low,
                                             .y_high = high };
    return OK;
}

void figure_place_by_label(struct figure *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        size_t same = 0;
        while (same < i && strcmp(f->points[same].x_label, f->points[i].x_label) != 0)
            same++;
        f->points[i].x = same < i ? f->points[same].x : (double)n++;
    }
}

void figure_free(struct figure *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->points[i].panel);
        free(f->points[i].series);
        free(f->points[i].x_label);
        free(f->points[i].point);
    }
    free(f->points);
    free(f->file);
    free(f->title);
    free(f->x_name);
    free(f->y_name);
    *f = (struct figure){ 0 };
}

/* A value of `where` is a string or a list of strings; a missing key allows every value. */
bool figure_allows(const json_t *spec, const char *key, const char *value)
{
    const json_t *wanted = json_object_get(json_object_get(spec, "where"), key);
    if (!wanted)
        return true;
    if (json_is_string(wanted))
        return !strcmp(json_string_value(wanted), value);
    size_t i;
    json_t *one;
    json_array_foreach(wanted, i, one) {
        if (json_is_string(one) && !strcmp(json_string_value(one), value))
            return true;
    }
    return false;
}

bool figure_allows_cell(const struct gather *g, const json_t *cell)
{
    return figure_allows(g->spec, "label", field_text(cell, "label", "")) &&
           figure_allows(g->spec, "point", field_text(cell, "point", "")) &&
           figure_allows(g->spec, "method", field_text(cell, "method", ""));
}

json_t *figure_tags_with(const struct gather *g, const char *metric)
{
    json_t *tags = json_array();
    char name[64], tag[128];
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(g->result, "summary"), i, entry) {
        result_metric_split(field_text(entry, "metric", ""), name, sizeof name, tag, sizeof tag);
        if (strcmp(name, metric) != 0 || strchr(tag, '#') || !figure_allows(g->spec, "tag", tag))
            continue;
        bool known = false;
        for (size_t j = 0; j < json_array_size(tags); j++)
            known |= !strcmp(json_string_value(json_array_get(tags, j)), tag);
        if (!known)
            json_array_append_new(tags, json_string(tag));
    }
    return tags;
}

/* The label of a metric in the summary: the build's for a metric of a
   whole sweep, else LABEL[point]. */
static void label_of(const json_t *cell, const char *metric, char *text, size_t bytes)
{
    (result_metric_is_at_recall(metric) ? result_build_label : result_cell_label)(cell, text,
                                                                                  bytes);
}

json_t *figure_cells(const struct gather *g, bool by_build)
{
    json_t *drawn = json_array(), *seen = json_object(), *cell;
    size_t i;
    json_array_foreach(g->variants, i, cell) {
        char build[300];
        result_build_label(cell, build, sizeof build);
        if (!figure_allows_cell(g, cell) || (by_build && json_object_get(seen, build)))
            continue;
        json_object_set_new(seen, build, json_true());
        json_array_append(drawn, cell);
    }
    json_decref(seen);
    return drawn;
}

bool figure_is_of_build(const char *metric)
{
    return result_metric_is_at_recall(metric) || !strcmp(metric, "seconds") ||
           !strcmp(metric, "index_bytes") || !strcmp(metric, "rss_bytes");
}

double figure_value_of(const struct gather *g, const json_t *cell, const char *name,
                       const char *tag)
{
    char label[300], metric[200];
    label_of(cell, name, label, sizeof label);
    snprintf(metric, sizeof metric, "%s/%s", name, tag);
    double value = summary_median(&g->index, label, metric);
    if (!isnan(value))
        return value;
    value = field_number(json_object_get(cell, "params"), name);
    return isnan(value) ? field_number(json_object_get(cell, "knobs"), name) : value;
}

/* The step that a tag names, TAG or TAG#number; NULL if TAG has several steps. */
static const json_t *step_of(const json_t *cell, const char *tag)
{
    const json_t *steps = figure_steps_of(cell), *found = NULL;
    struct place_in_series *places = series_places(steps);

    for (size_t s = 0; places && s < json_array_size(steps); s++) {
        const json_t *step = json_array_get(steps, s);
        char name[160];
        snprintf(name, sizeof name, places[s].of > 1 ? "%s#%zu" : "%s", series_step_tag(step),
                 places[s].number);
        if (!strcmp(name, tag))
            found = step;
    }
    free(places);
    return found;
}

void figure_interval(const struct gather *g, const json_t *cell, const char *name, const char *tag,
                     double *low, double *high)
{
    /* Metrics of which a step has the interval over its passes. */
    static const struct {
        const char *metric, *calls, *field;
    } passes[] = { { "single_qps", "single", "per_second" },
                   { "p50_ns", "single", "p50_ns" },
                   { "qps", "batch", "per_second" } };
    char label[300], metric[200];
    label_of(cell, name, label, sizeof label);
    snprintf(metric, sizeof metric, "%s/%s", name, tag);
    const json_t *entry = summary_find(&g->index, label, metric);
    *low = field_number(entry, "low");
    *high = field_number(entry, "high");
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        if (field_integer(entry, "repeats", 0) != 1 || strcmp(passes[i].metric, name) != 0)
            continue;
        const json_t *timing = json_object_get(step_of(cell, tag), "timing"),
                     *range =
                         json_object_get(json_object_get(timing, passes[i].calls), passes[i].field);
        if (json_array_size(range) != 2)
            continue;
        *low = json_number_value(json_array_get(range, 0));
        *high = json_number_value(json_array_get(range, 1));
    }
}

int figure_add_variant(struct gather *g, const json_t *cell, const char *panel, const char *series,
                       double x, const char *x_label, const char *y_name, const char *tag)
{
    char label[300], metric[200];
    label_of(cell, y_name, label, sizeof label);
    snprintf(metric, sizeof metric, "%s/%s", y_name, tag);
    const json_t *entry = summary_find(&g->index, label, metric);
    double y = field_number(entry, "median"), low, high;
    if (isnan(y))
        return OK;
    figure_interval(g, cell, y_name, tag, &low, &high);
    return figure_add(g->figure, panel, series, field_text(cell, "point", ""), x, x_label, y, low,
                      high);
}
