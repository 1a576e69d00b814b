/* metric.c - names, axis titles and units of metrics; looking values up in a summary. */
#include "harness/metric.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/json_field.h"
#include "harness/table.h"

static const struct metric_info known[] = {
    { "recall@", "recall", false, +1, UNIT_NONE },
    { "throughput_recall@", "recall of the batch", false, +1, UNIT_NONE },
    { "qps", "queries a second, as a batch", true, +1, UNIT_NONE },
    { "single_qps", "queries a second, one at a time", true, +1, UNIT_NONE },
    { "p50_ns", "median latency, ns", true, -1, UNIT_NS },
    { "p90_ns", "90th percentile latency, ns", true, -1, UNIT_NS },
    { "p99_ns", "99th percentile latency, ns", true, -1, UNIT_NS },
    { "p999_ns", "99.9th percentile latency, ns", true, -1, UNIT_NS },
    { "max_ns", "longest latency, ns", true, -1, UNIT_NS },
    { "mean_ns", "mean latency, ns", true, -1, UNIT_NS },
    { "seconds", "seconds", false, -1, UNIT_SECONDS },
    { "per_second", "operations a second", true, +1, UNIT_NONE },
    { "ns_each", "ns each", true, -1, UNIT_NS },
    { "index_bytes", "index, bytes", false, -1, UNIT_BYTES },
    { "disk_bytes", "on disk, bytes", false, -1, UNIT_BYTES },
    { "parts.", "a part of the index, bytes", false, -1, UNIT_BYTES },
    { "rss_bytes", "resident growth, bytes", false, -1, UNIT_BYTES },
    { "range_recall", "recall of range search", false, +1, UNIT_NONE },
    { "throughput_range_recall", "recall of range search, as a batch", false, +1, UNIT_NONE },
    { "range_precision", "precision of range search", false, +1, UNIT_NONE },
    { "range_results", "answers a range query", true, 0, UNIT_NONE },
    { "planted_recall", "answers for each planted row", false, 0, UNIT_NONE },
    { "distances", "distance computations a query", true, -1, UNIT_NONE },
    { "distances_percent", "distances a query, % of the live rows", true, -1, UNIT_NONE },
    { "estimates", "estimated distances a query", true, -1, UNIT_NONE },
    { "bytes_read", "bytes read a query", true, -1, UNIT_BYTES },
    { "scanned", "stored copies scanned a query", true, -1, UNIT_NONE },
    { "wrong_ids", "wrong ids", false, -1, UNIT_NONE },
    { "throughput_wrong_ids", "wrong ids of the batch", false, -1, UNIT_NONE },
    { "new_over_repeated", "new queries over repeated ones, time", false, 0, UNIT_NONE },
    { "live", "live vectors", true, 0, UNIT_NONE },
    { "radius", "radius", false, 0, UNIT_NONE },
};
static const struct metric_info unknown = { "", "", false, 0, UNIT_NONE };

static const char at_recall[] = "@recall=";

bool metric_is_at_recall(const char *name)
{
    return strstr(name, at_recall) != NULL;
}

const struct metric_info *metric_info(const char *name)
{
    for (size_t i = 0; i < 2; i++) /* what follows is k */
        if (!strncmp(name, known[i].name, strlen(known[i].name)))
            return &known[i];
    const char *at = strstr(name, at_recall); /* described as the rate itself is */
    const size_t length = !strncmp(name, "parts.", 6) ? 6 : at ? (size_t)(at - name) : strlen(name);
    for (size_t i = 2; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == length && !strncmp(known[i].name, name, length))
            return &known[i];
    return &unknown;
}

const struct metric_info *metric_at(size_t i)
{
    return i < sizeof known / sizeof *known ? &known[i] : NULL;
}

