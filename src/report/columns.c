/* columns.c - see columns.h. */
#include "src/report/columns.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"

/* Tags beyond these are only on the page: a line on the screen is too short for them. */
enum { MOST_TAGS_ON_SCREEN = 4 };

/* The metrics of COLUMNS_AT_RECALL. */
static const char *const at_recall[] = {
    "single_qps@recall=0.9/",  "single_qps@recall=0.95/", "single_qps@recall=0.98/",
    "single_qps@recall=0.99/", "scanned@recall=0.9/",     "scanned@recall=0.95/",
    "scanned@recall=0.98/",    "scanned@recall=0.99/",    NULL
};

static bool is_of_queries(enum column_group group)
{
    return group != COLUMNS_UPDATES && group != COLUMNS_ALL_UPDATES;
}

static bool is_on_screen(enum column_group group)
{
    return group == COLUMNS_QUERIES || group == COLUMNS_UPDATES;
}

/* The metric of the group's next column after column number *at. Sets *at to its number. NULL:
   there are no more columns. */
static const char *next_column(enum column_group group, unsigned *at)
{
    const struct result_metric *next = NULL, *m;
    unsigned least = UINT_MAX;
    for (size_t i = 0; (m = result_metric_at(i)); i++) {
        const unsigned shown = is_of_queries(group) ? m->queries : m->updates;
        const unsigned number = shown % RESULT_METRIC_SCREEN;
        if (number <= *at || number >= least || (is_on_screen(group) && shown == number))
            continue;
        least = number;
        next = m;
    }
    *at = least;
    return next ? next->name : NULL;
}

/* The steps of the cell with the most steps: all cells run the same operations, but some fail. */
static const json_t *longest_steps(const json_t *result)
{
    const json_t *longest = NULL;
    size_t c;
    json_t *cell;
    json_array_foreach(json_object_get(result, "cells"), c, cell) {
        const json_t *steps = json_object_get(cell, "steps");
        if (json_array_size(steps) > json_array_size(longest))
            longest = steps;
    }
    return longest;
}

/* The tags of the queries, or of all other operations, in the workload's order. */
static json_t *tags_of(const json_t *result, bool is_query)
{
    json_t *tags = json_array(), *seen = json_object();
    const json_t *steps = longest_steps(result);
    size_t s;
    json_t *step;
    json_array_foreach(steps, s, step) {
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

/* The metric that begins with prefix ("recall@") and has the tag, "recall@10/TAG": k may differ
   between tags. "" if there is none. */
static void recall_metric(json_t *present, const char *prefix, const char *tag, char *metric,
                          size_t bytes)
{
    const char *key;
    json_t *value;
    *metric = '\0';
    json_object_foreach(present, key, value) {
        const char *slash = strchr(key, '/');
        if (!strncmp(key, prefix, strlen(prefix)) && slash && !strcmp(slash + 1, tag))
            snprintf(metric, bytes, "%s", key);
    }
}

/* Adds the column of one metric and tag if the result has values for it. */
static void add_column(json_t *columns, json_t *present, const char *name, const char *tag)
{
    char metric[200];
    if (strchr(name, '@'))
        recall_metric(present, name, tag, metric, sizeof metric);
    else
        snprintf(metric, sizeof metric, "%s/%s", name, tag);
    if (json_object_get(present, metric))
        json_array_append_new(columns, json_string(metric));
}

/* A metric that counts faults is not shown where there are none. Few repeats have no interval: NAN, which
   fmax() ignores. */
static bool is_silent(const json_t *entry)
{
    static const char faults[] = "short_answers/";
    return !strncmp(field_text(entry, "metric", ""), faults, strlen(faults)) &&
           !(fmax(field_number(entry, "median"), field_number(entry, "high")) > 0);
}

json_t *report_columns(const json_t *result, enum column_group group)
{
    json_t *columns = json_array(), *present = json_object();
    size_t i, t;
    json_t *entry, *tag;
    json_array_foreach(json_object_get(result, "summary"), i, entry) {
        if (!is_silent(entry))
            json_object_set_new(present, field_text(entry, "metric", ""), json_true());
    }
    json_t *tags = tags_of(result, is_of_queries(group));
    /* The rate by which methods are ranked. */
    const bool is_tuned = is_on_screen(group) && result_is_tuned(result);
    json_array_foreach(tags, t, tag) {
        const char *text = json_string_value(tag), *name;
        unsigned at = 0;
        if (is_on_screen(group) && t == MOST_TAGS_ON_SCREEN)
            break;
        if (group == COLUMNS_AT_RECALL)
            for (const char *const *m = at_recall; *m; m++)
                add_column(columns, present, *m, text);
        else
            while ((name = next_column(group, &at)))
                add_column(columns, present, is_tuned && !strcmp(name, "qps") ? "single_qps" : name,
                           text);
    }
    json_decref(tags);
    json_decref(present);
    return columns;
}

bool report_has_any(const struct summary_index *index, const char *label, const json_t *columns)
{
    size_t c;
    json_t *column;
    json_array_foreach(columns, c, column) {
        if (!isnan(summary_median(index, label, json_string_value(column))))
            return true;
    }
    return false;
}
