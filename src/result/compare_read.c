/* compare_read.c - reads a result for `compare`: values by repeat, and recall by query. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/result/compare.h"
#include "src/result/lookup.h"
#include "src/result/result.h"
#include "src/result/series.h"
#include "src/result/summary.h"

/* Appends the hits of each query in one cell to the list of its label and metric. */
static void collect_cell(json_t *lists, const json_t *cell, size_t k)
{
    char label[300], key[600];
    size_t s;
    json_t *step;
    if (strcmp(field_text(cell, "status", ""), "ok") != 0)
        return;
    result_cell_label(cell, label, sizeof label);
    json_array_foreach(json_object_get(cell, "steps"), s, step) {
        json_t *hits = json_object_get(json_object_get(step, "queries"), "hits");
        const bool range = json_is_object(json_object_get(step, "range"));
        if (!json_is_array(hits) || !(range || json_object_get(step, "recall")))
            continue;
        if (range)
            snprintf(key, sizeof key, "%s\nrange_recall/%s", label, series_step_tag(step));
        else
            snprintf(key, sizeof key, "%s\nrecall@%zu/%s", label, k, series_step_tag(step));
        json_t *list = json_object_get(lists, key);
        if (!list) {
            list = json_array();
            json_object_set_new(lists, key, list);
        }
        json_array_append(list, hits);
    }
}

/* Returns the mean hits of each query over repeats and over steps of one tag. */
static json_t *query_means(const json_t *lists)
{
    const size_t n = json_array_size(json_array_get(lists, 0));
    json_t *means = json_array();
    for (size_t q = 0; q < n; q++) {
        double sum = 0;
        size_t used = 0;
        for (size_t i = 0; i < json_array_size(lists); i++) {
            if (json_array_size(json_array_get(lists, i)) != n)
                continue;
            sum += json_number_value(json_array_get(json_array_get(lists, i), q));
            used++;
        }
        json_array_append_new(means, json_real(sum / (double)used));
    }
    return means;
}

static json_t *recall_by_query(const json_t *cells, size_t k)
{
    json_t *lists = json_object(), *queries = json_object(), *cell, *list;
    const char *key;
    size_t i;
    json_array_foreach(cells, i, cell) {
        collect_cell(lists, cell, k);
    }
    json_object_foreach(lists, key, list) {
        json_object_set_new(queries, key, query_means(list));
    }
    json_decref(lists);
    return queries;
}

/* Fills `builds` and `shared` from the cells, of which there is one for each point. */
static void collect_builds(struct compare_side *side)
{
    char label[300], build[300], key[600];
    size_t i, j;
    json_t *cell, *step;
    json_array_foreach(json_object_get(side->result, "cells"), i, cell) {
        result_cell_label(cell, label, sizeof label);
        result_build_label(cell, build, sizeof build);
        json_object_set_new(side->builds, label, json_string(build));
        json_array_foreach(json_object_get(cell, "steps"), j, step) {
            const json_t *shared = json_object_get(step, "shared");
            snprintf(key, sizeof key, "%s\n%s", build, series_step_tag(step));
            /* Of the first point, false says nothing. */
            if (json_is_true(shared) && !json_object_get(side->shared, key))
                json_object_set_new(side->shared, key, json_true());
            else if (json_is_object(json_object_get(step, "recall")) ||
                     json_is_object(json_object_get(step, "range")))
                json_object_set_new(side->shared, key, json_false());
        }
    }
}

int compare_side_read(struct compare_side *side, const char *path, struct error *error)
{
    char *dir = result_dir(path);
    if (!dir)
        return fail(error, ERR_NO_MEMORY, "out of memory reading %s", path);
    char file[PATH_MAX];
    int rc = snprintf(file, sizeof file, "%s/result.json", dir) < (int)sizeof file
                 ? result_load(file, &side->result, error)
                 : fail(error, ERR_IO, "%s/result.json: the path is too long", dir);
    json_t *cells = NULL;
    if (!rc)
        rc = result_all_stored(dir, &cells, error);
    free(dir);
    if (!rc) {
        /* result_load() has checked the range of k. */
        side->k = (size_t)field_integer(json_object_get(side->result, "experiment"), "k", 0);
        side->queries = recall_by_query(cells, side->k);
        side->builds = json_object();
        side->shared = json_object();
        collect_builds(side);
        side->samples = summary_samples(json_object_get(side->result, "cells"));
        if (!side->samples)
            rc = fail(error, ERR_NO_MEMORY, "%s: out of memory summarising it", file);
    }
    json_decref(cells);
    return rc;
}

void compare_side_free(struct compare_side *side)
{
    json_decref(side->result);
    json_decref(side->queries);
    json_decref(side->samples);
    json_decref(side->builds);
    json_decref(side->shared);
}
