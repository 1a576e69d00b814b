/* cells.c - stores finished cells, one file each, and reads them for --resume and `compare`. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/core/mem.h"
#include "src/plan/key.h"
#include "src/result/result.h"

#define RESULT_CELL_SCHEMA "driftline-cell/1"

static int cell_path(const char *dir, const struct cell *cell, const char *kind, char *path,
                     size_t bytes, struct error *err)
{
    if (snprintf(path, bytes, "%s/cells", dir) >= (int)bytes)
        return fail(err, ERR_IO, "%s/cells: the path is too long", dir);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return fail_errno(err, ERR_IO, "%s: cannot be created", path);
    if (snprintf(path, bytes, "%s/cells/%zu.%s", dir, cell->number, kind) >= (int)bytes)
        return fail(err, ERR_IO, "%s/cells: the path is too long", dir);
    return OK;
}

/* A previous run may have left a file of this kind under the same number. */
static int move_beside(const char *dir, const struct cell *cell, const char *kind, const char *file,
                       struct error *err)
{
    char beside[PATH_MAX];
    const int rc = cell_path(dir, cell, kind, beside, sizeof beside, err);

    if (rc == OK && (!file || rename(file, beside) != 0))
        (void)unlink(beside);
    return rc;
}

int result_store_cell(const char *dir, const struct cell *cell, json_t *cells, const char *answers,
                      const char *structure, struct error *err)
{
    char path[PATH_MAX];
    int rc = cell_path(dir, cell, "json", path, sizeof path, err);

    if (rc != OK)
        return rc;
    json_t *file =
        json_pack("{s:s, s:s, s:O*, s:O*, s:O}", "schema", RESULT_CELL_SCHEMA, "key", cell->key,
                  "key_parts", cell->key_parts, "identity", cell->identity, "cells", cells);
    rc = file ? json_write(path, file, err)
              : fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot write it", path);
    json_decref(file);
    if (rc == OK)
        rc = move_beside(dir, cell, "answers", answers, err);
    return rc == OK ? move_beside(dir, cell, "structure", structure, err) : rc;
}

/* Writes to `why` the reason for running the cell again: a damaged file, a failed cell, or a
   different key. Writes "" if the stored cell is valid. */
static void why_not_kept(const struct cell *cell, const json_t *file, char *why, size_t bytes)
{
    const json_t *first = json_array_get(json_object_get(file, "cells"), 0);
    const char *status = json_string_value(json_object_get(first, "status"));

    if (!status)
        (void)snprintf(why, bytes, "its file is damaged");
    else if (strcmp(status, "ok") != 0 && strcmp(status, "unsupported") != 0)
        (void)snprintf(why, bytes, "it did not finish (%.40s)", status);
    else
        plan_key_difference(cell, file, why, bytes);
}

int result_stored_cell(const char *dir, const struct cell *cell, json_t **cells, char *why,
                       size_t why_bytes, struct error *err)
{
    char path[PATH_MAX];
    struct error unread = { 0 };
    int rc = cell_path(dir, cell, "json", path, sizeof path, err);

    *cells = NULL;
    *why = '\0';
    if (rc != OK || access(path, F_OK) != 0)
        return rc;
    json_t *file = json_read(path, &unread);
    why_not_kept(cell, file, why, why_bytes);
    if (!*why)
        *cells = json_incref(json_object_get(file, "cells"));
    json_decref(file);
    return OK;
}

/* An identifier that a stored cell shares only with its copy in result.json. The duration in
   seconds separates cells of different runs. */
static json_t *cell_name(const json_t *cell)
{
    char text[1000];

    (void)snprintf(text, sizeof text, "%s\n%s\n%lld\n%.9g",
                   json_string_value(json_object_get(cell, "label")),
                   json_string_value(json_object_get(cell, "point")),
                   (long long)json_integer_value(json_object_get(cell, "repeat")),
                   json_number_value(json_object_get(cell, "cell_seconds")));
    return json_string(text);
}

/* Appends the cells of one file whose name is in `wanted` (name -> true). The folder may also hold
   files of earlier runs. */
static void append_stored(const char *path, const json_t *wanted, json_t *to)
{
    struct error unread = { 0 };
    json_t *file = json_read(path, &unread), *cell;
    size_t i;

    json_array_foreach(json_object_get(file, "cells"), i, cell) {
        json_t *name = cell_name(cell);

        if (name && json_object_get(wanted, json_string_value(name)))
            (void)json_array_append(to, cell);
        json_decref(name);
    }
    json_decref(file);
}

static int compare_numbers(const void *a, const void *b)
{
    const unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

    return (x > y) - (x < y);
}

unsigned long *result_stored_numbers(const char *dir, size_t *n)
{
    char path[PATH_MAX];
    unsigned long *numbers = NULL;
    size_t capacity = 0;
    DIR *folder =
        snprintf(path, sizeof path, "%s/cells", dir) < (int)sizeof path ? opendir(path) : NULL;

    *n = 0;
    for (struct dirent *e; folder && (e = readdir(folder));) {
        char *end;
        const unsigned long number = strtoul(e->d_name, &end, 10);

        if (end != e->d_name && strcmp(end, ".json") == 0 &&
            mem_grow(NULL, &numbers, &capacity, *n + 1, sizeof *numbers))
            numbers[(*n)++] = number;
    }
    if (folder)
        (void)closedir(folder);
    if (numbers)
        qsort(numbers, *n, sizeof *numbers, compare_numbers);
    return numbers;
}

int result_all_stored(const char *dir, json_t **cells, struct error *err)
{
    char path[PATH_MAX];
    json_t *result = NULL, *wanted = json_object(), *cell;
    size_t n = 0, i;
    int rc = OK;

    *cells = json_array();
    if (snprintf(path, sizeof path, "%s/result.json", dir) >= (int)sizeof path)
        rc = fail(err, ERR_IO, "%s/result.json: the path is too long", dir);
    else
        rc = result_load(path, &result, err);
    json_array_foreach(json_object_get(result, "cells"), i, cell) {
        json_t *name = cell_name(cell);

        (void)json_object_set_new(wanted, json_string_value(name), json_true());
        json_decref(name);
    }
    unsigned long *numbers = rc == OK ? result_stored_numbers(dir, &n) : NULL;
    for (i = 0; i < n; i++)
        if (snprintf(path, sizeof path, "%s/cells/%lu.json", dir, numbers[i]) < (int)sizeof path)
            append_stored(path, wanted, *cells);
    mem_free(NULL, numbers);
    json_decref(wanted);
    json_decref(result);
    return rc;
}
