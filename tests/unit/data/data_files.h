/* data_files.h - for the tests of src/data: a scratch folder, files of given bytes, and
 * checks of error messages. */
#ifndef DRIFTLINE_TESTS_UNIT_DATA_DATA_FILES_H
#define DRIFTLINE_TESTS_UNIT_DATA_DATA_FILES_H

#include "tests/support/testing.h"

#include <zlib.h>

#include "src/data/files/file.h"

struct scratch {
    char dir[PATH_MAX];
};

/* The path of name in the folder; valid until the sixteenth call after this one. */
static inline const char *scratch_path(struct scratch *s, const char *name)
{
    static char paths[16][PATH_MAX + 256];
    static size_t calls;
    char *path = paths[calls++ % 16];
    snprintf(path, sizeof *paths, "%s/%s", s->dir, name);
    return path;
}

static inline void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void write_gzip(const char *path, const void *bytes, size_t n)
{
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, (unsigned)n), n);
    assert_int_equal(gzclose(f), Z_OK);
}

static inline const char *scratch_write(struct scratch *s, const char *name, const void *bytes,
                                        size_t n)
{
    const char *path = scratch_path(s, name);
    write_file(path, bytes, n);
    return path;
}

static inline const char *scratch_write_gzip(struct scratch *s, const char *name, const void *bytes,
                                             size_t n)
{
    const char *path = scratch_path(s, name);
    write_gzip(path, bytes, n);
    return path;
}

/* Bytes appended piece by piece. */
struct blob {
    uint8_t at[4096];
    size_t n;
};

static inline const char *scratch_write_blob(struct scratch *s, const char *name, struct blob b)
{
    return scratch_write(s, name, b.at, b.n);
}

static inline void blob_add(struct blob *b, const void *bytes, size_t n)
{
    assert_true(b->n + n <= sizeof b->at);
    if (n > 0) /* nothing may be a null pointer */
        memcpy(b->at + b->n, bytes, n);
    b->n += n;
}

static inline void blob_u32(struct blob *b, uint32_t v)
{
    blob_add(b, &v, 4);
}

static inline void blob_big_u32(struct blob *b, uint32_t v)
{
    blob_u32(b, __builtin_bswap32(v));
}

static inline void blob_f32(struct blob *b, float v)
{
    blob_add(b, &v, 4);
}

/* As *bin files: the numbers of rows and columns, then the rows. */
static inline struct blob bin_bytes(uint32_t n, uint32_t dim, const void *rows, size_t bytes)
{
    struct blob b = { .n = 0 };
    blob_u32(&b, n);
    blob_u32(&b, dim);
    blob_add(&b, rows, bytes);
    return b;
}

/* As *vecs files: before each row the number of its columns. */
static inline struct blob vecs_bytes(size_t n, uint32_t dim, const void *rows, size_t row_bytes)
{
    struct blob b = { .n = 0 };
    for (size_t i = 0; i < n; i++) {
        blob_u32(&b, dim);
        blob_add(&b, (const char *)rows + i * row_bytes, row_bytes);
    }
    return b;
}

/* An npy file of this version (1 to 3) with this header. */
static inline struct blob npy_bytes(int version, const char *header, const void *rows, size_t bytes)
{
    struct blob b = { .n = 0 };
    size_t n = strlen(header);
    uint8_t magic[12] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)version, 0, (uint8_t)n, (uint8_t)(n >> 8)
    };
    blob_add(&b, magic, version == 1 ? 10 : 12);
    blob_add(&b, header, n);
    blob_add(&b, rows, bytes);
    return b;
}

/* Fails the test unless err contains every one of the '|'-separated pieces. */
static inline void expect_text(const char *name, const struct error *err, const char *pieces)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", pieces);
    for (char *piece = strtok(copy, "|"); piece; piece = strtok(NULL, "|"))
        if (!strstr(err->text, piece))
            fail_msg("%s: expected \"%s\" in \"%s\"", name, piece, err->text);
}

static inline struct source *open_good(const char *path, const struct file_options *options)
{
    struct source *s = NULL;
    struct error err = { 0 };
    if (file_open(path, options, &s, &err))
        fail_msg("%s: %s", path, err.text);
    assert_true(s->hash != 0);
    return s;
}

/* The source must have these rows, and no others. */
static inline void expect_source(const struct source *s, size_t n, size_t dim, enum element element,
                                 const void *rows)
{
    struct error err = { 0 };
    char got[1024];
    assert_int_equal(s->n, n);
    assert_int_equal(s->dim, dim);
    assert_int_equal(s->element, element);
    assert_int_equal(source_read(s, 0, n, got, &err), OK);
    assert_memory_equal(got, rows, n * source_row_bytes(s));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(source_read(s, i, 1, got, &err), OK);
        assert_memory_equal(got, (const char *)rows + i * source_row_bytes(s), source_row_bytes(s));
    }
    assert_int_equal(source_read(s, n, 1, got, &err), ERR_ARGUMENT);
    assert_int_equal(source_read(s, 1, SIZE_MAX, got, &err), ERR_ARGUMENT);
}

/* The file must open and have these rows. */
static inline void expect_good(const char *path, const struct file_options *options, size_t n,
                               size_t dim, enum element element, const void *rows)
{
    struct source *s = open_good(path, options);
    expect_source(s, n, dim, element, rows);
    source_close(s);
}

/* The file must be refused with this code, and an error that has its name and every piece. */
static inline void expect_refused(const char *path, const struct file_options *options, int code,
                                  const char *pieces)
{
    struct source *source = NULL;
    struct error err = { 0 };
    const int rc = file_open(path, options, &source, &err);
    if (rc != code)
        fail_msg("%s: expected %s, got %s: %s", path, error_name(code), error_name(rc), err.text);
    assert_null(source);
    expect_text(path, &err, strrchr(path, '/') + 1);
    expect_text(path, &err, pieces);
}

static inline int scratch_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    assert_non_null(s);
    test_dir_make(s->dir);
    *state = s;
    return 0;
}

static inline int scratch_teardown(void **state)
{
    test_dir_remove(((struct scratch *)*state)->dir);
    free(*state);
    return 0;
}

/* A folder for each test, or one for all. */
#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
#define scratch_run(name, tests) \
    (test_filter(),              \
     test_verdict(cmocka_run_group_tests_name(name, tests, scratch_setup, scratch_teardown)))

#endif
