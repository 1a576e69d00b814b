/* figure_distributions.c - figures of how values spread: latencies, cluster sizes, rows of a table, memory by kind. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/figure_gather.h"

struct bucket {
    double ns, count;
};
struct buckets {
    struct bucket *at;
    size_t n;
};

/* Adds one step's latency buckets [[ns, count], ...] to a list. */
static int add_buckets(struct buckets *all, const json_t *counts)
{
    size_t n = json_array_size(counts);
    struct bucket *more = realloc(all->at, (all->n + n + 1) * sizeof *more);
    if (!more)
        return ERR_NO_MEMORY;
    all->at = more;
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(counts, i);
        all->at[all->n++] = (struct bucket){ json_number_value(json_array_get(pair, 0)),
                                             json_number_value(json_array_get(pair, 1)) };
    }
    return OK;
}

static int by_ns(const void *a, const void *b)
{
    double x = ((const struct bucket *)a)->ns, y = ((const struct bucket *)b)->ns;
    return (x > y) - (x < y);
}

/* The share that took longer than each bucket; a point where it has fallen by a twentieth, and the last. */
static int add_ccdf(struct gather *g, const char *tag, const char *label, struct buckets *all)
{
    double total = 0, gone = 0, drawn = 2;
    qsort(all->at, all->n, sizeof *all->at, by_ns);
    for (size_t i = 0; i < all->n; i++)
        total += all->at[i].count;
    int rc = OK;
    for (size_t i = 0; !rc && i < all->n; i++) {
        gone += all->at[i].count;
        double longer = (total - gone) / total;
        if (longer > 0 && longer < 0.95 * drawn) {
            rc = figure_add(g->figure, tag, label, "", all->at[i].ns, "", longer, NAN, NAN);
            drawn = longer;
        }
    }
    return rc;
}

/* Every repeat's queries of one LABEL[point] and tag together. */
static int gather_latencies(struct gather *g, const char *label, const char *tag)
{
    struct buckets all = { 0 };
    size_t c, s;
    json_t *cell, *step;
    int rc = OK;
    json_array_foreach(json_object_get(g->result, "cells"), c, cell)
    {
        char other[300];
        cell_label(cell, other, sizeof other);
        if (strcmp(other, label) != 0)
            continue;
        json_array_foreach(steps_of(cell), s, step)
        {
            const char *op = field_text(step, "op", "");
            if (!rc && !strcmp(field_text(step, "tag", op), tag))
                rc = add_buckets(&all, json_object_get(step, "latency_counts"));
        }
    }
    if (!rc && all.n)
        rc = add_ccdf(g, tag, label, &all);
    free(all.at);
    return rc;
}

