/* test_lost.c - a checkpoint in which an fsync fails: the system then treats the unwritten pages as
 * clean, and the next fsync succeeds although they are not on the device. A later durable snapshot
 * must not refer to such pages. */
#include <sys/wait.h>

#include "tests/support/fault_disk.h"
#include "tests/unit/spfresh/crash.h"

/* Ten updates, the same in each process; the child makes them, and the parent learns what they do. */
static void ten_updates(struct crash *c)
{
    struct rng r = rng_at(c->seed, 4);

    for (size_t i = 0; i < 10; i++) {
        const struct crash_op op = crash_pick(c, &r, 9);
        size_t done = op.n;

        if (c->s)
            assert_ok(crash_apply(c, op, &done), &c->b.bench.error);
        crash_note(c, op, done);
    }
}

/* Updates an index, tries to write a checkpoint and then writes one, and loses power. The fsync
   number `fail_at` fails. Status 0: there were not as many. */
static _Noreturn void live(struct crash *c, size_t fail_at)
{
    const struct disk_plan plan = { .seed = c->seed, .sync_fails_at = fail_at };

    crash_new(c);
    assert_ok(crash_step(c, (struct crash_op){ CRASH_INSERT, 0, 100 }), &c->b.bench.error);
    disk_begin(c->b.dir, &plan);
    ten_updates(c);
    const int rc = spfresh_checkpoint(c->s);
    if (!disk_failed())
        _exit(rc);
    if (rc != OK)
        assert_code(rc, ERR_IO, &c->b.bench.error);
    assert_ok(spfresh_checkpoint(c->s), &c->b.bench.error);
    disk_cut();
}

static void lost(int64_t store, int64_t postings, size_t trial)
{
    static struct crash c;
    /* With SPFRESH_WRITTEN only a checkpoint syncs. */
    int status = -1;

    for (size_t fail_at = 1; status != 0; fail_at++) {
        crash_begin(&c, crash_params(true, store, postings, SPFRESH_WRITTEN));
        c.seed += trial;
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            live(&c, fail_at);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        status = WEXITSTATUS(status);
        assert_true(status == DISK_POWER_CUT || (status == 0 && fail_at > 2));
        crash_note(&c, (struct crash_op){ CRASH_INSERT, 0, 100 }, 100);
        ten_updates(&c);
        crash_open(&c);
        crash_expect(&c, "recovered");
        crash_end(&c);
    }
}

static void written_again(void **state)
{
    for (size_t trial = 0; trial < 6; trial++)
        lost(trial % 2 ? POSTING_FILE : POSTING_MMAP, CODEC_RAW, trial / 2);
}

static void rows_too(void **state)
{
    for (size_t trial = 0; trial < 6; trial++)
        lost(trial % 2 ? POSTING_FILE : POSTING_MMAP, CODEC_SQ8, trial / 2);
}

int main(void)
{
    return test_run_all("spfresh_lost", written_again, rows_too);
}
