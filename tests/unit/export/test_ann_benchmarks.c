/* test_ann_benchmarks.c - ann-benchmarks' files, read back with HDF5's C library: layout, values and
   types; what is left out is counted; a full disk leaves nothing half-written. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/core/index.h"
#include "src/export/export.h"
#include "src/run/answers_file.h"
#include "tests/support/results.h"

#ifdef HAVE_HDF5

#include <hdf5.h>

enum { QUERIES = 3, K = 2 };

/* The answers of three queries, of which those at positions 0 and 2 were timed. */
static const uint64_t positions[QUERIES] = { 0, 2, 1 };
static const uint64_t ids[QUERIES * K] = { 7, 3, 9, INDEX_NO_ID, 4, 5 };
static const float distances[QUERIES * K] = { 4, 9, 16, NAN, NAN, 25 };

struct world {
    char dir[PATH_MAX], out[PATH_MAX + 8], file[PATH_MAX + 80];
    json_t *result;
    struct export_counts counts;
    struct error err;
};

static json_t *result_of(const char *metric)
{
    const char *text =
        "{\"experiment\": {\"name\": \"drift\", \"metric\": \"%s\"}, \"datasets\": [{\"dim\": 64}],"
        " \"cells\": [{\"label\": \"my method\", \"point\": \"nprobe=4\", \"status\": \"ok\","
        " \"steps\": [{\"index\": 0, \"op\": \"insert\", \"seconds\": 2.5,"
        "   \"memory\": {\"index_bytes\": 4096}},"
        "  {\"index\": 1, \"op\": \"search\", \"tag\": \"q\", \"seconds\": 9, \"count\": 3,"
        "   \"live\": 50, \"single_per_second\": 400, \"distances\": 10, \"wrong_ids\": 1,"
        "   \"calibrated\": null, \"recall\": {\"k\": 2, \"mean\": 0.5},"
        "   \"queries\": {\"ns\": [1000, 3000]}}], \"repeat\": 1, \"seed\": 5}]}";
    char all[2000];

    snprintf(all, sizeof all, text, metric);
    json_t *result = json_loads(all, 0, NULL);
    assert_non_null(result);
    return result;
}

/* A results folder with one cell. */
static void world_begin(struct world *w, const char *metric)
{
    char path[PATH_MAX + 40];
    struct answers_writer answers = { .path = path };
    const struct answers a = { .op = 1,
                               .n = QUERIES,
                               .n_ids = QUERIES * K,
                               .positions = positions,
                               .ids = ids,
                               .distances = distances };

    memset(w, 0, sizeof *w);
    test_dir_make(w->dir);
    w->result = result_of(metric);
    snprintf(path, sizeof path, "%s/cells", w->dir);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/cells/7.json", w->dir);
    assert_ok(json_write(path, w->result, &w->err), &w->err);
    snprintf(path, sizeof path, "%s/cells/7.answers", w->dir);
    answers_file_write(&answers, &a, K, 0);
    answers_file_close(&answers);
    snprintf(w->out, sizeof w->out, "%s/out", w->dir);
    snprintf(w->file, sizeof w->file, "%s/drift/2/my_method/7-2-nprobe_4.hdf5", w->out);
}

static void world_end(struct world *w)
{
    json_decref(w->result);
    test_dir_remove(w->dir);
}

static int run_export(struct world *w)
{
    struct result result = result_taken(json_incref(w->result));
    const int rc = export_ann_benchmarks(&result, w->dir, w->out, &w->counts, &w->err);
    result_close(&result);
    return rc;
}

/* Rewrites the cell with member `name` of its search changed. */
static void change_search(struct world *w, const char *name, json_t *value_taken)
{
    char path[PATH_MAX + 40];
    json_t *cell = json_array_get(json_object_get(w->result, "cells"), 0);

    json_object_set_new(json_array_get(json_object_get(cell, "steps"), 1), name, value_taken);
    snprintf(path, sizeof path, "%s/cells/7.json", w->dir);
    assert_ok(json_write(path, w->result, &w->err), &w->err);
}