int gather_ccdf(struct gather *g)
{
    json_t *tags = tags_with(g, "p50_ns");
    int rc = OK;
    for (size_t t = 0; t < json_array_size(tags); t++) {
        size_t i;
        json_t *cell;
        json_array_foreach(g->variants, i, cell)
        {
            char label[300];
            cell_label(cell, label, sizeof label);
            if (!rc && where_allows_cell(g, cell))
                rc = gather_latencies(g, label, json_string_value(json_array_get(tags, t)));
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

/* Of more, every so-manieth is drawn. */
enum { SIZES_DRAWN = 1000 };

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
    for (size_t i = 0; !rc && i < n; i += n / SIZES_DRAWN + 1)
        rc = figure_add(g->figure, "", label, "", 100 * ((double)i + 0.5) / (double)n, "",
                        sorted[i], NAN, NAN);
    free(sorted);
    return rc;
}

/* The column of a step's statistics that `name` says as TABLE.COLUMN; of clusters without a table. */
static const json_t *column_of(const json_t *step, const char *name)
{
    const char *dot = strchr(name, '.');
    char table[64];

    (void)snprintf(table, sizeof table, "%.*s", dot ? (int)(dot - name) : 0, name);
    return json_object_get(
        json_object_get(json_object_get(step, "stats"), dot ? table : "clusters"),
        dot ? dot + 1 : name);
}

int gather_sizes(struct gather *g)
{
    int rc = OK;
    size_t i;
    json_t *cell;
    json_t *builds = result_builds(g->result); /* knobs do not change the clusters */
    json_array_foreach(builds, i, cell)
    {
        char label[300];
        build_label(cell, label, sizeof label);
        if (rc || !where_allows_cell(g, cell))
            continue;
        const json_t *sizes = NULL;
        for (size_t s = 0; s < json_array_size(steps_of(cell)); s++) {
            const json_t *column = column_of(json_array_get(steps_of(cell), s), g->figure->y_name);
            if (json_is_array(column))
                sizes = column;
        }
        if (sizes)
            rc = add_sizes(g, label, sizes);
    }
    json_decref(builds);
    return rc;
}

/* A column of the last step that `where` lets through and that has it; NULL. */
static const json_t *last_column(const struct gather *g, const json_t *cell, const char *name)
{
    const json_t *last = NULL;

    for (size_t s = 0; s < json_array_size(steps_of(cell)); s++) {
        const json_t *step = json_array_get(steps_of(cell), s);
        const json_t *column = column_of(step, name);

        if (json_is_array(column) && where_allows(g->spec, "tag", step_tag(step)))
            last = column;
    }
    return last;
}

/* One curve for each build: tables are told where all points of a sweep are through. */
static int add_profiles(struct gather *g, const char *name)
{
    json_t *cells = cells_drawn(g, true), *cell, *value;
    int rc = OK;
    size_t i, row;

    json_array_foreach(cells, i, cell)
    {
        char label[300];
        build_label(cell, label, sizeof label);
        json_array_foreach(last_column(g, cell, name), row, value)
        {
            if (!rc && json_is_number(value)) /* a row that was not given the column is null */
                rc = figure_add(g->figure, name, label, "", (double)row, "",
                                json_number_value(value), NAN, NAN);
        }
    }
    json_decref(cells);
    return rc;
}

/* Columns of the method's tables over their rows' numbers, one panel a column. */
int gather_profile(struct gather *g)
{
    const json_t *y = json_object_get(g->spec, "y"), *name;
    int rc = OK;
    size_t i;

    if (!json_is_array(y))
        return add_profiles(g, g->figure->y_name);
    json_array_foreach(y, i, name)
    {
        if (!rc && json_is_string(name))
            rc = add_profiles(g, json_string_value(name));
    }
    return rc;
}

/* What was last seen of a cell's memory, by the name of a count or of a part. */
static double last_bytes(const json_t *cell, bool of_parts, const char *name)
{
    double bytes = NAN;

    for (size_t s = 0; s < json_array_size(steps_of(cell)); s++) {
        const json_t *memory = json_object_get(json_array_get(steps_of(cell), s), "memory");
        const double now = field_number(of_parts ? json_object_get(memory, "parts") : memory, name);

        if (!isnan(now))
            bytes = now;
    }
    return bytes;
}

/* Bytes after the last update, three ways; with y = "parts", what the index's own count is made
   of. */
int gather_memory(struct gather *g)
{
    static const char *const counts[][2] = { { "index_bytes", "index" },
                                             { "rss_bytes", "resident growth" },
                                             { "disk_bytes", "on disk" },
                                             { NULL, NULL } };
    static const char *const parts[][2] = { { "vectors", "vectors" }, { "codes", "codes" },
                                            { "graph", "graph" },     { "ids", "ids" },
                                            { "other", "other" },     { NULL, NULL } };
    const bool of_parts = !strcmp(g->figure->y_name, "parts");
    json_t *builds = result_builds(g->result), *cell;
    int rc = OK;

    if (of_parts) { /* the axis has their unit */
        free(g->figure->y_name);
        g->figure->y_name = strdup("MiB");
    }
    for (const char *const(*p)[2] = of_parts ? parts : counts; (*p)[0]; p++) {
        size_t i, position = 0;
        json_array_foreach(builds, i, cell)
        {
            char build[300];
            build_label(cell, build, sizeof build);
            if (rc || !where_allows_cell(g, cell))
                continue;
            const double bytes = last_bytes(cell, of_parts, (*p)[0]);
            if (!isnan(bytes))
                rc = figure_add(g->figure, "", (*p)[1], "", (double)position, build,
                                bytes / 1048576, NAN, NAN);
            position++;
        }
    }
    json_decref(builds);
    return rc;
}
