/* test_rows.c - rows by slot, in memory or in a file with some of them hot, beside a copy of what was
 * written: reads return it, hot or not, also after calls that failed; budgets hold. The file alone is
 * unit/rows/test_row_store's, a folder that is missing or locked test_updates' and test_hot_set's.
 */
#include <errno.h>

#include "algorithms/asteria/options.h"
#include "algorithms/asteria/rows/rows.h"
#include "tests/support/testing.h"

enum { SLOTS = 3000, MOST = 700 };

static const struct kind {
    enum element element;
    size_t dim;
    bool tiered;
    int64_t hot_mb;
} kinds[] = {
    { INDEX_U8, 7, false, 0 },   { INDEX_F32, 33, false, 0 }, { INDEX_U8, 7, true, 0 },
    { INDEX_F32, 512, true, 0 }, { INDEX_F32, 512, true, 1 }, /* some are hot, */
    { INDEX_U8, 2001, true, 1 }, { INDEX_U8, 30, true, 1 },   /* and all */
};
enum { KINDS = sizeof kinds / sizeof *kinds, SOME_HOT = 4 };

struct trouble {
    const char *call;
    size_t at, calls; /* fails at this call of that name */
    int code;         /* 0: none fails */
};

static int trouble_before(void *to, const char *call)
{
    struct trouble *t = to;

    return t->code && strcmp(call, t->call) == 0 && ++t->calls == t->at ? t->code : 0;
}

struct shelf {
    struct test_bench bench;
    struct asteria_rows *rows;
    struct row_reader *reader; /* NULL: all rows are in memory */
    struct trouble trouble;
    struct file_fault fault;
    char dir[PATH_MAX];
    size_t row_bytes;
    unsigned char *truth; /* SLOTS rows */
    bool written[SLOTS];
    struct rng rng;
};

static void shelf_open(struct shelf *s, const struct kind *k)
{
    const struct asteria_params params = { .storage = k->tiered ? ASTERIA_ROWS_TIERED
                                                                : ASTERIA_ROWS_MEMORY,
                                           .cache_mb = k->hot_mb };

    memset(s, 0, sizeof *s);
    s->rng = rng_at(test_seed(), 11);
    test_bench_begin(&s->bench, k->element, INDEX_COS, k->dim, 1);
    test_dir_make_in_memory(s->dir);
    s->bench.env.dir = s->dir;
    s->row_bytes = index_row_bytes(k->element, k->dim);
    s->truth = calloc(SLOTS, s->row_bytes);
    assert_non_null(s->truth);
    s->fault = (struct file_fault){ trouble_before, &s->trouble };
    assert_ok(asteria_rows_create(&s->rows, &s->bench.env, &params, &s->fault), &s->bench.error);
    assert_int_equal(asteria_rows_are_tiered(s->rows), k->tiered);
    s->reader = k->tiered ? row_reader_take(s->rows->file->store) : NULL;
    assert_int_equal(s->reader != NULL, k->tiered);
    assert_ok(asteria_rows_reserve(s->rows, SLOTS), &s->bench.error);
}

static void shelf_close(struct shelf *s)
{
    char path[PATH_MAX];

    row_reader_give(s->reader);
    asteria_rows_destroy(s->rows);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    assert_true(snprintf(path, sizeof path, "%.4000s/rows", s->dir) > 0);
    assert_int_not_equal(access(path, F_OK), 0); /* removed with the store */
    test_dir_remove(s->dir);
    free(s->truth);
    test_bench_end(&s->bench);
}

/* If the write fails, none of the rows is written. */
static int put(struct shelf *s, const uint32_t *slots, size_t n)
{
    unsigned char *rows = malloc(n * s->row_bytes + 1);

    assert_non_null(rows);
    for (size_t i = 0; i < n * s->row_bytes; i++)
        rows[i] = (unsigned char)rng_u64(&s->rng);
    const int rc = asteria_rows_write(s->rows, slots, rows, n);
    asteria_rows_written(s->rows, slots, rows, n, rc == OK);
    for (size_t i = 0; i < n; i++) {
        s->written[slots[i]] = rc == OK;
        if (rc == OK)
            memcpy(s->truth + slots[i] * s->row_bytes, rows + i * s->row_bytes, s->row_bytes);
        else
            assert_true(!s->reader || !asteria_rows_resident(s->rows, slots[i]));
    }
    free(rows);
    return rc;
}

static void expect_row(const struct shelf *s, uint32_t slot, const void *row, const char *how)
{
    if (memcmp(row, s->truth + slot * s->row_bytes, s->row_bytes) != 0)
        fail_msg("slot %u: %s: another row (seed %" PRIu64 ")", slot, how, test_seed());
}

static size_t count_hot(const struct shelf *s)
{
    size_t n = 0;

    for (uint32_t slot = 0; slot < SLOTS; slot++)
        n += asteria_rows_resident(s->rows, slot) != NULL;
    return n;
}

/* Checks all rows one by one, and that frames are within the budget. */
static void expect_all(struct shelf *s)
{
    unsigned char *to = malloc(s->row_bytes);

    assert_non_null(to);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const void *row = NULL, *hot = asteria_rows_resident(s->rows, slot);
        if (!s->written[slot])
            continue;
        assert_ok(asteria_rows_get(s->rows, slot, to, &row), &s->bench.error);
        expect_row(s, slot, row, "got");
        expect_row(s, slot, hot ? hot : row, "resident");
    }
    free(to);
    if (asteria_rows_are_tiered(s->rows)) {
        const struct asteria_rows_file *f = s->rows->file;
        assert_true(count_hot(s) <= f->frames_most && f->frames_capacity <= f->frames_most);
        assert_true(f->frames_most * s->rows->row_bytes <= 1 << 20); /* hot_mb is 0 or 1 */
    }
}

