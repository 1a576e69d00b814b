/* test_hdf5.c - untrusted HDF5 files: references outside the file are refused, damage is an error,
 * and a crash of the library is an error too. Files in gzip, of unsigned integers, and of sets. */
#define _GNU_SOURCE
#include "tests/unit/data/data_files.h"

#include <sys/resource.h>
#include <sys/stat.h>

#ifndef HAVE_HDF5

static void without_hdf5(void **state)
{
    skip();
}

int main(void)
{
    return test_run_all("data_hdf5", without_hdf5);
}

#else

#include "tests/support/index_folder.h"
#include "tests/unit/data/hdf5_files.h"

enum { ROWS = 20, COLUMNS = 3 };

/* Creates a file in which `make` puts a dataset, usually "train". */
static const char *make_file(struct scratch *s, const char *name,
                             void (*make)(struct scratch *, hid_t))
{
    const char *path = scratch_path(s, name);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    make(s, file);
    assert_true(H5Fclose(file) >= 0);
    return path;
}

static float count_up[ROWS * COLUMNS]; /* 0, 1, 2 ..., once there is a file with these rows */

static void put_rows(hid_t at, const char *name, hid_t properties)
{
    for (int i = 0; i < ROWS * COLUMNS; i++)
        count_up[i] = (float)i;
    put_dataset(at, name, H5T_IEEE_F32LE, ROWS, COLUMNS, properties, H5T_NATIVE_FLOAT, count_up);
}

/* Rows under "train" and "more/rows", and the metric angular. */
static void plain(struct scratch *s, hid_t file)
{
    put_metric(file, "angular");
    hid_t packed = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(packed, 2, (hsize_t[]){ 7, COLUMNS });
    H5Pset_deflate(packed, 6);
    put_rows(file, "train", packed);
    H5Pclose(packed);
    hid_t group = H5Gcreate2(file, "more", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_rows(group, "rows", H5P_DEFAULT);
    H5Gclose(group);
}

static void put_column(hid_t at, const char *name, hid_t type)
{
    put_dataset(at, name, type, ROWS, 0, H5P_DEFAULT, type, NULL);
}

enum { FILTER = 300, FLIPS = 600 };

static const char secret[] = "root:x:0:0:this is not a vector";

/* Raw data stored in another file of the machine. */
static void external_storage(struct scratch *s, hid_t file)
{
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(
        H5Pset_external(properties, scratch_write(s, "secret", secret, sizeof secret), 0, 32) >= 0);
    put_dataset(file, "train", H5T_STD_U8LE, 4, 8, properties, H5T_STD_U8LE, NULL);
    H5Pclose(properties);
}

static void virtual_rows(struct scratch *s, hid_t file)
{
    hid_t space = H5Screate_simple(2, (hsize_t[]){ ROWS, COLUMNS }, NULL);
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_virtual(properties, space, scratch_path(s, "plain.h5"), "train", space) >=
                0);
    put_dataset(file, "train", H5T_IEEE_F32LE, ROWS, COLUMNS, properties, H5T_IEEE_F32LE, NULL);
    H5Sclose(space);
    H5Pclose(properties);
}

