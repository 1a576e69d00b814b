/* distributions.c - figures of distributions: latencies, cluster sizes, columns of a method's
   tables, memory by kind. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/stats.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/figure/internal.h"

struct latency_bucket {
    double ns, count;
};
struct latency_buckets {
    struct latency_bucket *at;
    size_t n;
};

/* Adds one step's latency buckets [[ns, count], ...] to a list. */
static int add_buckets(struct latency_buckets *all, const json_t *counts)
{
    size_t n = json_array_size(counts);
    if (!mem_fit(NULL, &all->at, all->n + n + 1, sizeof *all->at))
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(counts, i);
        all->at[all->n++] = (struct latency_bucket){ json_number_value(json_array_get(pair, 0)),
                                                     json_number_value(json_array_get(pair, 1)) };
    }
    return OK;
}

/* Draws the share of queries that took longer than each bucket. A bucket is skipped unless the
   share has fallen by a twentieth since the last drawn one. */
static int add_ccdf(struct gather *g, const char *tag, const char *label,
                    struct latency_buckets *all)
{
    double total = 0, gone = 0, drawn = 2;
    qsort(all->at, all->n, sizeof *all->at, order_f64);
    for (size_t i = 0; i < all->n; i++)
        total += all->at[i].count;
    int rc = OK;
    for (size_t i = 0; !rc && i < all->n; i++) {
        gone += all->at[i].count;
        if (i + 1 < all->n && all->at[i + 1].ns == all->at[i].ns)
            continue; /* the same bucket of another step */
        double longer = (total - gone) / total;
        if (longer > 0 && longer < 0.95 * drawn) {
            rc = figure_add(g->figure, tag, label, "", all->at[i].ns, "", longer, NAN, NAN);
            drawn = longer;
        }
    }
    return rc;
}

/* Merges the queries of all repeats of one LABEL[point] and tag. */
static int gather_latencies(struct gather *g, const char *name, const char *tag)
{
    struct latency_buckets all = { 0 };
    int rc = OK;
    for (size_t c = 0; c < g->result->n; c++) {
        const struct result_cell *cell = &g->result->cells[c];
        for (size_t s = 0; !rc && cell->ok && cell->name == name && s < cell->n; s++)
            if (!strcmp(cell->steps[s].tag, tag))
                rc = add_buckets(&all, json_object_get(cell->steps[s].json, "latency_counts"));
    }
    if (!rc && all.n)
        rc = add_ccdf(g, tag, name, &all);
    mem_free(NULL, all.at);
    return rc;
}

int figure_gather_ccdf(struct gather *g)
{
    json_t *tags = figure_tags_with(g, "p50_ns");
    int rc = OK;
    for (size_t t = 0; t < json_array_size(tags); t++)
        for (size_t i = 0; !rc && i < g->result->n_variants; i++)
            if (figure_allows_cell(g, g->result->variants[i]))
                rc = gather_latencies(g, g->result->variants[i]->name,
                                      json_string_value(json_array_get(tags, t)));
    json_decref(tags);
    return rc;
}

enum { SIZES_DRAWN = 1000 }; /* at most; a longer list is sampled evenly */

/* Sizes of clusters or postings, largest first, over the share of clusters in per cent. */
static int add_sizes(struct gather *g, const char *label, const json_t *sizes)
{
    size_t n = json_array_size(sizes);
    double *sorted = malloc((n ? n : 1) * sizeof *sorted);
    if (!sorted)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        sorted[i] = json_number_value(json_array_get(sizes, i));
    qsort(sorted, n, sizeof *sorted, order_f64);
    int rc = OK;
    for (size_t i = 0; !rc && i < n; i += n / SIZES_DRAWN + 1)
        rc = figure_add(g->figure, "", label, "", 100 * ((double)i + 0.5) / (double)n, "",
                        sorted[n - 1 - i], NAN, NAN);
    free(sorted);
    return rc;
}

/* The column `name` of a step's statistics: "TABLE.COLUMN", or "COLUMN" of the table `clusters`. */
static const json_t *column_of(const json_t *step, const char *name)
{
    const char *dot = strchr(name, '.');
    char table[64];

    (void)snprintf(table, sizeof table, "%.*s", dot ? (int)(dot - name) : 0, name);
    return json_object_get(
        json_object_get(json_object_get(step, "stats"), dot ? table : "clusters"),
        dot ? dot + 1 : name);
}

/* The column in the last step that has it and that `where` allows, of the first repeat that did not
   fail; NULL: none. */
static const json_t *last_column(const struct gather *g, const struct result_cell *build,
                                 const char *name)
{
    const json_t *last = NULL;
    const struct result_cell *cell = g->result->cells, *end = cell + g->result->n;

    while (cell < end && !(cell->ok && cell->build == build->build))
        cell++;
    for (size_t s = 0; cell < end && s < cell->n; s++) {
        const json_t *column = column_of(cell->steps[s].json, name);

        if (json_is_array(column) && figure_allows(g->spec, "tag", cell->steps[s].tag))
            last = column;
    }
    return last;
}

