/* test_parts.c - what files hold, in configs: parts with a number per row keep the value that the file
 * has, in every format; rows of zeros are found. */
#include "tests/support/config_desk.h"
#include "tests/unit/config/snippets.h"

#include <math.h>

#ifdef HAVE_HDF5
#include "tests/unit/data/hdf5_files.h"
#endif

enum { ROWS = 4 };
/* As floats the first four are equal; as doubles the last four. */
static const double times[ROWS] = { 1700000003, 1700000002, 1700000001, 1700000000 };
static const int64_t times_ns[ROWS] = { 1700000000000000003, 1700000000000000002,
                                        1700000000000000001, 1700000000000000000 };

static void write_npy(const struct desk *d, const char *name, const char *type, const void *rows,
                      size_t bytes)
{
    char file[256] = "\x93NUMPY\1";
    const int n = snprintf(file + 10, 100,
                           "{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }", type, ROWS);
    file[8] = (char)n;
    memcpy(file + 10 + n, rows, bytes);
    desk_write_bytes(d, name, file, (size_t)(10 + n) + bytes);
}

static void write_parts(const struct desk *d)
{
    desk_write(d, "rows.csv", "1.5,1\n2.5,2\n3.5,3\n4.5,4\n");
    write_npy(d, "f8.npy", "<f8", times, sizeof times);
    write_npy(d, "i8.npy", "<i8", times_ns, sizeof times_ns);
    desk_write_bytes(d, "raw.f64", times, sizeof times);
    desk_write(d, "text.csv", "1700000003.0\n1700000002.0\n1700000001.0\n1700000000.0\n");
    desk_write(d, "whole.txt", "1700000003\n1700000002\n1700000001\n1700000000\n");
#ifdef HAVE_HDF5
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/part.hdf5", d->dir);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_dataset(file, "train", H5T_IEEE_F64LE, ROWS, 0, H5P_DEFAULT, H5T_NATIVE_DOUBLE, times);
    assert_true(H5Fclose(file) >= 0);
#endif
}

static const char *const files[] = {
    "f8.npy",    "i8.npy", "raw.f64", "text.csv", "whole.txt",
#ifdef HAVE_HDF5
    "part.hdf5",
#endif
};

/* The attribute and the order of the rows are those of the file's numbers. */
static void expect_numbers(struct desk *d, const char *data, const char *low, const char *high)
{
    char config[1000];
    (void)snprintf(config, sizeof config,
                   "local data = %s\nexperiment { k = 1, " FLAT "workload = function(w)\n"
                   "w:insert { data:sort_by 'time', attribute = { part = 'time' } }\n"
                   "w:search { data, repeated = true, where = { %s, %s } } end }",
                   data, low, high);
    desk_loads(d, config);
    for (size_t i = 0; i < ROWS; i++) {
        size_t row;
        (void)view_row(desk_op(d, 0)->rows, i, &row);
        if (row != ROWS - 1 - i)
            fail_msg("%s: row %zu is number %zu of the sorted ones", data, row, i);
    }
    if (desk_op(d, 1)->filter_bits[0] != 3) /* the ids of the two oldest */
        fail_msg("%s: ids %llx pass", data, (unsigned long long)desk_op(d, 1)->filter_bits[0]);
}

static void test_times(void **state)
{
    struct desk *d = *state;
    write_parts(d);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char data[200];
        const bool ns = !strcmp(files[i], "i8.npy");
        (void)snprintf(data, sizeof data, "file { 'rows.csv', id = 0, time = '%s' }", files[i]);
        expect_numbers(d, data, ns ? "1700000000000000000" : "1.7e9",
                       ns ? "1700000000000000001" : "1.7e9 + 1");
    }
}

static void test_labels(void **state)
{
    struct desk *d = *state;
    write_parts(d);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char config[1000];
        (void)snprintf(config, sizeof config,
                       "local data = file { 'rows.csv', id = 0, label = '%s' }\n"
                       "experiment { k = 1, " FLAT "workload = function(w) w:insert { data }\n"
                       "w:cluster { target_k = 2, labels = 'label' } end }",
                       files[i]);
        desk_loads(d, config);
        for (size_t row = 0; row < ROWS; row++)
            assert_int_equal(desk_op(d, 1)->labels[row], ROWS - 1 - row);
    }
}

