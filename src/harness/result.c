/* result.c - cells stored for --resume; the document made, written and read back. */
#include "result.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "quote.h"
#include "recall.h"
#include "summary.h"
#include "whole_file.h"

#define RESULT_SCHEMA      "driftline-result/1"
#define RESULT_CELL_SCHEMA "driftline-cell/1"

/* ---- 1. cells, one file each */

static int cell_path(const char *dir, const struct cell *cell, char *path, size_t bytes,
                     struct error *err)
{
    if (snprintf(path, bytes, "%s/cells", dir) >= (int)bytes)
        return fail(err, ERR_IO, "%s/cells: the path is too long", dir);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return fail_errno(err, ERR_IO, "%s: cannot be made", path);
    if (snprintf(path, bytes, "%s/cells/%zu.json", dir, cell->number) >= (int)bytes)
        return fail(err, ERR_IO, "%s/cells: the path is too long", dir);
    return OK;
}

/* NULL with the cause in err. A pipe in a file's place would be waited on for ever; json_loadfd()
   reads byte by byte. */
static json_t *read_json(const char *path, struct error *err)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    FILE *file = NULL;
    json_error_t why;
    struct stat st;
    json_t *json = NULL;

    if (fd < 0)
        (void)fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot be read", path);
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        (void)fail(err, ERR_CORRUPT, "%s: is not a regular file", path);
    else if (!(file = fdopen(fd, "r")))
        (void)fail(err, ERR_NO_MEMORY, "%s: no memory to read it", path);
    else if (!(json = json_loadf(file, 0, &why)))
        (void)fail(err, ERR_CORRUPT, "%s:%d:%d: not JSON: %s", path, why.line, why.column,
                   why.text);
    if (file)
        (void)fclose(file);
    else if (fd >= 0)
        (void)close(fd);
    return json;
}

static int write_json(const char *path, const json_t *json, struct error *err)
{
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(12));

    if (!text)
        return fail(err, ERR_NO_MEMORY, "%s: no memory to write it", path);
    const size_t n = strlen(text);
    text[n] = '\n'; /* over the terminator: the length is known */
    const int rc = write_whole_file(path, text, n + 1, err);
    free(text);
    return rc;
}

int result_store_cell(const char *dir, const struct cell *cell, json_t *cells, struct error *err)
{
    char path[PATH_MAX];
    int rc = cell_path(dir, cell, path, sizeof path, err);

    if (rc != OK)
        return rc;
    json_t *file = json_pack("{s:s, s:s, s:O}", "schema", RESULT_CELL_SCHEMA, "key", cell->key,
                             "cells", cells);
    rc = file ? write_json(path, file, err)
              : fail(err, ERR_NO_MEMORY, "%s: no memory to write it", path);
    json_decref(file);
    return rc;
}

/* A cell that failed is tried again; one that was cut short or belongs to another config is as
   if it were not there. */
int result_stored_cell(const char *dir, const struct cell *cell, json_t **cells, struct error *err)
{
    char path[PATH_MAX];
    struct error unread = { 0 };
    int rc = cell_path(dir, cell, path, sizeof path, err);

    *cells = NULL;
    if (rc != OK || access(path, F_OK) != 0)
        return rc;
    json_t *file = read_json(path, &unread), *stored = json_object_get(file, "cells");
    const char *key = json_string_value(json_object_get(file, "key"));
    const char *status = json_string_value(json_object_get(json_array_get(stored, 0), "status"));

    if (key && strcmp(key, cell->key) == 0 && status &&
        (strcmp(status, "ok") == 0 || strcmp(status, "unsupported") == 0))
        *cells = json_incref(stored);
    json_decref(file);
    return OK;
}

