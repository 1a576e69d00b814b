/* columns.c - selects the metrics that a table of a result shows. */
#include "src/report/internal.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/result_metrics.h"

/* Tags beyond these are only on the page: a line on the screen is too short for them. */
enum { MOST_TAGS_ON_SCREEN = 4 };

/* The metrics of COLUMNS_AT_RECALL. */
static const char *const at_recall[] = {
    "single_qps@recall=0.9",  "single_qps@recall=0.95", "single_qps@recall=0.98",
    "single_qps@recall=0.99", "scanned@recall=0.9",     "scanned@recall=0.95",
    "scanned@recall=0.98",    "scanned@recall=0.99",    NULL
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

/* The tags of the queries, or of all other operations, in the workload's order: of the cell with
   the most steps, as all cells run the same operations, but some fail. */
static json_t *tags_of(const struct result *r, bool is_query)
{
    json_t *tags = json_array();
    const struct result_cell *longest = &r->cells[0];
    for (size_t c = 0; c < r->n; c++)
        if (r->cells[c].n > longest->n)
            longest = &r->cells[c];
    for (size_t i = 0; i < longest->n; i++) {
        const struct result_step *step = &longest->steps[i];
        const bool at_points = op_info(step->op)->flags & OP_AT_POINTS;
        bool known = at_points != is_query || step->number > 1;
        for (size_t t = 0; !known && t < json_array_size(tags); t++)
            known = !strcmp(json_string_value(json_array_get(tags, t)), step->tag);
        if (!known)
            json_array_append_new(tags, json_string(step->tag));
    }
    return tags;
}

/* A metric of faults is not shown where there are none. Few repeats have no interval: NAN, which
   fmax() ignores. */
static bool is_silent(const struct summary_entry *entry)
{
    static const char faults[] = "short_answers/", share[] = "range_precision/";
    return (!strncmp(entry->metric, faults, strlen(faults)) &&
            !(fmax(entry->median, entry->high) > 0)) ||
           (!strncmp(entry->metric, share, strlen(share)) &&
            !(fmin(entry->median, entry->low) < 1));
}

/* Adds the column of one metric and tag if the result has values for it. "recall@" is any k, as k
   may differ between tags. */
static void add_column(json_t *columns, const struct summary *present, const char *name,
                       const char *tag)
{
    const char *metric = summary_find_tag(present, "", name, tag)->metric;
    for (size_t i = 0; name[strlen(name) - 1] == '@' && i < present->n; i++) {
        const char *known = present->at[i]->metric, *slash = strchr(known, '/');
        if (!strncmp(known, name, strlen(name)) && slash && !strcmp(slash + 1, tag))
            metric = known;
    }
    if (metric)
        json_array_append_new(columns, json_string(metric));
}

json_t *report_columns(const struct result *r, enum column_group group)
{
    json_t *columns = json_array(), *tags = tags_of(r, is_of_queries(group)), *tag;
    struct summary present = { 0 }; /* metrics, without a label */
    size_t t;
    for (size_t i = 0; i < r->summary.n; i++)
        if (!strchr(r->summary.at[i]->metric, '#') && !is_silent(r->summary.at[i]))
            (void)summary_add(&present, "", r->summary.at[i]->metric);
    /* The rate by which methods are ranked. */
    const bool is_tuned = is_on_screen(group) && r->is_tuned;
    json_array_foreach(tags, t, tag) {
        const char *text = json_string_value(tag), *name;
        unsigned at = 0;
        if (is_on_screen(group) && t == MOST_TAGS_ON_SCREEN)
            break;
        if (group == COLUMNS_AT_RECALL)
            for (const char *const *m = at_recall; *m; m++)
                add_column(columns, &present, *m, text);
        else
            while ((name = next_column(group, &at)))
                add_column(columns, &present,
                           is_tuned && !strcmp(name, "qps") ? "single_qps" : name, text);
    }
    json_decref(tags);
    summary_free(&present);
    return columns;
}

void report_tags_left_out(const struct result *r, FILE *out)
{
    json_t *left = json_object(), *tag; /* of queries and changes; both have "end" */
    const char *name, *before = "\nno room here, but in the tables of ./harness report: ";
    size_t t;
    for (int is_query = 1; is_query >= 0; is_query--) {
        json_t *tags = tags_of(r, is_query);
        json_array_foreach(tags, t, tag)
            if (t >= MOST_TAGS_ON_SCREEN)
                json_object_set(left, json_string_value(tag), tag);
        json_decref(tags);
    }
    json_object_foreach(left, name, tag) {
        fprintf(out, "%s%s", before, name);
        before = ", ";
    }
    if (json_object_size(left))
        fputc('\n', out);
    json_decref(left);
}

bool report_has_any(const struct result *r, const char *label, const json_t *columns)
{
    size_t c;
    json_t *column;
    json_array_foreach(columns, c, column) {
        if (!isnan(summary_find(&r->summary, label, json_string_value(column))->median))
            return true;
    }
    return false;
}
