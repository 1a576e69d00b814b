/* test_row_store.c - rows by slot: they are read as written, in any order and concurrently with writers;
 * damage, failing calls and reused slots are detected. */
#include "tests/support/testing.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "algorithms/common/rows/row_store.h"

enum { SLOTS = 3000 };

struct table {
    struct test_bench bench;
    struct epoch *epoch;
    struct row_store *rows;
    char dir[PATH_MAX];
    size_t row_bytes;
    unsigned char *truth; /* SLOTS rows */
};

static void table_begin(struct table *t, enum row_store_kind kind, enum element element, size_t dim,
                        bool direct)
{
    test_bench_begin(&t->bench, element, INDEX_L2SQ, dim, 1);
    test_dir_make(t->dir);
    t->bench.env.dir = t->dir;
    t->epoch = epoch_create(&t->bench.mem);
    assert_non_null(t->epoch);
    t->row_bytes = index_row_bytes(element, dim);
    t->truth = calloc(SLOTS, t->row_bytes);
    assert_non_null(t->truth);
    const struct row_store_options options = { .kind = kind, .direct = direct, .uring = dim % 2 };
    assert_ok(row_store_open(&t->rows, &t->bench.env, t->epoch, &options), &t->bench.error);
}

static void path_of(const struct table *t, char path[PATH_MAX + 8])
{
    (void)snprintf(path, PATH_MAX + 8, "%s/rows", t->dir);
}

static void table_end(struct table *t, enum row_store_kind kind)
{
    char path[PATH_MAX + 8];
    path_of(t, path);
    row_store_close(t->rows);
    assert_int_equal(access(path, F_OK) == 0, kind == ROWS_MAPPED || kind == ROWS_FILE);
    epoch_destroy(t->epoch);
    assert_int_equal(mem_live(&t->bench.mem), 0);
    free(t->truth);
    test_dir_remove(t->dir);
    test_bench_end(&t->bench);
}

/* Writes new rows for slots [first, first + n), in order or shuffled. */
static void put(struct table *t, struct rng *r, uint32_t first, size_t n, bool shuffled)
{
    uint32_t *slots = malloc(n * sizeof *slots);
    const void **rows = malloc(n * sizeof *rows);
    assert_true(slots && rows);
    for (size_t i = 0; i < n; i++)
        slots[i] = first + (uint32_t)i;
    if (shuffled)
        rng_shuffle_u32(r, slots, n);
    for (size_t i = 0; i < n; i++) {
        unsigned char *row = t->truth + slots[i] * t->row_bytes;
        for (size_t j = 0; j < t->row_bytes; j++)
            row[j] = (unsigned char)rng_u64(r);
        rows[i] = row;
    }
    assert_ok(row_store_put(t->rows, slots, rows, n), &t->bench.error);
    free(slots);
    free(rows);
}

static void read_some(struct table *t, struct row_reader *reader, struct rng *r, size_t n)
{
    uint32_t slots[ROWS_BATCH];
    const void *rows[ROWS_BATCH];
    const unsigned ticket = epoch_enter(t->epoch);
    for (size_t i = 0; i < n; i++)
        slots[i] = (uint32_t)rng_below(r, SLOTS);
    assert_ok(row_reader_read(reader, slots, n, rows), &t->bench.error);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(rows[i], t->truth + slots[i] * t->row_bytes, t->row_bytes);
    epoch_leave(t->epoch, ticket);
}

static void read_all(struct table *t)
{
    uint32_t slots[SLOTS];
    unsigned char *out = malloc(SLOTS * t->row_bytes);
    struct rng r = rng_at(test_seed(), 9);
    assert_non_null(out);
    for (uint32_t i = 0; i < SLOTS; i++)
        slots[i] = i;
    rng_shuffle_u32(&r, slots, SLOTS);
    assert_ok(row_store_get(t->rows, slots, SLOTS, out), &t->bench.error);
    for (size_t i = 0; i < SLOTS; i++)
        assert_memory_equal(out + i * t->row_bytes, t->truth + slots[i] * t->row_bytes,
                            t->row_bytes);
    free(out);
}