/* What a stored cell and its copy in result.json have in common, and no other cell has. */
static json_t *cell_identity(const json_t *cell)
{
    char text[1000];

    (void)snprintf(text, sizeof text, "%s\n%s\n%lld\n%.9g",
                   json_string_value(json_object_get(cell, "label")),
                   json_string_value(json_object_get(cell, "point")),
                   (long long)json_integer_value(json_object_get(cell, "repeat")),
                   json_number_value(json_object_get(cell, "cell_seconds")));
    return json_string(text);
}

/* Appends a file's cells that `wanted` (identity -> true) has: files of earlier runs may lie
   beside. */
static void append_stored(const char *path, const json_t *wanted, json_t *to)
{
    struct error unread = { 0 };
    json_t *file = read_json(path, &unread), *cell;
    size_t i;

    json_array_foreach(json_object_get(file, "cells"), i, cell)
    {
        json_t *identity = cell_identity(cell);

        if (identity && json_object_get(wanted, json_string_value(identity)))
            (void)json_array_append(to, cell);
        json_decref(identity);
    }
    json_decref(file);
}

static int compare_numbers(const void *a, const void *b)
{
    const unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

    return (x > y) - (x < y);
}

/* The numbers of the files in dir/cells, ascending; *n of them, freed by the caller. */
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
    json_array_foreach(json_object_get(result, "cells"), i, cell)
    {
        json_t *identity = cell_identity(cell);

        (void)json_object_set_new(wanted, json_string_value(identity), json_true());
        json_decref(identity);
    }
    unsigned long *numbers = rc == OK ? stored_numbers(dir, &n) : NULL;
    for (i = 0; i < n; i++)
        if (snprintf(path, sizeof path, "%s/cells/%lu.json", dir, numbers[i]) < (int)sizeof path)
            append_stored(path, wanted, *cells);
    mem_free(NULL, numbers);
    json_decref(wanted);
    json_decref(result);
    return rc;
}

/* ---- 2. the document */

static json_t *text_or_null(const char *text)
{
    return text ? quote_json(text) : json_null();
}

static json_t *experiment_json(const struct experiment *x)
{
    json_t *labels = json_array();

    for (size_t i = 0; i < x->n_methods; i++)
        (void)json_array_append_new(labels, json_string(x->methods[i].label));
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:O?, s:O?, s:o, s:b, s:s}", "name",
        x->name, "title", text_or_null(x->title), "about", text_or_null(x->about), "config",
        text_or_null(x->config_path), "config_sha256", x->config_sha256, "seed",
        (json_int_t)x->seed, "seeds", (json_int_t)x->seeds, "repeats", (json_int_t)x->repeats, "k",
        (json_int_t)x->k, "threads", (json_int_t)x->threads, "overrides", x->overrides,
        "figure_specs", x->figures, "labels", labels, "warmup", x->warmup, "recall_definition",
        RECALL_DEFINITION);
}

static json_t *datasets_json(const struct op_list *list)
{
    json_t *datasets = json_array();

    for (size_t i = 0; i < list->n_datasets; i++) {
        const struct dataset_use *d = &list->datasets[i];
        (void)json_array_append_new(
            datasets,
            json_pack("{s:o, s:I, s:I, s:s, s:s}", "name", quote_json(d->name), "rows",
                      (json_int_t)d->source->n, "dim", (json_int_t)d->source->dim, "sha256",
                      d->sha256, "element", data_element_name(d->source->element)));
    }
    return datasets;
}

/* The cells without their per-query data, which stay in cells/NUMBER.json. */
static json_t *lean_cells(const json_t *cells)
{
    json_t *lean = json_array(), *cell, *step;
    size_t i, j;

    json_array_foreach(cells, i, cell)
    {
        json_t *copy = json_copy(cell), *steps = json_array();

        json_array_foreach(json_object_get(cell, "steps"), j, step)
        {
            json_t *slim = json_copy(step);
            (void)json_object_del(slim, "queries");
            (void)json_array_append_new(steps, slim);
        }
        (void)json_object_set_new(copy, "steps", steps);
        (void)json_array_append_new(lean, copy);
    }
    return lean;
}

