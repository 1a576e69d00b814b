/* test_rows.c - rows by slot, in memory or in a file with some of them hot: reads return what was
 * written, hot or not; budgets hold; failing calls are reported and damage no other row.
 */
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

/* With the store's own reader, and with another one, that of a search, those that are not in memory. */
static int fetch(struct shelf *s, const uint32_t *slots, size_t n)
{
    const void *rows[FETCH_MOST];
    uint32_t cold[FETCH_MOST];
    size_t n_cold = 0;
    int rc = asteria_rows_get_many(s->rows, slots, n, rows);

    for (size_t i = 0; rc == OK && i < n; i++)
        shelf_expect_row(s, slots[i], rows[i], "fetched");
    for (size_t i = 0; i < n; i++)
        if (!asteria_rows_resident(s->rows, slots[i]))
            cold[n_cold++] = slots[i];
    rc = rc == OK && n_cold > 0 ? row_reader_read(s->reader, cold, n_cold, rows) : rc;
    for (size_t i = 0; rc == OK && i < n_cold; i++)
        shelf_expect_row(s, cold[i], rows[i], "read");
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
            assert_true(asteria_rows_resident_bytes(s.rows) >= SLOTS * s.row_bytes);
        } else {
            assert_true(asteria_rows_disk_bytes(s.rows) >= SLOTS * s.row_bytes / 2);
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
    assert_int_equal(asteria_rows_reads(s.rows), 2); /* one with each reader */
    shelf_close(&s);
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
        shelf_open(&s, &kinds[k]);
        for (uint32_t i = 0; i < 60; i++)
            slots[i] = 3 * i;
        assert_ok(shelf_put(&s, slots, 60), &s.bench.error);
        asteria_rows_demote(s.rows, slots, 60);
        for (size_t at = 1; at <= 60; at += 13) {
            s.trouble = (struct trouble){ "read", at, 0, EIO };
            const int rc = fetch(&s, slots, 60);
            expect_sentence(&s, "slot");
            assert_code(rc, ERR_IO, &s.bench.error);
        }
        s.trouble.at = 0;
        assert_code(asteria_rows_get(s.rows, 6, to, &row), ERR_IO, &s.bench.error);
        const int rc = asteria_rows_promote(s.rows, slots, 60);
        if (kinds[k].hot_mb > 0) {
            expect_sentence(&s, "slot 0");
            assert_code(rc, ERR_IO, &s.bench.error);
        }
        assert_int_equal(shelf_count_hot(&s), 0);
        s.trouble.code = 0;
        assert_ok(fetch(&s, slots, 60), &s.bench.error);
        shelf_expect_all(&s);
        shelf_close(&s);
    }
}

/* Old rows stay, rows that failed are not stored, and a later write with space succeeds. */
static void test_full_disk(void **state)
{
    static struct shelf s;
    uint32_t slots[400], others[200];

    for (uint32_t i = 0; i < 200; i++)
        others[i] = i % 2 ? 1000 + i : 2000 + i;
    for (size_t k = 0; k < KINDS; k++) {
        if (!kinds[k].tiered)
            continue;
        shelf_open(&s, &kinds[k]);
        for (uint32_t i = 0; i < 400; i++)
            slots[i] = i;
        assert_ok(shelf_put(&s, slots, 400), &s.bench.error);
        for (uint32_t i = 0; i < 100; i++) { /* dead rows, hot if the budget allows */
            const uint32_t dead = 2000 + 2 * i;
            assert_ok(shelf_put(&s, &dead, 1), &s.bench.error);
        }
        for (size_t at = 1; at <= 200; at += 99) {
            s.trouble = (struct trouble){ "write", at, 0, ENOSPC };
            assert_int_equal(shelf_put(&s, others, 200), ERR_IO);
            expect_sentence(&s, "free disk space");
            error_clear(&s.bench.error);
            s.trouble.code = 0;
            shelf_expect_all(&s);
            for (size_t i = 0; i < 200; i++)
                assert_null(asteria_rows_resident(s.rows, others[i]));
        }
        assert_ok(shelf_put(&s, slots + 100, 200), &s.bench.error);
        shelf_expect_all(&s);
        shelf_close(&s);
    }
}

static void test_no_folder(void **state)
{
    struct test_bench b;
    struct asteria_rows *rows = NULL;
    const struct asteria_params params = { .storage = ASTERIA_ROWS_TIERED };

    test_bench_begin(&b, INDEX_U8, INDEX_COS, 8, 1);
    assert_code(asteria_rows_create(&rows, &b.env, &params, NULL), ERR_ARGUMENT, &b.error);
    b.env.dir = "/nowhere/at/all";
    assert_code(asteria_rows_create(&rows, &b.env, &params, NULL), ERR_IO, &b.error);
    assert_null(rows);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories), cmocka_unit_test(test_runs),
        cmocka_unit_test(test_budget),    cmocka_unit_test(test_failing_reads),
        cmocka_unit_test(test_full_disk), cmocka_unit_test(test_no_folder),
    };
    return test_run("asteria_tier", tests);
}
