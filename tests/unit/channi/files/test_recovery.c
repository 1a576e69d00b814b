/* test_recovery.c - an index reopened from its manifest and its log: the same rows, answers, versions
 * and attributes. Damaged files are contract/test_faults. */
#include "tests/unit/channi/files/recovery.h"

static void expect_all_kinds_of_work(const struct channi_counters *n)
{
    assert_true(atomic_load(&n->splits) > 0 && atomic_load(&n->merges) > 0 &&
                atomic_load(&n->compactions) > 0 && atomic_load(&n->checkpoints) > 2 &&
                atomic_load(&n->aborts) > 0);
}

/* Reopened after a checkpoint, and from the log. */
static void test_reopened(void **state)
{
    static struct crash c;
    static struct answers a;

    for (size_t kind = 0; kind < KINDS; kind++) {
        crash_begin(&c, params_of(kind));
        assert_ok(crash_stream(&c, 40, NULL), &c.b.bench.error);
        expect_all_kinds_of_work(&c.s->counters);
        assert_ok(channi_checkpoint(c.s), &c.b.bench.error);
        ask(&c, &a);
        const uint64_t version = book_version(&c.b), layouts = c.s->layouts;
        for (size_t i = 0; i < 2; i++) {
            crash_reopen(&c);
            crash_expect(&c, "reopened");
            expect_same(&c, &a, "reopened");
            assert_int_equal(book_version(&c.b), version);
            assert_true(c.s->layouts >= layouts);
        }
        /* Commits with a reopening between them give the same result: log and
           maintenance are replayed. */
        crash_go_on(&c, 12);
        struct rng r = rng_at(c.seed, 7);
        for (size_t i = 0; i < 10; i++) {
            const struct crash_op op = crash_pick(&c, &r, 40);
            assert_ok(crash_apply(&c, op), &c.b.bench.error);
            crash_note(&c, op);
        }
        ask(&c, &a);
        const uint64_t later = book_version(&c.b);
        crash_reopen(&c);
        assert_int_equal(book_version(&c.b), later);
        crash_expect(&c, "replayed");
        expect_same(&c, &a, "replayed");
        crash_end(&c);
    }
}

enum { VERSIONS = 30, PAST = 12 };
static bool rows_at[VERSIONS][CRASH_IDS]; /* after each version, from the first + 1 on */

/* The last PAST versions and the newest can be searched; earlier ones, and later, are not there. */
static void expect_versions(struct crash *c, uint64_t first)
{
    const struct channi_knobs knobs = book_exhaustive();
    const struct search_request request = { book_vectors(&c->b, 0, 1), CRASH_IDS, &knobs, NULL, 1 };

    for (size_t i = 0; i <= VERSIONS; i++) {
        static uint64_t ids[CRASH_IDS];
        static float distances[CRASH_IDS];
        struct search_result result = { .ids = ids, .distances = distances };
        size_t n = 0, there = 0;
        const int rc = channi_search_as_of(c->b.index, first + i + 1, &request, &result);
        if (i + PAST + 1 < VERSIONS || i == VERSIONS) {
            assert_code(rc, ERR_NOT_FOUND, &c->b.bench.error);
            continue;
        }
        assert_ok(rc, &c->b.bench.error);
        for (; n < CRASH_IDS && ids[n] != INDEX_NO_ID; n++)
            assert_true(rows_at[i][ids[n]]);
        for (size_t id = 0; id < CRASH_IDS; id++)
            there += rows_at[i][id];
        assert_int_equal(n, there);
    }
}

/* Versions that could be searched still can, before the build and after it; earlier ones cannot. */
static void test_history(void **state)
{
    static struct crash c;

    for (int deferred = 0; deferred < 2; deferred++) {
        struct rng r = rng_at(test_seed(), 11);
        struct channi_params p = crash_params();

        p.history = PAST;
        p.expected_n = deferred ? 1 << 20 : p.expected_n;
        crash_begin(&c, p);
        assert_ok(crash_stream(&c, 20, NULL), &c.b.bench.error);
        const uint64_t first = book_version(&c.b);
        for (size_t i = 0; i < VERSIONS; i++) {
            struct crash_op op = crash_pick(&c, &r, 30);
            op.abort = false;
            assert_ok(crash_apply(&c, op), &c.b.bench.error);
            crash_note(&c, op);
            memcpy(rows_at[i], c.b.stored, sizeof rows_at[i]);
            if (i == VERSIONS - 5)
                assert_ok(channi_checkpoint(c.s), &c.b.bench.error);
        }
        assert_int_equal(book_version(&c.b), first + VERSIONS);
        expect_versions(&c, first);
        crash_reopen(&c);
        expect_versions(&c, first);
        crash_end(&c);
    }
}

/* Attributes are restored from files, deltas and the log. */
static void test_attributes(void **state)
{
    static struct crash c;

    crash_begin(&c, crash_params());
    assert_ok(crash_stream(&c, 30, NULL), &c.b.bench.error);
    const uint64_t version = book_version(&c.b);
    static uint64_t before[64][CRASH_IDS], ids[CRASH_IDS];
    static float distances[CRASH_IDS];
    size_t some = 0;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < 64; i++) {
            const int64_t v = (int64_t)i / 2 * (i % 2 ? -1 : 1); /* of field 0, or of 1 */
            const struct attribute_condition is = { i % 2, INDEX_ATTRIBUTE_IN, 0, 1 };
            const struct attribute_filter where = { &is, 1, &v };
            const struct channi_knobs knobs = book_exhaustive();
            const struct search_request request = { book_vectors(&c.b, 1, 1), CRASH_IDS, &knobs,
                                                    NULL, 1 };
            struct search_result result = { .ids = pass ? ids : before[i], .distances = distances };
            assert_ok(channi_search_where(c.b.index, &request, &where, &result), &c.b.bench.error);
            assert_true(!pass || memcmp(ids, before[i], sizeof ids) == 0);
            some += before[i][0] != INDEX_NO_ID;
        }
        crash_reopen(&c);
    }
    assert_true(version > 10 && some > 20);
    crash_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reopened),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_attributes),
    };
    return test_run("channi_recovery", tests);
}
