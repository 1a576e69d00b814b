/* test_store_file.c - contents are read back as written; every damaged byte and every failing
 * system call is detected. */
#include "tests/support/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/store_file.h"
#include "src/core/param.h"
#include "src/core/slot_table.h"
#include "tests/support/fault_injection.h"
#include "tests/support/index_folder.h"

#define NAME "some.index"
static const struct store_identity identity = { "tester", 3, 7, INDEX_F32, INDEX_COS };

/* Writes sections of all sizes around the alignment and the buffer, in pieces;
   `version` changes the contents. */
static int write_one(const char *dir, const struct file_fault *fault, unsigned version,
                     struct error *err)
{
    static struct store_writer w;
    static unsigned char big[200001];
    struct rng r = rng_at(version, 1);
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (unsigned char)rng_u64(&r);
    (void)store_begin(&w, dir, NAME, &identity, fault, err);
    store_section(&w, "empty");
    store_section(&w, "one");
    store_write(&w, &version, 1);
    store_section(&w, "sixty-four");
    store_write(&w, big, 64);
    store_section(&w, "pieces");
    for (size_t at = 0; at < 1000; at += 10)
        store_write(&w, big + at, 10);
    store_section(&w, "big");
    store_write(&w, big, sizeof big);
    store_section(&w, "none");
    store_section(&w, "last");
    store_write(&w, big, 100);
    return store_commit(&w);
}

