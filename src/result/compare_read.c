/* compare_read.c - reads a result for `compare`: values by repeat, and recall by query. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/base/json.h"
#include "src/core/path_print.h"
#include "src/result/compare.h"
#include "src/result/result.h"

/* Adds the hits of each query of a step to the sums of its metric, if it has as many queries as the
   first such step. False: out of memory. */
static bool add_hits(struct compare_side *side, const struct result_cell *cell,
                     const struct result_step *step)
{
    const json_t *hits = json_object_get(json_object_get(step->json, "queries"), "hits");
    const bool range = json_is_object(json_object_get(step->json, "range"));
    const size_t n = json_array_size(hits);
    char metric[600];

    if (!json_is_array(hits) || !(range || json_object_get(step->json, "recall")))
        return true;
    if (range)
        (void)snprintf(metric, sizeof metric, "range_recall/%s", step->tag);
    else
        (void)snprintf(metric, sizeof metric, "recall@%zu/%s", side->result.k, step->tag);
    const struct summary_entry *of = summary_find(&side->samples, cell->name, metric);
    if (!of->label)
        return true;
    struct summary_entry *sums = summary_add(&side->hits, of->label, metric);
    for (size_t q = 0; sums && sums->weight == 0 && q < n; q++)
        if (!summary_add_sample(sums, NULL, 0))
            return false;
    if (!sums || sums->repeats != n)
        return sums;
    sums->weight++;
    for (size_t q = 0; q < n; q++)
        sums->samples[q].value += json_number_value(json_array_get(hits, q));
    return true;
}

/* cells: the stored ones, with per-query data. False: out of memory. */
static bool read_hits(struct compare_side *side, json_t *cells)
{
    json_t *file = json_pack("{s:O}", "cells", cells);
    struct error error = { 0 };
    struct result stored = { 0 };
    bool ok = file && result_open(&stored, file, &error) == OK;

    for (size_t i = 0; i < stored.n; i++)
        for (size_t s = 0; stored.cells[i].ok && s < stored.cells[i].n; s++)
            ok = ok && add_hits(side, &stored.cells[i], &stored.cells[i].steps[s]);
    for (size_t i = 0; i < side->hits.n; i++)
        for (size_t q = 0; q < side->hits.at[i]->repeats; q++)
            side->hits.at[i]->samples[q].value /= side->hits.at[i]->weight;
    result_close(&stored);
    json_decref(file);
    return ok;
}

/* cells: of result_all_stored(), for json_decref(). */
static int load(struct compare_side *side, const char *path, json_t **cells, struct error *error)
{
    char *dir, file[PATH_MAX];
    int rc = result_dir(path, &dir, error);
    if (!rc)
        rc = path_print(file, error, "%s/result.json", dir);
    if (!rc)
        rc = result_load(file, &side->result, error);
    if (!rc)
        rc = result_all_stored(dir, &side->result, cells, error);
    free(dir);
    return rc;
}

/* Whether a result is packed, or was. */
static bool is_rounded(const struct compare_side *side)
{
    return json_object_get(json_object_get(side->result.json, "run"), "digits");
}

int compare_sides_read(struct compare_side *a, struct compare_side *b, const char *const paths[2],
                       struct error *error)
{
    struct compare_side *const sides[2] = { a, b };
    json_t *cells[2] = { NULL };
    int rc = OK;
    for (size_t i = 0; !rc && i < 2; i++)
        rc = load(sides[i], paths[i], &cells[i], error);
    if (!rc && is_rounded(a) != is_rounded(b))
        json_round_packed(json_object_get((is_rounded(a) ? b : a)->result.json, "cells"));
    for (size_t i = 0; !rc && i < 2; i++)
        if (!summary_make(&sides[i]->samples, &sides[i]->result) || !read_hits(sides[i], cells[i]))
            rc = fail(error, ERR_NO_MEMORY, "%s: out of memory summarising it", paths[i]);
    json_decref(cells[0]);
    json_decref(cells[1]);
    return rc;
}

void compare_side_free(struct compare_side *side)
{
    summary_free(&side->samples);
    summary_free(&side->hits);
    result_close(&side->result);
}
