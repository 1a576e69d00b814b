/* test_readers.c - every reader but text's on valid files, and on files that cannot be opened: the error
 * must name the file. */
#define _GNU_SOURCE
#include "tests/unit/data/good_files.h"

#include <sys/stat.h>

/* Opens a file of these bytes and compares its rows and note; in gzip if its name says so. */
static void expect_file(struct scratch *scratch, const char *name, struct blob b,
                        const struct file_options *options, size_t n, size_t dim,
                        enum element element, const void *rows, const char *note)
{
    const char *path = strstr(name, "gz") ? scratch_write_gzip(scratch, name, b.at, b.n)
                                          : scratch_write_blob(scratch, name, b);
    struct source *s = open_good(path, options);
    if (strcmp(s->note, note) != 0)
        fail_msg("%s: note \"%s\"", name, s->note);
    expect_source(s, n, dim, element, rows);
    source_close(s);
}

static struct blob bytes_of(const void *bytes, size_t n)
{
    struct blob b = { .n = 0 };
    blob_add(&b, bytes, n);
    return b;
}

/* gzip is recognised by content under any name; idx by content where the name has no known suffix. */
static void reads_idx(void **state)
{
    static const char *const names[] = { "a-images-idx3-ubyte", "a-images-idx3-ubyte.gz",
                                         "nameless" };
    const struct blob b = idx_bytes();
    uint64_t hash = 0;
    for (int i = 0; i < 3; i++) {
        const char *path = i ? scratch_write_gzip(*state, names[i], b.at, b.n)
                             : scratch_write_blob(*state, names[i], b);
        struct source *s = open_good(path, NULL);
        expect_source(s, 2, 3, INDEX_U8, six_bytes);
        assert_true(i == 0 || s->hash == hash);
        hash = s->hash;
        source_close(s);
    }
}

static void reads_idx_floats_big_endian(void **state)
{
    struct blob b = { { 0, 0, 13, 1 }, 4 };
    blob_big_u32(&b, 2);
    uint32_t bits[2];
    memcpy(bits, six, 8);
    blob_big_u32(&b, bits[0]);
    blob_big_u32(&b, bits[1]);
    struct source *s = open_good(scratch_write_blob(*state, "f.idx", b), NULL);
    assert_null(s->rows);
    expect_source(s, 2, 1, INDEX_F32, six);
    source_close(s);
}

static void reads_vecs(void **state)
{
    expect_file(*state, "a.fvecs", fvecs_bytes(), NULL, 2, 3, INDEX_F32, six, "");
    expect_file(*state, "a.bvecs", vecs_bytes(2, 3, six_bytes, 3), NULL, 2, 3, INDEX_U8, six_bytes,
                "");
    expect_file(*state, "a.ivecs.gz", vecs_bytes(2, 3, six_ints, 12), NULL, 2, 3, ELEMENT_I32,
                six_ints, "");
}

static void reads_bin(void **state)
{
    const float expected[6] = { 0, 1, 2, -6, -2, -1 };
    const uint8_t halves[12] = { 0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38, /* 1, -2, .5 */
                                 0xff, 0x7b, 0x01, 0x00, 0x00, 0x80 };
    const float wider[6] = { 1, -2, .5f, 65504, 0x1p-24f, -0.f };
    const uint64_t codes[2] = { 0x0123456789abcdef, UINT64_MAX };
    const struct file_options as_f32 = { .element = "f32" }, as_codes = { .element = "b64" };
    const struct blob bytes = bin_bytes(3, 2, six_bytes, 6), b = fbin_bytes();
    float wide[6];
    struct error err = { 0 };
    expect_file(*state, "a.ibin", b, NULL, 2, 3, ELEMENT_I32, six, "");
    expect_file(*state, "a.u8bin", bytes, NULL, 3, 2, INDEX_U8, six_bytes, "");
    expect_file(*state, "a.i8bin", bytes, &as_f32, 3, 2, INDEX_F32, expected, "");
    expect_file(*state, "a.f16bin", bin_bytes(2, 3, halves, sizeof halves), NULL, 2, 3, INDEX_F32,
                wider, "");
    expect_file(*state, "a.u8bin", bin_bytes(2, 8, codes, 16), &as_codes, 2, 64, INDEX_B64, codes,
                "");
    struct source *s = open_good(scratch_write(*state, "a.fbin", b.at, b.n), NULL);
    assert_non_null(s->rows);
    expect_source(s, 2, 3, INDEX_F32, six);
    source_close(s);
    s = open_good(scratch_write(*state, "a.i8bin", bytes.at, bytes.n), NULL);
    assert_int_equal(source_read_f32(s, 0, 3, wide, &err), OK);
    assert_memory_equal(wide, expected, sizeof wide);
    source_close(s);
}