static int read_one(const char *dir, unsigned version, struct error *err)
{
    struct store_reader r;
    int rc = store_open(&r, dir, NAME, &identity, err);
    if (rc != OK)
        return rc;
    const void *bytes;
    size_t n = 99;
    assert_ok(store_need(&r, "empty", 0, &bytes, &n), err);
    assert_int_equal(n, 0);
    assert_ok(store_need(&r, "one", 1, &bytes, NULL), err);
    assert_int_equal(*(const unsigned char *)bytes, version);
    struct rng random = rng_at(version, 1);
    const unsigned char *big;
    assert_ok(store_need(&r, "big", SIZE_MAX, &bytes, &n), err);
    big = bytes;
    assert_int_equal(n, 200001);
    assert_int_equal((uintptr_t)bytes % 64, 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(big[i], (unsigned char)rng_u64(&random));
    assert_ok(store_need(&r, "pieces", 1000, &bytes, NULL), err);
    assert_memory_equal(bytes, big, 1000);
    assert_null(store_find(&r, "other", &n));
    assert_code(store_need(&r, "other", SIZE_MAX, &bytes, NULL), ERR_CORRUPT, err);
    assert_code(store_need(&r, "pieces", 999, &bytes, NULL), ERR_CORRUPT, err);
    store_close(&r);
    store_close(&r);
    return OK;
}

static void test_round_trip(void **state)
{
    char dir[PATH_MAX];
    struct error e = { 0 };
    test_dir_make(dir);
    assert_code(read_one(dir, 1, &e), ERR_NOT_FOUND, &e);
    assert_ok(write_one(dir, NULL, 1, &e), &e);
    assert_ok(read_one(dir, 1, &e), &e);
    assert_ok(write_one(dir, NULL, 2, &e), &e);
    assert_ok(read_one(dir, 2, &e), &e);
    test_dir_remove(dir);
}

/* Options are within their ranges, and of this release. */
static void test_params(void **state)
{
    struct options {
        int64_t width, depth, later;
    };
    static const struct param table[] = { PARAM_INT(struct options, width, 1, 1, 8, ""),
                                          PARAM_INT(struct options, depth, 0, 0, 9, ""),
                                          PARAM_INT(struct options, later, 7, 1, 8, ""),
                                          PARAM_END };
    static const struct {
        struct options saved;
        size_t written, read;
        int code;
    } cases[] = {
        { { 5, 2, 3 }, 16, 16, OK },          { { 5, 2, 3 }, 24, 24, OK },
        { { 9, 2, 3 }, 16, 16, ERR_CORRUPT }, { { 5, 2, 9 }, 24, 24, ERR_CORRUPT },
        { { 5, 2, 3 }, 16, 24, ERR_VERSION }, { { 5, 2, 3 }, 24, 16, ERR_VERSION },
        { { 0, 2, 3 }, 16, 16, ERR_CORRUPT }, { { 5, 2, 3 }, 0, 16, ERR_VERSION },
    };
    char dir[PATH_MAX];
    struct error e = { 0 };

    test_dir_make(dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct store_writer w;
        struct store_reader r;
        struct options found;

        (void)store_begin(&w, dir, NAME, &identity, NULL, &e);
        store_section(&w, cases[i].written > 0 ? "params" : "none");
        store_write(&w, &cases[i].saved, cases[i].written);
        assert_ok(store_commit(&w), &e);
        assert_ok(store_open(&r, dir, NAME, &identity, &e), &e);
        const int rc = store_read_params(&r, table, cases[i].read, &found);
        if (rc == OK) {
            assert_memory_equal(&found, &cases[i].saved, cases[i].read);
            assert_int_equal(found.later, cases[i].read < sizeof found ? 7 : 3);
        }
        assert_code(rc, cases[i].code, &e);
        store_close(&r);
    }
    test_dir_remove(dir);
}

/* ---- one list of sections for both directions */

struct values {
    const uint64_t *n;
    const float *rows;
    const uint16_t *pieces;
    const uint8_t *rest;
    size_t n_rest;
};

static int fields(struct store_fields *f, struct values *v, size_t dim)
{
    if (store_field(f, "n", &v->n, 1, sizeof *v->n) != OK)
        return f->code;
    store_field(f, "rows", &v->rows, *v->n, dim * sizeof *v->rows);
    if (store_pieces(f, store_tag("pieces", '7').text, &v->pieces, *v->n, sizeof *v->pieces))
        for (uint16_t i = 0; i < *v->n; i++)
            store_write(f->w, &i, sizeof i);
    return store_field_whole(f, "rest", &v->rest, &v->n_rest, 3);
}

static void test_fields(void **state)
{
    enum { N = 5, DIM = 3 };
    float rows[N * DIM];
    const uint64_t n[] = { N, N + 1, UINT64_MAX / 4, 0 };
    char dir[PATH_MAX];
    struct error e = { 0 };

    test_dir_make(dir);
    for (size_t i = 0; i < N * DIM; i++)
        rows[i] = (float)i;
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
        static struct store_writer w;
        struct store_reader r;
        struct store_fields reading = { .r = &r };
        struct values v = { &n[i], rows, NULL, (const uint8_t *)"abcdef", 2 }, found = { 0 };

        (void)store_begin(&w, dir, NAME, &identity, NULL, &e);
        if (n[i] <= N) {
            assert_int_equal(fields(&(struct store_fields){ .w = &w }, &v, DIM), OK);
        } else { /* a number that the sections do not have */
            store_section(&w, "n");
            store_write(&w, &n[i], sizeof n[i]);
            store_section(&w, "rows");
            store_write(&w, rows, sizeof rows);
        }
        assert_ok(store_commit(&w), &e);
        assert_ok(store_open(&r, dir, NAME, &identity, &e), &e);
        const int rc = fields(&reading, &found, DIM);
        assert_int_equal(rc, reading.code);
        assert_int_equal(*found.n, n[i]);
        if (n[i] > N) {
            assert_null(found.pieces);
            assert_code(rc, ERR_CORRUPT, &e);
        } else {
            assert_ok(rc, &e);
            assert_memory_equal(found.rows, rows, n[i] * DIM * sizeof *rows);
            for (size_t k = 0; k < n[i]; k++)
                assert_int_equal(found.pieces[k], k);
            assert_int_equal(found.n_rest, 2);
            assert_memory_equal(found.rest, "abcdef", 6);
            size_t bytes;
            assert_non_null(store_find(&r, "pieces7", &bytes));
            found.n_rest = 0;
            assert_code(store_field_whole(&reading, "n", &found.rest, &found.n_rest, 3),
                        ERR_CORRUPT, &e);
            assert_int_equal(store_field(&reading, "n", &found.n, 1, 8), ERR_CORRUPT); /* stays */
        }
        store_close(&r);
    }
    test_dir_remove(dir);
}

/* Sections that are copied to the reader's own memory: a value, and an array that it makes. */
static int own_fields(struct store_fields *f, uint64_t *n, float **rows, size_t *capacity,
                      uint64_t asked)
{
    store_copy(f, "n", n, 1, sizeof *n);
    return store_array(f, "rows", rows, capacity, f->w ? *n : asked, sizeof **rows);
}