static void test_round_trip(void **state)
{
    static const struct {
        enum row_store_kind kind;
        enum element element;
        size_t dim;
        bool direct;
    } cases[] = {
        { ROWS_MEMORY, INDEX_U8, 13, false },  { ROWS_MEMORY, INDEX_F32, 128, false },
        { ROWS_MAPPED, INDEX_U8, 128, false }, { ROWS_MAPPED, INDEX_F32, 2100, false },
        { ROWS_FILE, INDEX_U8, 1, false },     { ROWS_FILE, INDEX_U8, 128, true },
        { ROWS_FILE, INDEX_F32, 1022, true },  { ROWS_FILE, INDEX_F32, 1021, true },
        { ROWS_FILE, INDEX_F32, 2100, false }, { ROWS_FILE, INDEX_F32, 97, false },
        { ROWS_SCRATCH, INDEX_U8, 7, false },  { ROWS_SCRATCH, INDEX_F32, 512, false },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct table t;
        struct row_reader *reader;
        struct rng r = rng_at(test_seed(), c);
        table_begin(&t, cases[c].kind, cases[c].element, cases[c].dim, cases[c].direct);
        put(&t, &r, 0, SLOTS, false);
        read_all(&t);
        reader = row_reader_take(t.rows);
        assert_non_null(reader);
        for (size_t i = 0; i < 60; i++) {
            row_reader_begin(reader);
            put(&t, &r, (uint32_t)rng_below(&r, SLOTS - 50), 1 + rng_below(&r, 50), i % 2);
            read_some(&t, reader, &r, 1 + rng_below(&r, ROWS_BATCH));
            read_some(&t, reader, &r, 1 + rng_below(&r, 3));
        }
        row_reader_give(reader);
        read_all(&t);
        enum row_store_kind kind = cases[c].kind;
        assert_int_equal(row_store_reads(t.rows) > 0, kind >= ROWS_FILE);
        if (kind == ROWS_MAPPED || kind == ROWS_FILE) { /* as another process would read it */
            const struct row_store_options options = { .kind = ROWS_FILE };
            kind = ROWS_FILE;
            assert_ok(row_store_sync(t.rows), &t.bench.error);
            row_store_close(t.rows);
            assert_ok(row_store_open(&t.rows, &t.bench.env, t.epoch, &options), &t.bench.error);
            read_all(&t);
            assert_true(row_store_disk(t.rows) >= SLOTS * t.row_bytes);
        }
        table_end(&t, kind);
    }
}

/* Pages are counted once per query. A reader that has dropped pages reads them again. */
static void test_pages(void **state)
{
    struct table t;
    struct row_reader *reader;
    struct rng r = rng_at(test_seed(), 50);
    uint32_t slots[60];
    const void *rows[60];
    table_begin(&t, ROWS_FILE, INDEX_U8, 128, false);
    put(&t, &r, 0, SLOTS, false);
    reader = row_reader_take(t.rows);
    assert_non_null(reader);
    for (uint32_t i = 0; i < 60; i++)
        slots[i] = i; /* 30 records of 136 bytes per page */
    for (size_t i = 0; i < 3; i++) {
        assert_ok(row_reader_read(reader, slots, 60, rows), &t.bench.error);
        assert_int_equal(row_reader_pages(reader), 2);
    }
    row_reader_begin(reader);
    assert_int_equal(row_reader_pages(reader), 0);
    assert_ok(row_reader_read(reader, slots + 29, 2, rows), &t.bench.error);
    assert_int_equal(row_reader_pages(reader), 2);
    row_reader_give(reader);
    table_end(&t, ROWS_FILE);

    table_begin(&t, ROWS_FILE, INDEX_F32, 4000, false); /* four pages per row */
    put(&t, &r, 0, SLOTS, false);
    reader = row_reader_take(t.rows);
    assert_non_null(reader);
    for (size_t i = 0; i < 30; i++)
        read_some(&t, reader, &r, ROWS_BATCH);
    assert_ok(row_reader_read(reader, slots, 1, rows), &t.bench.error);
    row_reader_begin(reader);
    assert_ok(row_reader_read(reader, slots, 1, rows), &t.bench.error);
    assert_int_equal(row_reader_pages(reader), 4);
    row_reader_give(reader);
    table_end(&t, ROWS_FILE);
}

