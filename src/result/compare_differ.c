/* compare_differ.c - what two results were asked and measured differently, see compare.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
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
        add_if_differs(list, asked[i].name,
                       json_object_get(json_object_get(a->result, asked[i].group), asked[i].key),
                       json_object_get(json_object_get(b->result, asked[i].group), asked[i].key));
    add_data(list, json_object_get(a->result, "datasets"), json_object_get(b->result, "datasets"));
    return list;
}

/* Whether a missing value is a capability lost: not a statistic, nor one that depends on how far a
   sweep reaches. */
static bool is_capability(const char *metric)
{
    return result_metric(metric)->better != 0 && !result_metric_is_at_recall(metric) &&
           !strchr(metric, '#') && strncmp(metric, "parts.", 6) != 0;
}

json_t *compare_lost(const struct compare_side *a, const struct compare_side *b)
{
    json_t *labels = json_object(), *lost = json_array(), *sample;
    const char *key;

    json_object_foreach(b->samples, key, sample)
        (void)json_object_set_new(labels, field_text(sample, "label", ""), json_true());
    json_object_foreach(a->samples, key, sample) {
        if (!json_object_get(b->samples, key) && is_capability(field_text(sample, "metric", "")) &&
            json_object_get(labels, field_text(sample, "label", "")))
            (void)json_array_append(lost, sample);
    }
    json_decref(labels);
    return lost;
}