static void test_own_arrays(void **state)
{
    static struct store_writer w;
    float all[] = { 1, 2, 3 }, *rows = all;
    struct mem mem = { 0 };
    struct error e = { 0 };
    struct store_reader r;
    char dir[PATH_MAX];

    test_dir_make(dir);
    for (uint64_t n = 0; n <= 3; n += 3) {
        uint64_t found = 99;
        float *own = NULL;
        size_t capacity = 0;

        rows = all;
        (void)store_begin(&w, dir, NAME, &identity, NULL, &e);
        assert_int_equal(own_fields(&(struct store_fields){ .w = &w }, &n, &rows, NULL, 0), OK);
        assert_ptr_equal(rows, all);
        assert_ok(store_commit(&w), &e);
        assert_ok(store_open(&r, dir, NAME, &identity, &e), &e);
        struct store_fields f = { .r = &r, .mem = &mem };
        assert_ok(own_fields(&f, &found, &own, n ? &capacity : NULL, n), &e);
        assert_int_equal(found, n);
        assert_int_equal(capacity, n);
        assert_true(n > 0 ? own && memcmp(own, all, sizeof all) == 0 : !own);
        mem_free(&mem, own);
        /* Nothing is made of a section of another length, however long. */
        own = NULL;
        f = (struct store_fields){ .r = &r, .mem = &mem };
        assert_code(own_fields(&f, &found, &own, NULL, UINT64_MAX / 8), ERR_CORRUPT, &e);
        assert_null(own);
        mem.fail_at = atomic_load(&mem.calls) + 1;
        f = (struct store_fields){ .r = &r, .mem = &mem };
        const int rc = own_fields(&f, &found, &own, NULL, n);
        assert_int_equal(rc, n > 0 ? ERR_NO_MEMORY : OK);
        assert_null(own);
        error_clear(&e);
        mem.fail_at = 0;
        store_close(&r);
    }
    assert_int_equal(mem_live(&mem), 0);
    test_dir_remove(dir);
}

static void test_ids(void **state)
{
    static const struct {
        uint64_t ids[4];
        size_t live;
        int code;
    } cases[] = {
        { { 7, INDEX_NO_ID, 3, 0 }, 3, OK },          { { 7, 9, 3, 0 }, 4, OK },
        { { 7, INDEX_NO_ID, 3, 7 }, 3, ERR_CORRUPT }, { { 7, INDEX_NO_ID, 3, 0 }, 4, ERR_CORRUPT },
        { { 7, INDEX_NO_ID, 3, 0 }, 2, ERR_CORRUPT }, { { 7, 9, 3, INDEX_NO_ID }, 4, ERR_CORRUPT },
    };
    struct test_bench b;
    struct store_reader r = { .error = &b.error, .path = "a file" };

    test_bench_begin(&b, INDEX_F32, INDEX_L2SQ, 4, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slot_table table;
        uint32_t slot;

        slot_table_init(&table, &b.mem);
        const int rc = store_take_ids(&r, cases[i].ids, 4, cases[i].live, &table);
        for (uint32_t k = 0; rc == OK && k < 4; k++)
            assert_true(
                cases[i].ids[k] == INDEX_NO_ID ||
                (slot_table_get(&table, cases[i].ids, cases[i].ids[k], &slot) && slot == k));
        assert_code(rc, cases[i].code, &b.error);
        b.mem.fail_at = atomic_load(&b.mem.calls) + 1;
        slot_table_free(&table);
        assert_code(store_take_ids(&r, cases[i].ids, 4, cases[i].live, &table), ERR_NO_MEMORY,
                    &b.error);
        b.mem.fail_at = 0;
        slot_table_free(&table);
    }
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
}

static void test_identity(void **state)
{
    static const struct {
        struct store_identity identity;
        int code;
        const char *says;
    } rows[] = {
        { { "other", 3, 7, INDEX_F32, INDEX_COS },
          ERR_VERSION,
          "saved by method \"tester\", expected \"other\"" },
        { { "tester", 4, 7, INDEX_F32, INDEX_COS }, ERR_VERSION, "version 3 of method \"tester\"" },
        { { "tester", 3, 8, INDEX_F32, INDEX_COS }, ERR_DIMENSION, "dimension 7, expected 8" },
        { { "tester", 3, 7, INDEX_U8, INDEX_COS },
          ERR_DIMENSION,
          "f32 vectors under cosine, expected u8" },
        { { "tester", 3, 7, INDEX_F32, INDEX_IP }, ERR_DIMENSION, "expected f32 under ip" },
    };
    char dir[PATH_MAX];
    struct error e = { 0 };
    test_dir_make(dir);
    assert_ok(write_one(dir, NULL, 1, &e), &e);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_reader r;
        assert_int_equal(store_open(&r, dir, NAME, &rows[i].identity, &e), rows[i].code);
        if (!strstr(e.text, rows[i].says) || !strstr(e.text, NAME))
            fail_msg("row %zu: \"%s\"", i, e.text);
        error_clear(&e);
    }
    test_dir_remove(dir);
}

struct whole_file {
    char path[PATH_MAX];
    struct bytes file;
};

/* Written in place: truncating and rewriting would make the file system flush each time. */
static void put_bytes(const struct whole_file *f, size_t first, size_t n, size_t length)
{
    const int fd = open(f->path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, f->file.at + first, n, (off_t)first) == (ssize_t)n);
    assert_int_equal(ftruncate(fd, (off_t)length), 0);
    close(fd);
}

