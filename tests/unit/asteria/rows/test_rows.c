/* test_rows.c - rows by slot, in memory or in a file with some of them hot: reads return what was
 * written, hot or not; budgets hold; failing calls and a truncated file are reported and damage no
 * other row.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/asteria/rows/shelf.h"

enum { MOST = 700 };

/* Picks distinct slots: runs at random places, in any order. */
static size_t pick(struct shelf *s, uint32_t *slots, size_t most)
{
    bool taken[SLOTS] = { false };
    size_t n = 0;

    while (n < most) {
        const size_t run = 1 + rng_below(&s->rng, rng_below(&s->rng, 2) ? 40 : 2);
        const size_t first = rng_below(&s->rng, SLOTS);
        for (size_t i = first; i < first + run && i < SLOTS && n < most; i++)
            if (!taken[i]) {
                taken[i] = true;
                slots[n++] = (uint32_t)i;
            }
        if (rng_below(&s->rng, 30) == 0)
            break;
    }
    return n;
}

static size_t pick_written(struct shelf *s, uint32_t *slots, size_t most)
{
    const size_t n = pick(s, slots, most);
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (s->written[slots[i]])
            slots[kept++] = slots[i];
    return kept;
}

static int fetch(struct shelf *s, const uint32_t *slots, size_t n)
{
    const void *rows[FETCH_MOST];
    const int rc = s->fetch ? asteria_rows_fetch(s->fetch, slots, n, rows)
                            : asteria_rows_get_many(s->rows, slots, n, rows);

    for (size_t i = 0; rc == OK && i < n; i++)
        shelf_expect_row(s, slots[i], rows[i], "fetched");
    return rc;
}

/* ------------------------------------------------------------------------------- histories */

static void step(struct shelf *s)
{
    uint32_t slots[MOST];
    size_t n;

    switch (rng_below(&s->rng, 5)) {
        case 0:
            n = pick(s, slots, 1 + rng_below(&s->rng, MOST));
            assert_ok(shelf_put(s, slots, n), &s->bench.error);
            break;
        case 1:
            n = pick_written(s, slots, 1 + rng_below(&s->rng, MOST));
            assert_ok(asteria_rows_promote(s->rows, slots, n), &s->bench.error);
            break;
        case 2:
            n = pick(s, slots, 1 + rng_below(&s->rng, MOST));
            asteria_rows_demote(s->rows, slots, n);
            break;
        default:
            n = pick_written(s, slots, rng_below(&s->rng, FETCH_MOST + 1));
            assert_ok(fetch(s, slots, n), &s->bench.error);
    }
}

static void test_histories(void **state)
{
    static struct shelf s;

    for (size_t k = 0; k < KINDS; k++) {
        shelf_open(&s, &kinds[k]);
        for (size_t i = 0; i < 300; i++) {
            step(&s);
            if (i % 30 == 29)
                shelf_expect_all(&s);
        }
        const uint64_t reads = asteria_rows_reads(s.rows);
        if (kinds[k].tiered && k != KINDS - 1)
            assert_true(reads > 0);
        if (!kinds[k].tiered) {
            assert_int_equal(reads, 0);
            assert_int_equal(asteria_rows_disk_bytes(s.rows), 0);
            assert_true(s.rows->budget == UINT64_MAX);
            assert_true(asteria_rows_resident_bytes(s.rows) >= SLOTS * s.row_bytes);
        } else {
            struct stat st;
            assert_int_equal(stat(s.path, &st), 0);
            assert_int_equal((uint64_t)st.st_size, asteria_rows_disk_bytes(s.rows));
        }
        shelf_close(&s);
    }
}

/* Rows with consecutive slots are one read. */
static void test_runs(void **state)
{
    static struct shelf s;
    uint32_t slots[FETCH_MOST];

    shelf_open(&s, &kinds[ALL_COLD]);
    for (uint32_t i = 0; i < FETCH_MOST; i++)
        slots[i] = 100 + i;
    assert_ok(shelf_put(&s, slots, FETCH_MOST), &s.bench.error);
    assert_ok(fetch(&s, slots, FETCH_MOST), &s.bench.error);
    assert_int_equal(asteria_rows_reads(s.rows), 1);
    shelf_close(&s);
}