static void reads_truth_and_raw(void **state)
{
    static const char npy[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
    const struct file_options truth = { .format = "truth" }, three = { .dim = 3 },
                              numbers = { .numbers = true }; /* as times: one column */
    const int64_t times[2] = { 1112911993, -1 };
    const float two[] = { 1, 2 };
    const struct blob raw = bytes_of(two, sizeof two), line = npy_bytes(1, npy, two, sizeof two);
    struct blob b = fbin_bytes();
    blob_add(&b, six, sizeof six);
    expect_file(*state, "a.bin", b, &truth, 2, 3, ELEMENT_I32, six, "");
    expect_file(*state, "t.i64.gz", bytes_of(times, 16), &numbers, 2, 1, ELEMENT_I64, times, "");
    expect_file(*state, "r.f32", bytes_of(six, sizeof six), &three, 2, 3, INDEX_F32, six, "");
    expect_file(*state, "r.f32", raw, NULL, 2, 1, INDEX_F32, two,
                "a raw file, read as rows of 1 column; dim states more");
    expect_file(*state, "r.f32", raw, &numbers, 2, 1, INDEX_F32, two, "");
    expect_file(*state, "r.npy", line, NULL, 2, 1, INDEX_F32, two,
                "an array of 1 dimension, read as 2 rows of 1");
    expect_file(*state, "r.npy", line, &numbers, 2, 1, INDEX_F32, two, "");
}

static void reads_npy(void **state)
{
    static const double wide[6] = { 1, -2.5, 3, 4, 5, (double)1e-20f };
    static const uint16_t halves[6] = { 0x3c00, 0xc100, 0x0001, 0x7bff, 0x0000, 0x3555 };
    static const float from_halves[6] = { 1, -2.5f, 0x1p-24f, 65504, 0, 0.333251953125f };
    static const int64_t ids[2] = { 1, INT64_MIN };
    static const struct {
        int version;
        const char *header;
        const void *stored;
        size_t bytes, n, dim;
        enum element element;
        const void *rows;
        const char *note;
    } cases[] = {
        { 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }     \n", six, 24, 2, 3,
          INDEX_F32, six, "" },
        { 2, "{\"shape\":(6,),'fortran_order':True,'descr':'|u1'}\n", six_bytes, 6, 6, 1, INDEX_U8,
          six_bytes, "" },
        { 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }\n", six, 24, 1, 6,
          INDEX_F32, six, "an array of 3 dimensions, read as 1 rows of 6" },
        { 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n", wide, sizeof wide, 2,
          3, INDEX_F32, six, "" },
        { 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }\n", halves, sizeof halves,
          2, 3, INDEX_F32, from_halves, "" },
        { 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 1), }\n", ids, sizeof ids, 2, 1,
          ELEMENT_I64, ids, "" },
        { 1, "{'descr': '<u8', 'fortran_order': False, 'shape': (2,), }\n", ids, sizeof ids, 2, 64,
          INDEX_B64, ids, "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_file(*state, "a.npy",
                    npy_bytes(cases[i].version, cases[i].header, cases[i].stored, cases[i].bytes),
                    NULL, cases[i].n, cases[i].dim, cases[i].element, cases[i].rows, cases[i].note);
}

