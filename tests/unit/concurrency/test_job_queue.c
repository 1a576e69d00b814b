/* test_job_queue.c - maintenance jobs: their order, jobs that fail or are busy, the limits of one
 * call, chores between jobs. */
#include "tests/unit/concurrency/plant.h"

/* ------------------------------------------------------------------------------------- order */

static void test_first_in_first_out(void **state)
{
    struct plant *p = begin_with(1);

    push(p, TAKE, 1, 0);
    push(p, TAKE, 2, 0);
    assert_true(job_queue_push_first(&p->queue, &(struct task){ .kind = TAKE, .id = 3 }));
    p->to_find = 2;
    assert_int_equal(job_queue_length(&p->queue), 5);
    assert_int_equal(job_queue_waiting(&p->queue), 3);
    work(p, 0, 0, false);
    expect_log(p, (const uint32_t[]){ 3, 1, 2, 1000, 1001 }, 5);
    assert_int_equal(p->taken, 5);
    assert_true(p->limit > 1e300);
    assert_int_equal(job_queue_length(&p->queue), 0);
    end(p);
}

/* The ring grows correctly wherever its first entry is. */
static void test_the_ring_grows(void **state)
{
    struct plant *p = begin_with(1);
    uint32_t in = 0, out = 0;

    while (in < 1000) {
        for (int i = 0; i < 30; i++)
            push(p, TAKE, in++, 0);
        work(p, 0, 20, true);
    }
    work(p, 0, 0, false);
    assert_int_equal(p->n, in);
    for (; out < in; out++)
        assert_int_equal(p->log[out], out);
    end(p);
}

static void test_out_of_memory(void **state)
{
    struct plant *p = begin_with(1);
    const struct task one = { .kind = TAKE };
    size_t n = 0;

    p->bench.mem.fail_at = p->bench.mem.calls + 2;
    while (job_queue_push(&p->queue, &one, 0))
        n++;
    assert_true(n > 0);
    assert_int_equal(job_queue_length(&p->queue), n);
    assert_true(job_queue_push_first(&p->queue, &one));
    work(p, 0, 0, false);
    assert_int_equal(p->n, n + 1);
    end(p);
}

/* A call ends at its limits; a queue that is closed drops its jobs. */
static void test_bounds(void **state)
{
    struct plant *p = begin_with(1);

    for (uint32_t i = 0; i < 9; i++)
        push(p, TAKE, i, 0);
    work(p, 25, 0, true);
    assert_int_equal(p->n, 3);
    assert_true(p->limit == 5);
    work(p, 0, 2, true);
    assert_int_equal(p->n, 5);
    assert_int_equal(job_queue_length(&p->queue), 4);
    end(p);
}

static void test_jobs_lead_to_jobs(void **state)
{
    struct plant *p = begin_with(1);

    push(p, SPAWN, 1, 2);
    push(p, TAKE, 2, 0);
    work(p, 0, 0, false);
    expect_log(p, (const uint32_t[]){ 1, 2, 100, 101 }, 4);
    end(p);
}

/* --------------------------------------------------------------------------------- failures */

/* Other jobs go on; the failed one runs after job_queue_retry(). */
static void test_a_failure_is_put_aside(void **state)
{
    struct plant *p = begin_with(1);
    struct error kept = { 0 };

    push(p, FAIL, 1, 1);
    push(p, TAKE, 2, 0);
    work(p, 0, 0, false);
    expect_log(p, (const uint32_t[]){ 1, 2 }, 2);
    assert_int_equal(job_queue_length(&p->queue), 1);
    assert_int_equal(job_queue_waiting(&p->queue), 0);
    work(p, 0, 0, false);
    assert_int_equal(p->n, 2);
    job_queue_retry(&p->queue, false);
    assert_int_equal(job_queue_waiting(&p->queue), 1);
    work(p, 0, 0, false);
    assert_int_equal(p->n, 3);
    /* The first failure is kept. */
    push(p, FAIL, 3, 1);
    work(p, 0, 0, false);
    assert_int_equal(job_queue_error(&p->queue, &kept), ERR_IO);
    assert_true(strstr(kept.text, "job 1: the disk is full"));
    job_queue_retry(&p->queue, false);
    work(p, 0, 0, false);
    assert_int_equal(job_queue_length(&p->queue), 0);
    end(p);
}

static void test_a_job_at_once(void **state)
{
    struct plant *p = begin_with(1);

    push(p, TAKE, 2, 0);
    assert_ok(job_queue_run(&p->queue, &(struct task){ .kind = TAKE, .id = 1 }), &p->bench.error);
    assert_int_equal(p->taken, 0);
    const int rc = job_queue_run(&p->queue, &(struct task){ .kind = FAIL, .id = 3, .left = 1 });
    assert_code(rc, ERR_IO, &p->bench.error);
    assert_int_equal(job_queue_length(&p->queue), 2);
    job_queue_retry(&p->queue, false);
    work(p, 0, 0, false);
    expect_log(p, (const uint32_t[]){ 1, 3, 2, 3 }, 4);
    end(p);
}

/* ------------------------------------------------------------------------------------- busy */

/* If no other job runs, nothing can free the resource that a busy job needs: the call ends after
   one attempt per job. */
static void test_busy_in_vain(void **state)
{
    struct plant *p = begin_with(1);

    push(p, BUSY, 1, 1000);
    push(p, BUSY, 2, 1000);
    work(p, 0, 0, true);
    assert_true(p->n >= 2 && p->n < 10);
    end(p);
}

/* A busy job waits for the job after it. */
static void test_busy_waits_for_another(void **state)
{
    struct plant *p = begin_with(1);

    push(p, BUSY, 1, 1);
    push(p, TAKE, 2, 0);
    work(p, 0, 0, false);
    expect_log(p, (const uint32_t[]){ 1, 2, 1 }, 3);
    assert_int_equal(p->queue.ended, 2); /* a busy job does not count as ended */
    end(p);
}

/* ------------------------------------------------------------------------------------ chores */

static void test_chores(void **state)
{
    struct plant *p = begin_with(1);

    assert_ok(job_queue_chores(&p->queue), &p->bench.error);
    assert_int_equal(p->chores, 1);
    pthread_mutex_lock(&p->queue.chores); /* another thread runs the chores */
    p->chores_fail = ERR_IO;
    assert_ok(job_queue_chores(&p->queue), &p->bench.error);
    pthread_mutex_unlock(&p->queue.chores);
    assert_code(job_queue_chores(&p->queue), ERR_IO, &p->bench.error);
    assert_int_equal(p->failures, 0);
    end(p);
}

int main(void)
{
    return test_run_all("job_queue", test_first_in_first_out, test_the_ring_grows,
                        test_out_of_memory, test_bounds, test_jobs_lead_to_jobs,
                        test_a_failure_is_put_aside, test_a_job_at_once, test_busy_in_vain,
                        test_busy_waits_for_another, test_chores);
}
