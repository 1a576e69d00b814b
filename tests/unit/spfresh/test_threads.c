/* test_threads.c - concurrent searches, updates and maintenance; also for the thread sanitizer. A
 * search never misses a vector that is stored throughout, whatever is split meanwhile. */
#include <unistd.h>

#include "algorithms/spfresh/maintenance/work.h"
#include "tests/support/beside_changes.h"
#include "tests/unit/spfresh/lire.h"

/* All heads are probed, so that only a move or a split could hide a vector. */
static void beside_one_another(void **state)
{
    static const char *const settings[] = {
        "maintenance=background;background_threads=1;replicas=1",
        "maintenance=background;background_threads=2;replicas=4", "maintenance=inline;replicas=1"
    };

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char params[200];

        (void)snprintf(params, sizeof params, "store=memory;posting_entries=16;%s", settings[i]);
        assert_int_equal(beside_changes(&spfresh_ops, params, "nprobe=4194304"), 0);
    }
}

/* --------------------------------------------------------------- jobs that wait for a search */

/* A job that runs during a search that does not end: tests whether the job waits for it. */
struct job_beside {
    struct book *book;
    int (*run)(struct spfresh *, struct spfresh_work *, const struct spfresh_job *,
               struct job_run *);
    struct spfresh_job job;
    int rc;
    atomic_bool ended;
};

static void *run_job(void *arg)
{
    struct job_beside *me = arg;
    struct spfresh *s = book_index(me->book);
    struct spfresh_work *w = NULL;
    struct job_run run = { .limit = INFINITY };

    me->rc = spfresh_work_take(s, &w);
    if (me->rc == OK)
        me->rc = me->run(s, w, &me->job, &run);
    spfresh_work_give(s, w);
    atomic_store(&me->ended, true);
    return NULL;
}

static void expect_wait(struct job_beside *job, unsigned ticket)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, run_job, job), 0);
    (void)usleep(20000);
    assert_false(atomic_load(&job->ended));
    epoch_leave(book_index(job->book)->epoch, ticket);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(job->rc, OK);
}

/* Adds a head nearer than the last of n heads, where the vector is filed: the vector must move. */
static struct spfresh_job nearer_head(struct book *b, uint32_t n)
{
    const float nearer[] = { 100 - (float)n, 0 };

    lire_head(b, nearer, n);
    return (struct spfresh_job){ .kind = SPFRESH_JOB_REASSIGN,
                                 .what = lire_slot(b, 0),
                                 .version = lire_version(b, 0),
                                 .from = n - 1 };
}

static void open_far(struct book *b)
{
    const float far[] = { 100, 0 };
    struct spfresh_params params = book_defaults(&spfresh_ops, "replicas=1,merge=false");

    book_open(b, &spfresh_ops, params, INDEX_F32, 2, 4, 1);
    lire_heads(b, far, 1);
    assert_ok(book_insert(b, 0, 1), &b->bench.error);
}

/* During one search the first move does not wait, the second does. */
static void one_move_a_search(void **state)
{
    struct book b;
    struct job_beside move = { .book = &b, .run = spfresh_reassign };

    open_far(&b);
    const unsigned ticket = epoch_enter(book_index(&b)->epoch);
    move.job = nearer_head(&b, 1);
    (void)run_job(&move);
    assert_int_equal(move.rc, OK);
    assert_true(lire_is_in(&b, 1, 0));
    move.job = nearer_head(&b, 2);
    atomic_store(&move.ended, false);
    expect_wait(&move, ticket);
    assert_true(lire_is_in(&b, 2, 0));
    book_check_and_close(&b);
}

/* Stale entries of a move are not removed while a search that read the new posting before the move
   may still read them. */
static void collection_waits(void **state)
{
    struct book b;
    struct job_beside move = { .book = &b, .run = spfresh_reassign };
    struct job_beside merge = { .book = &b,
                                .run = spfresh_merge,
                                .job = { .kind = SPFRESH_JOB_MERGE } };

    open_far(&b);
    const unsigned ticket = epoch_enter(book_index(&b)->epoch);
    move.job = nearer_head(&b, 1);
    (void)run_job(&move);
    assert_int_equal(atomic_load(&spfresh_head(book_index(&b), 0)->size), 1);
    expect_wait(&merge, ticket);
    assert_int_equal(atomic_load(&spfresh_head(book_index(&b), 0)->size), 0);
    book_check_and_close(&b);
}

int main(void)
{
    return test_run_all("spfresh_threads", beside_one_another, one_move_a_search, collection_waits);
}
