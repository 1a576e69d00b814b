/* result.c - makes, writes and reads result.json. */
#include "src/result/result.h"

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

#include "src/base/json.h"
#include "src/base/path.h"
#include "src/base/quote.h"
#include "src/base/result_metrics.h"
#include "src/core/path_print.h"
#include "src/result/pack.h"
#include "src/truth/recall.h"

#define RESULT_SCHEMA "driftline-result/1"

/* ---- 1. the document */

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
        "{s:s, s:o, s:o, s:o, s:s, s:O, s:o, s:I, s:I, s:I, s:I, s:I, s:O?, s:O?, s:O, s:o, s:s, "
        "s:b, s:f, s:s}",
        "name", x->name, "title", text_or_null(x->title), "about", text_or_null(x->about), "config",
        text_or_null(x->config_path), "config_sha256", x->config_sha256, "config_files",
        x->config_files, "publication", text_or_null(x->publication), "seed", (json_int_t)x->seed,
        "seeds", (json_int_t)x->seeds, "repeats", (json_int_t)x->repeats, "k", (json_int_t)x->k,
        "threads", (json_int_t)x->threads, "overrides", x->overrides, "figure_specs", x->figures,
        "drift", x->drift, "labels", labels, "metric", index_metric_name(x->ops->metric), "warmup",
        x->warmup, "min_time", x->min_time_s, "recall_definition", RECALL_DEFINITION);
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

/* Returns the cells without per-query data; cells/NUMBER.json holds those. */
static json_t *lean_cells(const json_t *cells)
{
    json_t *lean = json_array(), *cell, *step;
    size_t i, j;

    json_array_foreach(cells, i, cell) {
        json_t *copy = json_copy(cell), *steps = json_array();

        json_array_foreach(json_object_get(cell, "steps"), j, step) {
            json_t *slim = json_copy(step);
            (void)json_object_del(slim, "queries");
            (void)json_array_append_new(steps, slim);
        }
        (void)json_object_set_new(copy, "steps", steps);
        (void)json_array_append_new(lean, copy);
    }
    return lean;
}

/* The lookup function of claims. NAN: absent, or a cell of the label or build did not finish: the
   medians then cover fewer repeats than the config requests, and the curves lack points. */
static double lookup(void *from, const char *label, const char *metric, bool most)
{
    const struct result *r = from;
    double value = NAN;

    for (size_t i = 0; i < r->n; i++)
        if (!r->cells[i].ok &&
            (strcmp(r->cells[i].name, label) == 0 || strcmp(r->cells[i].build, label) == 0 ||
             strcmp(r->cells[i].label, label) == 0))
            return NAN;
    if (!most)
        return summary_find(&r->summary, label, metric)->median;
    for (size_t i = 0; i < r->n_variants; i++) {
        const struct result_cell *of = r->variants[i];
        /* A rate at a recall is a build's, other metrics are a point's. */
        const char *name = result_metric_is_at_recall(metric) ? of->build : of->name;

        if (strcmp(of->label, label) == 0)
            value = fmax(value, summary_find(&r->summary, name, metric)->median);
    }
    return value;
}

static int make_claims(struct experiment *x, const struct result_run *run, struct result *result,
                       json_t **claims, struct error *err)
{
    char why[100];

    if (run->finished == run->planned)
        return experiment_claims(x, lookup, result, claims, err);
    (void)snprintf(why, sizeof why, "%zu of %zu cells have run", run->finished, run->planned);
    *claims = experiment_claims_unasked(x, why);
    return OK;
}

static bool summarise(struct result *result)
{
    return summary_make(&result->summary, result) &&
           json_object_set_new(result->json, "summary", summary_json(&result->summary)) == 0;
}

json_t *result_run_json(const struct experiment *x, const struct result_run *run)
{
    json_int_t rows = 0;

    for (size_t i = 0; i < x->ops->n; i++)
        rows += (json_int_t)x->ops->ops[i].n;
    return json_pack("{s:b, s:b, s:O, s:I, s:I, s:I, s:b, s:I, s:I}", "quick", run->quick,
                     "in_process", run->in_process, "changed", x->changed, "planned",
                     (json_int_t)run->planned, "cells", (json_int_t)run->finished, "kept",
                     (json_int_t)run->kept, "finished", run->finished == run->planned, "operations",
                     (json_int_t)x->ops->n, "rows", rows);
}

