/* test_recovery.c - an index reopened from its manifest and its log, complete or torn: the same
 * rows, answers and versions. */
#include "tests/unit/channi/files/recovery.h"

/* Reopened after a checkpoint, and from the log. */
static void test_reopened(void **state)
{
    static struct crash c;
    static struct answers a;

    for (size_t kind = 0; kind < KINDS; kind++) {
        crash_begin(&c, params_of(kind));
        crash_bench(&c);
        assert_ok(crash_stream(&c, 40, true, NULL), &c.bench.error);
        assert_ok(channi_checkpoint(c.s), &c.bench.error);
        ask(&c, &a);
        const uint64_t version = crash_version(&c), layouts = c.s->layouts;
        for (size_t i = 0; i < 2; i++) {
            reopen(&c);
            crash_expect(&c, "reopened");
            expect_same(&c, &a, "reopened");
            assert_int_equal(crash_version(&c), version);
            assert_true(c.s->layouts >= layouts);
        }
        /* Commits with a reopening between them give the same result: log and
           maintenance are replayed. */
        crash_go_on(&c, 12);
        struct rng r = rng_at(c.seed, 7);
        for (size_t i = 0; i < 10; i++) {
            const struct crash_op op = crash_pick(&c, &r, 40);
            assert_ok(crash_apply(&c, op), &c.bench.error);
            crash_note(&c, op);
        }
        ask(&c, &a);
        const uint64_t later = crash_version(&c);
        reopen(&c);
        assert_int_equal(crash_version(&c), later);
        crash_expect(&c, "replayed");
        expect_same(&c, &a, "replayed");
        crash_close(&c);
        crash_end(&c);
    }
}

/* Before the build, when only the log has the rows. */
static void test_deferred(void **state)
{
    static struct crash c;
    static struct answers a;

    for (size_t checkpoint = 0; checkpoint < 2; checkpoint++) {
        crash_begin(&c, crash_params());
        crash_bench(&c);
        assert_ok(crash_create(&c), &c.bench.error);
        assert_ok(crash_step(&c, (struct crash_op){ .first = 0, .n = 80, .put = true }),
                  &c.bench.error);
        assert_ok(crash_step(&c, (struct crash_op){ .first = 10, .n = 5 }), &c.bench.error);
        if (checkpoint)
            assert_ok(channi_checkpoint(c.s), &c.bench.error);
        assert_null(atomic_load(&c.s->now)->layout->routes);
        ask(&c, &a);
        reopen(&c);
        assert_null(atomic_load(&c.s->now)->layout->routes);
        crash_expect(&c, "gathering");
        expect_same(&c, &a, "gathering");
        assert_ok(crash_step(&c, (struct crash_op){ .first = 100, .n = 90, .put = true }),
                  &c.bench.error);
        assert_non_null(atomic_load(&c.s->now)->layout->routes);
        ask(&c, &a);
        reopen(&c);
        assert_non_null(atomic_load(&c.s->now)->layout->routes);
        crash_expect(&c, "built again");
        expect_same(&c, &a, "built again");
        crash_close(&c);
        crash_end(&c);
    }
}

/* Versions that could be searched still can; earlier ones cannot. */
static void test_history(void **state)
{
    static struct crash c;
    enum { VERSIONS = 30 };
    static bool at[VERSIONS + 64][CRASH_IDS];
    struct rng r = rng_at(test_seed(), 11);
    struct channi_params p = crash_params();

    p.history = 12;
    crash_begin(&c, p);
    crash_bench(&c);
    assert_ok(crash_stream(&c, 20, true, NULL), &c.bench.error);
    const uint64_t first = crash_version(&c);
    for (size_t i = 0; i < VERSIONS; i++) {
        struct crash_op op = crash_pick(&c, &r, 30);
        op.abort = false;
        assert_ok(crash_apply(&c, op), &c.bench.error);
        crash_note(&c, op);
        memcpy(at[i], c.stored, sizeof c.stored);
        if (i == VERSIONS - 5)
            assert_ok(channi_checkpoint(c.s), &c.bench.error);
    }
    assert_int_equal(crash_version(&c), first + VERSIONS);
    reopen(&c);
    for (size_t i = 0; i < VERSIONS; i++) {
        const uint64_t version = first + i + 1;
        static uint64_t ids[CRASH_IDS];
        static float distances[CRASH_IDS];
        const struct channi_knobs knobs = crash_exhaustive();
        const struct search_request request = {
            { c.rows[0], 1, CRASH_DIM, INDEX_U8 }, CRASH_IDS, &knobs, NULL, 1
        };
        struct search_result result = { .ids = ids, .distances = distances };
        size_t n = 0, there = 0;
        const int rc = channi_search_as_of(&c.s->base, version, &request, &result);
        if (version + 12 < crash_version(&c)) {
            assert_code(rc, ERR_NOT_FOUND, &c.bench.error);
            continue;
        }
        assert_ok(rc, &c.bench.error);
        for (; n < CRASH_IDS && ids[n] != INDEX_NO_ID; n++)
            assert_true(at[i][ids[n]]);
        for (size_t id = 0; id < CRASH_IDS; id++)
            there += at[i][id];
        assert_int_equal(n, there);
    }
    crash_close(&c);
    crash_end(&c);
}