static void read_set(hid_t file, const char *name, hid_t stored, hid_t native, int rank, void *to)
{
    hsize_t extent[2] = { 0, K };
    const hid_t set = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(set),
                type = H5Dget_type(set);

    assert_true(set >= 0 && H5Tequal(type, stored) > 0);
    assert_int_equal(H5Sget_simple_extent_ndims(space), rank);
    H5Sget_simple_extent_dims(space, extent, NULL);
    assert_true(extent[0] == QUERIES && extent[1] == K);
    assert_true(H5Dread(set, native, H5S_ALL, H5S_ALL, H5P_DEFAULT, to) >= 0);
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(set);
}

static double number_of(hid_t file, const char *name)
{
    const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    double value = NAN;

    assert_true(attribute >= 0 && H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) >= 0);
    H5Aclose(attribute);
    return value;
}

static void string_is(hid_t file, const char *name, const char *wanted)
{
    const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT), type = H5Aget_type(attribute);
    char *text = NULL;

    assert_true(attribute >= 0 && H5Tis_variable_str(type) > 0);
    assert_int_equal(H5Tget_cset(type), H5T_CSET_UTF8);
    assert_true(H5Aread(attribute, type, &text) >= 0);
    assert_string_equal(text, wanted);
    H5free_memory(text);
    H5Tclose(type);
    H5Aclose(attribute);
}

/* h5py reads an enumeration of FALSE and TRUE as bool. */
static void expect_false(hid_t file, const char *name)
{
    const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT), type = H5Aget_type(attribute);
    int8_t value = 1;
    char text[8];

    assert_int_equal(H5Tget_class(type), H5T_ENUM);
    assert_true(H5Aread(attribute, type, &value) >= 0);
    assert_true(H5Tenum_nameof(type, &value, text, sizeof text) >= 0);
    assert_string_equal(text, "FALSE");
    H5Tclose(type);
    H5Aclose(attribute);
}

static void expect_attributes(hid_t file)
{
    static const struct {
        const char *name;
        double value;
    } numbers[] = {
        { "count", 2 },          { "run_count", 1 },  { "candidates", 5. / 3 },
        { "build_time", 2.5 },   { "index_size", 4 }, { "best_search_time", 1. / 400 },
        { "dist_comps", 30 },    { "recall", .5 },    { "wrong_ids", 1 },
        { "times_measured", 2 }, { "live", 50 },      { "repeat", 2 },
        { "seed", 5 },
    };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_true(fabs(number_of(file, numbers[i].name) - numbers[i].value) < 1e-12);
    string_is(file, "algo", "my method");
    string_is(file, "name", "my method[nprobe=4]");
    string_is(file, "dataset", "drift");
    string_is(file, "tag", "q");
    expect_false(file, "batch_mode");
    expect_false(file, "expect_extra");
}

static void the_layout_is_store_results(void **state)
{
    static const int32_t neighbors[] = { 7, 3, 4, 5, 9, -1 };
    static const struct {
        const char *metric, *name;
        float d[QUERIES * K]; /* by position of the query */
    } cases[] = {
        { "l2", "euclidean", { 2, 3, INFINITY, 5, 4, INFINITY } },
        { "cosine", "angular", { 2, 4.5f, INFINITY, 12.5f, 8, INFINITY } },
        { "hamming", "hamming", { 4 / 64.f, 9 / 64.f, INFINITY, 25 / 64.f, 16 / 64.f, INFINITY } },
        { "ip", "ip", { 4, 9, INFINITY, 25, 16, INFINITY } },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float times[QUERIES], d[QUERIES * K];
        int32_t found[QUERIES * K];
        struct world w;

        world_begin(&w, cases[i].metric);
        assert_ok(run_export(&w), &w.err);
        assert_int_equal(w.counts.written, 1);
        const hid_t file = H5Fopen(w.file, H5F_ACC_RDWR, H5P_DEFAULT); /* as ann-benchmarks */
        assert_true(file >= 0);
        read_set(file, "times", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 1, times);
        read_set(file, "neighbors", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, found);
        read_set(file, "distances", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, d);
        assert_true(times[0] == 1e-6f && isnan(times[1]) && times[2] == 3e-6f);
        assert_memory_equal(found, neighbors, sizeof found);
        assert_memory_equal(d, cases[i].d, sizeof d);
        string_is(file, "distance", cases[i].name);
        expect_attributes(file);
        H5Fclose(file);
        world_end(&w);
    }
}