double result_lookup(const json_t *result, const char *label, const char *metric)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(result, "summary"), i, entry)
    {
        const json_t *median = json_object_get(entry, "median");

        if (strcmp(json_string_value(json_object_get(entry, "label")), label) == 0 &&
            strcmp(json_string_value(json_object_get(entry, "metric")), metric) == 0)
            return json_is_number(median) ? json_number_value(median) : NAN;
    }
    return NAN;
}

static double lookup(void *from, const char *label, const char *metric)
{
    return result_lookup(from, label, metric);
}

static json_t *paper_json(const struct experiment *x, const json_t *result)
{
    json_t *paper = json_array();

    for (size_t i = 0; i < x->n_paper; i++) {
        const struct paper_value *p = &x->paper[i];
        const double measured = result_lookup(result, p->label, p->metric);

        (void)json_array_append_new(
            paper, json_pack("{s:s, s:s, s:f, s:o}", "label", p->label, "metric", p->metric,
                             "published", p->published, "measured",
                             isfinite(measured) ? json_real(measured) : json_null()));
    }
    return paper;
}

static json_t *oracle_json(const struct oracle *oracle)
{
    json_t *notes = json_array();

    for (size_t i = 0; i < oracle->n_notes; i++)
        (void)json_array_append_new(notes, quote_json(oracle->notes[i]));
    return json_pack("{s:f, s:f, s:o}", "seconds", oracle->seconds, "gflops", oracle->gflops,
                     "notes", notes);
}

int result_make(struct experiment *x, const struct oracle *oracle, json_t *environment,
                json_t *cells, json_t **result, struct error *err)
{
    json_t *claims = NULL;
    int rc;

    *result = json_pack("{s:s, s:o, s:O, s:o, s:o, s:o, s:o}", "schema", RESULT_SCHEMA,
                        "experiment", experiment_json(x), "environment", environment, "datasets",
                        datasets_json(x->ops), "cells", lean_cells(cells), "summary",
                        summary_make(cells), "truth", oracle_json(oracle));
    if (!*result)
        return fail(err, ERR_NO_MEMORY, "no memory for the result of \"%s\"", x->name);
    if (json_array_size(x->compared))
        (void)json_object_set(*result, "compare", x->compared);
    rc = experiment_claims(x, lookup, *result, &claims, err);
    (void)json_object_set_new(*result, "claims", claims ? claims : json_array());
    (void)json_object_set_new(*result, "paper", paper_json(x, *result));
    (void)json_object_set_new(*result, "figures", json_array());
    if (rc != OK) {
        json_decref(*result);
        *result = NULL;
    }
    return rc;
}

int result_save(const json_t *result, const char *dir, struct error *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/result.json", dir) >= (int)sizeof path)
        return fail(err, ERR_IO, "%s/result.json: the path is too long", dir);
    return write_json(path, result, err);
}

/* ---- 3. reading back */

static const struct part {
    const char *name;
    json_type type;
    const char *type_name;
} parts[] = {
    { "experiment", JSON_OBJECT, "an object" }, { "environment", JSON_OBJECT, "an object" },
    { "datasets", JSON_ARRAY, "an array" },     { "cells", JSON_ARRAY, "an array" },
    { "summary", JSON_ARRAY, "an array" },      { "claims", JSON_ARRAY, "an array" },
    { "paper", JSON_ARRAY, "an array" },        { "figures", JSON_ARRAY, "an array" },
};

static int check_texts(const char *path, const json_t *list, const char *what,
                       const char *const *names, size_t n, struct error *err)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item) for (size_t j = 0; j < n; j++) if (
        !json_is_string(
            json_object_get(item, names[j]))) return fail(err, ERR_CORRUPT,
                                                          "%s: %s[%zu].%s is missing or no string",
                                                          path, what, i, names[j]);
    return OK;
}

