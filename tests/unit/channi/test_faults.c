/* test_faults.c - failing system calls, full disks, flipped bits: each is reported, survived, and
 * never causes a wrong answer. */
#include "tests/support/index_folder.h"
#include "tests/unit/channi/files/crash.h"

static struct channi_params params_of(int64_t inside, int64_t durability)
{
    struct channi_params p = crash_params();

    p.cluster_index = inside;
    p.wal = durability;
    p.cold_rows = inside == INSIDE_CODES;
    return p;
}

static bool is_said(const struct crash *c, int rc)
{
    return rc == ERR_IO && c->bench.error.code == ERR_IO && c->bench.error.text[0];
}

/* Runs updates, maintenance, checkpoints and saves; a refused one must have an error message
   and no effect. */
static void struggle(struct crash *c, size_t steps, const char *aside)
{
    struct rng r = rng_at(c->seed, 5);
    bool more;

    for (size_t i = 0; i < steps; i++) {
        const bool first = !memchr(c->stored, true, 120);
        const struct crash_op op = first ? (struct crash_op){ .first = 0, .n = 120, .put = true }
                                         : crash_pick(c, &r, 1 + rng_below(&r, 60));
        const uint64_t version = crash_version(c);
        int rc = crash_apply(c, op);
        if (rc == OK)
            crash_note(c, op);
        assert_int_equal(crash_version(c), version + (rc == OK && !op.abort));
        if (!rc && i % 4 == 3)
            rc = channi_checkpoint(c->s);
        if (!rc && i % 4 == 2)
            rc = channi_maintain(&c->s->base, 0, &more);
        if (!rc && i % 4 == 1 && aside)
            rc = channi_save(&c->s->base, aside);
        if (rc && !is_said(c, rc))
            fail_msg("call %zu (%s) failed, step %zu: %s: %s", c->faults.fail_at, c->faults.failed,
                     i, error_name(rc), c->bench.error.text);
        error_clear(&c->bench.error);
    }
}

/* Operations that failed succeed once the fault is gone. */
static void expect_well(struct crash *c)
{
    bool more;

    c->faults.fail_at = 0;
    (void)channi_maintain(&c->s->base, 0, &more); /* returns the earlier error, and retries */
    error_clear(&c->bench.error);
    crash_expect(c, c->faults.failed);
    struggle(c, 5, NULL);
    assert_ok(channi_maintain(&c->s->base, 0, &more), &c->bench.error);
    crash_expect(c, "retried");
    crash_close(c);
    crash_bench(c);
    assert_ok(crash_load(c), &c->bench.error);
    crash_expect(c, "opened again");
}

static void fail_at_every_call(const char *name, struct channi_params p, bool on)
{
    static struct crash c;
    bool finished = false;
    size_t i = 1, last = 0;

    for (; !finished; i = test_scale() > 1 ? test_next_fault(i) : i + 1 + i / 15) {
        char aside[PATH_MAX];
        crash_begin(&c, p);
        crash_bench(&c);
        test_dir_make_in_memory(aside);
        c.faults.fail_at = last = i;
        c.faults.fail_on = on;
        c.faults.code = i % 2 ? ENOSPC : EIO;
        const int rc = crash_create(&c);
        if (rc) {
            assert_code(rc, ERR_IO, &c.bench.error);
            assert_null(c.s);
            c.faults.fail_at = 0;
            /* Retries in the same folder. The manifest may exist, if only the sync of
               its name failed. */
            int again = crash_create(&c);
            if (again == ERR_ARGUMENT) {
                error_clear(&c.bench.error);
                again = crash_load(&c);
            }
            assert_ok(again, &c.bench.error);
        }
        struggle(&c, 13, aside);
        finished = c.faults.fail_at > 0 && atomic_load(&c.log->calls) < i;
        expect_well(&c);
        crash_close(&c);
        crash_end(&c);
        test_dir_remove(aside);
    }
    print_message("           %s: calls 1 to %zu failed%s\n", name, last,
                  on ? ", and all after" : "");
    assert_true(last > 80);
}

static void test_failing_calls(void **state)
{
    for (int on = 0; on < 2; on++) {
        fail_at_every_call("graph", params_of(INSIDE_GRAPH, CHANNI_WRITTEN), on);
        fail_at_every_call("codes, synced", params_of(INSIDE_CODES, CHANNI_SYNCED), on);
    }
}

/* A failed checkpoint leaves the one before, or has replaced it. No other checkpoint follows here,
   so the files of both are needed. */