/* Promotion stops at the budget and demotes nothing. */
static void test_budget(void **state)
{
    static struct shelf s;
    uint32_t all[SLOTS];

    shelf_open(&s, &kinds[SOME_HOT]);
    const size_t most = (size_t)(s.rows->budget / s.rows->row_bytes);
    assert_true(most > 100 && most < SLOTS / 2);
    for (uint32_t i = 0; i < SLOTS; i++)
        all[i] = i;
    assert_ok(shelf_put(&s, all, SLOTS), &s.bench.error);
    assert_int_equal(shelf_count_hot(&s), most);
    asteria_rows_demote(s.rows, all, SLOTS);
    assert_int_equal(shelf_count_hot(&s), 0);
    assert_ok(asteria_rows_promote(s.rows, all + SLOTS / 2, 100), &s.bench.error);
    assert_int_equal(shelf_count_hot(&s), 100);
    assert_ok(asteria_rows_promote(s.rows, all, SLOTS), &s.bench.error);
    assert_int_equal(shelf_count_hot(&s), most);
    for (uint32_t i = 0; i < 100; i++)
        assert_non_null(asteria_rows_resident(s.rows, SLOTS / 2 + i));
    shelf_expect_all(&s);
    shelf_close(&s);
}

/* ------------------------------------------------------------------------------- faults */

static void expect_sentence(const struct shelf *s, const char *part)
{
    if (!strstr(s->bench.error.text, part) || !strstr(s->bench.error.text, s->path))
        fail_msg("expected a sentence with %s and the file: %s", part, s->bench.error.text);
}

static void test_failing_reads(void **state)
{
    static struct shelf s;
    unsigned char to[4096];
    const void *row;

    for (size_t k = 0; k < KINDS; k++) {
        if (!kinds[k].tiered)
            continue;
        uint32_t slots[60];
        struct trouble t = { "read", 0, 0, EIO };
        const struct file_fault fault = { trouble_before, &t };
        shelf_open(&s, &kinds[k]);
        for (uint32_t i = 0; i < 60; i++)
            slots[i] = 3 * i;
        assert_ok(shelf_put(&s, slots, 60), &s.bench.error);
        asteria_rows_demote(s.rows, slots, 60);
        s.rows->file->fault = &fault;
        for (t.at = 1; t.at <= 60; t.at += 13) {
            t.calls = 0;
            const int rc = fetch(&s, slots, 60);
            expect_sentence(&s, "slot");
            assert_code(rc, ERR_IO, &s.bench.error);
        }
        t.at = 0;
        assert_code(asteria_rows_get(s.rows, 6, to, &row), ERR_IO, &s.bench.error);
        const int rc = asteria_rows_promote(s.rows, slots, 60);
        if (kinds[k].hot_mb > 0) {
            expect_sentence(&s, "slot 0");
            assert_code(rc, ERR_IO, &s.bench.error);
        }
        assert_int_equal(shelf_count_hot(&s), 0);
        s.rows->file->fault = NULL;
        assert_ok(fetch(&s, slots, 60), &s.bench.error);
        shelf_expect_all(&s);
        shelf_close(&s);
    }
}

static void test_short_file(void **state)
{
    static struct shelf s;
    unsigned char to[4096];
    const void *row;

    for (size_t k = 0; k < KINDS; k++) {
        if (!kinds[k].tiered)
            continue;
        uint32_t slots[100];
        shelf_open(&s, &kinds[k]);
        for (uint32_t i = 0; i < 100; i++)
            slots[i] = i;
        assert_ok(shelf_put(&s, slots, 100), &s.bench.error);
        asteria_rows_demote(s.rows, slots, 100);
        assert_int_equal(truncate(s.path, (off_t)(50 * s.rows->row_bytes + 3)), 0);
        const int rc = fetch(&s, slots, 100);
        expect_sentence(&s, "slot 50");
        assert_code(rc, ERR_CORRUPT, &s.bench.error);
        assert_ok(fetch(&s, slots, 50), &s.bench.error);
        assert_ok(asteria_rows_get(s.rows, 49, to, &row), &s.bench.error);
        assert_code(asteria_rows_get(s.rows, 50, to, &row), ERR_CORRUPT, &s.bench.error);
        shelf_close(&s);
    }
}