/* Numbers that are counted with: of one object, each a whole number from `low` to `high`, or not
   there. */
struct whole {
    const char *name;
    json_int_t low, high;
};
static const struct whole of_experiment[] = {
    { "seed", INT64_MIN, INT64_MAX }, /* a seed past 63 bits is stored negative */
    { "seeds", 1, INT_MAX },          { "repeats", 1, INT_MAX }, { "k", 1, 1 << 20 },
    { "threads", 1, INT_MAX },
};
static const struct whole of_repeat = { "repeat", 0, INT_MAX };
static const struct whole of_recall = { "k", 1, 1 << 20 };

static int check_whole(const char *path, const char *where, const json_t *object,
                       const struct whole *numbers, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, numbers[i].name);
        const json_int_t number = json_integer_value(value);

        if (!value ||
            (json_is_integer(value) && number >= numbers[i].low && number <= numbers[i].high))
            continue;
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        (void)fail(err, ERR_CORRUPT,
                   "%s: %s.%s is %.40s; expected a whole number from %lld to %lld", path, where,
                   numbers[i].name, text ? text : "", (long long)numbers[i].low,
                   (long long)numbers[i].high);
        free(text);
        return err->code;
    }
    return OK;
}

static int check_numbers(const char *path, const json_t *result, struct error *err)
{
    const json_t *cell, *step;
    char where[64];
    size_t i, j;
    int rc = check_whole(path, "experiment", json_object_get(result, "experiment"), of_experiment,
                         sizeof of_experiment / sizeof *of_experiment, err);

    json_array_foreach(json_object_get(result, "cells"), i, cell)
    {
        (void)snprintf(where, sizeof where, "cells[%zu]", i);
        if (rc == OK)
            rc = check_whole(path, where, cell, &of_repeat, 1, err);
        json_array_foreach(json_object_get(cell, "steps"), j, step)
        {
            (void)snprintf(where, sizeof where, "cells[%zu].steps[%zu].recall", i, j);
            if (rc == OK)
                rc = check_whole(path, where, json_object_get(step, "recall"), &of_recall, 1, err);
        }
    }
    return rc;
}

static int check_shape(const char *path, const json_t *result, struct error *err)
{
    static const char *const of_cell[] = { "label", "point", "method", "status" };
    static const char *const of_entry[] = { "label", "metric" };
    const char *schema = json_string_value(json_object_get(result, "schema"));
    const json_t *cell;
    size_t i;
    int rc;

    if (!schema || strcmp(schema, RESULT_SCHEMA) != 0)
        return fail(err, schema ? ERR_VERSION : ERR_CORRUPT,
                    "%s: its schema is \"%s\"; expected \"%s\"", path, schema ? schema : "",
                    RESULT_SCHEMA);
    for (i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *part = json_object_get(result, parts[i].name);
        if (!part || json_typeof(part) != parts[i].type)
            return fail(err, ERR_CORRUPT, "%s: \"%s\" is missing or not %s", path, parts[i].name,
                        parts[i].type_name);
    }
    rc = check_texts(path, json_object_get(result, "cells"), "cells", of_cell, 4, err);
    if (rc == OK)
        rc = check_texts(path, json_object_get(result, "summary"), "summary", of_entry, 2, err);
    json_array_foreach(json_object_get(result, "cells"), i,
                       cell) if (rc == OK && !json_is_array(json_object_get(cell, "steps"))) rc =
        fail(err, ERR_CORRUPT, "%s: cells[%zu].steps is missing or not an array", path, i);
    return rc == OK ? check_numbers(path, result, err) : rc;
}

int result_load(const char *path, json_t **result, struct error *err)
{
    json_t *json = read_json(path, err);
    int rc;

    *result = NULL;
    if (!json)
        return err->code;
    if ((rc = check_shape(path, json, err)) != OK) {
        json_decref(json);
        return rc;
    }
    *result = json;
    return OK;
}