int figure_gather_sizes(struct gather *g)
{
    int rc = OK;
    for (size_t i = 0; !rc && i < g->result->n_builds; i++) { /* knobs do not change the clusters */
        const struct result_cell *cell = g->result->builds[i];
        const json_t *sizes = last_column(g, cell, g->figure->y_name);
        if (sizes && figure_allows_cell(g, cell))
            rc = add_sizes(g, cell->build, sizes);
    }
    return rc;
}

/* One curve per build: a build reports its tables once, after all points of a sweep. */
static int add_profiles(struct gather *g, const char *name)
{
    size_t n, row;
    const struct result_cell **cells = figure_cells(g, true, &n);
    json_t *value;
    int rc = cells ? OK : ERR_NO_MEMORY;

    for (size_t i = 0; !rc && i < n; i++)
        json_array_foreach(last_column(g, cells[i], name), row, value) {
            if (!rc && json_is_number(value)) /* null: the method did not set it in this row */
                rc = figure_add(g->figure, name, cells[i]->build, "", (double)row, "",
                                json_number_value(value), NAN, NAN);
        }
    free(cells);
    return rc;
}

/* Columns of the method's tables over the row number, one panel per column. */
int figure_gather_profile(struct gather *g)
{
    const json_t *y = json_object_get(g->spec, "y"), *name;
    int rc = OK;
    size_t i;

    if (!json_is_array(y))
        return add_profiles(g, g->figure->y_name);
    json_array_foreach(y, i, name) {
        if (!rc && json_is_string(name))
            rc = add_profiles(g, json_string_value(name));
    }
    return rc;
}

/* A cell's memory in the last step that reports it and that `where` allows, by the name of a count
   or of a part. */
static double last_bytes(const struct gather *g, const struct result_cell *cell, bool of_parts,
                         const char *name)
{
    double bytes = NAN;

    for (size_t s = 0; s < cell->n; s++) {
        const json_t *memory = json_object_get(cell->steps[s].json, "memory");
        const double now = field_number(of_parts ? json_object_get(memory, "parts") : memory, name);

        if (!isnan(now) && figure_allows(g->spec, "tag", cell->steps[s].tag))
            bytes = now;
    }
    return bytes;
}

struct bytes_shown {
    const char *name, *title;
    bool drawn;
};

/* The median of a build's cells, as in the tables. */
static int add_memory(struct gather *g, const struct result_cell *build, bool of_parts,
                      const struct bytes_shown *shown)
{
    double *values = malloc((g->result->n + 1) * sizeof *values);
    size_t n = 0;

    if (!values)
        return ERR_NO_MEMORY;
    for (size_t c = 0; c < g->result->n; c++) {
        const struct result_cell *cell = &g->result->cells[c];
        const double bytes = cell->ok && cell->build == build->build
                                 ? last_bytes(g, cell, of_parts, shown->name)
                                 : NAN;
        if (!isnan(bytes))
            values[n++] = bytes;
    }
    const int rc = n ? figure_add(g->figure, "", shown->title, "", 0, build->build,
                                  stats_median(values, n), NAN, NAN)
                     : OK;
    free(values);
    return rc;
}

/* Memory in that step: the index's own count, resident growth, and disk. With y = "parts",
   the resident parts of the index's own count. */
int figure_gather_memory(struct gather *g)
{
    static const struct bytes_shown counts[] = { { "index_bytes", "index", true },
                                                 { "rss_bytes", "resident growth", true },
                                                 { "disk_bytes", "on disk", true } };
#define MEMORY_PART(name, resident) { #name, #name, resident },
    static const struct bytes_shown parts[] = {
#include "src/base/memory_parts.def"
    };
#undef MEMORY_PART
    const bool of_parts = !strcmp(g->figure->y_name, "parts");
    int rc = OK;

    if (of_parts) { /* "parts" is not a metric */
        free(g->figure->y_name);
        g->figure->y_name = strdup("memory, bytes");
    }
    const struct bytes_shown *shown = of_parts ? parts : counts;
    const size_t n = of_parts ? sizeof parts / sizeof *parts : sizeof counts / sizeof *counts;
    for (const struct bytes_shown *p = shown; p < shown + n; p++)
        for (size_t i = 0; p->drawn && !rc && i < g->result->n_builds; i++) {
            const struct result_cell *cell = g->result->builds[i];
            if (figure_allows_cell(g, cell))
                rc = add_memory(g, cell, of_parts, p);
        }
    figure_place_by_label(g->figure);
    return rc;
}
