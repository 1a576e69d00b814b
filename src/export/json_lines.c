/* json_lines.c - a result as flat JSON objects, one per line. */
#include <stdbool.h>
#include <stdio.h>

#include "src/base/atomic_file.h"
#include "src/base/result_metrics.h"
#include "src/export/export.h"

/* Writes one line, and releases it. Returns whether there was memory. */
static bool put(FILE *out, json_t *line)
{
    const bool good = json_dumpf(line, out, JSON_COMPACT | JSON_REAL_PRECISION(12)) == 0;

    json_decref(line);
    return good && fputc('\n', out) != EOF;
}

static bool put_summary(FILE *out, const struct result *result)
{
    bool good = true;
    size_t i;
    json_t *entry;

    json_array_foreach(json_object_get(result->json, "summary"), i, entry) {
        char name[400], tag[400];

        result_metric_split(field_text(entry, "metric", ""), name, sizeof name, tag, sizeof tag);
        json_t *line = json_pack("{s:s, s:s}", "kind", "summary", "experiment", result->name);
        (void)json_object_update(line, entry);
        (void)json_object_set_new(line, "name", json_string(name));
        (void)json_object_set_new(line, "tag", json_string(tag));
        good &= put(out, line);
    }
    return good;
}

/* Adds each value as PREFIX.NAME. */
static void add_flat(json_t *line, const char *prefix, json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value) {
        char key[300];

        (void)snprintf(key, sizeof key, "%s.%s", prefix, name);
        (void)json_object_set(line, key, value);
    }
}

/* Returns what all lines of a cell have. */
static json_t *head_of(const struct result_cell *cell, const char *experiment)
{
    static const char *const copied[] = {
        "method", "point", "repeat", "seed", "status", "element"
    };
    json_t *head =
        json_pack("{s:s, s:s, s:s}", "kind", "step", "experiment", experiment, "label", cell->name);

    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        (void)json_object_set(head, copied[i], json_object_get(cell->json, copied[i]));
    (void)json_object_set(head, "cell_error", json_object_get(cell->json, "error"));
    add_flat(head, "params", json_object_get(cell->json, "params"));
    add_flat(head, "knobs", json_object_get(cell->json, "knobs"));
    return head;
}

static bool put_step(FILE *out, json_t *head, const struct result_step *at)
{
    const json_t *step = at->json;
    json_t *line = json_copy(head), *metrics = json_object();

    summary_of_step(at, metrics);
    (void)json_object_set(line, "step", json_object_get(step, "index"));
    (void)json_object_set(line, "op", json_object_get(step, "op"));
    (void)json_object_set_new(line, "tag", json_string(at->tag));
    (void)json_object_set_new(line, "number", json_integer((json_int_t)at->number));
    (void)json_object_set(line, "step_status", json_object_get(step, "status"));
    (void)json_object_set(line, "note", json_object_get(step, "note"));
    (void)json_object_set(line, "count", json_object_get(step, "count"));
    (void)json_object_set(line, "shared", json_object_get(step, "shared"));
    (void)json_object_update_missing(line, metrics);
    json_decref(metrics);
    return put(out, line) && metrics;
}

/* A cell that failed at once has no steps; it gets one line without them. */
static bool put_cell(FILE *out, const struct result_cell *cell, const char *experiment)
{
    json_t *head = head_of(cell, experiment);
    bool good = true;

    for (size_t i = 0; i < cell->n; i++)
        good &= put_step(out, head, &cell->steps[i]);
    if (cell->n == 0)
        return put(out, head);
    json_decref(head);
    return good;
}

int export_json_lines(const struct result *result, const char *path, struct error *err)
{
    struct atomic_text text;

    if (atomic_text_begin(&text, err) != OK)
        return ERR_NO_MEMORY;
    bool good = put_summary(text.out, result);
    for (size_t i = 0; i < result->n; i++)
        good &= put_cell(text.out, &result->cells[i], result->name);
    if (good)
        return atomic_text_write(&text, path, err);
    atomic_text_free(&text);
    return fail(err, ERR_NO_MEMORY, "%s: out of memory", path);
}
