/* cells.c - stores finished cells, one file each, and reads them for --resume and `compare`. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/path_print.h"
#include "src/plan/plan.h"
#include "src/result/result.h"
#include "src/run/measure/folder.h"

#define RESULT_CELL_SCHEMA "driftline-cell/1"

static bool stored_path(const char *dir, const char *folder, unsigned long number, const char *kind,
                        char path[PATH_MAX])
{
    return snprintf(path, PATH_MAX, "%s/%s/%lu.%s", dir, folder, number, kind) < PATH_MAX;
}

/* A previous run may have left a file of this kind under the same number. */
static void move_beside(const char *dir, const struct cell *cell, const char *kind,
                        const char *file)
{
    char beside[PATH_MAX];

    if (stored_path(dir, "cells", cell->number, kind, beside) &&
        (!file || rename(file, beside) != 0))
        (void)unlink(beside);
}

int result_store_cell(const char *dir, const struct cell *cell, json_t *cells,
                      const char *const files[CELL_FILES], struct error *err)
{
    char path[PATH_MAX];

    if (path_print(path, err, "%s/cells", dir))
        return err->code;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return fail_errno(err, ERR_IO, "%s: cannot be created", path);
    if (path_print(path, err, "%s/cells/%zu.json", dir, cell->number))
        return err->code;
    json_t *file =
        json_pack("{s:s, s:s, s:O*, s:O*, s:O}", "schema", RESULT_CELL_SCHEMA, "key", cell->key,
                  "key_parts", cell->key_parts, "identity", cell->identity, "cells", cells);
    const int rc = file ? json_write(path, file, err)
                        : fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot write it", path);
    json_decref(file);
    for (size_t i = 0; rc == OK && i < CELL_FILES; i++)
        move_beside(dir, cell, cell_file_names[i], files[i]);
    return rc;
}

static double seconds_of(const json_t *cell)
{
    return json_number_value(json_object_get(cell, "cell_seconds"));
}

/* The *n numbers N of the files dir/cells/N.json, ascending, those of earlier runs among them; NULL: none. */
static unsigned long *stored_numbers(const char *dir, size_t *n)
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
        qsort(numbers, *n, sizeof *numbers, order_u64);
    return numbers;
}

/* The copy of a stored cell in result.json; NULL: none. The duration separates cells of different
   runs. */
static const json_t *copy_of(const struct result *result, const json_t *stored)
{
    const double seconds = seconds_of(stored);

    for (size_t i = 0; i < result->n; i++) {
        const struct result_cell *cell = &result->cells[i];

        if (fabs(seconds_of(cell->json) - seconds) <= 1e-9 * seconds &&
            strcmp(cell->label, field_text(stored, "label", "")) == 0 &&
            strcmp(cell->point, field_text(stored, "point", "")) == 0 &&
            (long long)cell->repeat == field_integer(stored, "repeat", 0))
            return cell->json;
    }
    return NULL;
}

/* Whether the steps of a stored cell are those of its copy in result.json, which has no queries. */
static bool is_unchanged(const json_t *stored, const json_t *copy)
{
    const json_t *steps = json_object_get(stored, "steps"),
                 *copied = json_object_get(copy, "steps");
    bool same = json_array_size(steps) == json_array_size(copied);
    json_t *step;
    size_t i;

    json_array_foreach(steps, i, step) {
        json_t *lean = json_copy(step);

        (void)json_object_del(lean, "queries");
        same = same && json_equal(lean, json_array_get(copied, i));
        json_decref(lean);
    }
    return same;
}

static bool are_unchanged(const json_t *cells, const struct result *result)
{
    bool same = true;
    json_t *cell;
    size_t i;

    json_array_foreach(cells, i, cell) {
        const json_t *copy = copy_of(result, cell);

        same = same && (!copy || is_unchanged(cell, copy));
    }
    return same;
}

/* Writes to `why` the reason for running the cell again: a damaged file, a failed cell, or a
   different key. Writes "" if the stored cell is valid. */
