/* figure.c - which points a figure has: a specification and a result in, labelled numbers out. No
 * drawing here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/metric.h"
#include "harness/plot.h"

/* What every kind of figure reads while it gathers. */
struct gather {
    struct figure *figure;
    const json_t *result, *spec;
    struct summary_index index;
    json_t *variants; /* first cell of each LABEL[point] */
    char recall[32];  /* "recall@10" */
};

static const char *text_of(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : otherwise;
}

static double number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
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
static bool where_allows(const json_t *spec, const char *key, const char *value)
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

static bool allowed(const struct gather *g, const json_t *cell)
{
    return where_allows(g->spec, "label", text_of(cell, "label", "")) &&
           where_allows(g->spec, "point", text_of(cell, "point", "")) &&
           where_allows(g->spec, "method", text_of(cell, "method", ""));
}

/* The tag a step's metrics carry in the summary: "mnist", or "mnist#2" for one of several. */
static void tag_of_step(const json_t *steps, size_t i, bool numbered, char *text, size_t bytes)
{
    const json_t *step = json_array_get(steps, i);
    const char *op = text_of(step, "op", ""), *tag = text_of(step, "tag", op);
    size_t number = 0, total = 0;
    for (size_t j = 0; j < json_array_size(steps); j++) {
        const json_t *other = json_array_get(steps, j);
        const char *other_op = text_of(other, "op", "");
        if (strcmp(other_op, op) != 0 || strcmp(text_of(other, "tag", other_op), tag) != 0)
            continue;
        total++;
        if (j <= i)
            number++;
    }
    if (numbered && total > 1)
        snprintf(text, bytes, "%s#%zu", tag, number);
    else
        snprintf(text, bytes, "%s", tag);
}

/* Tags of a result, in order of first appearance, for which any label has `metric`. New array of
 * strings. */
