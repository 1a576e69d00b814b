/* ann_benchmarks.c - the searches of a result as files of ann-benchmarks: the layout of
   store_results() in ann_benchmarks/results.py, with the attributes that its runner.py sets. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/path.h"
#include "src/base/result_metrics.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"
#include "src/export/export.h"
#include "src/export/internal.h"
#include "src/result/result.h"
#include "src/run/answers_file.h"
#include "src/run/measure/folder.h"

enum { NAME_BYTES = 200 };

struct exporter {
    const struct result *result;
    const char *dir;
    char root[PATH_MAX]; /* of the files */
    enum metric metric;
    bool several; /* cells have more than one search: the data set's name has the tag */
    struct export_counts *counts;
};

/* One search of a cell and point. */
struct search {
    const struct result_cell *cell;
    const struct result_step *step;
    unsigned long number; /* of the cell's file */
    const struct answers_entry *entry;
};

/* ---- 1. names */

/* Copies a name for a file: each run of other characters than letters, digits, '.', '-' and '_' is
   one '_'. */
static void file_name(const char *text, char *to, size_t bytes)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t n = 0;

    for (; *text && n + 1 < bytes; text++) {
        if (strchr(allowed, *text) && (n > 0 || *text != '.'))
            to[n++] = *text;
        else if (n > 0 && to[n - 1] != '_')
            to[n++] = '_';
    }
    while (n > 0 && to[n - 1] == '_')
        n--;
    to[n] = '\0';
    if (n == 0)
        (void)snprintf(to, bytes, "default");
}

/* EXPERIMENT, or EXPERIMENT-TAG or EXPERIMENT-TAG-i if there are several searches. */
static void dataset_name(const struct exporter *x, const struct search *s, char *text, size_t bytes)
{
    const char *experiment = x->result->name;

    if (!x->several)
        (void)snprintf(text, bytes, "%s", experiment);
    else if (s->step->of > 1)
        (void)snprintf(text, bytes, "%s-%s-%zu", experiment, s->step->tag, s->step->number);
    else
        (void)snprintf(text, bytes, "%s-%s", experiment, s->step->tag);
}

/* Makes the folder and the path of the search's file. */
static int make_path(const struct exporter *x, const struct search *s, const char *dataset,
                     char path[PATH_MAX], struct error *err)
{
    char set[NAME_BYTES], label[NAME_BYTES], point[NAME_BYTES], folder[PATH_MAX];

    file_name(dataset, set, sizeof set);
    file_name(s->cell->label, label, sizeof label);
    file_name(s->cell->point, point, sizeof point);
    int rc = path_print(folder, err, "%s/%s/%zu/%s", x->root, set, s->entry->k, label);
    rc = rc ? rc
            : path_print(path, err, "%s/%lu-%zu-%s.hdf5", folder, s->number,
                         s->entry->answers.op + 1, point);
    return rc ? rc : path_make_folders(folder, 0777, err);
}

/* ---- 2. attributes */

/* Sums the time of all changes of the index before the search. */
static double build_seconds(const struct search *s)
{
    double sum = 0;

    for (const struct result_step *step = s->cell->steps; step < s->step; step++) {
        const double seconds = field_number(step->json, "seconds");

        if ((op_info(step->op)->flags & OP_BUILDS) && isfinite(seconds))
            sum += seconds;
    }
    return sum;
}

/* The index's size as last reported before the search; NAN: not reported. */
static double index_bytes(const struct search *s)
{
    double bytes = NAN;

    for (const struct result_step *step = s->cell->steps; step < s->step; step++) {
        const double now = field_number(json_object_get(step->json, "memory"), "index_bytes");
        bytes = isfinite(now) ? now : bytes;
    }
    return bytes;
}

/* Adds a number as a real; one that is not known is left out. */
static void add_real(json_t *to, const char *name, double value)
{
    if (isfinite(value))
        (void)json_object_set_new(to, name, json_real(value));
}

static const char *distance_name(enum metric metric)
{
    switch (metric) {
        case INDEX_L2SQ: return "euclidean";
        case INDEX_COS: return "angular";
        case INDEX_IP:
        case INDEX_HAMMING: break;
    }
    return index_metric_name(metric);
}

/* The distance as ann-benchmarks defines it. */
static float distance_as(const struct exporter *x, float d)
{
    switch (x->metric) {
        case INDEX_L2SQ: return sqrtf(d);
        case INDEX_COS: return d / 2;
        case INDEX_HAMMING: return (float)(d / x->result->dim);
        case INDEX_IP: break;
    }
    return d;
}

