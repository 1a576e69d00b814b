/* throttle.c - see throttle.h. */
#include "algorithms/common/concurrency/throttle.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
/* The longest sleep, so that a thread soon sees that the limit was removed. */
#define SLICE (2 * SECOND / 1000)
/* The processor timer is set to this and counts down. */
#define FAR (SECOND * 1000000)

/* The throttle under which this thread works; NULL: none. */
static _Thread_local struct throttle *mine;
static _Thread_local timer_t used; /* counts the thread's processor time down */
static _Thread_local bool counts;  /* `used` exists */

static struct itimerspec after(uint64_t ns)
{
    return (struct itimerspec){ .it_value = { .tv_sec = (time_t)(ns / SECOND),
                                              .tv_nsec = (long)(ns % SECOND) } };
}

static uint64_t left(const struct itimerspec *t)
{
    return (uint64_t)t->it_value.tv_sec * SECOND + (uint64_t)t->it_value.tv_nsec;
}

/* Disarms the timer: nothing is owed. The lock is held. */
static void forgive(const struct throttle *t)
{
    const struct itimerspec paid = { 0 };

    if (t->timer >= 0)
        (void)timerfd_settime(t->timer, 0, &paid, NULL);
}

void throttle_set(struct throttle *t, uint64_t bytes_per_second, double cpu_share)
{
    pthread_mutex_lock(&t->lock);
    if (bytes_per_second > 0 && t->timer < 0)
        t->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    forgive(t);
    atomic_store(&t->bytes_per_second, bytes_per_second);
    atomic_store(&t->cpu_share, cpu_share);
    (void)atomic_fetch_add(&t->sets, 1);
    pthread_mutex_unlock(&t->lock);
}

void throttle_init(struct throttle *t)
{
    *t = (struct throttle){ .timer = -1 };
    pthread_mutex_init(&t->lock, NULL);
}

void throttle_free(struct throttle *t)
{
    if (t->timer >= 0)
        (void)close(t->timer);
    pthread_mutex_destroy(&t->lock);
}

/* ------------------------------------------------------------------------------- a thread */

/* 1: no limit. */
static double share_of(struct throttle *t)
{
    const double share = atomic_load(&t->cpu_share);

    return share > 0 && share < 1 ? share : 1;
}

/* Returns the processor time of the thread since the last call, or since the timer was made. */
static uint64_t take_used(void)
{
    const struct itimerspec far = after(FAR);
    struct itimerspec rest = { .it_value = { 0 } };

    return timer_settime(used, 0, &far, &rest) == 0 && left(&rest) > 0 ? FAR - left(&rest) : 0;
}

void throttle_begin(struct throttle *t)
{
    struct sigevent silent = { .sigev_notify = SIGEV_NONE };

    mine = t;
    counts = share_of(t) < 1 && timer_create(CLOCK_THREAD_CPUTIME_ID, &silent, &used) == 0;
    if (counts)
        (void)take_used();
}

void throttle_end(void)
{
    if (counts)
        (void)timer_delete(used);
    counts = false;
    mine = NULL;
}

void throttle_charge(size_t bytes)
{
    struct throttle *t = mine;
    struct itimerspec debt;

    const uint64_t rate = t ? atomic_load(&t->bytes_per_second) : 0;
    if (rate == 0 || atomic_load(&t->lifts) > 0)
        return;
    const double cost = (double)bytes * (double)SECOND / (double)rate;
    pthread_mutex_lock(&t->lock);
    if (t->timer >= 0 && timerfd_gettime(t->timer, &debt) == 0) {
        debt = after(left(&debt) + (uint64_t)cost + 1);
        (void)timerfd_settime(t->timer, 0, &debt, NULL);
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---------------------------------------------------------------------------------- waiting */

/* Sleeps until the limits are lifted, or differ from those of the given set. */
static void pause_for(struct throttle *t, uint64_t ns, unsigned set)
{
    while (ns > 0 && atomic_load(&t->lifts) == 0 && atomic_load(&t->sets) == set) {
        const uint64_t slice = ns < SLICE ? ns : SLICE;

        (void)nanosleep(&(struct timespec){ .tv_nsec = (long)slice }, NULL);
        ns -= slice;
    }
}

static void wait_for_processor(struct throttle *t)
{
    const unsigned set = atomic_load(&t->sets);
    const double share = share_of(t);
    struct itimerspec rest;

    if (!counts || timer_gettime(used, &rest) != 0)
        return;
    if (FAR - left(&rest) < (uint64_t)THROTTLE_STEP_US * 1000)
        return;
    /* Counted anew before the pause: what the pause itself uses is paid for with the next step. */
    pause_for(t, (uint64_t)((double)take_used() * (1 - share) / share), set);
}

/* Others may charge meanwhile; that is theirs to wait for. */
static void wait_for_bytes(struct throttle *t)
{
    const unsigned set = atomic_load(&t->sets);
    struct itimerspec debt = { 0 };

    if (atomic_load(&t->bytes_per_second) == 0)
        return;
    pthread_mutex_lock(&t->lock);
    if (t->timer >= 0)
        (void)timerfd_gettime(t->timer, &debt);
    pthread_mutex_unlock(&t->lock);
    pause_for(t, left(&debt), set);
}

void throttle_wait(void)
{
    if (!mine)
        return;
    wait_for_processor(mine);
    wait_for_bytes(mine);
}

/* ----------------------------------------------------------------------------------- lifting */

void throttle_lift(struct throttle *t)
{
    if (atomic_fetch_add(&t->lifts, 1) > 0)
        return;
    pthread_mutex_lock(&t->lock);
    forgive(t);
    pthread_mutex_unlock(&t->lock);
}

void throttle_drop(struct throttle *t)
{
    (void)atomic_fetch_sub(&t->lifts, 1);
}
