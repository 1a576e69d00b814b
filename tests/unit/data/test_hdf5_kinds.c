/* test_hdf5_kinds.c - HDF5 files in gzip, of unsigned integers, and of sets of different sizes. */
#include "tests/unit/data/data_files.h"

#ifndef HAVE_HDF5

static void without_hdf5(void **state)
{
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(without_hdf5) };
    return test_run("data_hdf5_kinds", tests);
}

#else

#include "tests/unit/data/hdf5_files.h"

/* Inflated into memory, and into a folder. */
static void reads_gzip(void **state)
{
    struct scratch *s = *state;
    char bytes[20000], folder[PATH_MAX];
    float rows[ROWS * COLUMNS];
    struct error err = { 0 };
    FILE *f = fopen(make_file(s, "packed.h5", plain), "rb");
    assert_non_null(f);
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    assert_int_equal(fclose(f), 0);
    assert_in_range(n, 1, sizeof bytes - 1);
    snprintf(folder, sizeof folder, "%s", s->dir);
    for (int i = 0; i < 3; i++) {
        struct source *source = NULL;
        const struct file_options options = { .scratch_dir = i ? folder : NULL,
                                              .dataset = i == 2 ? "more/rows" : NULL };
        const char *path = scratch_write_gzip(s, "packed.h5.gz", bytes, n);
        assert_ok(file_open(path, &options, &source, &err), &err);
        assert_int_equal(source->n, ROWS);
        assert_string_equal(source->metric, "angular");
        assert_ok(source_read(source, 0, ROWS, rows, &err), &err);
        for (int k = 0; k < ROWS * COLUMNS; k++)
            assert_true(rows[k] == (float)k);
        source_close(source);
    }
}

/* Ids of two columns are numbers, as in npy; one column is codes unless it has numbers. */
static void put_ids(struct scratch *s, hid_t file)
{
    uint64_t ids[ROWS * 2];
    for (uint64_t i = 0; i < ROWS * 2; i++)
        ids[i] = i;
    for (hsize_t columns = 1; columns <= 2; columns++) {
        hid_t space = H5Screate_simple(2, (hsize_t[]){ ROWS, columns }, NULL);
        hid_t dataset = H5Dcreate2(file, columns == 1 ? "one" : "two", H5T_STD_U64LE, space,
                                   H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, ids) >= 0);
        H5Dclose(dataset);
        H5Sclose(space);
    }
}

static void reads_unsigned(void **state)
{
    static const struct {
        struct file_options options;
        enum element element;
        size_t dim;
    } cases[] = { { { .dataset = "two" }, ELEMENT_I64, 2 },
                  { { .dataset = "one", .numbers = true }, ELEMENT_I64, 1 },
                  { { .dataset = "one" }, INDEX_B64, 64 } };
    const char *path = make_file(*state, "ids.h5", put_ids);
    struct error err = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source *source = NULL;
        int64_t row[2] = { 0, 5 };
        assert_ok(file_open(path, &cases[i].options, &source, &err), &err);
        assert_int_equal(source->element, cases[i].element);
        assert_int_equal(source->dim, cases[i].dim);
        assert_ok(source_read(source, 1, 1, row, &err), &err);
        assert_int_equal(row[0], cases[i].dim == 2 ? 2 : 1);
        assert_int_equal(row[1], cases[i].dim == 2 ? 3 : 5);
        source_close(source);
    }
}

/* As the Jaccard files of ann-benchmarks: sets end to end, and their sizes. */
static void sets(struct scratch *s, hid_t file)
{
    put_column(file, "train", H5T_STD_I32LE);
    put_column(file, "size_train", H5T_STD_I32LE);
}

static void refuses_sets(void **state)
{
    const struct file_options sizes = { .dataset = "size_train" }, slash = { .dataset = "/train" };
    const char *path = make_file(*state, "sets.h5", sets);
    struct error err = { 0 };
    struct source *s = NULL;
    assert_int_equal(file_open(path, NULL, &s, &err), ERR_UNSUPPORTED);
    expect_text("sets", &err, "sets.h5[train]: holds sets of different sizes (\"size_train\"");
    error_clear(&err);
    assert_int_equal(file_open(path, &slash, &s, &err), ERR_UNSUPPORTED);
    error_clear(&err);
    assert_ok(file_open(path, &sizes, &s, &err), &err);
    source_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(reads_gzip),
        WITH_SCRATCH(reads_unsigned),
        WITH_SCRATCH(refuses_sets),
    };
    return test_run("data_hdf5_kinds", tests);
}

#endif
