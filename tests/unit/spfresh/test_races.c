/* test_races.c - concurrent updates of the same ids, and concurrent first inserts: the index holds
 * what was acknowledged, before and after recovery. Also for the thread sanitizer. */
#include <pthread.h>

#include "tests/unit/spfresh/crash.h"

/* ------------------------------------------------------------------------------- threads */

enum { THREADS = 4 };

/* One thread's work, with its own error. */
struct worker {
    struct crash *crash;
    pthread_barrier_t *start;
    size_t number;
    struct rng rng;
    struct error error;
    int rc;
    int balance[CRASH_IDS]; /* acknowledged insertions minus removals */
    void (*work)(struct worker *);
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    (void)error_divert(&w->error);
    (void)pthread_barrier_wait(w->start);
    w->work(w);
    (void)error_divert(NULL);
    return NULL;
}

static void run_workers(struct crash *c, struct worker *all, size_t n,
                        void (*const work[])(struct worker *))
{
    pthread_t threads[THREADS];
    pthread_barrier_t start;

    assert_int_equal(pthread_barrier_init(&start, NULL, (unsigned)n), 0);
    for (size_t i = 0; i < n; i++) {
        all[i] = (struct worker){ .crash = c, .start = &start, .number = i, .work = work[i] };
        all[i].rng = rng_at(c->seed, 20 + i);
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &all[i]), 0);
    }
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)pthread_barrier_destroy(&start);
}

static int insert_ids(struct worker *w, uint64_t first, size_t n)
{
    size_t done = 0;
    const int rc = crash_apply(w->crash, (struct crash_op){ CRASH_INSERT, first, n }, &done);

    for (size_t i = 0; i < done; i++)
        w->balance[first + i]++;
    return rc;
}

static int remove_ids(struct worker *w, uint64_t first, size_t n)
{
    size_t done = 0;
    const int rc = crash_apply(w->crash, (struct crash_op){ CRASH_REMOVE, first, n }, &done);

    for (size_t i = 0; i < done; i++)
        w->balance[first + i]--;
    return rc;
}

/* Adds up the threads' acknowledged updates to what must be stored. */
static void add_up(struct crash *c, const struct worker *all, size_t n)
{
    for (size_t id = 0; id < CRASH_IDS; id++) {
        int balance = c->stored[id];

        for (size_t i = 0; i < n; i++)
            balance += all[i].balance[id];
        if (balance != 0 && balance != 1)
            fail_msg("id %zu: %d insertions more than removals (seed %" PRIu64 ")", id, balance,
                     c->seed);
        c->stored[id] = balance;
    }
}

/* Compares the index before and after recovery. */
static void expect_same_after_recovery(struct crash *c)
{
    crash_expect(c, "after the threads");
    crash_reopen(c);
    crash_expect(c, "recovered");
}

static void begin(struct crash *c, size_t trial, int64_t postings, int64_t wal)
{
    struct spfresh_params p = crash_params(true);

    p.postings = postings;
    p.wal = wal;
    crash_begin(c, true, p);
    c->seed += trial;
    crash_bench(c);
    assert_ok(crash_create(c), &c->bench.error);
}

static void end(struct crash *c)
{
    crash_close(c);
    crash_end(c);
}

/* -------------------------------------------------------------------------- first inserts */

static size_t first_rows;

static void insert_part(struct worker *w)
{
    w->rc = insert_ids(w, w->number * first_rows, first_rows);
}

/* A small first insert builds the heads and files rows one by one, a large one files all at once.
   Two threads do either concurrently. */
static void two_first_inserts(void **state)
{
    static struct crash c;
    static struct worker all[2];
    void (*const work[])(struct worker *) = { insert_part, insert_part };

    for (size_t trial = 0; trial < 60; trial++) {
        first_rows = trial % 2 ? 100 : 10;
        begin(&c, trial, CODEC_RAW, SPFRESH_WRITTEN);
        run_workers(&c, all, 2, work);
        for (size_t i = 0; i < 2; i++)
            assert_ok(all[i].rc, &all[i].error);
        add_up(&c, all, 2);
        expect_same_after_recovery(&c);
        end(&c);
    }
}

/* ----------------------------------------------------------------------------- the same ids */

enum { BASE = 100 };

static void insert_all(struct worker *w)
{
    for (uint64_t id = BASE; w->rc == OK && id < CRASH_IDS; id += 50)
        w->rc = insert_ids(w, id, 50);
}

/* Removes each id as soon as it is stored. */
static void remove_all(struct worker *w)
{
    for (uint64_t id = BASE; id < CRASH_IDS; id++)
        do {
            error_clear(&w->error);
            w->rc = remove_ids(w, id, 1);
        } while (w->rc == ERR_UNKNOWN_ID);
}