static json_t *attributes_of(const struct exporter *x, const struct search *s, const char *dataset,
                             double candidates)
{
    const json_t *cell = s->cell->json, *step = s->step->json;
    const double queries = field_number(step, "count");
    const size_t timed = json_array_size(json_object_get(json_object_get(step, "queries"), "ns"));
    json_t *to =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:b, s:b, s:I, s:I, s:I, s:I}", "algo",
                  s->cell->label, "name", s->cell->name, "dataset", dataset, "distance",
                  distance_name(x->metric), "experiment", x->result->name, "tag", s->step->tag,
                  "count", (json_int_t)s->entry->k, "run_count", 1, "batch_mode", 0, "expect_extra",
                  0, "repeat", (json_int_t)field_integer(cell, "repeat", 0) + 1, "seed",
                  (json_int_t)field_integer(cell, "seed", 0), "live",
                  (json_int_t)field_integer(step, "live", 0), "times_measured", (json_int_t)timed);

    add_real(to, "best_search_time", 1 / field_number(step, "single_per_second"));
    add_real(to, "candidates", candidates);
    add_real(to, "build_time", build_seconds(s));
    add_real(to, "index_size", index_bytes(s) / 1024);
    add_real(to, "dist_comps", field_number(step, "distances") * queries);
    add_real(to, "recall", field_number(json_object_get(step, "recall"), "mean"));
    add_real(to, "wrong_ids", field_number(step, "wrong_ids"));
    return to;
}

/* ---- 3. one file */

static void rows_free(struct export_ann_file *r)
{
    mem_free(NULL, r->times);
    mem_free(NULL, r->distances);
    mem_free(NULL, r->neighbors);
    json_decref(r->attributes);
}

static int rows_make(struct export_ann_file *r, size_t n, size_t k, struct error *err)
{
    *r = (struct export_ann_file){ .n = n, .k = k };
    if (k > 0 && n > SIZE_MAX / sizeof(float) / k - 1)
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu queries", n);
    r->times = mem_array(NULL, n + 1, sizeof *r->times);
    r->distances = mem_array(NULL, n * k + 1, sizeof *r->distances);
    r->neighbors = mem_array(NULL, n * k + 1, sizeof *r->neighbors);
    if (!r->times || !r->distances || !r->neighbors)
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu queries", n);
    for (size_t i = 0; i < n; i++)
        r->times[i] = NAN;
    for (size_t i = 0; i < n * k; i++) {
        r->distances[i] = INFINITY;
        r->neighbors[i] = -1;
    }
    return OK;
}

/* Takes the answers of query number q of the entry; returns how many, or SIZE_MAX if an id does not
   fit. */
static size_t take_query(struct export_ann_file *r, const struct exporter *x,
                         const struct answers *a, size_t q)
{
    const size_t to = (size_t)a->positions[q] * r->k;
    size_t n = 0;

    for (size_t i = q * r->k; i < (q + 1) * r->k; i++) {
        if (a->ids[i] == INDEX_NO_ID)
            continue;
        if (a->ids[i] > INT32_MAX)
            return SIZE_MAX;
        r->neighbors[to + n] = (int32_t)a->ids[i];
        r->distances[to + n] = isnan(a->distances[i]) ? INFINITY : distance_as(x, a->distances[i]);
        n++;
    }
    return n;
}

/* The first queries of the answers were timed one at a time. */
static int take_rows(struct export_ann_file *r, const struct exporter *x, const struct search *s,
                     double *candidates, struct error *err)
{
    const struct answers *a = &s->entry->answers;
    const json_t *ns = json_object_get(json_object_get(s->step->json, "queries"), "ns");
    double all = 0;

    for (size_t q = 0; q < a->n; q++) {
        if (a->positions[q] >= r->n)
            return fail(err, ERR_CORRUPT, "%s: cells/%lu.answers does not fit cells/%lu.json",
                        x->dir, s->number, s->number);
        const size_t n = take_query(r, x, a, q);
        if (n == SIZE_MAX)
            return fail(err, ERR_UNSUPPORTED,
                        "%s: cell %lu: an id is above %d, and the layout has 32-bit ids", x->dir,
                        s->number, INT32_MAX);
        all += (double)n;
        if (q < json_array_size(ns))
            r->times[a->positions[q]] = (float)(1e-9 * json_number_value(json_array_get(ns, q)));
    }
    *candidates = a->n > 0 ? all / (double)a->n : NAN;
    return OK;
}

