/* compare_differ.c - what two results were asked and measured differently, see compare.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/quote.h"
#include "src/base/result_metrics.h"
#include "src/result/compare.h"

/* Adds "NAME: A, B" if both values are known and differ; results of earlier versions lack some. */
static void add_if_differs(json_t *list, const char *name, const json_t *a, const json_t *b)
{
    if (!a || !b || json_equal(a, b))
        return;
    char *x = json_dumps(a, JSON_ENCODE_ANY | JSON_COMPACT);
    char *y = json_dumps(b, JSON_ENCODE_ANY | JSON_COMPACT);
    char text[500];

    (void)snprintf(text, sizeof text, "%s: %.200s in A, %.200s in B", name, x ? x : "", y ? y : "");
    (void)json_array_append_new(list, quote_json(text));
    free(x);
    free(y);
}

/* A data set as compared: what it has, not where it came from. */
static json_t *shape_of(const json_t *set)
{
    return json_pack("{s:O?, s:O?, s:O?, s:O?, s:O?}", "name", json_object_get(set, "name"), "rows",
                     json_object_get(set, "rows"), "dim", json_object_get(set, "dim"), "element",
                     json_object_get(set, "element"), "sha256", json_object_get(set, "sha256"));
}

static void add_data(json_t *list, const json_t *a, const json_t *b)
{
    const size_t n =
        json_array_size(a) > json_array_size(b) ? json_array_size(a) : json_array_size(b);

    for (size_t i = 0; a && b && i < n; i++) {
        json_t *x = shape_of(json_array_get(a, i)), *y = shape_of(json_array_get(b, i));
        add_if_differs(list, "data", x, y);
        json_decref(x);
        json_decref(y);
    }
}

json_t *compare_differences(const struct compare_side *a, const struct compare_side *b)
{
    static const struct {
        const char *group, *key, *name;
    } asked[] = {
        { "experiment", "k", "k" },
        { "experiment", "metric", "metric" },
        { "experiment", "threads", "threads" },
        { "experiment", "seed", "seed" },
        { "experiment", "seeds", "seeds" },
        { "experiment", "warmup", "warmup" },
        { "experiment", "min_time", "min_time" },
        { "run", "quick", "--quick" },
        { "run", "operations", "operations" },
        { "run", "rows", "rows and queries of all operations" },
    };
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        add_if_differs(
            list, asked[i].name,
            json_object_get(json_object_get(a->result.json, asked[i].group), asked[i].key),
            json_object_get(json_object_get(b->result.json, asked[i].group), asked[i].key));
    add_data(list, json_object_get(a->result.json, "datasets"),
             json_object_get(b->result.json, "datasets"));
    return list;
}

bool compare_is_lost(const struct summary_entry *of_a, const struct compare_side *b)
{
    /* Neither a statistic, nor what depends on how far a sweep reaches. */
    const bool is_capability =
        result_metric(of_a->metric)->better != 0 && !result_metric_is_at_recall(of_a->metric) &&
        !strchr(of_a->metric, '#') && strncmp(of_a->metric, "parts.", 6) != 0;

    return is_capability && summary_has_label(&b->samples, of_a->label) &&
           !summary_find(&b->samples, of_a->label, of_a->metric)->label;
}
