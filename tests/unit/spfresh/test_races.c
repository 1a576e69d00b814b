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

static int apply(struct worker *w, int kind, uint64_t first, size_t n)
{
    size_t done = 0;
    const int rc = crash_apply(w->crash, (struct crash_op){ kind, first, n }, &done);

    for (size_t i = 0; i < done; i++)
        w->balance[first + i] += kind == CRASH_INSERT ? 1 : -1;
    return rc;
}

/* Adds up the threads' acknowledged updates to what must be stored. */
static void add_up(struct crash *c, const struct worker *all, size_t n)
{
    for (size_t id = 0; id < CRASH_IDS; id++) {
        int balance = c->b.stored[id];

        for (size_t i = 0; i < n; i++)
            balance += all[i].balance[id];
        if (balance != 0 && balance != 1)
            fail_msg("id %zu: %d insertions more than removals (seed %" PRIu64 ")", id, balance,
                     c->seed);
        c->b.stored[id] = balance;
    }
}

/* An index with the first n ids. */
static void begin(struct crash *c, size_t trial, struct spfresh_params p, size_t n)
{
    crash_begin(c, p);
    c->seed += trial;
    crash_new(c);
    if (n > 0)
        assert_ok(crash_step(c, (struct crash_op){ CRASH_INSERT, 0, n }), &c->b.bench.error);
}

/* Runs n threads, none of which may fail. Compares the index with what they did, before and after
   recovery, and ends it. */
static void race(struct crash *c, size_t n, void (*const work[])(struct worker *))
{
    static struct worker all[THREADS];
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
    for (size_t i = 0; i < n; i++)
        assert_ok(all[i].rc, &all[i].error);
    add_up(c, all, n);
    crash_expect(c, "after the threads");
    crash_reopen(c);
    crash_expect(c, "recovered");
    crash_end(c);
}

/* -------------------------------------------------------------------------- first inserts */

static size_t first_rows;

static void insert_part(struct worker *w)
{
    w->rc = apply(w, CRASH_INSERT, w->number * first_rows, first_rows);
}

/* A small first insert builds the heads and files rows one by one, a large one files all at once.
   Two threads do either concurrently. */
static void two_first_inserts(void **state)
{
    static struct crash c;
    void (*const work[])(struct worker *) = { insert_part, insert_part };

    for (size_t trial = 0; trial < 60; trial++) {
        first_rows = trial % 2 ? 100 : 10;
        begin(&c, trial, crash_params(true, POSTING_MMAP, CODEC_RAW, SPFRESH_WRITTEN), 0);
        race(&c, 2, work);
    }
}

/* ----------------------------------------------------------------------------- the same ids */

enum { BASE = 100 };

static void insert_all(struct worker *w)
{
    for (uint64_t id = BASE; w->rc == OK && id < CRASH_IDS; id += 50)
        w->rc = apply(w, CRASH_INSERT, id, 50);
}

/* Removes each id as soon as it is stored. */
static void remove_all(struct worker *w)
{
    for (uint64_t id = BASE; id < CRASH_IDS; id++)
        do {
            error_clear(&w->error);
            w->rc = apply(w, CRASH_REMOVE, id, 1);
        } while (w->rc == ERR_UNKNOWN_ID);
}

/* If the removal's log record came before the insertion's, recovery would restore the vector. */
static void removed_while_inserted(void **state)
{
    static struct crash c;
    void (*const work[])(struct worker *) = { insert_all, remove_all };

    for (size_t trial = 0; trial < 12; trial++) {
        begin(&c, trial,
              crash_params(true, POSTING_MMAP, trial % 2 ? CODEC_SQ8 : CODEC_RAW,
                           trial % 4 < 2 ? SPFRESH_WRITTEN : SPFRESH_SYNCED),
              BASE);
        race(&c, 2, work);
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
        w->rc = apply(w, in ? CRASH_INSERT : CRASH_REMOVE, first, n);
        if (w->rc != OK && w->rc != (in ? ERR_DUPLICATE_ID : ERR_UNKNOWN_ID))
            return;
        w->rc = OK;
    }
}

static void one_after_another(void **state)
{
    static struct crash c;
    void (*const work[])(struct worker *) = { update_any, update_any, update_any, update_any };

    for (size_t trial = 0; trial < 8; trial++) {
        begin(&c, trial,
              crash_params(true, POSTING_MMAP, trial % 2 ? CODEC_SQ8 : CODEC_RAW, SPFRESH_WRITTEN),
              BASE);
        race(&c, THREADS, work);
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
    void (*const work[])(struct worker *) = { checkpoint_once, expect_first };

    begin(&c, 0, crash_params(true, POSTING_MMAP, CODEC_RAW, SPFRESH_WRITTEN), BASE);
    atomic_store(&updating, false);
    race(&c, 2, work);
}

static void shut_often(struct worker *w)
{
    bool more;

    while (atomic_load(&updating) && w->rc == OK) {
        w->rc = spfresh_checkpoint(w->crash->s);
        if (w->rc == OK)
            w->rc = spfresh_check(w->crash->b.index, NULL);
        if (w->rc == OK)
            w->rc = spfresh_maintain(w->crash->b.index, 0, &more);
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
    void (*const work[])(struct worker *) = { shut_often, shut_often, update_any, update_and_end };

    for (size_t trial = 0; trial < 6; trial++) {
        struct spfresh_params p = book_with(
            crash_params(true, POSTING_MMAP, CODEC_RAW, SPFRESH_AUTO), "background_threads=2");

        p.maintenance = (int64_t)trial % 3;
        begin(&c, trial, p, BASE);
        atomic_store(&updating, true);
        race(&c, THREADS, work);
    }
}

int main(void)
{
    return test_run_all("spfresh_races", two_first_inserts, removed_while_inserted,
                        one_after_another, checkpoints_go_first, shut_beside_updates);
}