static void swap_bytes(const struct table *t, uint64_t at, void *bytes, size_t n)
{
    char path[PATH_MAX + 8];
    unsigned char there[256];
    path_of(t, path);
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pread(fd, there, n, (off_t)at) == (ssize_t)n);
    assert_true(pwrite(fd, bytes, n, (off_t)at) == (ssize_t)n);
    memcpy(bytes, there, n);
    close(fd);
}

static void flip(const struct table *t, uint64_t at)
{
    unsigned char byte = 0;
    swap_bytes(t, at, &byte, 1);
    byte ^= 0x10;
    swap_bytes(t, at, &byte, 1);
}

static void expect_corrupt(struct table *t, uint32_t slot)
{
    unsigned char row[64];
    char name[32];
    (void)snprintf(name, sizeof name, "slot %u", slot);
    assert_code(row_store_get(t->rows, &slot, 1, row), ERR_CORRUPT, NULL);
    if (!strstr(t->bench.error.text, "/rows") || !strstr(t->bench.error.text, name))
        fail_msg("\"%s\"", t->bench.error.text);
    error_clear(&t->bench.error);
}

static void test_damage(void **state)
{
    for (enum row_store_kind kind = ROWS_MAPPED; kind <= ROWS_SCRATCH; kind++) {
        struct table t;
        struct rng r = rng_at(test_seed(), 60);
        unsigned char row[64];
        const uint32_t slot = 57; /* 56 records of 72 bytes per page */
        const size_t bytes = kind == ROWS_SCRATCH ? 64 : 72;
        const uint64_t at = kind == ROWS_SCRATCH ? 57 * 64 : 4096 + 72;
        const uint32_t near[] = { 56, 58 };
        unsigned char rows[2 * 64];
        table_begin(&t, kind, INDEX_U8, 64, false);
        put(&t, &r, 0, SLOTS, false);
        for (uint64_t i = 0; i < bytes; i++) {
            flip(&t, at + i);
            expect_corrupt(&t, slot);
            assert_ok(row_store_get(t.rows, near, 2, rows), &t.bench.error);
            flip(&t, at + i);
            assert_ok(row_store_get(t.rows, &slot, 1, row), &t.bench.error);
        }
        /* Slots that were never written, within the file and past its end. */
        expect_corrupt(&t, SLOTS + 1);
        expect_corrupt(&t, 1 << 30);
        table_end(&t, kind);
    }
}

/* The record of another slot in this slot's place: its checksum is right. In a scratch file, also the row
   that was there before: the disk has lost a write. */
static void test_misplaced(void **state)
{
    for (enum row_store_kind kind = ROWS_MAPPED; kind <= ROWS_SCRATCH; kind++) {
        struct table t;
        struct rng r = rng_at(test_seed(), 61);
        const size_t bytes = kind == ROWS_SCRATCH ? 64 : 72;
        unsigned char record[72] = { 0 }, old[72] = { 0 };
        table_begin(&t, kind, INDEX_U8, 64, false);
        put(&t, &r, 0, SLOTS, false);
        swap_bytes(&t, bytes * 3, old, bytes);
        swap_bytes(&t, bytes * 4, record, bytes);
        swap_bytes(&t, bytes * 3, record, bytes);
        expect_corrupt(&t, 3);
        put(&t, &r, 3, 2, false);
        read_all(&t);
        if (kind == ROWS_SCRATCH) {
            swap_bytes(&t, bytes * 3, old, bytes);
            expect_corrupt(&t, 3);
        }
        table_end(&t, kind);
    }
}