static json_t *paper_json(const struct experiment *x, const struct summary *summary)
{
    json_t *paper = json_array();

    for (size_t i = 0; i < x->n_paper; i++) {
        const struct paper_value *p = &x->paper[i];
        (void)json_array_append_new(
            paper, json_pack("{s:s, s:s, s:f, s:o}", "label", p->label, "metric", p->metric,
                             "published", p->published, "measured",
                             json_measured(summary_find(summary, p->label, p->metric)->median)));
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
                const struct result_run *run, json_t *cells, struct result *result,
                struct error *err)
{
    json_t *claims = NULL,
           *json =
               json_pack("{s:s, s:o, s:o, s:O, s:o, s:o, s:o, s:o}", "schema", RESULT_SCHEMA,
                         "experiment", experiment_json(x), "run", result_run_json(x, run),
                         "environment", environment, "datasets", datasets_json(x->ops), "cells",
                         lean_cells(cells), "summary", json_array(), "truth", oracle_json(oracle));
    int rc = result_open(result, json, err);

    json_decref(json);
    if (!json || rc != OK || !summarise(result))
        return fail(err, ERR_NO_MEMORY, "out of memory for the result of \"%s\"", x->name);
    if (json_array_size(x->compared))
        (void)json_object_set(json, "compare", x->compared);
    rc = make_claims(x, run, result, &claims, err);
    (void)json_object_set_new(json, "claims", claims ? claims : json_array());
    (void)json_object_set_new(json, "paper", paper_json(x, &result->summary));
    (void)json_object_set_new(json, "figures", json_array());
    return rc;
}

int result_save(const json_t *result, const char *dir, struct error *err)
{
    char path[PATH_MAX];

    const int rc = path_print(path, err, "%s/result.json", dir);
    return rc ? rc : json_write(path, result, err);
}

/* ---- 2. reading */

/* A field of this type; or, of JSON_INTEGER, one that is absent or a whole number from low to high. */
struct field {
    const char *name;
    json_type type;
    json_int_t low, high;
};
static const struct field of_result[] = {
    { "experiment", JSON_OBJECT, 0, 0 }, { "environment", JSON_OBJECT, 0, 0 },
    { "datasets", JSON_ARRAY, 0, 0 },    { "cells", JSON_ARRAY, 0, 0 },
    { "summary", JSON_ARRAY, 0, 0 },     { "claims", JSON_ARRAY, 0, 0 },
    { "paper", JSON_ARRAY, 0, 0 },       { "figures", JSON_ARRAY, 0, 0 },
};
static const struct field of_experiment[] = {
    { "seed", JSON_INTEGER, INT64_MIN, INT64_MAX }, /* one of 2^63 or more is stored as negative */
    { "seeds", JSON_INTEGER, 1, INT_MAX },
    { "repeats", JSON_INTEGER, 1, INT_MAX },
    { "k", JSON_INTEGER, 1, 1 << 20 },
    { "threads", JSON_INTEGER, 1, INT_MAX },
};
static const struct field of_cell[] = {
    { "label", JSON_STRING, 0, 0 },  { "point", JSON_STRING, 0, 0 },
    { "method", JSON_STRING, 0, 0 }, { "status", JSON_STRING, 0, 0 },
    { "steps", JSON_ARRAY, 0, 0 },   { "repeat", JSON_INTEGER, 0, INT_MAX },
};
static const struct field of_recall[] = { { "k", JSON_INTEGER, 1, 1 << 20 } };
static const struct field of_entry[] = { { "label", JSON_STRING, 0, 0 },
                                         { "metric", JSON_STRING, 0, 0 } };

#define CHECK(path, where, object, fields, err) \
    check_fields(path, where, object, fields, sizeof(fields) / sizeof *(fields), err)

/* where: the object's place; "" for the whole result. */
static int check_fields(const char *path, const char *where, const json_t *object,
                        const struct field *f, size_t n, struct error *err)
{
    for (; n > 0; n--, f++) {
        const json_t *value = json_object_get(object, f->name);
        const json_int_t number = json_integer_value(value);

        if (f->type == JSON_INTEGER
                ? !value || (json_is_integer(value) && number >= f->low && number <= f->high)
                : value && json_typeof(value) == f->type)
            continue;
        if (f->type != JSON_INTEGER)
            return fail(err, ERR_CORRUPT,
                        *where ? "%s: %s.%s is missing or not %s"
                               : "%s: %s\"%s\" is missing or not %s",
                        path, where, f->name,
                        f->type == JSON_STRING   ? "a string"
                        : f->type == JSON_OBJECT ? "an object"
                                                 : "an array");
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        (void)fail(err, ERR_CORRUPT,
                   "%s: %s.%s is %.40s; expected a whole number from %lld to %lld", path, where,
                   f->name, text ? text : "", (long long)f->low, (long long)f->high);
        free(text);
        return err->code;
    }
    return OK;
}

static int check_shape(const char *path, const json_t *result, struct error *err)
{
    const char *schema = json_string_value(json_object_get(result, "schema"));
    const json_t *cell, *step, *entry;
    char where[64];
    size_t i, j;
    int rc;

    if (!schema || strcmp(schema, RESULT_SCHEMA) != 0)
        return fail(err, schema ? ERR_VERSION : ERR_CORRUPT,
                    "%s: its schema is \"%s\"; expected \"%s\"", path, schema ? schema : "",
                    RESULT_SCHEMA);
    rc = CHECK(path, "", result, of_result, err);
    if (rc == OK)
        rc = CHECK(path, "experiment", json_object_get(result, "experiment"), of_experiment, err);
    json_array_foreach(json_object_get(result, "cells"), i, cell) {
        (void)snprintf(where, sizeof where, "cells[%zu]", i);
        rc = rc == OK ? CHECK(path, where, cell, of_cell, err) : rc;
        json_array_foreach(json_object_get(cell, "steps"), j, step) {
            (void)snprintf(where, sizeof where, "cells[%zu].steps[%zu].recall", i, j);
            rc =
                rc == OK ? CHECK(path, where, json_object_get(step, "recall"), of_recall, err) : rc;
        }
    }
    json_array_foreach(json_object_get(result, "summary"), i, entry) {
        (void)snprintf(where, sizeof where, "summary[%zu]", i);
        rc = rc == OK ? CHECK(path, where, entry, of_entry, err) : rc;
    }
    return rc;
}

int result_load(const char *path, struct result *result, struct error *err)
{
    json_t *json = json_read(path, err);
    int rc;

    *result = (struct result){ 0 };
    if (!json)
        return err->code;
    rc = result_is_packed(path) ? result_restore(path, json, err) : OK;
    if (result_is_packed(path))
        result_note_digits(json);
    rc = rc == OK ? check_shape(path, json, err) : rc;
    rc = rc == OK ? result_open(result, json, err) : rc;
    if (rc == OK && result_is_packed(path) && !summarise(result))
        rc = fail(err, ERR_NO_MEMORY, "%s: out of memory summarising it", path);
    json_decref(json);
    return rc;
}

/* Writes DIR/result.json of a packed result. What a run has written there stays. */
static int unpack(const char *path, const char *dir, struct error *err)
{
    char file[PATH_MAX];
    struct error absent = { 0 };
    struct result result = { 0 };

    if (path_print(file, err, "%s/result.json", dir))
        return err->code;
    json_t *there = json_read(file, &absent);
    int rc = OK;
    if (there && !json_object_get(json_object_get(there, "run"), "digits"))
        rc =
            fail(err, ERR_ARGUMENT,
                 "%s: beside it is the result of a run, %s, which unpacking it would replace; move "
                 "the packed file to another folder",
                 path, file);
    if (rc == OK)
        rc = result_load(path, &result, err);
    if (rc == OK && ((rc = path_make_folders(dir, 0777, err)) != OK ||
                     (rc = result_save(result.json, dir, err)) != OK))
        rc = fail_within(err, "%s is unpacked beside it; copy it to a folder of your own", path);
    result_close(&result);
    json_decref(there);
    return rc;
}

#define RESULT_NAMES \
    "expected the folder of a run, its result.json, or FILE" RESULT_PACKED " of export"

/* Refuses a folder with neither a result nor cells, such as one of export. */
static int check_folder(const char *dir, struct error *err)
{
    char file[PATH_MAX], cells[PATH_MAX];

    if (path_print(file, err, "%s/result.json", dir) || path_print(cells, err, "%s/cells", dir))
        return err->code;
    return access(file, F_OK) == 0 || access(cells, F_OK) == 0
               ? OK
               : fail(err, ERR_NOT_FOUND, "%s has no result.json; " RESULT_NAMES, dir);
}

int result_dir(const char *path, char **out, struct error *err)
{
    struct stat st;
    char *dir = *out = strdup(path);

    if (!dir)
        return fail(err, ERR_NO_MEMORY, "out of memory for the path %s", path);
    if (stat(path, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? fail(err, ERR_NOT_FOUND, "%s does not exist; " RESULT_NAMES, path)
                   : OK; /* reading it says why */
    if (S_ISDIR(st.st_mode))
        return check_folder(path, err);
    if (result_is_packed(path)) {
        dir[strlen(dir) - strlen(RESULT_PACKED)] = '\0';
        return unpack(path, dir, err);
    }
    char *slash = strrchr(dir, '/');
    if (strcmp(slash ? slash + 1 : dir, "result.json") != 0)
        return fail(err, ERR_ARGUMENT, "%s is not a result; " RESULT_NAMES, path);
    if (slash)
        *slash = '\0';
    else
        strcpy(dir, ".");
    return OK;
}

/* ---- 4. figures */

bool result_is_figure(const char *name)
{
    static const char *const extensions[] = { ".svg", ".png", ".pdf", ".csv", ".gp", ".log" };
    const size_t digits = strspn(name, "0123456789");
    const char *extension = strrchr(name, '.');

    if (digits < 2 || name[digits] != '-' || !extension)
        return false;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (strcmp(extension, extensions[i]) == 0)
            return true;
    return false;
}

void result_remove_figures(const char *dir)
{
    DIR *folder = opendir(dir);

    for (struct dirent *e; folder && (e = readdir(folder));)
        if (result_is_figure(e->d_name))
            (void)unlinkat(dirfd(folder), e->d_name, 0);
    if (folder)
        (void)closedir(folder);
}