static json_t *tags_with(const struct gather *g, const char *metric)
{
    json_t *tags = json_array();
    char name[64], tag[128];
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(g->result, "summary"), i, entry)
    {
        metric_split(text_of(entry, "metric", ""), name, sizeof name, tag, sizeof tag);
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

/* A value of one variant: a summary metric, or a parameter or knob by name. */
static double value_of(const struct gather *g, const json_t *cell, const char *name,
                       const char *tag)
{
    char label[300], metric[200];
    cell_label(cell, label, sizeof label);
    snprintf(metric, sizeof metric, "%s/%s", name, tag);
    double value = summary_median(&g->index, label, metric);
    if (!isnan(value))
        return value;
    value = number_of(json_object_get(cell, "params"), name);
    return isnan(value) ? number_of(json_object_get(cell, "knobs"), name) : value;
}

/* Adds one variant's y (with its interval) over x. */
static int add_variant(struct gather *g, const json_t *cell, const char *panel, const char *series,
                       double x, const char *x_label, const char *y_name, const char *tag)
{
    char label[300], metric[200];
    cell_label(cell, label, sizeof label);
    snprintf(metric, sizeof metric, "%s/%s", y_name, tag);
    const json_t *entry = summary_find(&g->index, label, metric);
    double y = number_of(entry, "median");
    if (isnan(y))
        return OK;
    return figure_add(g->figure, panel, series, text_of(cell, "point", ""), x, x_label, y,
                      number_of(entry, "low"), number_of(entry, "high"));
}

/* One panel a query set, one curve a build, one point a knob setting. */
static int gather_pareto(struct gather *g)
{
    struct figure *f = g->figure;
    json_t *tags = tags_with(g, f->y_name);
    int rc = OK;
    for (size_t t = 0; !rc && t < json_array_size(tags); t++) {
        const char *tag = json_string_value(json_array_get(tags, t));
        size_t i;
        json_t *cell;
        json_array_foreach(g->variants, i, cell)
        {
            double x = value_of(g, cell, f->x_name, tag);
            if (rc || isnan(x) || !allowed(g, cell))
                continue;
            char series[300];
            build_label(cell, series, sizeof series);
            rc = add_variant(g, cell, tag, series, x, "", f->y_name, tag);
        }
    }
    json_decref(tags);
    return rc;
}

/* Whether every point of a build has the same value: what was measured before any knob mattered. */
static bool shared_by_points(const char *metric)
{
    return !strcmp(metric, "seconds") || !strcmp(metric, "index_bytes") ||
           !strcmp(metric, "rss_bytes");
}

/* One cluster of bars a label, one colour a tag. */
static int gather_bars(struct gather *g)
{
    struct figure *f = g->figure;
    json_t *tags = tags_with(g, f->y_name);
    bool shared = shared_by_points(f->y_name);
    json_t *cells = shared ? result_builds(g->result) : json_incref(g->variants);
    int rc = OK;
    for (size_t t = 0; !rc && t < json_array_size(tags); t++) {
        const char *tag = json_string_value(json_array_get(tags, t));
        size_t i, position = 0;
        json_t *cell;
        json_array_foreach(cells, i, cell)
        {
            if (rc || !allowed(g, cell))
                continue;
            char label[300];
            (shared ? build_label : cell_label)(cell, label, sizeof label);
            rc = add_variant(g, cell, "", tag, (double)position++, label, f->y_name, tag);
        }
    }
    json_decref(cells);
    json_decref(tags);
    return rc;
}

static json_t *steps_of(const json_t *cell)
{
    return json_object_get(cell, "steps");
}

/* Values over the steps of the workload: x is what `x_of` says of a step. */
static int gather_steps(struct gather *g, const char *op, const char *metric, const char *panel,
                        bool all_tags, double (*x_of)(const json_t *step))
{
    int rc = OK;
    size_t i;
    json_t *cell;
    json_array_foreach(g->variants, i, cell)
    {
        char label[300], series[400], tag[160], plain[160];
        cell_label(cell, label, sizeof label);
        if (!allowed(g, cell))
            continue;
        for (size_t s = 0; !rc && s < json_array_size(steps_of(cell)); s++) {
            const json_t *step = json_array_get(steps_of(cell), s);
            double x = x_of(step);
            tag_of_step(steps_of(cell), s, false, plain, sizeof plain);
            if (isnan(x) || !where_allows(g->spec, "tag", plain))
                continue;
            if (op && strcmp(text_of(step, "op", ""), op) != 0)
                continue;
            tag_of_step(steps_of(cell), s, true, tag, sizeof tag);
            snprintf(series, sizeof series, all_tags ? "%s, %s" : "%s", label, plain);
            rc = add_variant(g, cell, panel, series, x, tag, metric, tag);
        }
    }
    return rc;
}

static double x_index(const json_t *step)
{
    return number_of(step, "index");
}

static double x_live(const json_t *step)
{
    return number_of(step, "live");
}

static double x_radius(const json_t *step)
{
    return number_of(json_object_get(step, "range"), "radius");
}

/* How many distinct tags have this metric: with several, a curve's name says which it is. */
static size_t tag_count(const struct gather *g, const char *metric)
{
    json_t *tags = tags_with(g, metric);
    size_t n = json_array_size(tags);
    json_decref(tags);
    return n;
}

/* Runs `one` for each metric the specification names, or for the given defaults that the result
 * has. */
static int for_each_metric(struct gather *g, const char *const *defaults, size_t n_defaults,
                           const char *op, double (*x_of)(const json_t *))
{
    const json_t *y = json_object_get(g->spec, "y");
    size_t n = json_is_array(y) ? json_array_size(y) : json_is_string(y) ? 1 : n_defaults;
    int rc = OK;
    for (size_t i = 0; !rc && i < n; i++) {
        const char *metric = json_is_array(y)    ? json_string_value(json_array_get(y, i))
                             : json_is_string(y) ? json_string_value(y)
                                                 : defaults[i];
        size_t tags = metric ? tag_count(g, metric) : 0;
        if (tags)
            rc = gather_steps(g, op, metric, metric, tags > 1, x_of);
    }
    return rc;
}

static int gather_timeline(struct gather *g)
{
    const char *const defaults[] = { g->recall, "single_qps", "p99_ns", "index_bytes" };
    return for_each_metric(g, defaults, sizeof defaults / sizeof *defaults, NULL, x_index);
}

static int gather_radius(struct gather *g)
{
    const char *const defaults[] = { "ns_each", "range_recall", "distances" };
    return for_each_metric(g, defaults, sizeof defaults / sizeof *defaults, "range", x_radius);
}

/* Least-squares slope of log y over log x of one series; NAN below two points. */
static double fitted_slope(const struct figure *f, const char *series)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->points[i].series, series) != 0 || !(f->points[i].x > 0) ||
            !(f->points[i].y > 0))
            continue;
        double x = log(f->points[i].x), y = log(f->points[i].y);
        n++;
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    double spread = n * sxx - sx * sx;
    return n >= 2 && spread > 1e-9 ? (n * sxy - sx * sy) / spread : NAN;
}