/* A file that ends early: rows before its end are read, singly and together. */
static void test_short_file(void **state)
{
    for (enum row_store_kind kind = ROWS_FILE; kind <= ROWS_SCRATCH; kind++)
        for (size_t dim = 63; dim <= 64; dim++) { /* with a ring, if there is one, and without */
            struct table t;
            struct rng r = rng_at(test_seed(), 62);
            char path[PATH_MAX + 8];
            unsigned char rows[50 * 64];
            const uint32_t end = kind == ROWS_FILE ? 4096 / (uint32_t)(dim + 8) : 50;
            uint32_t slots[256];
            const void *each[256];
            table_begin(&t, kind, INDEX_U8, dim, false);
            put(&t, &r, 0, SLOTS, false);
            path_of(&t, path);
            assert_int_equal(truncate(path, kind == ROWS_FILE ? 4099 : (off_t)(50 * dim + 3)), 0);
            for (uint32_t i = 0; i < 256; i++)
                slots[i] = i;
            struct row_reader *reader = row_reader_take(t.rows);
            assert_non_null(reader);
            assert_code(row_reader_read(reader, slots, 256, each), ERR_CORRUPT, NULL);
            char name[32];
            (void)snprintf(name, sizeof name, "before slot %u", end);
            assert_non_null(strstr(t.bench.error.text, name));
            error_clear(&t.bench.error);
            row_reader_give(reader);
            expect_corrupt(&t, end);
            assert_ok(row_store_get(t.rows, slots, 50, rows), &t.bench.error);
            table_end(&t, kind);
        }
}

/* A file that may grow no further: rows before stay, and a later write with space succeeds. */
static void test_full_disk(void **state)
{
    struct rlimit old, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    for (enum row_store_kind kind = ROWS_MAPPED; kind <= ROWS_SCRATCH; kind++) {
        struct table t;
        struct rng r = rng_at(test_seed(), 63);
        table_begin(&t, kind, INDEX_U8, 64, false);
        put(&t, &r, 0, SLOTS, false);
        const uint32_t slots[] = { 1, 700000 };
        const void *rows[] = { t.truth + 64, t.truth };
        limit = old;
        limit.rlim_cur = 16 << 20;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_code(row_store_put(t.rows, slots, rows, 2), ERR_IO, NULL);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        error_clear(&t.bench.error);
        read_all(&t);
        assert_ok(row_store_put(t.rows, slots, rows, 2), &t.bench.error);
        table_end(&t, kind);
    }
    (void)signal(SIGXFSZ, SIG_DFL);
}

static int refuse(void *to, const char *call)
{
    size_t *left = to;
    return (*left)-- == 0 ? ENOSPC : 0;
}

static void fail_calls(enum row_store_kind kind)
{
    struct test_bench bench;
    char dir[PATH_MAX];
    unsigned char rows[2][32], out[64];
    const void *const from[] = { rows[0], rows[1] };
    const uint32_t slots[] = { 7, 900 };
    bool done = false;
    test_bench_begin(&bench, INDEX_U8, INDEX_L2SQ, 32, 1);
    memset(rows, 7, sizeof rows);
    for (size_t i = 0; !done; i++) {
        struct row_store *r = NULL;
        size_t left = i;
        const struct file_fault fault = { refuse, &left };
        const struct row_store_options options = { .kind = kind, .fault = &fault };
        struct epoch *epoch = epoch_create(&bench.mem);
        test_dir_make(dir);
        bench.env.dir = dir;
        int rc = row_store_open(&r, &bench.env, epoch, &options);
        if (!rc)
            rc = row_store_put(r, slots, from, 2);
        if (!rc)
            rc = row_store_get(r, slots, 2, out);
        if (!rc)
            rc = row_store_sync(r);
        done = left != SIZE_MAX && rc == OK;
        if (rc) {
            assert_int_equal(rc, ERR_IO);
            assert_non_null(strstr(bench.error.text, "/rows"));
            error_clear(&bench.error);
            left = SIZE_MAX; /* the retry must work */
            if (r) {
                assert_ok(row_store_put(r, slots, from, 2), &bench.error);
                assert_ok(row_store_get(r, slots, 2, out), &bench.error);
                assert_memory_equal(out, rows, 64);
            }
        }
        row_store_close(r);
        epoch_destroy(epoch);
        test_dir_remove(dir);
        assert_true(i < 20);
    }
    assert_int_equal(mem_live(&bench.mem), 0);
    test_bench_end(&bench);
}

