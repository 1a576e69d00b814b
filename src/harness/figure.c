/* figure.c - which points a figure has: a specification and a result in, labelled numbers out. No
 * drawing here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/figure_gather.h"

json_t *steps_of(const json_t *cell)
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
                                             .y_low = low,
                                             .y_high = high };
    return OK;
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
    free(f->kind);
    free(f->file);
    free(f->title);
    free(f->x_name);
    free(f->y_name);
    *f = (struct figure){ 0 };
}

/* `where` values are a text or a list of texts; a missing key lets everything through. */
bool where_allows(const json_t *spec, const char *key, const char *value)
{
    const json_t *wanted = json_object_get(json_object_get(spec, "where"), key);
    if (!wanted)
        return true;
    if (json_is_string(wanted))
        return !strcmp(json_string_value(wanted), value);
    size_t i;
    json_t *one;
    json_array_foreach(wanted, i, one) if (json_is_string(one) &&
                                           !strcmp(json_string_value(one), value)) return true;
    return false;
}

bool where_allows_cell(const struct gather *g, const json_t *cell)
{
    return where_allows(g->spec, "label", field_text(cell, "label", "")) &&
           where_allows(g->spec, "point", field_text(cell, "point", "")) &&
           where_allows(g->spec, "method", field_text(cell, "method", ""));
}

/* Tags of a result, in order of first appearance, for which any label has `metric`. New array of
 * strings. */
json_t *tags_with(const struct gather *g, const char *metric)
{
    json_t *tags = json_array();
    char name[64], tag[128];
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(g->result, "summary"), i, entry)
    {
        metric_split(field_text(entry, "metric", ""), name, sizeof name, tag, sizeof tag);
        if (strcmp(name, metric) != 0 || strchr(tag, '#') || !where_allows(g->spec, "tag", tag))
            continue;
        bool known = false;
        for (size_t j = 0; j < json_array_size(tags); j++)
            known |= !strcmp(json_string_value(json_array_get(tags, j)), tag);
        if (!known)
            json_array_append_new(tags, json_string(tag));
    }
    return tags;
}

/* Whose metric it is in the summary: LABEL[point], or of a whole sweep its build's. */
static void label_of(const json_t *cell, const char *metric, char *text, size_t bytes)
{
    (metric_is_at_recall(metric) ? build_label : cell_label)(cell, text, bytes);
}

json_t *cells_drawn(const struct gather *g, bool by_build)
{
    json_t *drawn = json_array(), *seen = json_object(), *cell;
    size_t i;
    json_array_foreach(g->variants, i, cell)
    {
        char build[300];
        build_label(cell, build, sizeof build);
        if (!where_allows_cell(g, cell) || (by_build && json_object_get(seen, build)))
            continue;
        json_object_set_new(seen, build, json_true());
        json_array_append(drawn, cell);
    }
    json_decref(seen);
    return drawn;
}

bool is_of_build(const char *metric)
{
    return metric_is_at_recall(metric) || !strcmp(metric, "seconds") ||
           !strcmp(metric, "index_bytes") || !strcmp(metric, "rss_bytes");
}

/* A value of one variant: a summary metric, or a parameter or knob by name. */
double value_of(const struct gather *g, const json_t *cell, const char *name, const char *tag)
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

/* Adds one variant's y (with its interval) over x. */
int add_variant(struct gather *g, const json_t *cell, const char *panel, const char *series,
                double x, const char *x_label, const char *y_name, const char *tag)
{
    char label[300], metric[200];
    label_of(cell, y_name, label, sizeof label);
    snprintf(metric, sizeof metric, "%s/%s", y_name, tag);
    const json_t *entry = summary_find(&g->index, label, metric);
    double y = field_number(entry, "median");
    if (isnan(y))
        return OK;
    return figure_add(g->figure, panel, series, field_text(cell, "point", ""), x, x_label, y,
                      field_number(entry, "low"), field_number(entry, "high"));
}