/* Names each curve with its slope: "divf (slope 0.02)". */
static void name_slopes(struct figure *f)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strstr(f->points[i].series, " (slope "))
            continue;
        char old[400], named[440];
        snprintf(old, sizeof old, "%s", f->points[i].series);
        double slope = fitted_slope(f, old);
        if (isnan(slope))
            continue;
        snprintf(named, sizeof named, "%s (slope %.2f)", old, slope);
        for (size_t j = i; j < f->n; j++) {
            if (strcmp(f->points[j].series, old) != 0)
                continue;
            free(f->points[j].series);
            f->points[j].series = strdup(named);
        }
    }
}

/* x is the live count at the step, or a parameter the grid varies. */
static int gather_scaling(struct gather *g)
{
    struct figure *f = g->figure;
    int rc;
    if (!strcmp(f->x_name, "live")) {
        rc = gather_steps(g, NULL, f->y_name, "", tag_count(g, f->y_name) > 1, x_live);
    } else {
        rc = gather_pareto(g);
        /* One build a point here: the curve is the label. */
        for (size_t i = 0; i < f->n; i++)
            f->points[i].series[strcspn(f->points[i].series, "[")] = '\0';
    }
    name_slopes(f);
    return rc;
}

/* The latency percentiles every search has, as the share of queries that took longer. */
static int gather_ccdf(struct gather *g)
{
    static const struct {
        const char *metric;
        double share;
    } at[] = { { "p50_ns", .5 }, { "p90_ns", .1 }, { "p99_ns", .01 }, { "p999_ns", .001 } };
    json_t *tags = tags_with(g, "p50_ns");
    int rc = OK;
    for (size_t t = 0; t < json_array_size(tags); t++) {
        const char *tag = json_string_value(json_array_get(tags, t));
        size_t i;
        json_t *cell;
        json_array_foreach(g->variants, i, cell)
        {
            char label[300];
            cell_label(cell, label, sizeof label);
            for (size_t p = 0; !rc && allowed(g, cell) && p < sizeof at / sizeof *at; p++) {
                double x = value_of(g, cell, at[p].metric, tag);
                if (!isnan(x))
                    rc = figure_add(g->figure, tag, label, at[p].metric, x, "", at[p].share, NAN,
                                    NAN);
            }
        }
    }
    json_decref(tags);
    return rc;
}

