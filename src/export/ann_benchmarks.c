/* ann_benchmarks.c - the searches of a result as files of ann-benchmarks: the layout of
 * store_results() in ann_benchmarks/results.py, with the attributes that its runner.py sets.
 *
 * 1 names   2 attributes   3 an HDF5 file   4 the file of a search   5 all cells */
#ifdef HAVE_HDF5
#include <hdf5.h>
#endif
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/atomic_file.h"
#include "src/base/path.h"
#include "src/base/result_metrics.h"
#include "src/core/append_text.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"
#include "src/export/export.h"
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
    (void)snprintf(text, bytes, x->several ? "%s-%s" : "%s", x->result->name, s->step->tag);
    if (x->several && s->step->of > 1)
        append_text(text, bytes, "-", "%zu", s->step->number);
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

/* ---- 3. an HDF5 file, as h5py writes it */

/* The datasets `times` (seconds, NAN where not measured), `neighbors` (ids, -1 past the last) and
   `distances` (INFINITY past the last) of n queries, and the attributes: an object of strings,
   numbers and booleans. */
struct ann_file {
    size_t n, k;
    float *times, *distances;
    int32_t *neighbors;
    struct mem_group memory; /* of these arrays */
    json_t *attributes;
};

#ifndef HAVE_HDF5

static int write_file(const struct ann_file *f, const char *path, struct error *err)
{
    (void)f;
    return fail(err, ERR_UNSUPPORTED,
                "%s: HDF5 is left out of this build; install libhdf5-dev and build again", path);
}

#else

/* h5py's boolean: an enumeration of FALSE and TRUE over a byte. */
static hid_t boolean_type(void)
{
    const hid_t type = H5Tenum_create(H5T_STD_I8LE);
    int8_t value = 0;

    (void)H5Tenum_insert(type, "FALSE", &value);
    value = 1;
    (void)H5Tenum_insert(type, "TRUE", &value);
    return type;
}

/* A string of variable length in UTF-8, which h5py reads as str. */
static hid_t string_type(void)
{
    const hid_t type = H5Tcopy(H5T_C_S1);

    (void)H5Tset_size(type, H5T_VARIABLE);
    (void)H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static bool write_attribute(hid_t file, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    const double real = json_number_value(value);
    const int64_t integer = json_integer_value(value);
    const int8_t boolean = json_is_true(value);
    const void *from = text                     ? (const void *)&text
                       : json_is_integer(value) ? (const void *)&integer
                       : json_is_real(value)    ? (const void *)&real
                                                : (const void *)&boolean;
    const hid_t type = text                     ? string_type()
                       : json_is_integer(value) ? H5Tcopy(H5T_NATIVE_INT64)
                       : json_is_real(value)    ? H5Tcopy(H5T_NATIVE_DOUBLE)
                                                : boolean_type();
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool good = attribute >= 0 && H5Awrite(attribute, type, from) >= 0;

    if (attribute >= 0)
        (void)H5Aclose(attribute);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    return good;
}

/* columns 0: one-dimensional. */
static bool write_dataset(hid_t file, const char *name, hid_t stored, hid_t native, size_t rows,
                          size_t columns, const void *values)
{
    const hsize_t extent[2] = { rows, columns };
    const hid_t space = H5Screate_simple(columns ? 2 : 1, extent, NULL);
    const hid_t set = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    const bool good = set >= 0 && H5Dwrite(set, native, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;

    if (set >= 0)
        (void)H5Dclose(set);
    (void)H5Sclose(space);
    return good;
}

static bool fill(hid_t file, const struct ann_file *f)
{
    const char *name;
    json_t *value;
    bool good = write_dataset(file, "times", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, f->n, 0, f->times) &&
                write_dataset(file, "neighbors", H5T_STD_I32LE, H5T_NATIVE_INT32, f->n, f->k,
                              f->neighbors) &&
                write_dataset(file, "distances", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, f->n, f->k,
                              f->distances);

    json_object_foreach((json_t *)(uintptr_t)f->attributes, name, value) {
        good = good && write_attribute(file, name, value);
    }
    return good && H5Fflush(file, H5F_SCOPE_LOCAL) >= 0;
}

/* Makes the file in memory, so that the disk gets it whole or not at all. */
static int write_file(const struct ann_file *f, const char *path, struct error *err)
{
    enum { GROWS_BY = 1 << 20 };
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* no error stack on stderr */
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    (void)H5Pset_fapl_core(access, GROWS_BY, 0);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    const ssize_t n = file >= 0 && fill(file, f) ? H5Fget_file_image(file, NULL, 0) : -1;
    void *bytes = n > 0 ? malloc((size_t)n) : NULL;
    int rc = bytes && H5Fget_file_image(file, bytes, (size_t)n) == n
                 ? OK
                 : fail(err, ERR_NO_MEMORY, "%s: HDF5 cannot make it in memory", path);

    if (file >= 0)
        (void)H5Fclose(file);
    (void)H5Pclose(access);
    rc = rc == OK ? atomic_file_write(path, bytes, (size_t)n, err) : rc;
    free(bytes);
    return rc;
}

#endif

/* ---- 4. the file of a search */

static int rows_make(struct ann_file *r, size_t n, size_t k, struct error *err)
{
    *r = (struct ann_file){ .n = n, .k = k };
    r->memory.failed = k > 0 && n > SIZE_MAX / sizeof(float) / k;
    r->times = mem_group_array(&r->memory, n, sizeof *r->times);
    r->distances = mem_group_array(&r->memory, n * k, sizeof *r->distances);
    r->neighbors = mem_group_array(&r->memory, n * k, sizeof *r->neighbors);
    if (r->memory.failed)
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
static size_t take_query(struct ann_file *r, const struct exporter *x, const struct answers *a,
                         size_t q)
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
static int take_rows(struct ann_file *r, const struct exporter *x, const struct search *s,
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
    struct ann_file r = { 0 };
    int rc;

    dataset_name(x, s, dataset, sizeof dataset);
    rc = make_path(x, s, dataset, path, err);
    rc = rc == OK ? rows_make(&r, (size_t)field_number(s->step->json, "count"), s->entry->k, err)
                  : rc;
    rc = rc == OK ? take_rows(&r, x, s, &candidates, err) : rc;
    if (rc == OK) {
        r.attributes = attributes_of(x, s, dataset, candidates);
        rc = write_file(&r, path, err);
    }
    mem_group_free(&r.memory);
    json_decref(r.attributes);
    x->counts->written += rc == OK;
    return rc;
}

/* ---- 5. all cells */

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