static void external_link(struct scratch *s, hid_t file)
{
    assert_true(H5Lcreate_external(scratch_path(s, "plain.h5"), "train", file, "train", H5P_DEFAULT,
                                   H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_external(scratch_path(s, "plain.h5"), "/more", file, "other", H5P_DEFAULT,
                                   H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_soft("/other", file, "turn", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void soft_link(struct scratch *s, hid_t file)
{
    put_rows(file, "rows", H5P_DEFAULT);
    assert_true(H5Lcreate_soft("/rows", file, "train", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void only_linked(struct scratch *s, hid_t file)
{
    assert_true(H5Lcreate_external(scratch_path(s, "plain.h5"), "train", file, "one", H5P_DEFAULT,
                                   H5P_DEFAULT) >= 0);
}

static void reads_its_own_rows(void **state)
{
    const struct file_options inner = { .dataset = "/more/rows", .element = "f32" },
                              small = { .limit_bytes = 100 };
    const char *path = make_file(*state, "plain.h5", plain);
    struct source *s = open_good(path, NULL);
    assert_string_equal(s->name, "plain.h5[train]");
    assert_string_equal(s->metric, "angular");
    expect_source(s, ROWS, COLUMNS, INDEX_F32, count_up);
    source_close(s);
    expect_good(path, &inner, ROWS, COLUMNS, INDEX_F32, count_up);
    expect_refused(path, &small, ERR_CORRUPT, "");
}

static hid_t add_group(hid_t at, const char *name)
{
    hid_t group = H5Gcreate2(at, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(group >= 0);
    return group;
}

/* One number or string per row, so not vectors. */
static void halves(struct scratch *s, hid_t file)
{
    static const char *const names[] = { "train", "test" };
    for (int i = 0; i < 2; i++) {
        hid_t group = add_group(file, names[i]);
        put_rows(group, "vectors", H5P_DEFAULT);
        put_column(group, "label", H5T_STD_I32LE);
        H5Gclose(group);
    }
}

/* The only dataset of vectors lies deep, and a link leads back to its parent group, which must not
 * cause an endless loop. */
static void deep(struct scratch *s, hid_t file)
{
    hid_t group = add_group(file, "data"), inner = add_group(group, "embeddings");
    put_rows(inner, "rows", H5P_DEFAULT);
    put_column(file, "time", H5T_STD_I64LE);
    hid_t text = H5Tcopy(H5T_C_S1);
    put_column(group, "text", text);
    H5Tclose(text);
    assert_true(H5Lcreate_hard(file, "/data", inner, "up", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    H5Gclose(inner);
    H5Gclose(group);
}

static void several(struct scratch *s, hid_t file)
{
    hid_t group = add_group(file, "model");
    put_rows(group, "input", H5P_DEFAULT);
    put_rows(group, "output", H5P_DEFAULT);
    put_column(group, "label", H5T_STD_I32LE);
    H5Gclose(group);
    put_rows(file, "other", H5P_DEFAULT);
}

static void columns_only(struct scratch *s, hid_t file)
{
    put_column(file, "time", H5T_STD_I64LE);
}

/* A file, and what comes of a data set of it. */
struct set_case {
    const char *name;
    void (*make)(struct scratch *, hid_t);
    const char *dataset;
    int code;
    const char *expected; /* the source's name, or pieces of the error */
    size_t dim;
};

static void open_sets(struct scratch *scratch, const struct set_case *cases, size_t n)
{
    for (const struct set_case *c = cases; c < cases + n; c++) {
        const struct file_options options = { .dataset = c->dataset };
        const char *path = make_file(scratch, c->name, c->make);
        if (c->code) {
            expect_refused(path, &options, c->code, c->expected);
            continue;
        }
        struct source *s = open_good(path, &options);
        assert_string_equal(s->name, c->expected);
        assert_int_equal(s->n, ROWS);
        assert_int_equal(s->dim, c->dim);
        source_close(s);
    }
}

static void finds_rows_in_groups(void **state)
{
    static const struct set_case cases[] = {
        { "halves.h5", halves, NULL, OK, "halves.h5[train/vectors]", COLUMNS },
        { "halves.h5", halves, "test", OK, "halves.h5[test/vectors]", COLUMNS },
        { "halves.h5", halves, "/test/vectors", OK, "halves.h5[/test/vectors]", COLUMNS },
        { "halves.h5", halves, "train/label", OK, "halves.h5[train/label]", 1 },
        { "halves.h5", halves, "train/nothing", ERR_NOT_FOUND,
          "halves.h5: no dataset \"train/nothing\"; the file has|test/vectors (20 x "
          "3)|train/vectors",
          0 },
        { "deep.h5", deep, NULL, OK, "deep.h5[data/embeddings/rows]", COLUMNS },
        { "deep.h5", deep, "data", OK, "deep.h5[data/embeddings/rows]", COLUMNS },
        { "several.h5", several, NULL, ERR_ARGUMENT,
          "several.h5: \"/\" holds 3 datasets, model/input (20 x 3), model/output (20 x 3), other "
          "(20 x 3); name one, as in dataset = \"other\"",
          0 },
        { "several.h5", several, "model", ERR_ARGUMENT,
          "\"model\" holds 2 datasets, input|output|name one, as in dataset = \"model/", 0 },
        { "columns.h5", columns_only, NULL, OK, "columns.h5[time]", 1 },
    };
    open_sets(*state, cases, sizeof cases / sizeof *cases);
}

static void refuses_to_read_other_files(void **state)
{
    static const struct set_case cases[] = {
        { "storage.h5", external_storage, NULL, ERR_UNSUPPORTED,
          "storage.h5[train]|external raw storage", 0 },
        { "virtual.h5", virtual_rows, NULL, ERR_UNSUPPORTED, "virtual.h5[train]|a virtual dataset",
          0 },
        { "link.h5", external_link, NULL, ERR_UNSUPPORTED, "link.h5: \"train\" is an external link",
          0 },
        { "link.h5", external_link, "other/rows", ERR_UNSUPPORTED, "\"other\" is an external link",
          0 },
        { "link.h5", external_link, "turn/rows", ERR_UNSUPPORTED, "\"turn\" is a soft link", 0 },
        { "soft.h5", soft_link, NULL, ERR_UNSUPPORTED, "\"train\" is a soft link", 0 },
        { "soft.h5", soft_link, "rows", OK, "soft.h5[rows]", COLUMNS },
        { "only.h5", only_linked, NULL, ERR_NOT_FOUND, "no dataset of rows and columns in", 0 },
    };
    make_file(*state, "plain.h5", plain);
    open_sets(*state, cases, sizeof cases / sizeof *cases);
}

static size_t pass_on(unsigned flags, size_t n, const unsigned values[], size_t bytes, size_t *size,
                      void **buffer)
{
    return bytes;
}

static void filtered(struct scratch *s, hid_t file)
{
    const H5Z_class2_t filter = { .version = H5Z_CLASS_T_VERS,
                                  .id = FILTER,
                                  .encoder_present = 1,
                                  .decoder_present = 1,
                                  .name = "stranger",
                                  .filter = pass_on };
    assert_true(H5Zregister(&filter) >= 0);
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, 2, (hsize_t[]){ ROWS, COLUMNS });
    assert_true(H5Pset_filter(properties, FILTER, H5Z_FLAG_MANDATORY, 0, NULL) >= 0);
    put_rows(file, "train", properties);
    H5Pclose(properties);
    assert_true(H5Fflush(file, H5F_SCOPE_LOCAL) >= 0);
}

/* A file names its filter; libhdf5 would load any library in its plugin folder. */
static void loads_no_plugin(void **state)
{
    struct scratch *s = *state;
    struct stat st;
    char plugin[PATH_MAX + 64], mark[PATH_MAX + 64], program[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(n > 0);
    program[n] = '\0';
    *strstr(program, "/tests/run") = '\0';
    strcat(program, "/tests/plugins/hdf5_filter.so");
    snprintf(plugin, sizeof plugin, "%s/libfilter.so", s->dir);
    snprintf(mark, sizeof mark, "%s/mark", s->dir);
    assert_int_equal(symlink(program, plugin), 0);
    setenv("HDF5_PLUGIN_PATH", s->dir, 1);
    setenv("DRIFTLINE_TEST_MARK", mark, 1);
    const char *path = make_file(s, "filtered.h5", filtered);
    assert_true(H5Zunregister(FILTER) >= 0);
    expect_refused(path, NULL, ERR_CORRUPT, "");
    assert_int_equal(stat(mark, &st), -1);
    unsetenv("HDF5_PLUGIN_PATH");
    unsetenv("DRIFTLINE_TEST_MARK");
}

/* What children write to stderr goes to a file. */
struct caught {
    int stderr_was, file;
};

static struct caught begin_catch(struct scratch *s)
{
    const char *path = scratch_write(s, "stderr", "", 0);
    const struct caught c = { dup(STDERR_FILENO), open(path, O_RDWR) };
    assert_true(c.stderr_was >= 0 && c.file >= 0 && dup2(c.file, STDERR_FILENO) >= 0);
    return c;
}

/* Whether the innermost frames of a sanitizer's report are libhdf5's; one may be the sanitizer's own. */
static bool is_of_libhdf5(const char *report)
{
    const char *first = strstr(report, "#0 "), *end = first ? strstr(first, "#2 ") : NULL;
    const char *at = first ? strstr(first, "libhdf5") : NULL;
    return at && end && at < end;
}

/* Passes on what was caught, so that a report fails the run, but for reports of libhdf5's own faults. */
static void end_catch(struct caught c)
{
    static char text[1 << 16];
    assert_true(dup2(c.stderr_was, STDERR_FILENO) >= 0);
    const ssize_t n = pread(c.file, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    if (!is_of_libhdf5(text))
        fputs(text, stderr);
    close(c.file);
    close(c.stderr_was);
}

/* 1 of 300 damaged files crashes libhdf5 1.10.8; such a crash is reported as an error. */
static void survives_flipped_bits(void **state)
{
    struct scratch *s = *state;
    struct rng rng = rng_at(test_seed(), 5);
    struct error err = { 0 };
    const struct bytes file = bytes_read(make_file(s, "plain.h5", plain));
    uint8_t *bytes = file.at;
    const size_t n = file.n;
    size_t crashes = 0, refused = 0;
    const int flips = FLIPS / (int)test_scale();
    for (int i = 0; i < flips; i++) {
        struct source *source = NULL;
        const size_t at = (size_t)rng_below(&rng, n);
        const uint8_t bit = (uint8_t)(1u << rng_below(&rng, 8));
        bytes[at] ^= bit;
        const struct caught caught = begin_catch(s);
        const int rc = file_open(scratch_write(s, "flipped.h5", bytes, n), NULL, &source, &err);
        end_catch(caught);
        bytes[at] ^= bit;
        if (rc == OK)
            source_close(source);
        else if (!strstr(err.text, "flipped.h5"))
            fail_msg("flip %d at byte %zu: no name in \"%s\"", i, at, err.text);
        refused += rc != OK;
        crashes += rc != OK && strstr(err.text, "the process that read it") != NULL;
        error_clear(&err);
    }
    print_message("%d flips: %zu refused, %zu of them by the end of the child\n", flips, refused,
                  crashes);
    assert_true(refused > 0);
    free(bytes);
}

static void survives_every_cut(void **state)
{
    struct scratch *s = *state;
    struct error err = { 0 };
    const char *path = make_file(s, "plain.h5", plain);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    for (off_t n = st.st_size - 1; n > 0; n -= 97) {
        struct source *source = NULL;
        assert_int_equal(truncate(scratch_path(s, "plain.h5"), n), 0);
        assert_int_not_equal(file_open(scratch_path(s, "plain.h5"), NULL, &source, &err), OK);
        assert_non_null(strstr(err.text, "plain.h5"));
        error_clear(&err);
    }
}

/* ---- kinds of files and values */

/* Inflated into memory, and into a folder. */
static void reads_gzip(void **state)
{
    struct scratch *s = *state;
    const struct bytes file = bytes_read(make_file(s, "packed.h5", plain));
    for (int i = 0; i < 3; i++) {
        const struct file_options options = { .scratch_dir = i ? s->dir : NULL,
                                              .dataset = i == 2 ? "more/rows" : NULL };
        struct source *source =
            open_good(scratch_write_gzip(s, "packed.h5.gz", file.at, file.n), &options);
        assert_string_equal(source->metric, "angular");
        expect_source(source, ROWS, COLUMNS, INDEX_F32, count_up);
        source_close(source);
    }
    free(file.at);
}

/* Ids of two columns are numbers, as in npy; one column is codes unless it has numbers. */
static void put_ids(struct scratch *s, hid_t file)
{
    uint64_t ids[ROWS * 2];
    for (uint64_t i = 0; i < ROWS * 2; i++)
        ids[i] = i;
    for (hsize_t columns = 1; columns <= 2; columns++) {
        put_dataset(file, columns == 1 ? "one" : "two", H5T_STD_U64LE, ROWS, columns, H5P_DEFAULT,
                    H5T_NATIVE_UINT64, ids);
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
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source *source = open_good(path, &cases[i].options);
        struct error err = { 0 };
        int64_t row[2] = { 0, 5 };
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
    expect_refused(path, NULL, ERR_UNSUPPORTED,
                   "sets.h5[train]: holds sets of different sizes (\"size_train\"");
    expect_refused(path, &slash, ERR_UNSUPPORTED, "holds sets of different sizes");
    source_close(open_good(path, &sizes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(reads_its_own_rows),   WITH_SCRATCH(reads_gzip),
        WITH_SCRATCH(reads_unsigned),       WITH_SCRATCH(refuses_sets),
        WITH_SCRATCH(finds_rows_in_groups), WITH_SCRATCH(refuses_to_read_other_files),
        WITH_SCRATCH(loads_no_plugin),      WITH_SCRATCH(survives_flipped_bits),
        WITH_SCRATCH(survives_every_cut),
    };
    return test_run("data_hdf5", tests);
}

#endif
