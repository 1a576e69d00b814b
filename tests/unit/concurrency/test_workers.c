/* test_workers.c - threads for an index's maintenance: each piece is done once, all threads are
 * woken, they stop after their current piece, and the first error is kept until it is reported. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "algorithms/common/concurrency/workers.h"
#include "src/core/mem.h"
#include "tests/support/testing.h"

enum { THREADS = 3, PIECES = 2000, PATIENCE_S = 600 };

/* An index whose queue is only a number. */
struct heap {
    struct index base;
    struct test_bench bench;
    pthread_mutex_t lock;
    pthread_cond_t done_one;
    struct workers workers;
    size_t due, done, at_work, most_at_work;
    size_t calls;   /* of do_piece() */
    size_t waiting; /* how often a thread found nothing to do */
    size_t meet;    /* number of threads at work before one may end */
    int nice;       /* of the thread that did the last piece */
};

static const struct index_ops heap_ops = { .name = "heap" };

static bool is_due(void *heap)
{
    struct heap *h = heap;

    if (h->due > 0)
        return true;
    h->waiting++;
    pthread_cond_broadcast(&h->done_one);
    return false;
}

/* Returns false on a timeout. Under the lock. */
static bool wait_on(pthread_cond_t *cond, pthread_mutex_t *lock)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    return pthread_cond_timedwait(cond, lock, &until) == 0;
}

static void do_piece(void *heap)
{
    struct heap *h = heap;

    pthread_mutex_lock(&h->lock);
    h->calls++;
    h->nice = getpriority(PRIO_PROCESS, 0);
    if (h->due > 0) {
        h->due--;
        h->at_work++;
        h->most_at_work = h->at_work > h->most_at_work ? h->at_work : h->most_at_work;
        pthread_cond_broadcast(&h->done_one);
        while (h->most_at_work < h->meet && wait_on(&h->done_one, &h->lock))
            continue;
        h->at_work--;
        h->done++;
    }
    pthread_cond_broadcast(&h->done_one);
    pthread_mutex_unlock(&h->lock);
}

/* Runs until it is stopped, so that a caller who stops the workers finds it at work. The last one
   to be joined ends late. */
static void do_until_stopped(void *heap)
{
    struct heap *h = heap;

    pthread_mutex_lock(&h->lock);
    h->due--;
    h->at_work++;
    pthread_cond_broadcast(&h->done_one);
    while (!h->workers.closing && wait_on(&h->workers.wake, &h->lock))
        continue;
    const bool last = pthread_equal(pthread_self(), h->workers.threads[h->workers.n - 1]);
    pthread_mutex_unlock(&h->lock);
    if (last)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
    pthread_mutex_lock(&h->lock);
    h->done++;
    pthread_mutex_unlock(&h->lock);
}

static const struct workers_task by_pieces = { .due = is_due, .work = do_piece };
static const struct workers_task until_stopped = { .due = is_due, .work = do_until_stopped };

/* Not on the stack, as the threads of a failed test go on. */
static struct heap *begin(void)
{
    struct heap *h = calloc(1, sizeof *h);

    assert_non_null(h);
    test_bench_begin(&h->bench, INDEX_F32, INDEX_L2SQ, 4, 1);
    h->base = (struct index){ &heap_ops, h->bench.env };
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->done_one, NULL);
    workers_init(&h->workers, &h->lock);
    return h;
}

static void end(struct heap *h)
{
    workers_stop(&h->workers);
    workers_free(&h->workers);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->done_one);
    assert_int_equal(mem_live(&h->bench.mem), 0);
    test_bench_end(&h->bench);
    free(h);
}

static void start(struct heap *h, size_t n, const struct workers_task *task)
{
    struct workers_task of_heap = *task;

    of_heap.owner = h;
    assert_ok(workers_start(&h->workers, n, &h->base, &of_heap), &h->bench.error);
    assert_true(workers_any(&h->workers));
}

static void wait_until_done(struct heap *h, size_t n)
{
    bool patient = true;

    pthread_mutex_lock(&h->lock);
    while (patient && h->done < n)
        patient = wait_on(&h->done_one, &h->lock);
    const size_t done = h->done, due = h->due;
    pthread_mutex_unlock(&h->lock);
    assert_int_equal(done, n);
    assert_int_equal(due, 0);
}

static void test_each_piece_is_done_once(void **state)
{
    struct heap *h = begin();

    start(h, THREADS, &by_pieces);
    for (size_t i = 0; i < PIECES; i++) {
        pthread_mutex_lock(&h->lock);
        h->due++;
        workers_wake_one(&h->workers);
        pthread_mutex_unlock(&h->lock);
        if (i % 100 == 0)
            wait_until_done(h, i + 1); /* they all wait again */
    }
    wait_until_done(h, PIECES);
    end(h);
}

