/* json_lines.c - a result as flat JSON objects, one per line. */
#include <stdlib.h>
#include <string.h>

#include "src/base/atomic_file.h"
#include "src/base/result_metrics.h"
#include "src/export/export.h"

/* Writes one line. */
static int put(struct atomic_file *file, const json_t *line, struct error *err)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(12));
    int rc = text ? atomic_file_put(file, text, strlen(text), err)
                  : fail(err, ERR_NO_MEMORY, "%s: out of memory", file->path);

    rc = rc == OK ? atomic_file_put(file, "\n", 1, err) : rc;
    free(text);
    return rc;
}

static int put_summary(struct atomic_file *file, const struct result *result, struct error *err)
{
    int rc = OK;
    size_t i;
    json_t *entry;

    json_array_foreach(json_object_get(result->json, "summary"), i, entry) {
        char name[400], tag[400];

        result_metric_split(field_text(entry, "metric", ""), name, sizeof name, tag, sizeof tag);
        json_t *line = json_pack("{s:s, s:s}", "kind", "summary", "experiment", result->name);
        (void)json_object_update(line, entry);
        (void)json_object_set_new(line, "name", json_string(name));
        (void)json_object_set_new(line, "tag", json_string(tag));
        rc = put(file, line, err);
        json_decref(line);
        if (rc != OK)
            break;
    }
    return rc;
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

static int put_step(struct atomic_file *file, json_t *head, const struct result_step *at,
                    struct error *err)
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
    const int rc = line && metrics ? put(file, line, err)
                                   : fail(err, ERR_NO_MEMORY, "%s: out of memory", file->path);
    json_decref(metrics);
    json_decref(line);
    return rc;
}

/* A cell that failed at once has no steps; it gets one line without them. */
static int put_cell(struct atomic_file *file, const struct result_cell *cell,
                    const char *experiment, struct error *err)
{
    json_t *head = head_of(cell, experiment);
    int rc = head ? OK : fail(err, ERR_NO_MEMORY, "%s: out of memory", file->path);

    if (rc == OK && cell->n == 0)
        rc = put(file, head, err);
    for (size_t i = 0; rc == OK && i < cell->n; i++)
        rc = put_step(file, head, &cell->steps[i], err);
    json_decref(head);
    return rc;
}

int export_json_lines(const struct result *result, const char *path, struct error *err)
{
    struct atomic_file file;
    int rc = atomic_file_begin(&file, path, err);

    if (rc != OK)
        return rc;
    rc = put_summary(&file, result, err);
    for (size_t i = 0; rc == OK && i < result->n; i++)
        rc = put_cell(&file, &result->cells[i], result->name, err);
    rc = rc == OK ? atomic_file_commit(&file, err) : rc;
    if (rc != OK)
        atomic_file_abandon(&file);
    return rc;
}
