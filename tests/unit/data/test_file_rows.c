/* test_file_rows.c - which files other processes can read rows from, and that reads by number give the rows that
 * the file had, or an error. */
#define _GNU_SOURCE
#include "tests/unit/data/data_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "src/data/files/file_rows.h"
#include "tests/support/index_folder.h"

enum { ROWS = 5000 };

/* A file of random values under this name, by conversion from raw ones. */
static struct source *make_file(struct scratch *s, const char *name, enum element stored,
                                size_t dim, const struct file_options *options)
{
    struct rng r = rng_at(test_seed(), dim);
    const size_t bytes = ROWS * data_row_bytes(stored, dim);
    unsigned char *values = malloc(bytes);
    struct error err = { 0 };
    assert_non_null(values);
    for (size_t i = 0; stored == INDEX_U8 && i < bytes; i++)
        values[i] = (uint8_t)rng_below(&r, 256);
    for (size_t i = 0; stored == INDEX_F32 && i < bytes / sizeof(float); i++)
        ((float *)(void *)values)[i] = (float)rng_normal(&r);
    const char *in = scratch_write(s, stored == INDEX_U8 ? "in.u8" : "in.f32", values, bytes),
               *out = scratch_path(s, name);
    free(values);
    const struct file_options raw = { .dim = dim };
    assert_ok(data_convert(in, &raw, out, NULL, NULL, &err), &err);
    return open_good(out, options);
}

/* ---- rows by number */

/* Reads rows of these numbers and compares them. */
static void expect_rows(struct file_rows *files, const struct source *s, const char *name,
                        const uint64_t *numbers, size_t n)
{
    const size_t row_bytes = source_row_bytes(s);
    char *expected = malloc(n * row_bytes + 1), *got = calloc(1, n * row_bytes + 1);
    struct error err = { 0 };
    for (size_t i = 0; i < n; i++)
        assert_ok(source_read(s, (size_t)numbers[i], 1, expected + i * row_bytes, &err), &err);
    const struct row_request r = { s->origin, numbers, n, row_bytes,
                                   file_rows_hash(expected, n * row_bytes) };
    if (file_rows_read(files, &r, got, &err))
        fail_msg("%s: %s", name, err.text);
    assert_memory_equal(got, expected, n * row_bytes);
    free(expected);
    free(got);
}

static void expect_every_order(const struct source *s, const char *name)
{
    struct file_rows files = { .fd = -1 };
    struct rng r = rng_at(test_seed(), 3);
    uint64_t numbers[ROWS];
    expect_rows(&files, s, name, numbers, 0);
    for (size_t i = 0; i < ROWS; i++)
        numbers[i] = i;
    expect_rows(&files, s, name, numbers, ROWS);
    expect_rows(&files, s, name, numbers + ROWS - 1, 1);
    rng_shuffle_u64(&r, numbers, ROWS);
    expect_rows(&files, s, name, numbers, ROWS);
    expect_rows(&files, s, name, numbers, 40);
    for (size_t step = 1; step < ROWS; step = step * 5 + 1) {
        size_t n = 0;
        for (size_t i = 0; i < ROWS; i += step)
            numbers[n++] = i;
        expect_rows(&files, s, name, numbers, n);
    }
    for (size_t i = 0; i < 10; i++)
        numbers[i] = 77; /* the same row */
    expect_rows(&files, s, name, numbers, 10);
    file_rows_end(&files);
}

static void reads_every_format(void **state)
{
    static const struct {
        const char *name;
        enum element stored;
    } cases[] = { { "o.fbin", INDEX_F32 }, { "o.u8bin", INDEX_U8 }, { "o.fvecs", INDEX_F32 },
                  { "o.bvecs", INDEX_U8 }, { "o.npy", INDEX_F32 },  { "p.npy", INDEX_U8 },
                  { "o.idx", INDEX_U8 } };
    static const size_t dims[] = { 1, 7, 13, 64, 129 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
            struct source *s = make_file(*state, cases[i].name, cases[i].stored, dims[d], NULL);
            if (!s->origin)
                fail_msg("%s: no origin", cases[i].name);
            assert_int_equal(s->origin->path[0], '/');
            expect_every_order(s, cases[i].name);
            source_close(s);
        }
}

