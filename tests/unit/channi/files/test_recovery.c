/* test_recovery.c - an index reopened from its manifest and its log: the same rows, answers and
 * versions; flipped bits are found out. */
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
        assert_ok(crash_stream(&c, 40, NULL), &c.bench.error);
        expect_all_kinds_of_work(&c.s->counters);
        assert_ok(channi_checkpoint(c.s), &c.bench.error);
        ask(&c, &a);
        const uint64_t version = crash_version(&c), layouts = c.s->layouts;
        for (size_t i = 0; i < 2; i++) {
            crash_reopen(&c);
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
        crash_reopen(&c);
        assert_int_equal(crash_version(&c), later);
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
    const struct channi_knobs knobs = crash_exhaustive();
    const struct search_request request = {
        { c->rows[0], 1, CRASH_DIM, INDEX_U8 }, CRASH_IDS, &knobs, NULL, 1
    };

    for (size_t i = 0; i <= VERSIONS; i++) {
        static uint64_t ids[CRASH_IDS];
        static float distances[CRASH_IDS];
        struct search_result result = { .ids = ids, .distances = distances };
        size_t n = 0, there = 0;
        const int rc = channi_search_as_of(&c->s->base, first + i + 1, &request, &result);
        if (i + PAST + 1 < VERSIONS || i == VERSIONS) {
            assert_code(rc, ERR_NOT_FOUND, &c->bench.error);
            continue;
        }
        assert_ok(rc, &c->bench.error);
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
        assert_ok(crash_stream(&c, 20, NULL), &c.bench.error);
        const uint64_t first = crash_version(&c);
        for (size_t i = 0; i < VERSIONS; i++) {
            struct crash_op op = crash_pick(&c, &r, 30);
            op.abort = false;
            assert_ok(crash_apply(&c, op), &c.bench.error);
            crash_note(&c, op);
            memcpy(rows_at[i], c.stored, sizeof c.stored);
            if (i == VERSIONS - 5)
                assert_ok(channi_checkpoint(c.s), &c.bench.error);
        }
        assert_int_equal(crash_version(&c), first + VERSIONS);
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
    assert_ok(crash_stream(&c, 30, NULL), &c.bench.error);
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
        crash_reopen(&c);
    }
    assert_true(version > 10 && some > 20);
    crash_end(&c);
}

/* ------------------------------------------------------------------------------- damage */

/* Whether the folder, put back but for the file if it is `missing`, is refused, with the file's
   name; if not, the index is intact. */
static bool is_found_out(struct crash *c, const struct folder_copy *m, const char *file,
                         bool missing)
{
    char path[PATH_MAX];

    folder_copy_put(m, c->dir);
    (void)snprintf(path, sizeof path, "%.3000s/%s", c->dir, file);
    if (missing)
        assert_int_equal(unlink(path), 0);
    crash_bench(c);
    const int rc = crash_load(c);
    const bool fits = missing ? rc == ERR_NOT_FOUND : rc == ERR_CORRUPT || rc == ERR_VERSION;
    if (rc == OK)
        crash_expect(c, file);
    else if (!fits || !strstr(c->bench.error.text, file))
        fail_msg("%s: %s: %s", file, error_name(rc), c->bench.error.text);
    error_clear(&c->bench.error);
    crash_close(c);
    return rc != OK;
}

static void three_commits(struct crash *c, struct rng *r)
{
    for (size_t i = 0; i < 3; i++) {
        struct crash_op op = crash_pick(c, r, 9);
        op.abort = false;
        op.twice = i == 2;
        op.put = i == 2 ? false : op.put;
        while (i == 2 && !c->stored[op.first])
            op = (struct crash_op){ .first = (op.first + 1) % CRASH_IDS, .n = 1, .twice = true };
        op.n = i == 2 ? 1 : op.n;
        assert_ok(crash_apply(c, op), &c->bench.error);
        crash_note(c, op);
    }
}

/* Flips bits of a file one after another: each flip in a cluster or the manifest must
   be detected. So must a cluster's file of half the bytes, and one that is missing. */
static void flip_file(struct crash *c, struct folder_copy *m, struct copied_file *f, struct rng *r)
{
    const bool cluster = strstr(f->name, ".clu") != NULL;
    const size_t whole = f->n, step = whole / (cluster ? 4 : 60) + 1;
    size_t found = 0, tried = 0;
    if (strcmp(f->name, "LOCK") == 0)
        return;
    for (size_t at = rng_below(r, step); at < f->n; at += step, tried++) {
        const unsigned char bit = (unsigned char)(1U << rng_below(r, 8));
        f->bytes[at] ^= bit;
        found += is_found_out(c, m, f->name, false);
        f->bytes[at] ^= bit;
    }
    if (!cluster)
        print_message("           %s: %zu of %zu flips said\n", f->name, found, tried);
    if (strncmp(f->name, "journal.", 8) != 0)
        assert_int_equal(found, tried);
    assert_true(found > 0);
    if (cluster) {
        f->n /= 2;
        assert_true(is_found_out(c, m, f->name, false));
        f->n = whole;
        assert_true(is_found_out(c, m, f->name, true));
    }
}

/* The last commit may be lost with a torn tail; it changes nothing that is compared. */
static void test_flipped(void **state)
{
    static struct crash c;
    static struct folder_copy m;
    struct rng r = rng_at(test_seed(), 9);
    struct channi_params p = crash_params();

    p.wal = CHANNI_SYNCED;
    crash_begin(&c, p);
    assert_ok(crash_stream(&c, 20, NULL), &c.bench.error);
    assert_ok(channi_checkpoint(c.s), &c.bench.error);
    three_commits(&c, &r);
    crash_close(&c);
    folder_copy_take(&m, c.dir);
    for (size_t i = 0; i < m.n; i++)
        flip_file(&c, &m, &m.files[i], &r);
    folder_copy_put(&m, c.dir);
    crash_bench(&c);
    assert_ok(crash_load(&c), &c.bench.error);
    crash_expect(&c, "undamaged");
    folder_copy_free(&m);
    crash_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reopened),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_flipped),
    };
    return test_run("channi_recovery", tests);
}