/* Old rows stay, rows that failed are not stored, and a later write with space succeeds. */
static void expect_no_space(struct shelf *s, const char *how)
{
    uint32_t slots[200];

    for (uint32_t i = 0; i < 200; i++)
        slots[i] = i % 2 ? 1000 + i : 2000 + i;
    const int rc = shelf_put(s, slots, 200);
    if (rc != ERR_IO)
        fail_msg("%s: a write went well that could not", how);
    expect_sentence(s, "free disk space");
    error_clear(&s->bench.error);
    shelf_expect_all(s);
    for (size_t i = 0; i < 200; i++)
        assert_null(asteria_rows_resident(s->rows, slots[i]));
}

static void test_full_disk(void **state)
{
    static struct shelf s;
    struct rlimit old, limit;
    uint32_t slots[400];

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t k = 0; k < KINDS; k++) {
        if (!kinds[k].tiered)
            continue;
        struct trouble t = { "write", 0, 0, ENOSPC };
        const struct file_fault fault = { trouble_before, &t };
        shelf_open(&s, &kinds[k]);
        for (uint32_t i = 0; i < 400; i++)
            slots[i] = i;
        assert_ok(shelf_put(&s, slots, 400), &s.bench.error);
        for (uint32_t i = 0; i < 100; i++) { /* dead rows, hot if the budget allows */
            const uint32_t dead = 2000 + 2 * i;
            assert_ok(shelf_put(&s, &dead, 1), &s.bench.error);
        }
        s.rows->file->fault = &fault;
        for (t.at = 1; t.at <= 200; t.at += 99) {
            t.calls = 0;
            expect_no_space(&s, "a failing call");
        }
        s.rows->file->fault = NULL;
        limit = old;
        limit.rlim_cur = 1050 * s.rows->row_bytes;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        expect_no_space(&s, "a file that may grow no further");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_ok(shelf_put(&s, slots + 100, 200), &s.bench.error);
        shelf_expect_all(&s);
        shelf_close(&s);
    }
    (void)signal(SIGXFSZ, SIG_DFL);
}

static void test_no_folder(void **state)
{
    struct test_bench b;
    struct asteria_rows *rows = NULL;
    const struct asteria_params params = { .storage = ASTERIA_ROWS_TIERED };

    test_bench_begin(&b, INDEX_U8, INDEX_COS, 8, 1);
    assert_code(asteria_rows_create(&rows, &b.env, &params), ERR_ARGUMENT, &b.error);
    b.env.dir = "/nowhere/at/all";
    assert_code(asteria_rows_create(&rows, &b.env, &params), ERR_IO, &b.error);
    assert_null(rows);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
}

/* Each allocation fails in turn: whether or not that is an error, rows are the old or
   the new ones. */
static void test_no_memory(void **state)
{
    static struct shelf s;

    for (size_t k = 0; k < KINDS; k++) {
        shelf_open(&s, &kinds[k]);
        uint32_t slots[MOST];
        for (size_t at = 1; at < 60; at++) {
            s.bench.mem.fail_at = atomic_load(&s.bench.mem.calls) + at % 3 + 1;
            s.bench.mem.fail_after = at % 2;
            const size_t n = pick(&s, slots, MOST);
            int rc = shelf_put(&s, slots, n);
            if (rc == OK)
                rc = asteria_rows_promote(s.rows, slots, n);
            if (rc == OK)
                rc = asteria_rows_reserve(s.rows, SLOTS + 1500 * at);
            s.bench.mem.fail_at = 0;
            s.bench.mem.fail_after = false;
            if (rc != OK)
                assert_code(rc, ERR_NO_MEMORY, &s.bench.error);
            shelf_expect_all(&s);
        }
        shelf_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),  cmocka_unit_test(test_runs),
        cmocka_unit_test(test_budget),     cmocka_unit_test(test_failing_reads),
        cmocka_unit_test(test_short_file), cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_no_folder),  cmocka_unit_test(test_no_memory),
    };
    return test_run("asteria_tier", tests);
}