/* Rows of 8 bytes are codes if that is requested; `first_rows` leaves the rest of the file alone. */
static void reads_codes_and_first_rows(void **state)
{
    const struct file_options codes = { .element = "b64" };
    struct source *s = make_file(*state, "codes.u8bin", INDEX_U8, 8, &codes);
    assert_int_equal(s->element, INDEX_B64);
    expect_every_order(s, "codes");
    source_close(s);
    struct file_rows files = { .fd = -1 };
    const struct file_options first = { .first_rows = 10 };
    s = make_file(*state, "first.fbin", INDEX_F32, 9, &first);
    assert_int_equal(s->n, 10);
    expect_rows(&files, s, "first", (const uint64_t[]){ 9, 0, 3 }, 3);
    source_close(s);
    file_rows_end(&files);
}

static void expect_no_origin(struct source *s, const char *name)
{
    if (s->origin)
        fail_msg("%s: has the origin %s", name, s->origin->path);
    source_close(s);
}

static void has_no_origin_unless_the_bytes_are_the_rows(void **state)
{
    struct error err = { 0 };
    struct source *s;
    const struct file_options wide = { .element = "f32" }, sums = { .add = 1 };
    expect_no_origin(make_file(*state, "o.fbin.gz", INDEX_F32, 5, NULL), "gzip");
    expect_no_origin(make_file(*state, "o.csv", INDEX_F32, 5, NULL), "text");
    expect_no_origin(make_file(*state, "o.f64", INDEX_F32, 1, NULL), "f64");
    expect_no_origin(make_file(*state, "o.idx", INDEX_F32, 5, NULL), "big-endian floats");
    expect_no_origin(make_file(*state, "o.u8bin", INDEX_U8, 5, &wide), "widened");
    expect_no_origin(make_file(*state, "o.ibin", INDEX_U8, 5, &sums), "sums");
    const float values[6] = { 1, 2, 3, 4, 5, 6 };
    struct blob b = npy_bytes(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n",
                              values, sizeof values);
    expect_no_origin(open_good(scratch_write_blob(*state, "columns.npy", b), NULL), "by columns");
    assert_ok(file_open_block("block.f32", values, sizeof values, NULL, &s, &err), &err);
    expect_no_origin(s, "a block in memory");
}

/* ---- what is read, and what is opened */

static void touches_only_the_rows_it_needs(void **state)
{
    enum { DIM = 257, EACH = 50 };
    struct file_rows files = { .fd = -1 };
    struct source *s = make_file(*state, "o.fvecs", INDEX_F32, DIM, NULL);
    const size_t row_bytes = source_row_bytes(s);
    uint64_t numbers[EACH];
    for (size_t call = 0; call < 1000; call++) {
        const uint64_t before = files.read_bytes;
        for (size_t i = 0; i < EACH; i++)
            numbers[i] = call % 2 ? 1000 + i : 90 * i; /* a run, or rows that are far apart */
        expect_rows(&files, s, "parts", numbers, EACH);
        assert_int_equal(files.read_bytes - before,
                         EACH * row_bytes + (call % 2 ? (EACH - 1) * sizeof(uint32_t) : 0));
    }
    assert_int_equal(files.opened, 1);
    source_close(s);
    file_rows_end(&files);
}

/* ---- files that are not those of rank 0 */

static int read_row(struct file_rows *files, const struct row_origin *from, const void *row,
                    size_t row_bytes, uint64_t number, struct error *err)
{
    char out[1024];
    const struct row_request r = { from, &number, 1, row_bytes, file_rows_hash(row, row_bytes) };
    error_clear(err);
    return file_rows_read(files, &r, out, err);
}

/* The file is replaced, as by another version of the data. */
static void expect_replaced(struct scratch *s, const char *name, const struct row_origin *from,
                            const void *row, size_t row_bytes, const void *bytes, size_t n,
                            int expected)
{
    struct error err = { 0 };
    struct file_rows files = { .fd = -1 };
    assert_int_equal(rename(scratch_write(s, "new", bytes, n), scratch_path(s, name)), 0);
    const int rc = read_row(&files, from, row, row_bytes, 3, &err);
    if (rc != expected)
        fail_msg("%s, %zu bytes: %d instead of %d: %s", name, n, rc, expected, err.text);
    if (rc)
        expect_text(name, &err, name);
    file_rows_end(&files);
}