static void test_damage(void **state)
{
    struct whole_file f;
    char dir[PATH_MAX];
    struct error e = { 0 };
    struct rng r = rng_at(test_seed(), 1);
    test_dir_make(dir);
    assert_ok(write_one(dir, NULL, 1, &e), &e);
    (void)snprintf(f.path, sizeof f.path, "%.4000s/" NAME, dir);
    f.file = bytes_read(f.path);
    /* Every byte of the header and the table, gaps between sections, and some of the contents. */
    for (size_t i = 0; i < f.file.n; i += i < 1400 || i > f.file.n - 300 ? 1 : 977) {
        const unsigned char was = f.file.at[i];
        f.file.at[i] ^= (unsigned char)(1U << rng_below(&r, 8));
        put_bytes(&f, i, 1, f.file.n);
        const int rc = read_one(dir, 1, &e);
        if (rc != ERR_CORRUPT || !strstr(e.text, NAME))
            fail_msg("byte %zu of %zu: %s: %s", i, f.file.n, error_name(rc), e.text);
        error_clear(&e);
        f.file.at[i] = was;
        put_bytes(&f, i, 1, f.file.n);
        if (i % 40 != 0 && i + 40 < f.file.n)
            continue;
        put_bytes(&f, 0, 0, i);
        assert_code(read_one(dir, 1, &e), ERR_CORRUPT, &e);
        put_bytes(&f, i, f.file.n - i, f.file.n);
    }
    assert_ok(read_one(dir, 1, &e), &e);
    f.file.at[f.file.n] = 0;
    put_bytes(&f, f.file.n, 1, f.file.n + 1);
    assert_code(read_one(dir, 1, &e), ERR_CORRUPT, &e);
    free(f.file.at);
    test_dir_remove(dir);
}

/* When any call fails: an error that names the call, the old or the new contents,
   and no temporary file. */
static void test_failing_calls(void **state)
{
    char dir[PATH_MAX];
    struct error e = { 0 };
    test_dir_make(dir);
    assert_ok(write_one(dir, NULL, 1, &e), &e);
    size_t i = 1;
    for (bool done = false; !done; i++) {
        atomic_size_t calls = 0;
        struct injected_faults faults;
        faults_begin(&faults, &calls);
        faults.code = ENOSPC;
        faults.fail_at = i;
        const int rc = write_one(dir, &faults.fault, 2, &e);
        done = calls < i;
        assert_int_equal(rc, done ? OK : ERR_IO);
        if (!done && !strstr(e.text, "No space left"))
            fail_msg("%s: \"%s\"", faults.failed, e.text);
        error_clear(&e);
        assert_false(folder_has(dir, NAME ".new"));
        /* The new file is in place if only the folder's fsync failed. */
        const bool placed = done || strcmp(faults.failed, "fsync-dir") == 0;
        assert_ok(read_one(dir, placed ? 2 : 1, &e), &e);
        if (placed && !done)
            assert_ok(write_one(dir, NULL, 1, &e), &e);
    }
    assert_true(i > 8);
    test_dir_remove(dir);
}

static void test_abort_and_bad_folders(void **state)
{
    static struct store_writer w;
    static const unsigned char bytes[100000];
    char dir[PATH_MAX], missing[PATH_MAX];
    struct error e = { 0 };
    test_dir_make(dir);
    assert_ok(write_one(dir, NULL, 1, &e), &e);
    assert_ok(store_begin(&w, dir, NAME, &identity, NULL, &e), &e);
    store_section(&w, "x");
    store_write(&w, bytes, sizeof bytes);
    store_abort(&w);
    assert_false(folder_has(dir, NAME ".new"));
    assert_ok(read_one(dir, 1, &e), &e);
    (void)snprintf(missing, sizeof missing, "%.4000s/none", dir);
    assert_code(write_one(missing, NULL, 1, &e), ERR_IO, &e);
    assert_code(store_begin(&w, missing, NAME, &identity, NULL, &e), ERR_IO, &e);
    assert_code(read_one(missing, 1, &e), ERR_NOT_FOUND, &e);
    (void)snprintf(missing, sizeof missing, "%.3000s/" NAME, dir);
    assert_int_equal(unlink(missing), 0);
    assert_int_equal(mkdir(missing, 0777), 0);
    assert_code(read_one(dir, 1, &e), ERR_IO, &e);
    assert_code(write_one(dir, NULL, 1, &e), ERR_IO, &e);
    assert_false(folder_has(dir, NAME ".new"));
    test_dir_remove(dir);
}

int main(void)
{
    return test_run_all("store_file", test_round_trip, test_identity, test_params, test_fields,
                        test_own_arrays, test_ids, test_damage, test_failing_calls,
                        test_abort_and_bad_folders);
}