/* If the removal's log record came before the insertion's, recovery would restore the vector. */
static void removed_while_inserted(void **state)
{
    static struct crash c;
    static struct worker all[2];
    void (*const work[])(struct worker *) = { insert_all, remove_all };

    for (size_t trial = 0; trial < 12; trial++) {
        begin(&c, trial, trial % 2 ? CODEC_SQ8 : CODEC_RAW,
              trial % 4 < 2 ? SPFRESH_WRITTEN : SPFRESH_SYNCED);
        assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, BASE }), &c.bench.error);
        run_workers(&c, all, 2, work);
        for (size_t i = 0; i < 2; i++)
            assert_ok(all[i].rc, &all[i].error);
        add_up(&c, all, 2);
        expect_same_after_recovery(&c);
        end(&c);
    }
}

/* Uses few ids, so that threads meet. Insertion of a stored id and removal of a missing
   one must fail. */
static void update_any(struct worker *w)
{
    enum { IDS = 12, STEPS = 400 };

    for (size_t i = 0; i < STEPS; i++) {
        const uint64_t first = BASE + rng_below(&w->rng, IDS);
        const size_t n = 1 + rng_below(&w->rng, 3);
        const bool in = rng_below(&w->rng, 2);

        error_clear(&w->error);
        w->rc = in ? insert_ids(w, first, n) : remove_ids(w, first, n);
        if (w->rc != OK && w->rc != (in ? ERR_DUPLICATE_ID : ERR_UNKNOWN_ID))
            return;
        w->rc = OK;
    }
}

static void one_after_another(void **state)
{
    static struct crash c;
    static struct worker all[THREADS];
    void (*const work[])(struct worker *) = { update_any, update_any, update_any, update_any };

    for (size_t trial = 0; trial < 8; trial++) {
        begin(&c, trial, trial % 2 ? CODEC_SQ8 : CODEC_RAW, SPFRESH_WRITTEN);
        assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, BASE }), &c.bench.error);
        run_workers(&c, all, THREADS, work);
        for (size_t i = 0; i < THREADS; i++)
            assert_ok(all[i].rc, &all[i].error);
        add_up(&c, all, THREADS);
        expect_same_after_recovery(&c);
        end(&c);
    }
}

/* ---------------------------------------------------------------------- the checkpoint lock */

static atomic_bool updating;

static void checkpoint_once(struct worker *w)
{
    while (!atomic_load(&updating))
        (void)sched_yield();
    w->rc = spfresh_checkpoint(w->crash->s);
}

/* During an update a checkpoint waits. A reader that comes now must wait behind it, or the
   checkpoint might wait for ever. */
static void expect_first(struct worker *w)
{
    pthread_rwlock_t *lock = &w->crash->s->checkpoint_lock;

    (void)pthread_rwlock_rdlock(lock);
    atomic_store(&updating, true);
    w->rc = ERR_INVARIANT;
    for (size_t i = 0; i < 300000 && w->rc != OK; i++) {
        (void)usleep(1000);
        if (pthread_rwlock_tryrdlock(lock) == 0)
            (void)pthread_rwlock_unlock(lock);
        else
            w->rc = OK;
    }
    (void)pthread_rwlock_unlock(lock);
}

static void checkpoints_go_first(void **state)
{
    static struct crash c;
    static struct worker all[2];
    void (*const work[])(struct worker *) = { checkpoint_once, expect_first };

    begin(&c, 0, CODEC_RAW, SPFRESH_WRITTEN);
    assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, BASE }), &c.bench.error);
    atomic_store(&updating, false);
    run_workers(&c, all, 2, work);
    assert_ok(all[0].rc, &all[0].error);
    assert_int_equal(all[1].rc, OK);
    crash_expect(&c, "after the checkpoint");
    end(&c);
}

static void shut_often(struct worker *w)
{
    bool more;

    while (atomic_load(&updating) && w->rc == OK) {
        w->rc = spfresh_checkpoint(w->crash->s);
        if (w->rc == OK)
            w->rc = spfresh_check(&w->crash->s->base, NULL);
        if (w->rc == OK)
            w->rc = spfresh_maintain(&w->crash->s->base, 0, &more);
    }
}

static void update_and_end(struct worker *w)
{
    update_any(w);
    atomic_store(&updating, false);
}

/* Deadlock test: no thread may take the checkpoint lock twice. */
static void shut_beside_updates(void **state)
{
    static struct crash c;
    static struct worker all[THREADS];
    void (*const work[])(struct worker *) = { shut_often, shut_often, update_any, update_and_end };

    for (size_t trial = 0; trial < 6; trial++) {
        struct spfresh_params p = crash_params(true);

        p.maintenance = (int64_t)trial % 3;
        p.background_threads = 2;
        crash_begin(&c, true, p);
        c.seed += trial;
        crash_bench(&c);
        assert_ok(crash_create(&c), &c.bench.error);
        assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, BASE }), &c.bench.error);
        atomic_store(&updating, true);
        run_workers(&c, all, THREADS, work);
        for (size_t i = 0; i < THREADS; i++)
            assert_ok(all[i].rc, &all[i].error);
        add_up(&c, all, THREADS);
        expect_same_after_recovery(&c);
        end(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_first_inserts),   cmocka_unit_test(removed_while_inserted),
        cmocka_unit_test(one_after_another),   cmocka_unit_test(checkpoints_go_first),
        cmocka_unit_test(shut_beside_updates),
    };

    return test_run("spfresh_races", tests);
}