static void test_they_stand_behind(void **state)
{
    const struct workers_task polite = { .due = is_due, .work = do_piece, .nice = 5 };
    const int before = getpriority(PRIO_PROCESS, 0);
    struct heap *h = begin();

    h->due = 1;
    start(h, 1, &polite);
    wait_until_done(h, 1);
    assert_int_equal(h->nice, before + 5 < 19 ? before + 5 : 19);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
    end(h);
}

static void test_what_was_due_before_the_start(void **state)
{
    struct heap *h = begin();

    h->due = 10;
    start(h, 1, &by_pieces);
    wait_until_done(h, 10);
    end(h);
}

/* Woken without work, it waits again. */
static void test_nothing_is_due(void **state)
{
    struct heap *h = begin();

    start(h, 1, &by_pieces);
    pthread_mutex_lock(&h->lock);
    while (h->waiting < 1 && wait_on(&h->done_one, &h->lock))
        continue;
    workers_wake_all(&h->workers);
    while (h->waiting < 2 && h->calls == 0 && wait_on(&h->done_one, &h->lock))
        continue;
    const size_t calls = h->calls;
    pthread_mutex_unlock(&h->lock);
    assert_int_equal(calls, 0);
    end(h);
}

/* Each thread waits in its piece for all the others. */
static void test_all_are_woken(void **state)
{
    struct heap *h = begin();

    h->meet = THREADS;
    start(h, THREADS, &by_pieces);
    pthread_mutex_lock(&h->lock);
    while (h->waiting < THREADS && wait_on(&h->done_one, &h->lock))
        continue;
    h->due = THREADS;
    workers_wake_all(&h->workers);
    pthread_mutex_unlock(&h->lock);
    wait_until_done(h, THREADS);
    assert_int_equal(h->most_at_work, THREADS);
    end(h);
}

static void test_they_end_after_their_piece(void **state)
{
    struct heap *h = begin();

    h->due = 10;
    start(h, 2, &until_stopped);
    pthread_mutex_lock(&h->lock);
    while (h->at_work < 2 && wait_on(&h->done_one, &h->lock))
        continue;
    pthread_mutex_unlock(&h->lock);
    workers_stop(&h->workers);
    assert_int_equal(h->done, 2);
    assert_int_equal(h->due, 8);
    assert_false(workers_any(&h->workers));
    end(h);
}

/* Without threads the same calls are valid. */
static void test_without_threads(void **state)
{
    struct heap *h = begin();

    assert_false(workers_any(&h->workers));
    pthread_mutex_lock(&h->lock);
    workers_wake_one(&h->workers);
    workers_wake_all(&h->workers);
    pthread_mutex_unlock(&h->lock);
    end(h);
}

static void test_start_without_memory(void **state)
{
    struct heap *h = begin();

    h->bench.mem.fail_at = h->bench.mem.calls + 1;
    const int rc = workers_start(&h->workers, THREADS, &h->base, &by_pieces);
    assert_string_equal(h->bench.error.text, "heap: out of memory for 3 threads");
    assert_code(rc, ERR_NO_MEMORY, &h->bench.error);
    assert_false(workers_any(&h->workers));
    end(h);
}

static void test_the_first_error_is_kept(void **state)
{
    struct heap *h = begin();
    struct error first = { 0 }, second = { 0 }, told = { 0 };

    assert_ok(workers_report(&h->workers, &told), &told);
    (void)fail(&first, ERR_IO, "the disk is full");
    (void)fail(&second, ERR_NO_MEMORY, "so is the memory");
    pthread_mutex_lock(&h->lock);
    workers_keep(&h->workers, &first);
    workers_keep(&h->workers, &second);
    pthread_mutex_unlock(&h->lock);
    for (int i = 0; i < 2; i++) { /* to be reported again */
        const int rc = workers_report(&h->workers, &told);

        assert_string_equal(told.text, "maintenance: the disk is full");
        assert_code(rc, ERR_IO, &told);
    }
    error_clear(&h->workers.failed);
    assert_ok(workers_report(&h->workers, &told), &told);
    workers_keep(&h->workers, &second);
    assert_code(workers_report(&h->workers, &told), ERR_NO_MEMORY, &told);
    end(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_piece_is_done_once),
        cmocka_unit_test(test_they_stand_behind),
        cmocka_unit_test(test_what_was_due_before_the_start),
        cmocka_unit_test(test_nothing_is_due),
        cmocka_unit_test(test_all_are_woken),
        cmocka_unit_test(test_they_end_after_their_piece),
        cmocka_unit_test(test_without_threads),
        cmocka_unit_test(test_start_without_memory),
        cmocka_unit_test(test_the_first_error_is_kept),
    };
    return test_run("workers", tests);
}
