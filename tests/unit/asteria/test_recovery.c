/* test_recovery.c - an index killed at any system call, or at any time, recovers everything that it
 * acknowledged, and nothing else. A torn tail of the log is cut off; other damage is refused.
 * Interrupted training leaves only a logged line.
 */
#include "tests/support/fault_steps.h"
#include "tests/unit/asteria/crash.h"

/* The same stream, killed at call 1, 2, 3, ... until it finishes. */
static void test_every_call(void **state)
{
    (void)state;
    static struct crash c;

    for (size_t k = 0; k < KINDS; k++) {
        bool finished = false;
        size_t i = 1;
        for (; !finished; i = test_sampled_fault(i)) {
            begin(&c, &kinds[k]);
            atomic_store(&c.faults.kill_at, i);
            finished = child(&c, 14, true, 0);
            learn(&c);
            recover(&c, true);
            end(&c);
        }
        print_message("           %s: killed at calls up to %zu\n", kinds[k].name, i);
        assert_true(i > 60);
    }
}

/* Killed while it recovers. */
static void test_killed_in_recovery(void **state)
{
    (void)state;
    static struct crash c;

    for (size_t k = 0; k < KINDS; k++) {
        bool finished = false;
        begin(&c, &kinds[k]);
        assert_true(child(&c, 60, true, 0));
        learn(&c);
        for (size_t i = 1; !finished; i++) {
            atomic_store(&c.faults.kill_at, i);
            finished = child(&c, 0, false, 0);
        }
        memset(c.record, 0, sizeof *c.record);
        recover(&c, false);
        end(&c);
    }
}

/* Killed at random times, several times in one folder. */
static void test_any_time(void **state)
{
    (void)state;
    static struct crash c;
    struct rng r = rng_at(test_seed(), 43);

    for (size_t k = 0; k < KINDS; k++) {
        begin(&c, &kinds[k]);
        c.params.checkpoint_mb = 1;
        for (size_t life = 0; life < 6; life++) {
            c.seed = test_seed() + 10 * k + life;
            const bool fresh = !folder_has(c.dir, SNAPSHOT_RUNNING);
            if (fresh)
                test_dir_clear(c.dir);
            (void)child(&c, 400, fresh, (useconds_t)(1000 + rng_below(&r, 60000)));
            learn(&c);
            recover(&c, fresh);
        }
        end(&c);
    }
}

/* ---------------------------------------------------------------------------- failing calls */

/* Each call fails in turn: a refused update is not stored, now or after reopening;
   others succeed. */
static void test_failing_calls(void **state)
{
    (void)state;
    static struct crash c;

    for (size_t k = 0; k < KINDS; k++) {
        size_t failures = 0;
        for (size_t at = 1; at < 60; at = test_next_fault(at)) {
            begin(&c, &kinds[k]);
            open_bench(&c);
            assert_ok(small_create(&c.s, &c.fault), &c.s.bench.error);
            assert_ok(small_train(&c.s), &c.s.bench.error);
            c.faults.fail_at = atomic_load(&c.record->calls) + at;
            for (size_t i = 0; i < 12; i++) {
                size_t first, n, done;
                bool insert;
                int rc;
                if (i == 4) {
                    rc = asteria_checkpoint(c.s.a);
                } else {
                    small_pick(&c.s, 9, &insert, &first, &n);
                    rc = small_apply(&c.s, insert, first, n, &done);
                    if (rc != OK)
                        assert_int_equal(done, 0);
                }
                failures += rc != OK;
                if (rc != OK)
                    assert_code(rc, ERR_IO, &c.s.bench.error);
            }
            small_expect(&c.s, c.faults.failed);
            memcpy(c.stored, c.s.stored, sizeof c.stored);
            small_end(&c.s);
            open_bench(&c);
            assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
            small_expect(&c.s, "reopened");
            small_end(&c.s);
            end(&c);
        }
        assert_true(failures > 12 / test_scale());
    }
}

/* Training whose checkpoint fails is undone, also for a newer model. */
static void test_failing_training(void **state)
{
    (void)state;
    static struct crash c;
    size_t failures = 0, done;

    for (size_t later = 0; later < 2; later++) {
        int rc = ERR_IO;
        for (size_t at = 1; rc != OK; at++) {
            begin(&c, &kinds[1]);
            open_bench(&c);
            assert_ok(small_create(&c.s, &c.fault), &c.s.bench.error);
            if (later) {
                assert_ok(small_train(&c.s), &c.s.bench.error);
                assert_ok(small_apply(&c.s, true, 0, 200, &done), &c.s.bench.error);
            }
            c.faults.fail_at = atomic_load(&c.record->calls) + at;
            rc = small_train(&c.s);
            if (rc != OK) {
                failures++;
                assert_code(rc, ERR_IO, &c.s.bench.error);
                assert_int_equal(c.s.a->trained, later);
                if (later)
                    assert_int_equal(c.s.a->generations[c.s.a->now]->model->version, 1);
                small_expect(&c.s, "after training failed");
                assert_ok(small_train(&c.s), &c.s.bench.error);
            }
            small_live(&c.s, 5);
            memcpy(c.stored, c.s.stored, sizeof c.stored);
            small_end(&c.s);
            open_bench(&c);
            assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
            small_expect(&c.s, "reopened");
            small_end(&c.s);
            end(&c);
        }
    }
    assert_true(failures > 10);
}

static int count_syncs(void *to, const char *call)
{
    size_t *syncs = to;

    *syncs += strcmp(call, "fsync") == 0;
    return 0;
}

/* A killed process loses nothing that was written. What a power cut would lose can only be seen
   from the calls. */
static void test_syncs(void **state)
{
    (void)state;
    static struct crash c;
    size_t syncs = 0;

    for (size_t k = 0; k < KINDS; k++) {
        begin(&c, &kinds[k]);
        c.fault = (struct file_fault){ count_syncs, &syncs };
        open_bench(&c);
        assert_ok(small_create(&c.s, &c.fault), &c.s.bench.error);
        assert_ok(small_train(&c.s), &c.s.bench.error);
        for (size_t i = 0; i < 12; i++) {
            size_t done;

            syncs = 0;
            assert_ok(small_apply(&c.s, i % 2 == 0, i / 2 * 10, 10, &done), &c.s.bench.error);
            assert_int_equal(syncs, c.params.wal == ASTERIA_SYNCED);
        }
        small_end(&c.s);
        end(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syncs),
        cmocka_unit_test(test_failing_training),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_every_call),
        cmocka_unit_test(test_killed_in_recovery),
        cmocka_unit_test(test_any_time),
    };
    return test_run("asteria_recovery", tests);
}