static int write_search(const struct exporter *x, const struct search *s, struct error *err)
{
    char dataset[600], path[PATH_MAX];
    double candidates = NAN;
    struct export_ann_file r = { 0 };
    int rc;

    dataset_name(x, s, dataset, sizeof dataset);
    rc = make_path(x, s, dataset, path, err);
    rc = rc == OK ? rows_make(&r, (size_t)field_number(s->step->json, "count"), s->entry->k, err)
                  : rc;
    rc = rc == OK ? take_rows(&r, x, s, &candidates, err) : rc;
    if (rc == OK) {
        r.attributes = attributes_of(x, s, dataset, candidates);
        rc = export_write_ann_file(&r, path, err);
    }
    rows_free(&r);
    x->counts->written += rc == OK;
    return rc;
}

/* ---- 4. all cells */

/* Writes the answers of an entry if they are a search's; else counts what is missing. */
static int take_entry(const struct exporter *x, const struct result *stored, unsigned long number,
                      const struct answers_entry *e, struct error *err)
{
    const size_t point = e->point == SIZE_MAX ? 0 : e->point;
    struct search s = { .number = number, .entry = e };

    s.cell = &stored->cells[point < stored->n ? point : stored->n];
    s.step = result_step_of(s.cell, e->answers.op);
    if (!s.step || s.step->op != OP_SEARCH || !s.cell->ok || e->answers.pass == PASS_CLUSTERS)
        return OK;
    x->counts->not_stored += !e->kept;
    x->counts->no_distances += e->kept && !e->answers.distances;
    const bool calibrated = json_is_object(json_object_get(s.step->json, "calibrated"));
    x->counts->calibrated += calibrated && e->kept && e->answers.distances;
    return e->kept && e->answers.distances && !calibrated ? write_search(x, &s, err) : OK;
}

static int take_cell(const struct exporter *x, unsigned long number, struct error *err)
{
    char json[PATH_MAX], answers[PATH_MAX];
    struct answers_entry entry;

    (void)snprintf(json, sizeof json, "%s/cells/%lu.json", x->dir, number);
    (void)snprintf(answers, sizeof answers, "%s/cells/%lu.answers", x->dir, number);
    FILE *file = fopen(answers, "rb");
    if (!file)
        return errno == ENOENT ? OK : fail_errno(err, ERR_IO, "%s: cannot be read", answers);
    json_t *cell = json_read(json, err);
    struct result stored = { 0 };
    int rc = cell ? result_open(&stored, cell, err) : err->code, read = 0;
    while (rc == OK && (read = answers_file_read(file, answers, &entry, err)) == 1) {
        rc = take_entry(x, &stored, number, &entry, err);
        free(entry.words);
    }
    (void)fclose(file);
    result_close(&stored);
    json_decref(cell);
    return rc != OK ? rc : read;
}

static int take_all(const struct exporter *x, struct error *err)
{
    size_t n = 0;
    unsigned long *numbers = result_stored_numbers(x->dir, &n);
    int rc = OK;

    for (size_t i = 0; rc == OK && i < n; i++)
        rc = take_cell(x, numbers[i], err);
    mem_free(NULL, numbers);
    if (rc == OK && x->counts->written == 0)
        rc = fail(err, ERR_NOT_FOUND,
                  x->counts->calibrated ? "%s: all its searches are calibrated: half of the "
                                          "queries chose the point, and are not answered"
                                        : "%s: no search has stored answers with distances; run "
                                          "the config again, which stores them",
                  x->dir);
    return rc;
}

int export_ann_benchmarks(const struct result *result, const char *dir, const char *out,
                          struct export_counts *counts, struct error *err)
{
    const json_t *experiment = json_object_get(result->json, "experiment");
    struct exporter x = { .result = result, .dir = dir, .counts = counts };
    size_t searches = 0;
    const bool fresh = access(out, F_OK) != 0;
    const size_t length = strlen(out) - (fresh && *out && out[strlen(out) - 1] == '/');

    *counts = (struct export_counts){ 0 };
    (void)index_metric_named(field_text(experiment, "metric", ""), &x.metric);
    for (size_t i = 0; i < result->cells[0].n; i++)
        searches += result->cells[0].steps[i].op == OP_SEARCH;
    x.several = searches > 1;
    int rc = fresh ? path_print(x.root, err, "%.*s.%ld.tmp", (int)length, out, (long)getpid())
                   : path_print(x.root, err, "%s", out);
    rc = rc ? rc : take_all(&x, err);
    if (rc == OK && fresh) {
        path_sync_parent(x.root);
        if (rename(x.root, out) != 0)
            rc = fail_errno(err, ERR_IO, "%s: cannot be made", out);
    }
    if (rc != OK && fresh)
        folder_remove(x.root);
    return rc;
}
