/* test_threads.c - concurrent searches, updates and maintenance; also for the thread sanitizer. A
 * search never misses a vector that is stored throughout, whatever is split meanwhile. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "algorithms/spfresh/maintenance/work.h"
#include "tests/unit/spfresh/lire.h"

enum { STAY = 200, CHURN = 600, ROUNDS = 4, SEARCHERS = 2, K = 5 };

struct beside {
    struct book *book;
    uint64_t stream;
    atomic_bool *stop;
    atomic_size_t *searches;
    size_t missed; /* searches that missed a row of STAY */
    int rc;
};

/* Probes all heads, so that only a move or a split could hide a vector. */
static void *search(void *arg)
{
    struct beside *me = arg;
    struct book *b = me->book;
    struct rng rng = rng_at(test_seed(), me->stream);
    const struct spfresh_knobs knobs = book_knobs(b, 1 << 22);

    while (!atomic_load(me->stop) && me->rc == OK) {
        const void *row = book_row(b, rng_below(&rng, STAY));
        uint64_t ids[K];
        float distances[K];
        const struct search_request request = {
            { row, 1, b->dim, b->bench.env.element }, K, &knobs, NULL, 1
        };
        struct search_result result = { .ids = ids, .distances = distances };

        me->rc = b->ops->search(b->index, &request, &result);
        me->missed += me->rc == OK && distances[0] != 0;
        for (size_t i = 1; i < K; i++)
            me->missed += ids[i] != INDEX_NO_ID && ids[i] == ids[i - 1];
        atomic_fetch_add(me->searches, 1);
    }
    return NULL;
}

static void churn(struct book *b, const atomic_size_t *searches)
{
    for (int round = 0; round < ROUNDS; round++) {
        const size_t until = atomic_load(searches) + 20;
        bool more;

        for (size_t i = STAY; i < STAY + CHURN; i += 50) {
            assert_ok(book_insert(b, i, 50), &b->bench.error);
            for (size_t j = 0; round % 2 && j < 20; j++)
                assert_ok(book_remove(b, i + j), &b->bench.error);
        }
        if (round % 4 == 3)
            assert_ok(b->ops->maintain(b->index, 0, &more), &b->bench.error);
        for (size_t i = STAY; i < STAY + CHURN; i++)
            if (b->stored[i])
                assert_ok(book_remove(b, i), &b->bench.error);
        while (atomic_load(searches) < until)
            (void)sched_yield();
    }
}

static void mixed(struct spfresh_params params, enum element element)
{
    struct book b;
    pthread_t threads[SEARCHERS];
    struct beside beside[SEARCHERS];
    atomic_bool stop = false;
    atomic_size_t searches = 0;

    book_open(&b, &spfresh_ops, params, element, 8, STAY + CHURN, 1);
    book_fill(&b, 0, STAY + CHURN, 6, .5);
    assert_ok(book_insert(&b, 0, STAY), &b.bench.error);
    for (size_t i = 0; i < SEARCHERS; i++) {
        beside[i] = (struct beside){ &b, 100 + i, &stop, &searches, 0, OK };
        assert_int_equal(pthread_create(&threads[i], NULL, search, &beside[i]), 0);
    }
    churn(&b, &searches);
    atomic_store(&stop, true);
    for (size_t i = 0; i < SEARCHERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(beside[i].rc, OK);
        assert_int_equal(beside[i].missed, 0);
    }
    lire_maintain(&b, 0);
    book_check(&b);
    book_all_found(&b);
    assert_true(COUNT(&b, splits) > 0 && COUNT(&b, reassign_done) > 0 && COUNT(&b, merges) > 0);
    book_close(&b);
}

static void beside_one_another(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct spfresh_params params = book_defaults(&spfresh_ops);

        params.maintenance = i < 2 ? SPFRESH_BACKGROUND : SPFRESH_INLINE;
        params.background_threads = 1 + i;
        params.posting_entries = 16;
        params.replicas = i % 2 ? 4 : 1;
        mixed(params, i == 0 ? INDEX_U8 : INDEX_F32);
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
    struct spfresh_members none;
    uint32_t head;

    spfresh_members_init(&none, book_index(b));
    assert_ok(spfresh_add_head(book_index(b), nearer, &none, &head), &b->bench.error);
    assert_int_equal(head, n);
    return (struct spfresh_job){ .kind = SPFRESH_JOB_REASSIGN,
                                 .what = lire_slot(b, 0),
                                 .version = lire_version(b, 0),
                                 .from = n - 1 };
}

static void open_far(struct book *b)
{
    const float far[] = { 100, 0 };
    struct spfresh_params params = book_defaults(&spfresh_ops);

    params.replicas = 1;
    params.merge = false;
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
    book_check(&b);
    book_close(&b);
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
    book_check(&b);
    book_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beside_one_another),
        cmocka_unit_test(one_move_a_search),
        cmocka_unit_test(collection_waits),
    };

    return test_run("spfresh_threads", tests);
}