static const struct kind {
    const char *name, *x, *y; /* default axes; "recall" stands for recall@K */
    int (*gather)(struct gather *);
} kinds[] = {
    { "pareto", "qps", "recall", gather_pareto },
    { "bars", "label", "recall", gather_bars },
    { "timeline", "index", "recall", gather_timeline },
    { "scaling", "live", "ns_each", gather_scaling },
    { "ccdf", "latency, ns", "share of queries that took longer", gather_ccdf },
    { "radius", "radius", "ns_each", gather_radius },
    { "heatmap", "x", "y", gather_heatmap },
    { "sizes", "percentile", "live", gather_sizes },
    { "profile", "row of the table", "clusters.live", gather_profile },
    { "memory", "label", "MiB", gather_memory },
};

/* "recall-qps-by-tag": a file name from what is drawn. */
static char *file_name(const struct figure *f, const json_t *spec)
{
    char text[200];
    const char *y =
        json_object_get(spec, "y") || !strncmp(f->y_name, "recall@", 7) ? f->y_name : "";
    const char *x = json_is_string(json_object_get(spec, "x")) ? f->x_name : "";
    snprintf(text, sizeof text, "%s-%s-%s", f->kind, y, x);
    char *out = text;
    for (const char *in = text; *in; in++) {
        bool plain =
            (*in >= 'a' && *in <= 'z') || (*in >= '0' && *in <= '9') || *in == '_' || *in == '.';
        if (plain)
            *out++ = *in;
        else if (out > text && out[-1] != '-')
            *out++ = '-';
    }
    while (out > text && out[-1] == '-')
        out--;
    *out = '\0';
    return strdup(text);
}

int figure_gather(struct figure *f, const json_t *result, const json_t *spec, struct error *error)
{
    *f = (struct figure){ 0 };
    const char *name = field_text(spec, "kind", "");
    const struct kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name))
            kind = &kinds[i];
    if (!kind)
        return fail(error, ERR_CORRUPT,
                    "the result asks for a figure of kind \"%s\", which there is not", name);
    const json_t *experiment = json_object_get(result, "experiment");
    struct gather g = { .figure = f, .result = result, .spec = spec };
    snprintf(g.recall, sizeof g.recall, "recall@%lld", field_integer(experiment, "k", 0));
    const json_t *listed = json_array_get(json_object_get(spec, "y"), 0); /* of several the first */
    const char *y =
        json_is_string(listed) ? json_string_value(listed) : field_text(spec, "y", kind->y);
    f->kind = strdup(kind->name);
    f->x_name = strdup(field_text(spec, "x", kind->x));
    f->y_name = strdup(!strcmp(y, "recall") ? g.recall : y);
    f->title = strdup(field_text(spec, "title", field_text(experiment, "title", "")));
    f->file = file_name(f, spec);
    summary_index_init(&g.index, result);
    g.variants = result_variants(result);
    int rc = kind->gather(&g);
    json_decref(g.variants);
    summary_index_free(&g.index);
    return rc ? fail(error, rc, "out of memory gathering the figure %s", f->file) : OK;
}

static void want(json_t *specs, const char *kind, const char *x, const char *y)
{
    json_t *spec = json_pack("{s:s}", "kind", kind);
    if (x)
        json_object_set_new(spec, "x", json_string(x));
    if (y)
        json_object_set_new(spec, "y", json_string(y));
    json_array_append_new(specs, spec);
}

json_t *figure_specs(const json_t *result)
{
    json_t *given = json_object_get(json_object_get(result, "experiment"), "figure_specs");
    if (json_array_size(given))
        return json_incref(given);
    json_t *specs = json_array();
    bool search = false, range = false, insert = false, series = false;
    const json_t *steps = steps_of(json_array_get(json_object_get(result, "cells"), 0));
    struct place_in_series *places = series_places(steps);
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const char *op = field_text(json_array_get(steps, i), "op", "");
        search |= !strcmp(op, "search");
        range |= !strcmp(op, "range");
        insert |= !strcmp(op, "insert");
        series |= places && places[i].of > 1;
    }
    free(places);
    if (search)
        want(specs, "bars", NULL, NULL);
    if (search)
        want(specs, "pareto", "qps", NULL);
    if (search)
        want(specs, "pareto", "distances", NULL);
    if (search)
        want(specs, "ccdf", NULL, NULL);
    if (series)
        want(specs, "timeline", NULL, NULL);
    if (range)
        want(specs, "radius", NULL, NULL);
    if (insert)
        want(specs, "bars", NULL, "seconds");
    if (insert)
        want(specs, "memory", NULL, NULL);
    return specs;
}