void metric_text(const struct metric_info *info, double value, char *text, size_t bytes)
{
    if (isnan(value))
        snprintf(text, bytes, "-");
    else if (info->unit == UNIT_SECONDS)
        seconds_text(value, text, bytes);
    else if (info->unit == UNIT_NS)
        seconds_text(value * 1e-9, text, bytes);
    else if (info->unit == UNIT_BYTES)
        bytes_text(value, text, bytes);
    else if (strstr(info->name, "recall") || strstr(info->name, "precision"))
        snprintf(text, bytes, "%.4f", value);
    else
        number_text(value, text, bytes);
}

void metric_split(const char *metric, char *name, size_t name_bytes, char *tag, size_t tag_bytes)
{
    const char *slash = strchr(metric, '/');
    int length = slash ? (int)(slash - metric) : (int)strlen(metric);
    snprintf(name, name_bytes, "%.*s", length, metric);
    snprintf(tag, tag_bytes, "%s", slash ? slash + 1 : "");
}

static void key_of(const char *label, const char *metric, char *key, size_t bytes)
{
    snprintf(key, bytes, "%s\n%s", label, metric);
}

void summary_index_init(struct summary_index *index, const json_t *result)
{
    index->by_key = json_object();
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(result, "summary"), i, entry)
    {
        char key[512];
        key_of(field_text(entry, "label", ""), field_text(entry, "metric", ""), key, sizeof key);
        json_object_set(index->by_key, key, entry);
    }
}

void summary_index_free(struct summary_index *index)
{
    json_decref(index->by_key);
    index->by_key = NULL;
}

const json_t *summary_find(const struct summary_index *index, const char *label, const char *metric)
{
    char key[512];
    key_of(label, metric, key, sizeof key);
    return json_object_get(index->by_key, key);
}

double summary_median(const struct summary_index *index, const char *label, const char *metric)
{
    const json_t *median = json_object_get(summary_find(index, label, metric), "median");
    return json_is_number(median) ? json_number_value(median) : NAN;
}

void cell_label(const json_t *cell, char *text, size_t bytes)
{
    const char *point = field_text(cell, "point", "");
    snprintf(text, bytes, *point ? "%s[%s]" : "%s", field_text(cell, "label", ""), point);
}

void build_label(const json_t *cell, char *text, size_t bytes)
{
    char point[256], kept[256] = "";
    snprintf(point, sizeof point, "%s", field_text(cell, "point", ""));
    char *rest = NULL;
    for (char *part = strtok_r(point, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(part, "="), part);
        if (strchr(part, '=') && json_object_get(json_object_get(cell, "knobs"), name))
            continue;
        size_t used = strlen(kept);
        snprintf(kept + used, sizeof kept - used, "%s%s", used ? "," : "", part);
    }
    snprintf(text, bytes, *kept ? "%s[%s]" : "%s", field_text(cell, "label", ""), kept);
}

json_t *result_variants(const json_t *result)
{
    json_t *cells = json_object_get(result, "cells");
    json_t *labels = json_object_get(json_object_get(result, "experiment"), "labels");
    json_t *seen = json_object(), *variants = json_array();
    /* Cells stand in running order, which is shuffled: first by the config's labels, then whatever
     * is left. */
    for (size_t pass = 0; pass <= json_array_size(labels); pass++) {
        const char *label = json_string_value(json_array_get(labels, pass));
        size_t i;
        json_t *cell;
        json_array_foreach(cells, i, cell)
        {
            char key[300];
            cell_label(cell, key, sizeof key);
            if (json_object_get(seen, key) ||
                (label && strcmp(label, field_text(cell, "label", "")) != 0))
                continue;
            json_object_set_new(seen, key, json_true());
            json_array_append(variants, cell);
        }
    }
    json_decref(seen);
    return variants;
}

json_t *result_builds(const json_t *result)
{
    json_t *variants = result_variants(result), *seen = json_object(), *builds = json_array();
    size_t i;
    json_t *cell;
    json_array_foreach(variants, i, cell)
    {
        char build[300];
        build_label(cell, build, sizeof build);
        if (json_object_get(seen, build))
            continue;
        json_object_set_new(seen, build, json_true());
        json_array_append(builds, cell);
    }
    json_decref(seen);
    json_decref(variants);
    return builds;
}