/* x and y are parameters, the colour is the metric named by `group`: the value goes to y_low. */
static int gather_heatmap(struct gather *g)
{
    struct figure *f = g->figure;
    const char *metric = text_of(g->spec, "group", g->recall);
    json_t *tags = tags_with(g, metric);
    int rc = OK;
    for (size_t t = 0; t < json_array_size(tags); t++) {
        const char *tag = json_string_value(json_array_get(tags, t));
        size_t i;
        json_t *cell;
        json_array_foreach(g->variants, i, cell)
        {
            double x = value_of(g, cell, f->x_name, tag), y = value_of(g, cell, f->y_name, tag);
            double value = value_of(g, cell, metric, tag);
            if (rc || isnan(x) || isnan(y) || isnan(value) || !allowed(g, cell))
                continue;
            rc = figure_add(f, tag, metric, text_of(cell, "point", ""), x, "", y, value, NAN);
        }
    }
    json_decref(tags);
    return rc;
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Cluster or posting sizes of the last step that has them, largest first, over the share of
 * clusters. */
static int add_sizes(struct gather *g, const char *label, const json_t *sizes)
{
    size_t n = json_array_size(sizes);
    double *sorted = malloc((n ? n : 1) * sizeof *sorted);
    if (!sorted)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        sorted[i] = json_number_value(json_array_get(sizes, i));
    qsort(sorted, n, sizeof *sorted, descending);
    int rc = OK;
    for (size_t i = 0; !rc && i < n; i++)
        rc = figure_add(g->figure, "", label, "", 100 * ((double)i + 0.5) / (double)n, "",
                        sorted[i], NAN, NAN);
    free(sorted);
    return rc;
}

static int gather_sizes(struct gather *g)
{
    int rc = OK;
    size_t i;
    json_t *cell;
    json_t *builds = result_builds(g->result); /* knobs do not change the clusters */
    json_array_foreach(builds, i, cell)
    {
        char label[300];
        build_label(cell, label, sizeof label);
        if (rc || !allowed(g, cell))
            continue;
        const json_t *sizes = NULL;
        for (size_t s = 0; s < json_array_size(steps_of(cell)); s++) {
            const json_t *stats = json_object_get(json_array_get(steps_of(cell), s), "stats");
            const json_t *live = json_object_get(json_object_get(stats, "clusters"), "live");
            if (json_is_array(live))
                sizes = live;
        }
        if (sizes)
            rc = add_sizes(g, label, sizes);
    }
    json_decref(builds);
    return rc;
}

/* Bytes after the last update, three ways. */
static int gather_memory(struct gather *g)
{
    static const char *const parts[] = { "index_bytes", "rss_bytes", "disk_bytes" };
    static const char *const names[] = { "index", "resident growth", "on disk" };
    json_t *builds = result_builds(g->result);
    int rc = OK;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        size_t i, position = 0;
        json_t *cell;
        json_array_foreach(builds, i, cell)
        {
            char build[300];
            build_label(cell, build, sizeof build);
            if (rc || !allowed(g, cell))
                continue;
            double bytes = NAN;
            for (size_t s = 0; s < json_array_size(steps_of(cell)); s++) {
                double now = number_of(json_object_get(json_array_get(steps_of(cell), s), "memory"),
                                       parts[p]);
                if (!isnan(now))
                    bytes = now;
            }
            if (!isnan(bytes))
                rc = figure_add(g->figure, "", names[p], "", (double)position, build,
                                bytes / 1048576, NAN, NAN);
            position++;
        }
    }
    json_decref(builds);
    return rc;
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
    { "memory", "label", "MiB", gather_memory },
};

/* "recall-qps-by-tag": a file name from what is drawn. */
static char *file_name(const struct figure *f, const json_t *spec)
{
    char text[200];
    const char *y = json_is_string(json_object_get(spec, "y")) || !strncmp(f->y_name, "recall@", 7)
                        ? f->y_name
                        : "";
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
    const char *name = text_of(spec, "kind", "");
    const struct kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name))
            kind = &kinds[i];
    if (!kind)
        return fail(error, ERR_CORRUPT,
                    "the result asks for a figure of kind \"%s\", which there is not", name);
    const json_t *experiment = json_object_get(result, "experiment");
    struct gather g = { .figure = f, .result = result, .spec = spec };
    snprintf(g.recall, sizeof g.recall, "recall@%d", (int)number_of(experiment, "k"));
    const char *y = text_of(spec, "y", kind->y);
    f->kind = strdup(kind->name);
    f->x_name = strdup(text_of(spec, "x", kind->x));
    f->y_name = strdup(!strcmp(y, "recall") ? g.recall : y);
    f->title = strdup(text_of(spec, "title", text_of(experiment, "title", "")));
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
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const char *op = text_of(json_array_get(steps, i), "op", "");
        char tag[160];
        search |= !strcmp(op, "search");
        range |= !strcmp(op, "range");
        insert |= !strcmp(op, "insert");
        tag_of_step(steps, i, true, tag, sizeof tag);
        series |= strchr(tag, '#') != NULL;
    }
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