static void names_what_cannot_be_opened(void **state)
{
    struct scratch *scratch = *state;
    expect_refused(scratch->dir, NULL, ERR_IO, "is a directory");
    expect_refused(scratch_path(scratch, "missing.npy"), NULL, ERR_NOT_FOUND, "No such file");
    const char *pipe = scratch_path(scratch, "pipe.npy"),
               *secret = scratch_write(scratch, "secret.f32", six, 24);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    expect_refused(pipe, NULL, ERR_IO, "not a regular file");
    if (geteuid() == 0)
        return; /* root reads everything */
    chmod(secret, 0);
    expect_refused(secret, NULL, ERR_IO, "Permission denied");
}

static void names_options_that_do_not_fit(void **state)
{
    struct blob b = fbin_bytes();
    const char *path = scratch_write(*state, "a.fbin", b.at, b.n);
    static const struct {
        struct file_options options;
        int code;
        const char *expected;
    } cases[] = {
        { { .dim = 4 }, ERR_DIMENSION, "has 3 columns, 4 were expected" },
        { { .element = "b64" }, ERR_DIMENSION, "codes are 8 columns of u8 for each 64 bits" },
        { { .element = "u8" }, ERR_DIMENSION, "row 1, column 2 does not fit u8" },
        { { .element = "f33" }, ERR_ARGUMENT, "unknown element \"f33\"" },
        { { .format = "fbni" }, ERR_ARGUMENT, "unknown format \"fbni\"; did you mean \"fbin\"?" },
        { { .format = "raw" }, ERR_ARGUMENT, "which element?" },
        { { .dataset = "train" }, ERR_ARGUMENT, "dataset is for HDF5, this is fbin" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(path, &cases[i].options, cases[i].code, cases[i].expected);
}

/* Every prefix of every valid file opens or is refused: no crash, and no rows
 * that are not there. */
static void survives_every_prefix(void **state)
{
    static const struct {
        const char *name;
        struct blob (*make)(void);
    } files[] = { { "a.idx", idx_bytes },
                  { "a.fbin", fbin_bytes },
                  { "a.fvecs", fvecs_bytes },
                  { "a.npy", npy_good } };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct blob b = files[i].make();
        for (size_t n = 0; n <= b.n; n++) {
            /* a block of exactly this size, so that the sanitizer sees a read past its end */
            uint8_t *copy = malloc(n ? n : 1);
            assert_non_null(copy);
            memcpy(copy, b.at, n);
            struct source *s = NULL;
            int rc = file_open_block(files[i].name, copy, n, NULL, &s, NULL);
            if ((rc == OK) != (n == b.n || (i == 2 && n == 16)))
                fail_msg("%s cut to %zu: %d", files[i].name, n, rc);
            source_close(s);
            free(copy);
        }
    }
}

static void reads_unsigned_npy(void **state)
{
    static const uint16_t halves[] = { 1, 2, 300, 65535 };
    static const uint32_t words[] = { 1, 2, 3, UINT32_MAX };
    static const uint64_t ids[] = { 1, 2, 3, (uint64_t)1 << 60 };
    static const float floats[] = { 1, 2, 300, 65535 };
    static const int64_t wide[] = { 1, 2, 3, UINT32_MAX },
                         wide_ids[] = { 1, 2, 3, (int64_t)1 << 60 };
    static const struct {
        const char *type;
        size_t columns;
        const void *stored;
        size_t bytes;
        struct file_options options;
        enum element element;
        const void *rows;
    } cases[] = {
        { "<u2", 2, halves, sizeof halves, { 0 }, INDEX_F32, floats },
        { "<u4", 2, words, sizeof words, { 0 }, ELEMENT_I64, wide },
        { "<u8", 2, ids, sizeof ids, { 0 }, ELEMENT_I64, wide_ids },
        { "<u8", 1, ids, sizeof ids, { .numbers = true }, ELEMENT_I64, wide_ids },
        { "<u4", 1, words, sizeof words, { .numbers = true }, ELEMENT_I64, wide },
        { "<u2", 1, halves, sizeof halves, { .element = "f32" }, INDEX_F32, floats },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[100];
        snprintf(header, sizeof header,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %zu)}", cases[i].type,
                 4 / cases[i].columns, cases[i].columns);
        const struct blob b = npy_bytes(1, header, cases[i].stored, cases[i].bytes);
        expect_file(*state, "unsigned.npy", b, &cases[i].options, 4 / cases[i].columns,
                    cases[i].columns, cases[i].element, cases[i].rows, "");
    }
    static const uint64_t large[] = { 1, UINT64_MAX };
    static const struct file_options codes = { .element = "b64" }, half = { .element = "u16" };
    const struct blob b =
        npy_bytes(1, "{'descr': '<u8', 'fortran_order': False, 'shape': (1, 2)}", large, 16);
    const char *path = scratch_write(*state, "large.npy", b.at, b.n);
    expect_refused(path, NULL, ERR_DIMENSION, "row 1, column 2 does not fit i64");
    expect_refused(path, &half, ERR_UNSUPPORTED,
                   "rows cannot become u16; f32 holds every one of its values");
    expect_file(*state, "large.npy", b, &codes, 1, 128, INDEX_B64, large, "");
}