static void what_cannot_be_exported_is_counted(void **state)
{
    char path[PATH_MAX + 40];
    struct world w;

    world_begin(&w, "l2");
    change_search(&w, "calibrated", json_object());
    assert_code(run_export(&w), ERR_NOT_FOUND, &w.err);
    assert_true(w.counts.calibrated == 1 && w.counts.written == 0);
    change_search(&w, "calibrated", json_null());
    change_search(&w, "count", json_integer(2)); /* fewer queries than answers */
    assert_code(run_export(&w), ERR_CORRUPT, &w.err);
    snprintf(path, sizeof path, "%s/cells/7.answers", w.dir);
    struct answers_writer plain = { .path = path };
    const struct answers a = {
        .op = 1, .n = QUERIES, .n_ids = QUERIES * K, .positions = positions, .ids = ids
    };
    answers_file_write(&plain, &a, K, 0);
    plain.bytes = ANSWERS_BYTES_MAX;
    answers_file_write(&plain, &a, K, 0);
    answers_file_close(&plain);
    assert_code(run_export(&w), ERR_NOT_FOUND, &w.err);
    assert_true(w.counts.no_distances == 1 && w.counts.not_stored == 1);
    assert_int_equal(access(w.out, F_OK), -1);
    world_end(&w);
}

static int export_to_full_disk(struct world *w)
{
    struct rlimit before, small = { 512, 0 };

    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    const int rc = run_export(w);
    setrlimit(RLIMIT_FSIZE, &before);
    return rc;
}

static void a_full_disk_leaves_nothing_half_written(void **state)
{
    struct world w;
    struct stat st;
    char left[64];

    world_begin(&w, "l2");
    assert_code(export_to_full_disk(&w), ERR_IO, &w.err);
    assert_int_equal(access(w.out, F_OK), -1);
    snprintf(left, sizeof left, ".%ld.tmp", (long)getpid());
    strcat(strcpy(w.file, w.out), left);
    assert_int_equal(access(w.file, F_OK), -1);
    /* A folder that exists keeps its file. */
    snprintf(w.file, sizeof w.file, "%s/drift/2/my_method/7-2-nprobe_4.hdf5", w.out);
    assert_ok(run_export(&w), &w.err);
    assert_int_equal(stat(w.file, &st), 0);
    const off_t size = st.st_size;
    assert_code(export_to_full_disk(&w), ERR_IO, &w.err);
    assert_int_equal(stat(w.file, &st), 0);
    assert_true(st.st_size == size && size > 512);
    world_end(&w);
}

int main(void)
{
    return test_run_all("export_ann_benchmarks", the_layout_is_store_results,
                        what_cannot_be_exported_is_counted,
                        a_full_disk_leaves_nothing_half_written);
}

#else

static void without_hdf5(void **state)
{
    struct export_counts counts;
    struct error err = { 0 };
    struct result result = result_taken(json_object());

    assert_true(export_ann_benchmarks(&result, "/nowhere", "/nowhere/out", &counts, &err) != OK);
    result_close(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(without_hdf5) };
    return test_run("export_ann_benchmarks", tests);
}

#endif
