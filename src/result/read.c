/* read.c - see read.h. */
#define _GNU_SOURCE /* tdestroy */
#include "src/result/read.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/plan/plan.h"

/* ---- 1. steps */

static int by_series(const void *a, const void *b)
{
    const struct result_step *x = a, *y = b;

    return x->op != y->op ? (x->op > y->op) - (x->op < y->op) : strcmp(x->tag, y->tag);
}

static void keep(void *node)
{
    (void)node;
}

/* False: out of memory. */
static bool read_steps(struct result_cell *cell, const json_t *steps)
{
    void *series = NULL; /* the first step of each; its `of` counts them */
    bool ok = true;

    cell->steps = calloc(json_array_size(steps) + 1, sizeof *cell->steps);
    for (size_t i = 0; ok && cell->steps && i < json_array_size(steps); i++) {
        struct result_step *step = &cell->steps[cell->n++], **first;
        const json_t *json = json_array_get(steps, i);
        const char *op = field_text(json, "op", "");

        *step = (struct result_step){ .json = json,
                                      .op = op_named(op),
                                      .tag = field_text(json, "tag", op),
                                      .ok = strcmp(field_text(json, "status", ""), "ok") == 0 };
        first = (struct result_step **)tsearch(step, &series, by_series);
        if ((ok = first))
            step->number = ++(*first)->of;
    }
    for (size_t i = 0; ok && i < cell->n; i++)
        cell->steps[i].of =
            (*(struct result_step **)tfind(&cell->steps[i], &series, by_series))->of;
    tdestroy(series, keep);
    return ok && cell->steps;
}

bool result_is_next_point(const struct result *r, size_t i)
{
    const struct result_cell *cell = &r->cells[i];
    return i > 0 && cell[-1].build == cell->build && cell[-1].repeat == cell->repeat;
}

const struct result_step *result_step_of(const struct result_cell *cell, size_t op)
{
    for (size_t i = 0; i < cell->n; i++)
        if (field_integer(cell->steps[i].json, "index", -1) == (long long)op)
            return &cell->steps[i];
    return NULL;
}

const struct result_step *result_last_step(const struct result_cell *cell, enum op_kind op)
{
    size_t i = cell ? cell->n : 0;

    while (i > 0 && (cell->steps[i - 1].op != op || !cell->steps[i - 1].ok))
        i--;
    return i > 0 ? &cell->steps[i - 1] : NULL;
}

/* ---- 2. cells */

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The one copy of a text; NULL: out of memory. */
static const char *intern(void **texts, const char *text, bool *is_first)
{
    char *const *known = tfind(text, texts, by_text);

    *is_first = !known;
    if (known)
        return *known;
    char *copy = strdup(text);
    if (copy && tsearch(copy, texts, by_text))
        return copy;
    free(copy);
    return NULL;
}

/* False: out of memory. */
static bool read_cell(struct result *r, const json_t *json)
{
    struct result_cell *cell = &r->cells[r->n++];
    char name[1000], part[500], build[1000];

    *cell = (struct result_cell){ .json = json,
                                  .label = field_text(json, "label", ""),
                                  .point = field_text(json, "point", ""),
                                  .method = field_text(json, "method", ""),
                                  .status = field_text(json, "status", ""),
                                  .repeat = (size_t)field_integer(json, "repeat", 0) };
    cell->ok = strcmp(cell->status, "ok") == 0;
    plan_write_label(cell->label, cell->point, name, sizeof name);
    plan_write_build_part(cell->point, json_object_get(json, "knobs"), part, sizeof part);
    plan_write_label(cell->label, part, build, sizeof build);
    cell->name = intern(&r->names, name, &cell->is_first_of_name);
    cell->build = intern(&r->build_names, build, &cell->is_first_of_build);
    return cell->name && cell->build && read_steps(cell, json_object_get(json, "steps"));
}

/* Cells are in the order of execution, which is shuffled. Each pass takes the cells of one label in
   the config's order; the last pass takes all others. False: out of memory. */
static bool order_variants(struct result *r)
{
    const json_t *labels = json_object_get(json_object_get(r->json, "experiment"), "labels");
    bool *taken = calloc(r->n + 1, sizeof *taken);

    for (size_t pass = 0; taken && pass <= json_array_size(labels); pass++) {
        const char *label = json_string_value(json_array_get(labels, pass));

        for (size_t i = 0; i < r->n; i++) {
            const struct result_cell *cell = &r->cells[i];

            if (taken[i] || (label && strcmp(label, cell->label) != 0))
                continue;
            taken[i] = true;
            if (cell->is_first_of_name)
                r->variants[r->n_variants++] = cell;
            if (cell->is_first_of_build)
                r->builds[r->n_builds++] = cell;
        }
    }
    free(taken);
    return taken != NULL;
}

int result_open(struct result *r, json_t *json, struct error *err)
{
    const json_t *cells = json_object_get(json, "cells"),
                 *experiment = json_object_get(json, "experiment"),
                 *data = json_array_get(json_object_get(json, "datasets"), 0);
    const size_t n = json_array_size(cells);
    bool ok;

    *r = (struct result){ .json = json_incref(json),
                          .name = field_text(experiment, "name", ""),
                          .title = field_text(experiment, "title", ""),
                          .k = (size_t)field_integer(experiment, "k", 0),
                          .dim = field_number(data, "dim"),
                          .cells = calloc(n + 1, sizeof *r->cells),
                          .variants = calloc(n + 1, sizeof *r->variants),
                          .builds = calloc(n + 1, sizeof *r->builds) };
    r->title = *r->title ? r->title : r->name;
    ok = r->cells && r->variants && r->builds;
    for (size_t i = 0; ok && i < n; i++)
        ok = read_cell(r, json_array_get(cells, i));
    for (size_t i = 0; i < r->n; i++)
        for (size_t s = 0; s < r->cells[i].n; s++)
            r->is_tuned |= json_is_object(json_object_get(r->cells[i].steps[s].json, "calibrated"));
    ok = ok && order_variants(r) && summary_read(&r->summary, json_object_get(json, "summary"));
    return ok ? OK : fail(err, ERR_NO_MEMORY, "out of memory for a result of %zu cells", n);
}

void result_close(struct result *r)
{
    tdestroy(r->names, free);
    tdestroy(r->build_names, free);
    for (size_t i = 0; i < r->n; i++)
        free(r->cells[i].steps);
    free(r->cells);
    free(r->variants);
    free(r->builds);
    summary_free(&r->summary);
    json_decref(r->json);
    *r = (struct result){ 0 };
}