/* Rows whose squares leave the range of f32 are refused by every reader, with row and column. */
static void refuses_lengths_outside_f32(void **state)
{
    static const struct {
        float rows[4]; /* 2 x 2 */
        const char *expected;
    } cases[] = {
        { { 1, 2, -1, 1e19f }, "row 2, column 2 is 1e+19|too large for f32|lengths from 1e-19 to" },
        { { -3e38f, 2, 1, 1 }, "row 1, column 1 is -3e+38|too large" },
        { { 1, 2, 1e-20f, -2e-20f }, "row 2, column 2 is -2e-20|too small for f32" },
        { { 1e-45f, 0, 1, 1 }, "row 1, column 1 is 1.4013e-45|too small" },
        { { 9e18f, 0, 1, 1e-30f }, NULL },
        { { 0, 0, -0.f, 2e-19f }, NULL },
    };
    static const char *const names[] = {
        "l.fbin", "l.fvecs", "l.npy", "l.f32", "l.csv", "l.txt", "l.tsv", "l.npy.gz", "l.idx",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
            struct error err = { 0 };
            struct source *s = source_new("rows", &err), *back = NULL;
            const char *path = scratch_path(*state, names[f]);
            assert_non_null(s);
            *s = (struct source){ .n = 2, .dim = 2, .element = INDEX_F32, .rows = cases[i].rows };
            assert_ok(data_write(s, path, NULL, &err), &err);
            source_close(s);
            const struct file_options raw = { .dim = 2,
                                              .id_column = f > 3 && f < 7 ? FILE_NO_ID : 0 };
            const int rc = file_open(path, &raw, &back, &err);
            if (rc != (cases[i].expected ? ERR_NOT_FINITE : OK))
                fail_msg("%s, case %zu: %s: %s", names[f], i, error_name(rc), err.text);
            if (rc)
                expect_text(names[f], &err, cases[i].expected);
            source_close(back);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_idx),
        cmocka_unit_test(reads_idx_floats_big_endian),
        cmocka_unit_test(reads_vecs),
        cmocka_unit_test(reads_bin),
        cmocka_unit_test(reads_truth_and_raw),
        cmocka_unit_test(reads_npy),
        cmocka_unit_test(reads_unsigned_npy),
        cmocka_unit_test(names_what_cannot_be_opened),
        cmocka_unit_test(names_options_that_do_not_fit),
        cmocka_unit_test(refuses_lengths_outside_f32),
        cmocka_unit_test(survives_every_prefix),
    };
    return scratch_run("data_readers", tests);
}