static void why_not_kept(const struct cell *cell, const json_t *file, const struct result *result,
                         char *why, size_t bytes)
{
    const json_t *first = json_array_get(json_object_get(file, "cells"), 0);
    const char *status = json_string_value(json_object_get(first, "status"));

    if (!status)
        (void)snprintf(why, bytes, "its file is damaged");
    else if (strcmp(status, "ok") != 0 && strcmp(status, "unsupported") != 0)
        (void)snprintf(why, bytes, "it did not finish (%.40s)", status);
    else if (!are_unchanged(json_object_get(file, "cells"), result))
        (void)snprintf(why, bytes, "its file was changed after result.json was written");
    else
        plan_key_difference(cell, file, why, bytes);
}

int result_stored_cell(const char *dir, const struct cell *cell, const struct result *result,
                       json_t **cells, char *why, size_t why_bytes, struct error *err)
{
    char path[PATH_MAX];
    struct error unread = { 0 };

    *cells = NULL;
    *why = '\0';
    if (path_print(path, err, "%s/cells/%zu.json", dir, cell->number))
        return err->code;
    if (access(path, F_OK) != 0)
        return OK;
    json_t *file = json_read(path, &unread);
    why_not_kept(cell, file, result, why, why_bytes);
    if (!*why)
        *cells = json_incref(json_object_get(file, "cells"));
    json_decref(file);
    return OK;
}

/* ---- Numbers: a method that was added, moved or left out gives other cells other numbers. */

static json_t *stored_file(const char *dir, unsigned long number)
{
    char path[PATH_MAX];
    struct error unread = { 0 };

    return stored_path(dir, "cells", number, "json", path) ? json_read(path, &unread) : NULL;
}

/* The number that the plan gives to the stored cell; its own if the plan has no such cell. */
static unsigned long planned_number(const char *dir, const struct plan *plan, unsigned long number)
{
    json_t *file = stored_file(dir, number);
    const char *key = field_text(file, "key", "");
    unsigned long planned = number;

    for (size_t i = 0; i < plan->n; i++)
        if (*key && strcmp(plan->cells[i].key, key) == 0)
            planned = plan->cells[i].number;
    json_decref(file);
    return planned;
}

/* Gives the files of a cell a second name in cells.new. false: not all of them have one. */
static bool link_cell(const char *dir, unsigned long from, unsigned long to)
{
    char old[PATH_MAX], fresh[PATH_MAX];
    bool linked = true;

    for (size_t i = 0; i <= CELL_FILES; i++) {
        const char *kind = i < CELL_FILES ? cell_file_names[i] : "json";

        linked = linked && stored_path(dir, "cells", from, kind, old) &&
                 stored_path(dir, "cells.new", to, kind, fresh) &&
                 (link(old, fresh) == 0 || errno == ENOENT);
    }
    return linked;
}

/* Fills cells.new: cells of the plan under their numbers, then others where these leave room. */
static bool fill_renumbered(const char *dir, const unsigned long *from, const unsigned long *to,
                            size_t n)
{
    char taken[PATH_MAX];
    bool filled = true;

    for (size_t i = 0; filled && i < n; i++)
        filled = from[i] == to[i] || link_cell(dir, from[i], to[i]);
    for (size_t i = 0; filled && i < n; i++)
        if (from[i] == to[i] && stored_path(dir, "cells.new", to[i], "json", taken) &&
            access(taken, F_OK) != 0)
            filled = link_cell(dir, from[i], to[i]);
    return filled;
}

void result_renumber_cells(const char *dir, const struct plan *plan)
{
    char cells[PATH_MAX], fresh[PATH_MAX], old[PATH_MAX];
    size_t n = 0;
    bool moves = false;

    if (snprintf(cells, sizeof cells, "%s/cells", dir) >= PATH_MAX ||
        snprintf(fresh, sizeof fresh, "%s/cells.new", dir) >= PATH_MAX ||
        snprintf(old, sizeof old, "%s/cells.old", dir) >= PATH_MAX)
        return;
    if (access(cells, F_OK) != 0)
        (void)rename(fresh, cells);
    folder_remove(fresh);
    folder_remove(old);
    unsigned long *from = stored_numbers(dir, &n);
    unsigned long *to = mem_array(NULL, n + 1, sizeof *to);
    for (size_t i = 0; to && i < n; i++) {
        to[i] = planned_number(dir, plan, from[i]);
        moves |= to[i] != from[i];
    }
    /* cells.new takes the place of cells. A run that is killed in between leaves cells.new whole, which
       the next one finds. On a file system without links the cells are measured again. */
    if (moves && mkdir(fresh, 0777) == 0 && fill_renumbered(dir, from, to, n) &&
        rename(cells, old) == 0)
        (void)rename(fresh, cells);
    folder_remove(old);
    folder_remove(fresh);
    mem_free(NULL, to);
    mem_free(NULL, from);
}