static void refuses_files_of_other_rows(void **state)
{
    static const char *const names[] = { "o.fbin", "o.fvecs" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct source *s = make_file(*state, names[i], INDEX_F32, 11, NULL);
        const size_t row_bytes = source_row_bytes(s);
        struct error err = { 0 };
        char row[64];
        assert_ok(source_read(s, 3, 1, row, &err), &err);
        const struct bytes file = bytes_read(s->origin->path);
        unsigned char *bytes = file.at;
        const size_t n = file.n;
        expect_replaced(*state, names[i], s->origin, row, row_bytes, bytes, n, OK);
        unsigned char *at = memmem(bytes, n, row, row_bytes);
        assert_non_null(at);
        at[5] ^= 1; /* of the same size */
        expect_replaced(*state, names[i], s->origin, row, row_bytes, bytes, n, ERR_CORRUPT);
        at[5] ^= 1;
        expect_replaced(*state, names[i], s->origin, row, row_bytes, bytes,
                        (size_t)(at - bytes) + 10, ERR_CORRUPT);
        expect_replaced(*state, names[i], s->origin, row, row_bytes, "other", 5, ERR_CORRUPT);
        expect_replaced(*state, names[i], s->origin, row, row_bytes, bytes, n, OK);
        free(bytes);
        source_close(s);
    }
}

/* The open file is not the old one for ever: an error closes it. */
static void opens_a_file_anew_after_an_error(void **state)
{
    struct source *s = make_file(*state, "o.fbin", INDEX_F32, 11, NULL);
    struct file_rows files = { .fd = -1 };
    struct error err = { 0 };
    char row[64];
    assert_ok(source_read(s, 3, 1, row, &err), &err);
    const char *kept = scratch_path(*state, "kept");
    assert_int_equal(rename(s->origin->path, kept), 0);
    assert_int_equal(read_row(&files, s->origin, row, 44, 3, &err), ERR_NOT_FOUND);
    assert_int_equal(mkdir(s->origin->path, 0700), 0);
    assert_int_equal(read_row(&files, s->origin, row, 44, 3, &err), ERR_IO);
    assert_int_equal(rmdir(s->origin->path), 0);
    assert_int_equal(mkfifo(s->origin->path, 0600), 0);
    assert_int_equal(read_row(&files, s->origin, row, 44, 3, &err), ERR_IO);
    assert_int_equal(rename(kept, s->origin->path), 0);
    assert_ok(read_row(&files, s->origin, row, 44, 3, &err), &err);
    /* Rank 0 has read another file of that name since. */
    struct source *other = make_file(*state, "new.fbin", INDEX_F32, 12, NULL);
    assert_ok(source_read(other, 3, 1, row, &err), &err);
    assert_int_equal(rename(other->origin->path, s->origin->path), 0);
    assert_int_equal(read_row(&files, s->origin, row, 44, 3, &err), ERR_CORRUPT);
    struct row_origin from = *other->origin;
    memcpy(from.path, s->origin->path, sizeof from.path);
    assert_ok(read_row(&files, &from, row, 48, 3, &err), &err);
    source_close(other);
    /* It becomes shorter while it is open. */
    assert_int_equal(truncate(s->origin->path, 8 + 3 * 48), 0);
    assert_int_equal(read_row(&files, &from, row, 48, 3, &err), ERR_CORRUPT);
    expect_text("shorter", &err, "o.fbin: it has become shorter");
    source_close(s);
    file_rows_end(&files);
}

static void refuses_numbers_beyond_the_file(void **state)
{
    struct source *s = make_file(*state, "o.fbin", INDEX_F32, 11, NULL);
    struct file_rows files = { .fd = -1 };
    struct error err = { 0 };
    struct row_origin from = *s->origin;
    char row[64] = { 0 };
    const uint64_t numbers[] = { ROWS,           ROWS + 1,  UINT64_MAX / 44, UINT64_MAX / 44 + 1,
                                 UINT64_MAX - 1, UINT64_MAX };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (read_row(&files, &from, row, 44, numbers[i], &err) != ERR_CORRUPT ||
            !strstr(err.text, "is beyond its"))
            fail_msg("row %llu: %s", (unsigned long long)numbers[i], err.text);
    static const struct {
        uint64_t offset, stride;
    } wrong[] = { { 8, 0 }, { 8, 43 }, { 8, UINT64_MAX }, { UINT64_MAX - 50, 44 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        from.offset = wrong[i].offset;
        from.stride = wrong[i].stride;
        assert_int_equal(read_row(&files, &from, row, 44, 1, &err), ERR_CORRUPT);
    }
    source_close(s);
    file_rows_end(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(reads_every_format),
        WITH_SCRATCH(reads_codes_and_first_rows),
        WITH_SCRATCH(has_no_origin_unless_the_bytes_are_the_rows),
        WITH_SCRATCH(touches_only_the_rows_it_needs),
        WITH_SCRATCH(refuses_files_of_other_rows),
        WITH_SCRATCH(opens_a_file_anew_after_an_error),
        WITH_SCRATCH(refuses_numbers_beyond_the_file),
    };
    return test_run("data_file_rows", tests);
}