/* Picks distinct slots, with `written` those that are: runs at random places, in any order. */
static size_t pick(struct shelf *s, bool written, uint32_t *slots, size_t most)
{
    bool taken[SLOTS] = { false };
    size_t n = 0;

    for (size_t tries = 0; n < most && tries < 300 && rng_below(&s->rng, 30); tries++) {
        const size_t run = 1 + rng_below(&s->rng, rng_below(&s->rng, 2) ? 40 : 2);
        const size_t first = rng_below(&s->rng, SLOTS);
        for (size_t i = first; i < first + run && i < SLOTS && n < most; i++)
            if (!taken[i] && (!written || s->written[i])) {
                taken[i] = true;
                slots[n++] = (uint32_t)i;
            }
    }
    return n;
}

/* With the store's own reader, and with another one, that of a search, those that are not in memory. */
static int fetch(struct shelf *s, const uint32_t *slots, size_t n)
{
    const void *rows[FETCH_MOST];
    uint32_t cold[FETCH_MOST];
    size_t n_cold = 0;
    int rc = asteria_rows_get_many(s->rows, slots, n, rows);

    for (size_t i = 0; rc == OK && i < n; i++)
        expect_row(s, slots[i], rows[i], "fetched");
    for (size_t i = 0; i < n; i++)
        if (!asteria_rows_resident(s->rows, slots[i]))
            cold[n_cold++] = slots[i];
    rc = rc == OK && n_cold > 0 ? row_reader_read(s->reader, cold, n_cold, rows) : rc;
    for (size_t i = 0; rc == OK && i < n_cold; i++)
        expect_row(s, cold[i], rows[i], "read");
    return rc;
}

static int step(struct shelf *s)
{
    uint32_t slots[MOST];
    const uint64_t what = rng_below(&s->rng, 5);
    const size_t most = what < 3 ? MOST : FETCH_MOST;
    const size_t n = pick(s, what != 0 && what != 2, slots, 1 + rng_below(&s->rng, most));

    switch (what) {
        case 0: return put(s, slots, n);
        case 1: return asteria_rows_promote(s->rows, slots, n);
        case 2: asteria_rows_demote(s->rows, slots, n); return OK;
        default: return fetch(s, slots, n);
    }
}

/* Every fourth step meets a call that fails: no other row has changed, and later calls succeed. */
static void test_histories(void **state)
{
    static struct shelf s;

    for (size_t k = 0; k < KINDS; k++) {
        size_t failed = 0;
        shelf_open(&s, &kinds[k]);
        for (size_t i = 0; i < 300; i++) {
            if (i % 4 == 3)
                s.trouble = i % 8 == 3
                                ? (struct trouble){ "read", 1 + rng_below(&s.rng, 20), 0, EIO }
                                : (struct trouble){ "write", 1 + rng_below(&s.rng, 20), 0, ENOSPC };
            const int rc = step(&s);
            const bool hit = s.trouble.code && s.trouble.calls >= s.trouble.at;
            if (hit && (!strstr(s.bench.error.text, s.dir) || s.trouble.calls > s.trouble.at))
                fail_msg("not the failed call's sentence: %s", s.bench.error.text);
            assert_code(rc, hit ? ERR_IO : OK, &s.bench.error);
            s.trouble.code = 0;
            failed += hit;
            if (i % 30 == 29)
                expect_all(&s);
        }
        const uint64_t reads = asteria_rows_reads(s.rows);
        const size_t disk = asteria_rows_disk_bytes(s.rows);
        if (kinds[k].tiered) {
            assert_true((reads > 0 || k == KINDS - 1) && disk >= SLOTS * s.row_bytes / 2);
            assert_true(failed > 5);
        } else {
            assert_true(reads == 0 && disk == 0);
            assert_true(asteria_rows_resident_bytes(s.rows) >= SLOTS * s.row_bytes);
        }
        shelf_close(&s);
    }
}

/* Promotion stops at the budget and demotes nothing. */
static void test_budget(void **state)
{
    static struct shelf s;
    uint32_t all[SLOTS];

    shelf_open(&s, &kinds[SOME_HOT]);
    const size_t most = s.rows->file->frames_most;
    assert_true(most > 100 && most < SLOTS / 2);
    for (uint32_t i = 0; i < SLOTS; i++)
        all[i] = i;
    assert_ok(put(&s, all, SLOTS), &s.bench.error);
    assert_int_equal(count_hot(&s), most);
    asteria_rows_demote(s.rows, all, SLOTS);
    assert_int_equal(count_hot(&s), 0);
    assert_ok(asteria_rows_promote(s.rows, all + SLOTS / 2, 100), &s.bench.error);
    assert_int_equal(count_hot(&s), 100);
    assert_ok(asteria_rows_promote(s.rows, all, SLOTS), &s.bench.error);
    assert_int_equal(count_hot(&s), most);
    for (uint32_t i = 0; i < 100; i++)
        assert_non_null(asteria_rows_resident(s.rows, SLOTS / 2 + i));
    expect_all(&s);
    shelf_close(&s);
}

int main(void)
{
    return test_run_all("asteria_tier", test_histories, test_budget);
}
