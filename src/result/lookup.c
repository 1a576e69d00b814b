/* lookup.c - see lookup.h. */
#include "src/result/lookup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/json.h"

static void key_of(const char *label, const char *metric, char *key, size_t bytes)
{
    snprintf(key, bytes, "%s\n%s", label, metric);
}

void summary_index_init(struct summary_index *index, const json_t *result)
{
    index->by_key = json_object();
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(result, "summary"), i, entry) {
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

void result_cell_label(const json_t *cell, char *text, size_t bytes)
{
    const char *point = field_text(cell, "point", "");
    snprintf(text, bytes, *point ? "%s[%s]" : "%s", field_text(cell, "label", ""), point);
}

void result_build_label(const json_t *cell, char *text, size_t bytes)
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
    /* Cells are stored in run order, which is shuffled. Each pass takes the cells of one label in
     * the config's order; the last pass takes all other cells. */
    for (size_t pass = 0; pass <= json_array_size(labels); pass++) {
        const char *label = json_string_value(json_array_get(labels, pass));
        size_t i;
        json_t *cell;
        json_array_foreach(cells, i, cell) {
            char key[300];
            result_cell_label(cell, key, sizeof key);
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
    json_array_foreach(variants, i, cell) {
        char build[300];
        result_build_label(cell, build, sizeof build);
        if (json_object_get(seen, build))
            continue;
        json_object_set_new(seen, build, json_true());
        json_array_append(builds, cell);
    }
    json_decref(seen);
    json_decref(variants);
    return builds;
}

bool result_is_tuned(const json_t *result)
{
    const json_t *cell, *step;
    size_t i, j;
    json_array_foreach(json_object_get(result, "cells"), i, cell) {
        json_array_foreach(json_object_get(cell, "steps"), j, step) {
            if (json_is_object(json_object_get(step, "calibrated")))
                return true;
        }
    }
    return false;
}