static void test_catalog_part(void **state)
{
    struct desk *d = *state;
    d->options.data = d->dir;
    desk_make_dir(d, "datasets");
    write_parts(d);
    desk_write(d, "rows.txt", "1.5 1\n2.5 2\n3.5 3\n4.5 4\n");
    desk_write(d, "datasets/catalog.lua",
               "return { ['dated'] = { about = 'rows', metric = 'l2', element = 'f32', rows = 4, "
               "dim = 2, licence = 'none', files = {\n"
               "{ part = 'base', file = 'rows.txt', rows = 4, dim = 2, sources = {} },\n"
               "{ part = 'time', file = 'f8.npy', rows = 4, dim = 1, sources = {} } } } }");
    for (int again = 0; again < 2; again++) /* from the file, then from the cache */
        expect_numbers(d, "dataset 'dated'", "1.7e9", "1.7e9 + 1");
}

/* Options of a file apply to its parts, too. */
static void test_options_of_parts(void **state)
{
    static const char *const data[] = {
        "file { 'rows.f32', dim = 2, queries = 'ask.f32' }",
        "file { 'rows.bin', format = 'fbin', queries = 'ask.bin' }",
        "file { 'rows.bin', format = 'fbin', queries = 'ask.f32', dim = 2 }",
        "file { 'rows.dat', format = 'raw', element = 'f32', dim = 2, queries = 'ask.dat' }",
        "file { 'rows.f64', format = 'raw', element = 'f32', dim = 2, queries = 'ask.f64' }",
        "file { 'rows.list', format = 'text', queries = 'ask.list', time = 'times.list' }",
    };
    static const uint32_t shape[] = { 4, 2 }, asked_shape[] = { 2, 2 };
    static const float rows[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    struct desk *d = *state;
    char config[1000], bin[64];
    memcpy(bin, shape, 8);
    memcpy(bin + 8, rows, 32);
    desk_write_bytes(d, "rows.bin", bin, 40);
    memcpy(bin, asked_shape, 8);
    desk_write_bytes(d, "ask.bin", bin, 24);
    static const char *const raw[] = { "f32", "dat", "f64" };
    for (size_t i = 0; i < 3; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "rows.%s", raw[i]);
        desk_write_bytes(d, name, rows, 32);
        (void)snprintf(name, sizeof name, "ask.%s", raw[i]);
        desk_write_bytes(d, name, rows, 16);
    }
    desk_write(d, "rows.list", "1 2\n3 4\n5 6\n7 8\n");
    desk_write(d, "ask.list", "1 2\n3 4\n");
    desk_write(d, "times.list", "4\n3\n2\n1\n");
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
        (void)snprintf(config, sizeof config,
                       "local data = %s\nexperiment { k = 1, " FLAT "workload = function(w)\n"
                       "w:insert { data%s } w:search { data:queries() } end }",
                       data[i], strstr(data[i], "time") ? ":sort_by 'time'" : "");
        desk_loads(d, config);
        assert_int_equal(desk_op(d, 0)->n, 4);
        assert_int_equal(desk_op(d, 1)->n, 2);
        assert_int_equal(desk_op(d, 1)->rows->dim, 2);
    }
}

static void test_no_part(void **state)
{
    struct desk *d = *state;
    write_parts(d);
    desk_refuses(d,
                 "local data = file 'rows.csv'\nexperiment { " FLAT "workload = function(w)\n"
                 "w:insert { data, attribute = { part = 'label' } } end }",
                 "rows.csv has no part \"label\"; file { PATH, time = ..., label = ... } names");
}