/* Attributes are restored from files, deltas and the log. */
static void test_attributes(void **state)
{
    static struct crash c;

    crash_begin(&c, crash_params());
    crash_bench(&c);
    assert_ok(crash_stream(&c, 30, true, NULL), &c.bench.error);
    const uint64_t version = crash_version(&c);
    static uint64_t before[64][CRASH_IDS], ids[CRASH_IDS];
    static float distances[CRASH_IDS];
    size_t some = 0;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < 64; i++) {
            const int64_t v = (int64_t)i / 2 * (i % 2 ? -1 : 1); /* of field 0, or of 1 */
            const struct attribute_condition is = { i % 2, INDEX_ATTRIBUTE_IN, 0, 1 };
            const struct attribute_filter where = { &is, 1, &v };
            const struct channi_knobs knobs = crash_exhaustive();
            const struct search_request request = {
                { c.rows[1], 1, CRASH_DIM, INDEX_U8 }, CRASH_IDS, &knobs, NULL, 1
            };
            struct search_result result = { .ids = pass ? ids : before[i], .distances = distances };
            assert_ok(channi_search_where(&c.s->base, &request, &where, &result), &c.bench.error);
            assert_true(!pass || memcmp(ids, before[i], sizeof ids) == 0);
            some += before[i][0] != INDEX_NO_ID;
        }
        reopen(&c);
    }
    assert_true(version > 10 && some > 20);
    crash_close(&c);
    crash_end(&c);
}

/* ------------------------------------------------------------------------------------ logs */

/* The path of the only file whose name begins so. */
static void find_file(const char *dir, const char *like, char path[PATH_MAX])
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        if (strncmp(e->d_name, like, strlen(like)) == 0) {
            (void)snprintf(path, PATH_MAX, "%.3000s/%.200s", dir, e->d_name);
            n++;
        }
    closedir(d);
    assert_int_equal(n, 1);
}

static void remove_journals(const char *dir)
{
    DIR *d = opendir(dir);

    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        if (strncmp(e->d_name, "journal.", 8) == 0)
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    closedir(d);
}

/* A log cut anywhere gives the state after one of the transactions. */
static void test_torn(void **state)
{
    static struct crash c;
    enum { COMMITS = 8 };
    static bool at[COMMITS + 1][CRASH_IDS];
    struct rng r = rng_at(test_seed(), 12);
    char path[PATH_MAX];
    size_t whole = 0, last = 0;

    crash_begin(&c, crash_params());
    crash_bench(&c);
    assert_ok(crash_stream(&c, 20, true, NULL), &c.bench.error);
    assert_ok(channi_checkpoint(c.s), &c.bench.error);
    const uint64_t first = crash_version(&c);
    memcpy(at[0], c.stored, sizeof c.stored);
    for (size_t i = 0; i < COMMITS; i++) {
        struct crash_op op = crash_pick(&c, &r, 4);
        op.abort = false;
        op.twice = i % 2;
        assert_ok(crash_apply(&c, op), &c.bench.error);
        crash_note(&c, op);
        memcpy(at[i + 1], c.stored, sizeof c.stored);
    }
    crash_close(&c);
    find_file(c.dir, "journal.", path);
    const struct bytes journal = bytes_read(path);
    for (size_t cut = journal.n; cut-- > 0;) {
        const size_t n = journal.n - cut;
        if (n < 40 || (n % 3 != 0 && cut > 30))
            continue;
        remove_journals(c.dir);
        bytes_write(path, journal.at, n);
        crash_bench(&c);
        assert_ok(crash_load(&c), &c.bench.error);
        const size_t i = (size_t)(crash_version(&c) - first);
        assert_true(i <= COMMITS && i >= last);
        whole += i > last;
        last = i;
        memcpy(c.stored, at[i], sizeof c.stored);
        crash_expect(&c, "torn");
        crash_close(&c);
    }
    print_message("           cut in %zu bytes, each of %zu commits\n", journal.n, whole);
    assert_int_equal(last, COMMITS);
    assert_int_equal(whole, COMMITS);
    free(journal.at);
    crash_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reopened), cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_history),  cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_torn),
    };
    return test_run("channi_recovery", tests);
}