/* Appends the cells of one file that the result has. The folder may also hold files of earlier runs. */
static int append_stored(const char *path, const struct result *result, json_t *to,
                         struct error *err)
{
    struct error unread = { 0 };
    json_t *file = json_read(path, &unread), *cell;
    int rc = OK;
    size_t i;

    json_array_foreach(json_object_get(file, "cells"), i, cell) {
        const json_t *copy = copy_of(result, cell);

        if (copy && !is_unchanged(cell, copy))
            rc = fail(err, ERR_CORRUPT,
                      "%s: was changed after result.json was written; measure it again, or take "
                      "the folder from a backup",
                      path);
        else if (copy)
            (void)json_array_append(to, cell);
    }
    json_decref(file);
    return rc;
}

/* Whether a cell of the plan has the same subject. A quick run is a part of the whole one, if it had the
   same data. */
static bool has_subject(const struct plan *plan, const json_t *parts, bool quick)
{
    static const char *const compared[] = { "data", "workload", "method" };
    const size_t n = quick ? 1 : sizeof compared / sizeof *compared;

    for (size_t i = 0; i < plan->n; i++) {
        size_t same = 0;

        while (same < n && json_equal(json_object_get(plan->cells[i].key_parts, compared[same]),
                                      json_object_get(parts, compared[same])))
            same++;
        if (same == n)
            return true;
    }
    return false;
}

void result_read_earlier(const char *dir, struct result *result)
{
    char path[PATH_MAX];
    struct error unread = { 0 };
    json_t *json = snprintf(path, sizeof path, "%s/result.json", dir) < (int)sizeof path
                       ? json_read(path, &unread)
                       : NULL;

    (void)result_open(result, json, &unread);
    json_decref(json);
}

unsigned long *result_stored_numbers(const char *dir, size_t *n)
{
    struct result result;
    size_t all = 0;
    unsigned long *numbers = stored_numbers(dir, &all);

    *n = 0;
    result_read_earlier(dir, &result);
    for (size_t i = 0; i < all; i++) {
        json_t *file = result.json ? stored_file(dir, numbers[i]) : NULL;

        if (!result.json || copy_of(&result, json_array_get(json_object_get(file, "cells"), 0)))
            numbers[(*n)++] = numbers[i];
        json_decref(file);
    }
    result_close(&result);
    return numbers;
}

bool result_measures_other(const char *dir, const struct plan *plan)
{
    struct result result;
    size_t n;
    unsigned long *numbers = stored_numbers(dir, &n);
    bool other = false;

    result_read_earlier(dir, &result);
    const bool quick = json_is_true(json_object_get(json_object_get(result.json, "run"), "quick"));
    for (size_t i = 0; !other && i < n; i++) {
        json_t *file = stored_file(dir, numbers[i]);

        other = copy_of(&result, json_array_get(json_object_get(file, "cells"), 0)) &&
                !has_subject(plan, json_object_get(file, "key_parts"), quick);
        json_decref(file);
    }
    mem_free(NULL, numbers);
    result_close(&result);
    return other;
}

int result_all_stored(const char *dir, const struct result *result, json_t **cells,
                      struct error *err)
{
    char path[PATH_MAX];
    size_t n = 0;
    unsigned long *numbers = stored_numbers(dir, &n);
    int rc = OK;

    *cells = json_array();
    for (size_t i = 0; rc == OK && i < n; i++)
        if (stored_path(dir, "cells", numbers[i], "json", path))
            rc = append_stored(path, result, *cells, err);
    mem_free(NULL, numbers);
    return rc;
}
