/* pack.c - a result in one small file, and back. */
#include "src/result/pack.h"

#include <stdint.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/path.h"

bool result_is_packed(const char *path)
{
    return path_ends(path, RESULT_PACKED);
}

/* ---- 1. writing */

static json_t *step_at(const json_t *cell, size_t number)
{
    return json_array_get(json_object_get(cell, "steps"), number);
}

/* A list, or an object of lists or objects. */
static bool is_table(const json_t *value)
{
    const char *name;
    json_t *member;
    bool table = json_is_array(value);

    json_object_foreach((json_t *)(uintptr_t)value, name, member) {
        table |= json_is_array(member) || json_is_object(member);
    }
    return table;
}

static json_t *without_tables(const json_t *stats)
{
    json_t *kept = json_object(), *value;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)stats, name, value) {
        if (!is_table(value))
            (void)json_object_set(kept, name, value);
    }
    return kept;
}

/* A new array of the steps of a cell. null: the step is that of the cell before. */
static json_t *packed_steps(const json_t *cell, const json_t *before)
{
    json_t *steps = json_array(), *step;
    size_t i;

    json_array_foreach(json_object_get(cell, "steps"), i, step) {
        const json_t *other = step_at(before, i), *stats = json_object_get(step, "stats");
        json_t *slim = json_copy(step);

        if (other)
            (void)json_object_set(slim, "shared", json_object_get(other, "shared"));
        if (json_is_true(json_object_get(step, "shared")) && json_equal(slim, other)) {
            (void)json_array_append_new(steps, json_null());
            json_decref(slim);
            continue;
        }
        (void)json_object_set(slim, "shared", json_object_get(step, "shared"));
        (void)json_object_set_new(slim, "latency_counts", json_null());
        if (json_is_object(stats))
            (void)json_object_set_new(slim, "stats", without_tables(stats));
        (void)json_array_append_new(steps, slim);
    }
    return steps;
}

void result_note_digits(json_t *result)
{
    json_t *run = json_object_get(result, "run");

    if (json_is_object(run))
        (void)json_object_set_new(run, "digits", json_integer(JSON_PACKED_DIGITS));
}

int result_pack(const json_t *result, const char *path, struct error *err)
{
    json_t *packed = json_copy((json_t *)(uintptr_t)result), *cells = json_array(), *cell;
    const json_t *before = NULL;
    size_t i;

    json_array_foreach(json_object_get(result, "cells"), i, cell) {
        json_t *slim = json_copy(cell);

        (void)json_object_set_new(slim, "steps", packed_steps(cell, before));
        (void)json_array_append_new(cells, slim);
        before = cell;
    }
    (void)json_object_set_new(packed, "cells", cells);
    (void)json_object_set_new(packed, "summary", json_array());
    (void)json_object_set_new(packed, "run", json_copy(json_object_get(result, "run")));
    result_note_digits(packed);
    const int rc = json_write_packed(path, packed, err);
    json_decref(packed);
    return rc;
}

/* ---- 2. reading */

int result_restore(const char *path, const json_t *result, struct error *err)
{
    const json_t *before = NULL;
    json_t *cell, *step;
    size_t i, j;

    json_array_foreach(json_object_get(result, "cells"), i, cell) {
        json_t *steps = json_object_get(cell, "steps");

        json_array_foreach(steps, j, step) {
            json_t *other = json_is_null(step) ? json_copy(step_at(before, j)) : NULL;

            if (json_is_null(step) && !json_is_object(other)) {
                json_decref(other);
                return fail(err, ERR_CORRUPT,
                            "%s: cells[%zu].steps[%zu] is null; the cell before has no such step",
                            path, i, j);
            }
            if (other) {
                (void)json_object_set_new(other, "shared", json_true());
                (void)json_array_set_new(steps, j, other);
            }
        }
        before = cell;
    }
    return OK;
}