static void test_failing_checkpoint(void **state)
{
    static struct crash c;
    bool finished = false;
    size_t i = 1;

    for (; !finished; i++) {
        struct rng r = rng_at(test_seed(), 4);
        crash_begin(&c, params_of(INSIDE_GRAPH, CHANNI_WRITTEN));
        crash_bench(&c);
        assert_ok(crash_stream(&c, 14, true, NULL), &c.bench.error);
        c.faults.fail_at = atomic_load(&c.log->calls) + i;
        c.faults.fail_on = i % 2;
        const int rc = channi_checkpoint(c.s);
        finished = atomic_load(&c.log->calls) < c.faults.fail_at;
        assert_true(rc == OK || is_said(&c, rc));
        assert_true(rc == OK || !finished);
        error_clear(&c.bench.error);
        c.faults.fail_at = 0;
        for (size_t k = 0; k < 12; k++) {
            const struct crash_op op = crash_pick(&c, &r, 60);
            assert_ok(crash_apply(&c, op), &c.bench.error);
            crash_note(&c, op);
        }
        crash_expect(&c, c.faults.failed);
        crash_close(&c);
        crash_bench(&c);
        assert_ok(crash_load(&c), &c.bench.error);
        crash_expect(&c, c.faults.failed);
        /* The next one removes what is left over. */
        assert_ok(channi_checkpoint(c.s), &c.bench.error);
        crash_expect(&c, "the next");
        crash_close(&c);
        crash_end(&c);
    }
    print_message("           each of %zu calls failed\n", i - 2);
    assert_true(i > 12);
}

/* A failed opening returns an error and changes nothing. */
static void test_failing_load(void **state)
{
    static struct crash c;

    for (size_t saved = 0; saved < 2; saved++) {
        char aside[PATH_MAX], other[PATH_MAX];
        bool finished = false;
        size_t i = 1;
        crash_begin(&c, params_of(INSIDE_GRAPH, CHANNI_WRITTEN));
        crash_bench(&c);
        test_dir_make_in_memory(aside);
        assert_ok(crash_stream(&c, 30, true, NULL), &c.bench.error);
        assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
        crash_close(&c);
        for (; !finished; i++) {
            test_dir_make_in_memory(other);
            crash_bench(&c);
            c.bench.env.dir = saved ? other : c.dir;
            atomic_store(&c.log->calls, 0);
            c.faults.fail_at = i;
            c.faults.fail_on = i % 2;
            const int rc = crash_load_from(&c, saved ? aside : c.dir);
            finished = atomic_load(&c.log->calls) < i;
            c.faults.fail_at = 0;
            if (rc) {
                assert_true(is_said(&c, rc) && !c.s);
                error_clear(&c.bench.error);
                /* The manifest may have its name already; only the sync of the name
                   may have failed. */
                const bool there = saved && folder_has(other, MANIFEST_RUNNING);
                assert_ok(crash_load_from(&c, saved && !there ? aside : c.bench.env.dir),
                          &c.bench.error);
            }
            crash_expect(&c, c.faults.failed);
            crash_close(&c);
            test_dir_remove(other);
        }
        print_message("           each of %zu calls failed\n", i - 2);
        assert_true(i > 4);
        test_dir_remove(aside);
        crash_end(&c);
    }
}

/* A failed save leaves either the earlier saved index or the new one. */
static void test_failing_save(void **state)
{
    static struct crash c;
    bool finished = false;
    size_t i = 1, new_ones = 0;

    for (; !finished; i++) {
        char aside[PATH_MAX], other[PATH_MAX];
        bool before[CRASH_IDS], now[CRASH_IDS];
        crash_begin(&c, params_of(INSIDE_SCAN, CHANNI_WRITTEN));
        crash_bench(&c);
        test_dir_make_in_memory(aside);
        test_dir_make_in_memory(other);
        assert_ok(crash_stream(&c, 8, true, NULL), &c.bench.error);
        assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
        memcpy(before, c.stored, sizeof before);
        crash_go_on(&c, 6);
        memcpy(now, c.stored, sizeof now);
        c.faults.fail_at = atomic_load(&c.log->calls) + i;
        c.faults.fail_on = i % 2;
        const int rc = channi_save(&c.s->base, aside);
        finished = atomic_load(&c.log->calls) < c.faults.fail_at;
        c.faults.fail_at = 0;
        assert_true(rc == OK || is_said(&c, rc));
        error_clear(&c.bench.error);
        crash_expect(&c, c.faults.failed);
        crash_close(&c);
        crash_bench(&c);
        c.bench.env.dir = other;
        assert_ok(crash_load_from(&c, aside), &c.bench.error);
        bool is_new = true;
        for (size_t id = 0; id < CRASH_IDS; id++)
            is_new = is_new && crash_is_there(&c, id) == now[id];
        assert_true(is_new || rc != OK);
        memcpy(c.stored, is_new ? now : before, sizeof now);
        new_ones += is_new;
        crash_expect(&c, "saved");
        crash_close(&c);
        test_dir_remove(aside);
        test_dir_remove(other);
        crash_end(&c);
    }
    print_message("           each of %zu calls failed; %zu times the new one was there\n", i - 2,
                  new_ones);
    assert_true(new_ones < i - 2 && new_ones > 0);
}

/* ------------------------------------------------------------------------------- damage */

/* Whether the folder, put back but for the file if it is `missing`, is refused, with the file's name; if
   not, the index is intact. */
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

    crash_begin(&c, params_of(INSIDE_GRAPH, CHANNI_SYNCED));
    crash_bench(&c);
    assert_ok(crash_stream(&c, 20, true, NULL), &c.bench.error);
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
    crash_close(&c);
    folder_copy_free(&m);
    crash_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failing_checkpoint), cmocka_unit_test(test_failing_load),
        cmocka_unit_test(test_failing_save),       cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_failing_calls),
    };
    return test_run("channi_faults", tests);
}