/* Rows of zeros under cosine are found when the workload is recorded. */
static void test_zero_rows(void **state)
{
    static const struct {
        const char *steps, *expected; /* NULL: none */
    } cases[] = {
        { "w:insert { data }",
          "zero.csv: 2 of 4 rows have only zeros, which have no direction under "
          "\"cosine\": rows 2, 4; leave them out" },
        { "w:insert { data:rows(1, 2) }", "1 of 2 rows has only zeros" },
        { "w:insert { data:rows(1, 1) .. data:rows(3, 3) }\nw:search { data:rows(4, 4) }",
          "under \"cosine\": row 4; leave" },
        { "w:insert { data:rows(1, 1) .. data:rows(3, 3) }\n"
          "w:search { data:rows(3, 3), repeated = true }",
          NULL },
    };
    static const char *const elements[] = { "f32", "u8" };
    struct desk *d = *state;
    char config[1000];
    desk_write(d, "zero.csv", "1,1\n0,0\n3,0\n0,0\n");
    for (size_t i = 0; i < 8; i++) {
        (void)snprintf(
            config, sizeof config,
            "local data = file { 'zero.csv', id = 0, metric = 'cosine', element = '%s' }\n"
            "experiment { k = 1, " FLAT "workload = function(w) %s\nend }",
            elements[i / 4], cases[i % 4].steps);
        if (cases[i % 4].expected)
            desk_refuses(d, config, cases[i % 4].expected);
        else
            desk_loads(d, config);
    }
    /* They have distances by other metrics. */
    desk_loads(d, "local data = file { 'zero.csv', id = 0 }\nexperiment { k = 1, " FLAT
                  "workload = function(w) w:insert { data }\n"
                  "w:search { data, repeated = true } end }");
}

/* NaN in a part: the row has no value. */
static void test_no_value(void **state)
{
    struct desk *d = *state;
    static const double gaps[ROWS] = { 1, NAN, 3, INFINITY };
    static const float small_gaps[ROWS] = { 1, NAN, 3, 4 };
    static const char *const steps[] = {
        ("w:insert { data, attribute = { part = 'time' } }\n"
         "w:search { data, repeated = true, where = { attribute = { missing = true } } }"),
        "w:insert { data:sort_by 'time' }",
        "w:insert { data } w:cluster { target_k = 1, labels = 'time' }",
    };
    static const char *const refusals[] = { NULL, "row 2 has no value (NaN), so it has no place",
                                            "row 2 has no value (NaN); every live row needs" };
    static const char *const names[] = { "gaps.f32", "gaps.npy", "gaps.csv" };
    char config[1000];
    desk_write(d, "rows.csv", "1.5,1\n2.5,2\n3.5,3\n4.5,4\n");
    desk_write_bytes(d, "gaps.f32", small_gaps, sizeof small_gaps);
    write_npy(d, "gaps.npy", "<f4", small_gaps, sizeof small_gaps);
    desk_write(d, "gaps.csv", "1\nNaN\n3\n4\n");
    for (size_t i = 0; i < 9; i++) {
        (void)snprintf(config, sizeof config,
                       "local data = file { 'rows.csv', id = 0, time = '%s' }\n"
                       "experiment { k = 1, " FLAT "workload = function(w) %s\nend }",
                       names[i / 3], steps[i % 3]);
        if (refusals[i % 3]) {
            desk_refuses(d, config, refusals[i % 3]);
        } else {
            desk_loads(d, config);
            assert_int_equal(desk_op(d, 1)->filter_bits[0], 2);
        }
    }
    desk_write(d, "ns.csv", "9007199254740992\n9007199254740993\n3\n4\n");
    desk_refuses(d,
                 "local data = file { 'rows.csv', id = 0, time = 'ns.csv' }\n"
                 "data:sort_by 'time'",
                 "ns.csv: line 2, column 1: a whole number that f64 does not "
                 "hold; give such numbers as i64");
    desk_write_bytes(d, "infinite.f64", gaps, sizeof gaps);
    desk_refuses(d,
                 "local data = file { 'rows.csv', id = 0, time = 'infinite.f64' }\n"
                 "data:sort_by 'time'",
                 "infinite.f64: row 4, column 1 is infinite; a number, or "
                 "NaN for no value, was expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_A_DESK(test_times),     AT_A_DESK(test_labels),           AT_A_DESK(test_catalog_part),
        AT_A_DESK(test_no_value),  AT_A_DESK(test_options_of_parts), AT_A_DESK(test_no_part),
        AT_A_DESK(test_zero_rows),
    };
    return test_run("config_parts", tests);
}
