/* test_crash.c - after a kill at any system call, or at any time, the index holds all acknowledged
 * transactions and no part of any other; versions continue. */
#include <sys/wait.h>

#include "tests/unit/channi/files/crash.h"

struct row {
    const char *name;
    int64_t inside, durability, maintenance, history;
    bool cold_rows;
};

static const struct row rows[] = {
    { "graph, at commit", INSIDE_GRAPH, CHANNI_WRITTEN, CHANNI_INLINE, 0, false },
    { "scan, synced, explicit, history", INSIDE_SCAN, CHANNI_SYNCED, CHANNI_EXPLICIT, 20, false },
    { "codes, cold rows, history", INSIDE_CODES, CHANNI_WRITTEN, CHANNI_INLINE, 5, true },
    { "graph, background", INSIDE_GRAPH, CHANNI_WRITTEN, CHANNI_BACKGROUND, 0, false },
};
enum { ROWS = sizeof rows / sizeof *rows, STEPS = 40 };

static struct channi_params params_of(const struct row *row)
{
    struct channi_params p = crash_params();

    p.cluster_index = row->inside;
    p.wal = row->durability;
    p.maintenance = row->maintenance;
    p.history = row->history;
    p.cold_rows = row->cold_rows;
    p.background_threads = 2;
    return p;
}

/* Runs the same stream killed at call 1, 2, 3, ... until it finishes. */
static void kill_at_every_call(const struct row *row, size_t steps)
{
    static struct crash c;
    bool finished = false;
    size_t i = 1;

    for (; !finished; i = test_scale() > 1 ? test_next_fault(i) : i + 1 + i / 25) {
        char aside[PATH_MAX];
        crash_begin(&c, params_of(row));
        test_dir_make_in_memory(aside);
        c.faults.kill_at = i;
        finished = crash_child(&c, steps, true, aside, 0);
        crash_recover(&c);
        crash_end(&c);
        test_dir_remove(aside);
    }
    print_message("           %s: killed at calls 1 to %zu\n", row->name, i);
    assert_true(i > 150);
}

/* The stream contains every kind of work that is to be interrupted. */
static void test_stream(void **state)
{
    static struct crash c;

    for (size_t k = 0; k < ROWS; k++) {
        crash_begin(&c, params_of(&rows[k]));
        crash_bench(&c);
        assert_ok(crash_stream(&c, STEPS, true, NULL), &c.bench.error);
        const struct channi_counters *n = &c.s->counters;
        print_message(
            "           %s: %zu calls, %zu splits, %zu merges, %zu compactions, %zu checkpoints, "
            "%zu aborts\n",
            rows[k].name, atomic_load(&c.log->calls), (size_t)atomic_load(&n->splits),
            (size_t)atomic_load(&n->merges), (size_t)atomic_load(&n->compactions),
            (size_t)atomic_load(&n->checkpoints), (size_t)atomic_load(&n->aborts));
        assert_true(atomic_load(&n->splits) > 0 && atomic_load(&n->merges) > 0 &&
                    atomic_load(&n->compactions) > 0 && atomic_load(&n->checkpoints) > 2 &&
                    atomic_load(&n->aborts) > 0);
        crash_expect(&c, "lived");
        crash_close(&c);
        crash_end(&c);
    }
}

static void test_every_call(void **state)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].maintenance != CHANNI_BACKGROUND)
            kill_at_every_call(&rows[i], STEPS);
}

/* In a child: a few commits, then a save that is killed at call `at`. Returns how the
   child ended. */
static int save_killed_at(struct crash *c, const char *dir, size_t at, struct rng *r)
{
    const pid_t child = fork();
    int status = 0;

    if (child == 0) {
        crash_bench(c);
        int rc = crash_load(c);
        for (size_t k = 0; !rc && k < 4; k++)
            rc = crash_step(c, crash_pick(c, r, 30));
        atomic_store(&c->log->calls, 0);
        c->faults.kill_at = at;
        rc = rc ? rc : channi_save(&c->s->base, dir);
        _exit(rc ? 3 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return status;
}

/* A save over a saved index is killed: either the old or the new one is there. */
static void test_killed_saving(void **state)
{
    static struct crash c;
    bool finished = false;
    size_t new_ones = 0, i = 1;

    for (; !finished; i++) {
        char aside[PATH_MAX], other[PATH_MAX];
        struct rng r = rng_at(test_seed(), 9);
        bool before[CRASH_IDS];
        crash_begin(&c, params_of(&rows[0]));
        test_dir_make_in_memory(aside);
        test_dir_make_in_memory(other);
        crash_bench(&c);
        assert_ok(crash_stream(&c, 6, true, NULL), &c.bench.error);
        assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
        memcpy(before, c.stored, sizeof before);
        crash_close(&c);
        const int status = save_killed_at(&c, aside, i, &r);
        finished = WIFEXITED(status);
        crash_bench(&c);
        c.bench.env.dir = other;
        assert_ok(crash_load_from(&c, aside), &c.bench.error);
        for (size_t k = atomic_load(&c.log->begun) - 4; k < atomic_load(&c.log->done); k++)
            crash_note(&c, c.log->ops[k]);
        bool is_new = true;
        for (size_t id = 0; id < CRASH_IDS; id++)
            is_new = is_new && crash_is_there(&c, id) == c.stored[id];
        if (!is_new)
            memcpy(c.stored, before, sizeof before);
        new_ones += is_new;
        crash_expect(&c, "saved");
        assert_true(!finished || is_new);
        crash_close(&c);
        test_dir_remove(aside);
        test_dir_remove(other);
        crash_end(&c);
    }
    print_message("           killed at each of %zu calls; %zu times the new one was there\n",
                  i - 2, new_ones);
    assert_true(new_ones > 1 && new_ones < i - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_killed_saving),
        cmocka_unit_test(test_every_call),
    };
    return test_run("channi_crash", tests);
}
