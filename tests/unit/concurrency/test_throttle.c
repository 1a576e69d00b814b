/* test_throttle.c - bytes per second and the share of a processor, measured; lifting. */
#include <pthread.h>
#include <time.h>

#include "algorithms/common/concurrency/throttle.h"
#include "tests/support/testing.h"

/* A wait that does not end in time would last 1 000 s or more. */
enum { KB = 1000, PATIENCE_S = 600 };

static double seconds(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Charges n times 10 kB, and waits after each. */
static void *charge_some(void *throttle)
{
    throttle_begin(throttle);
    for (size_t i = 0; i < 10; i++) {
        throttle_charge((size_t)10 * KB);
        throttle_wait();
    }
    throttle_end();
    return NULL;
}

/* The rate is that of all threads together. */
static void test_bytes(void **state)
{
    for (size_t threads = 1; threads <= 2; threads++) {
        struct throttle t;
        pthread_t other;

        throttle_init(&t);
        throttle_set(&t, (uint64_t)KB * KB, 0);
        const double began = seconds(CLOCK_MONOTONIC);
        if (threads == 2)
            assert_int_equal(pthread_create(&other, NULL, charge_some, &t), 0);
        charge_some(&t);
        if (threads == 2)
            assert_int_equal(pthread_join(other, NULL), 0);
        const double took = seconds(CLOCK_MONOTONIC) - began;
        assert_true(took > .099 * (double)threads);
        assert_true(took < PATIENCE_S);
        throttle_free(&t);
    }
}

/* Works in steps of about 20 us until 20 ms of processor time are used. Returns the time that it
   took. *owed gets the processor time for which it has paused, less at most a step that was too short. */
static double work(double *owed)
{
    const double began = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_THREAD_CPUTIME_ID);

    do {
        for (volatile size_t i = 0; i < 20000; i++)
            continue;
        *owed = seconds(CLOCK_THREAD_CPUTIME_ID) - used;
        throttle_wait();
    } while (*owed < .02);
    return seconds(CLOCK_MONOTONIC) - began;
}

/* A tenth of a processor pauses nine times as long as it works, its own wakings included. */
static void test_processor(void **state)
{
    struct throttle t;
    double owed;

    throttle_init(&t);
    throttle_set(&t, 0, .1);
    throttle_begin(&t);
    const double took = work(&owed);
    throttle_end();
    assert_true(took >= 9 * (owed - THROTTLE_STEP_US * 1e-6));
    assert_true(took < PATIENCE_S);
    throttle_free(&t);
}

/* A thread that is not under the throttle owes nothing, and neither does one without limits. */
static void test_no_limits(void **state)
{
    const double began = seconds(CLOCK_MONOTONIC);
    struct throttle t;
    double owed;

    throttle_init(&t);
    throttle_set(&t, 1, .01);
    throttle_charge((size_t)1 << 40);
    throttle_wait();
    throttle_free(&t);
    throttle_init(&t);
    throttle_set(&t, 0, 1);
    throttle_begin(&t);
    throttle_charge((size_t)1 << 40);
    (void)work(&owed);
    throttle_end();
    throttle_free(&t);
    assert_true(seconds(CLOCK_MONOTONIC) - began < PATIENCE_S);
}

static void *owe_much(void *throttle)
{
    throttle_begin(throttle);
    throttle_charge((size_t)KB * KB * KB);
    throttle_wait();
    throttle_end();
    return NULL;
}

/* A lift, or a change of the limits, ends a wait of 1 000 s; then the limits hold again. What is
   charged during a lift is not paid for later. */
static void end_wait(bool lifts)
{
    const uint64_t slow = (uint64_t)KB * KB;
    const double began = seconds(CLOCK_MONOTONIC);
    struct throttle t;
    pthread_t other;

    throttle_init(&t);
    throttle_set(&t, slow, 0);
    assert_int_equal(pthread_create(&other, NULL, owe_much, &t), 0);
    nanosleep(&(struct timespec){ .tv_nsec = 20 * KB * KB }, NULL);
    if (lifts)
        throttle_lift(&t);
    else
        throttle_set(&t, 0, 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    (void)owe_much(&t);
    if (lifts)
        throttle_drop(&t);
    else
        throttle_set(&t, slow, 0);
    (void)charge_some(&t);
    const double took = seconds(CLOCK_MONOTONIC) - began;
    assert_true(took > .09);
    assert_true(took < PATIENCE_S);
    throttle_free(&t);
}

static void test_lift(void **state)
{
    end_wait(true);
}

static void test_set(void **state)
{
    end_wait(false);
}

int main(void)
{
    return test_run_all("throttle", test_bytes, test_processor, test_no_limits, test_lift,
                        test_set);
}
