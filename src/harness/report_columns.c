/* report_columns.c - which metrics a table shows. */
#include "harness/report_columns.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/json_field.h"

/* A query set or change beyond these goes to the page only: a line of text has a width. */
enum { MOST_TAGS_ON_SCREEN = 4 };

static const char *const queries[] = { "recall@", "qps", "distances", "range_recall", NULL };
static const char *const updates[] = { "seconds", "index_bytes", NULL };
static const char *const all_queries[] = { "recall@",
                                           "throughput_recall@",
                                           "qps",
                                           "single_qps",
                                           "p50_ns",
                                           "p99_ns",
                                           "p999_ns",
                                           "distances",
                                           "distances_percent",
                                           "estimates",
                                           "bytes_read",
                                           "scanned",
                                           "range_recall",
                                           "range_precision",
                                           "planted_recall",
                                           "wrong_ids",
                                           NULL };
static const char *const all_updates[] = { "seconds",   "per_second", "ns_each",
                                           "p50_ns",    "p99_ns",     "index_bytes",
                                           "rss_bytes", "disk_bytes", NULL };

static const char *const at_recall[] = {
    "single_qps@recall=0.9",  "single_qps@recall=0.95", "single_qps@recall=0.98",
    "single_qps@recall=0.99", "scanned@recall=0.9",     "scanned@recall=0.95",
    "scanned@recall=0.98",    "scanned@recall=0.99",    NULL
};

static const struct {
    const char *const *metrics;
    bool is_query, on_screen;
} groups[] = {
    [COLUMNS_QUERIES] = { queries, true, true },
    [COLUMNS_UPDATES] = { updates, false, true },
    [COLUMNS_ALL_QUERIES] = { all_queries, true, false },
    [COLUMNS_ALL_UPDATES] = { all_updates, false, false },
    [COLUMNS_AT_RECALL] = { at_recall, true, false },
};

/* The steps of the cell that got furthest: every cell runs the same operations. */
static const json_t *longest_steps(const json_t *result)
{
    const json_t *longest = NULL;
    size_t c;
    json_t *cell;
    json_array_foreach(json_object_get(result, "cells"), c, cell)
    {
        const json_t *steps = json_object_get(cell, "steps");
        if (json_array_size(steps) > json_array_size(longest))
            longest = steps;
    }
    return longest;
}

/* Tags of the operations of a group, in the workload's order. */
static json_t *tags_of(const json_t *result, bool is_query)
{
    json_t *tags = json_array(), *seen = json_object();
    const json_t *steps = longest_steps(result);
    size_t s;
    json_t *step;
    json_array_foreach(steps, s, step)
    {
        const char *op = field_text(step, "op", "");
        const char *tag = field_text(step, "tag", op);
        if ((!strcmp(op, "search") || !strcmp(op, "range")) != is_query ||
            json_object_get(seen, tag))
            continue;
        json_object_set_new(seen, tag, json_true());
        json_array_append_new(tags, json_string(tag));
    }
    json_decref(seen);
    return tags;
}

/* "recall@K/TAG" with the k the tag's searches asked for; "" where it has none. prefix: "recall@" or the like. */
static void recall_metric(json_t *present, const char *prefix, const char *tag, char *metric,
                          size_t bytes)
{
    const char *key;
    json_t *value;
    *metric = '\0';
    json_object_foreach(present, key, value)
    {
        const char *slash = strchr(key, '/');
        if (!strncmp(key, prefix, strlen(prefix)) && slash && !strcmp(slash + 1, tag))
            snprintf(metric, bytes, "%s", key);
    }
}

json_t *report_columns(const json_t *result, enum column_group group)
{
    json_t *columns = json_array(), *present = json_object();
    size_t i, t;
    json_t *entry, *tag;
    json_array_foreach(json_object_get(result, "summary"), i, entry) json_object_set_new(
        present, json_string_value(json_object_get(entry, "metric")), json_true());
    json_t *tags = tags_of(result, groups[group].is_query);
    json_array_foreach(tags, t, tag)
    {
        if (groups[group].on_screen && t == MOST_TAGS_ON_SCREEN)
            break;
        for (const char *const *m = groups[group].metrics; *m; m++) {
            char metric[200];
            if (strchr(*m, '@'))
                recall_metric(present, *m, json_string_value(tag), metric, sizeof metric);
            else
                snprintf(metric, sizeof metric, "%s/%s", *m, json_string_value(tag));
            if (json_object_get(present, metric))
                json_array_append_new(columns, json_string(metric));
        }
    }
    json_decref(tags);
    json_decref(present);
    return columns;
}

bool report_has_any(const struct summary_index *index, const char *label, const json_t *columns)
{
    size_t c;
    json_t *column;
    json_array_foreach(
        columns, c,
        column) if (!isnan(summary_median(index, label, json_string_value(column)))) return true;
    return false;
}