static void test_failing_calls(void **state)
{
    fail_calls(ROWS_FILE);
    fail_calls(ROWS_SCRATCH);
}

static void test_failing_allocator(void **state)
{
    for (enum row_store_kind kind = ROWS_MEMORY; kind <= ROWS_SCRATCH; kind++) {
        bool done = false;
        for (size_t i = 1; !done; i++) {
            struct table t;
            struct rng r = rng_at(test_seed(), 70);
            unsigned char out[3 * 48];
            const uint32_t slots[] = { 2999, 5, 1500 };
            table_begin(&t, kind, INDEX_U8, 48, false);
            for (size_t j = 0; j < SLOTS * t.row_bytes; j++)
                t.truth[j] = (unsigned char)rng_u64(&r);
            const void *rows[] = { t.truth + 2999 * 48, t.truth + 5 * 48, t.truth + 1500 * 48 };
            t.bench.mem.fail_at = atomic_load(&t.bench.mem.calls) + i;
            for (int tries = 0, rc = 1; rc; tries++) {
                rc = row_store_put(t.rows, slots, rows, 3);
                if (!rc)
                    rc = row_store_get(t.rows, slots, 3, out);
                if (rc) {
                    assert_int_equal(tries, 0);
                    assert_int_equal(rc, ERR_NO_MEMORY);
                    error_clear(&t.bench.error);
                }
            }
            for (size_t j = 0; j < 3; j++)
                assert_memory_equal(out + j * 48, rows[j], 48);
            done = !atomic_load(&t.bench.mem.failed);
            t.bench.mem.fail_at = 0;
            table_end(&t, kind);
        }
    }
}

struct beside {
    struct table *t;
    atomic_uint done;
};

static void *reads(void *arg)
{
    struct beside *b = arg;
    struct rng r = rng_at(test_seed(), 81);
    unsigned char out[20 * 40];
    uint32_t slots[20];
    while (atomic_load(&b->done) < SLOTS) {
        const uint32_t n = atomic_load(&b->done);
        for (size_t i = 0; n && i < 20; i++)
            slots[i] = (uint32_t)rng_below(&r, n);
        if (n && row_store_get(b->t->rows, slots, 20, out))
            return "a row was not there";
        for (size_t i = 0; n && i < 20; i++)
            if (memcmp(out + 40 * i, b->t->truth + 40 * slots[i], 40) != 0)
                return "a row was another";
    }
    return NULL;
}

/* Readers of existing rows run while rows are appended. */
static void test_beside_writer(void **state)
{
    for (enum row_store_kind kind = ROWS_MEMORY; kind <= ROWS_SCRATCH; kind++) {
        struct table t;
        struct rng r = rng_at(test_seed(), 80);
        pthread_t threads[2];
        void *said;
        table_begin(&t, kind, INDEX_U8, 40, true);
        struct beside b = { .t = &t };
        for (size_t i = 0; i < SLOTS * t.row_bytes; i++)
            t.truth[i] = (unsigned char)rng_u64(&r);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, reads, &b), 0);
        int rc = OK;
        for (uint32_t i = 0; i < SLOTS; i += 3) {
            const uint32_t slots[] = { i, i + 1, i + 2 };
            const void *rows[] = { t.truth + i * 40, t.truth + (i + 1) * 40,
                                   t.truth + (i + 2) * 40 };
            rc = rc ? rc : row_store_put(t.rows, slots, rows, 3);
            atomic_store(&b.done, i + 3);
        }
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(threads[i], &said), 0);
            if (said)
                fail_msg("%s", (char *)said);
        }
        assert_ok(rc, &t.bench.error);
        table_end(&t, kind);
    }
}

int main(void)
{
    return test_run_all("row store", test_round_trip, test_pages, test_damage, test_misplaced,
                        test_short_file, test_full_disk, test_failing_calls, test_failing_allocator,
                        test_beside_writer);
}
