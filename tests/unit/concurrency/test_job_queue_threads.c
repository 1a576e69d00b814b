/* test_job_queue_threads.c - maintenance jobs on several threads: in the index's pool, in the
 * background, and by several callers. */
#define _GNU_SOURCE /* SCHED_IDLE */
#include <sched.h>

#include "tests/unit/concurrency/plant.h"

/* Returns false on a timeout. Under p->lock. */
static bool wait_logged(struct plant *p)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    return pthread_cond_timedwait(&p->logged, &p->lock, &until) == 0;
}

static bool wait_for(struct plant *p, size_t n)
{
    bool patient = true;

    pthread_mutex_lock(&p->lock);
    while (patient && p->n < n)
        patient = wait_logged(p);
    pthread_mutex_unlock(&p->lock);
    return patient;
}

static void *work_on(void *plant)
{
    struct plant *p = plant;
    const struct job_queue_bounds bounds = { .threads = 1, .jobs = p->n == 0 ? 1 : 0 };
    bool more;

    job_queue_work(&p->queue, &bounds, &more);
    return NULL;
}

/* While another job runs, each busy job is tried once, and again when that job has ended. */
static void test_busy_beside_another(void **state)
{
    struct plant *p = begin_with(1);
    const struct timespec a_while = { .tv_nsec = 20 * 1000 * 1000 };
    pthread_t threads[2];

    push(p, WAIT, 9, 0);
    assert_int_equal(pthread_create(&threads[0], NULL, work_on, p), 0);
    assert_true(wait_for(p, 1));
    for (uint32_t i = 1; i <= 3; i++)
        push(p, BUSY, i, 1);
    assert_int_equal(pthread_create(&threads[1], NULL, work_on, p), 0);
    assert_true(wait_for(p, 4));
    nanosleep(&a_while, NULL);
    pthread_mutex_lock(&p->lock);
    const size_t tried = p->n;
    p->may_end = true;
    pthread_cond_broadcast(&p->logged);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(tried, 4);
    expect_log(p, (const uint32_t[]){ 9, 1, 2, 3, 1, 2, 3 }, 7);
    end(p);
}

/* Each job ran once, on any thread. */
static void expect_each_once(const struct plant *p, uint32_t n)
{
    size_t times[LOG] = { 0 };

    assert_int_equal(p->n, n);
    for (size_t i = 0; i < p->n; i++)
        times[p->log[i]]++;
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(times[i], 1);
}

static void test_a_pool_works_it_off(void **state)
{
    struct plant *p = begin_with(3);
    const struct job_queue_bounds bounds = { .threads = 3 };
    bool more = true;

    for (uint32_t i = 0; i < 500; i++)
        push(p, TAKE, i, 0);
    job_queue_work(&p->queue, &bounds, &more);
    assert_false(more);
    expect_each_once(p, 500);
    end(p);
}

static void test_background_threads(void **state)
{
    struct plant *p = begin_with(1);
    bool patient = true;

    push(p, TAKE, 0, 0);
    assert_ok(job_queue_start(&p->queue, 3, 0), &p->bench.error);
    for (uint32_t i = 1; i < 1000; i++)
        push(p, TAKE, i, 0);
    work(p, 0, 0, false);
    expect_each_once(p, 1000);
    pthread_mutex_lock(&p->lock);
    const size_t before = p->chores;
    pthread_mutex_unlock(&p->lock);
    job_queue_chores_due(&p->queue);
    pthread_mutex_lock(&p->lock);
    while (patient && p->chores == before)
        patient = wait_logged(p);
    pthread_mutex_unlock(&p->lock);
    assert_true(patient);
    end(p);
}

/* The threads go on with other jobs, and callers do not wait for the failed one. */
static void test_background_failure(void **state)
{
    struct plant *p = begin_with(1);
    struct error kept = { 0 };

    push(p, FAIL, 0, 1);
    push(p, TAKE, 1, 0);
    assert_ok(job_queue_start(&p->queue, 1, 0), &p->bench.error);
    work(p, 0, 0, false);
    assert_int_equal(p->failures, 1);
    assert_int_equal(job_queue_error(&p->queue, &kept), ERR_IO);
    assert_int_equal(job_queue_waiting(&p->queue), 0);
    job_queue_retry(&p->queue, true);
    work(p, 0, 0, false);
    expect_log(p, (const uint32_t[]){ 0, 1, 0 }, 3);
    end(p);
}

static void test_they_stand_behind(void **state)
{
    const int before = getpriority(PRIO_PROCESS, 0);
    struct plant *p = begin_with(1);

    assert_ok(job_queue_start(&p->queue, 1, 5), &p->bench.error);
    push(p, TAKE, 0, 0);
    work(p, 0, 0, false);
    assert_int_equal(p->nice, before + 5 < 19 ? before + 5 : 19);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
    end(p);
    p = begin_with(1);
    assert_ok(job_queue_start(&p->queue, 1, JOB_QUEUE_IDLE), &p->bench.error);
    push(p, TAKE, 0, 0);
    work(p, 0, 0, false);
    assert_int_equal(p->policy, SCHED_IDLE);
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
    end(p);
}

/* Lets the waiting job end once the queue is closing. */
static void *let_end_late(void *plant)
{
    struct plant *p = plant;
    bool closing = false;

    while (!closing) {
        pthread_mutex_lock(&p->queue.lock);
        closing = p->queue.closing;
        pthread_mutex_unlock(&p->queue.lock);
        (void)sched_yield();
    }
    pthread_mutex_lock(&p->lock);
    p->may_end = true;
    pthread_cond_broadcast(&p->logged);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void test_they_end_after_their_job(void **state)
{
    struct plant *p = begin_with(1);
    pthread_t late;

    push(p, WAIT, 0, 0);
    for (uint32_t i = 1; i < 10; i++)
        push(p, TAKE, i, 0);
    assert_ok(job_queue_start(&p->queue, 1, 0), &p->bench.error);
    assert_true(wait_for(p, 1));
    assert_int_equal(pthread_create(&late, NULL, let_end_late, p), 0);
    job_queue_free(&p->queue);
    assert_int_equal(pthread_join(late, NULL), 0);
    expect_log(p, (const uint32_t[]){ 0 }, 1);
    end_without_queue(p);
}

static void test_start_without_memory(void **state)
{
    struct plant *p = begin_with(1);

    p->bench.mem.fail_at = p->bench.mem.calls + 1;
    const int rc = job_queue_start(&p->queue, 3, 0);
    assert_string_equal(p->bench.error.text, "plant: out of memory for 3 threads");
    assert_code(rc, ERR_NO_MEMORY, &p->bench.error);
    assert_int_equal(p->queue.n_threads, 0);
    end(p);
}

int main(void)
{
    return test_run_all("job_queue_threads", test_busy_beside_another, test_a_pool_works_it_off,
                        test_background_threads, test_background_failure, test_they_stand_behind,
                        test_they_end_after_their_job, test_start_without_memory);
}
