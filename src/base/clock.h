/* clock.h - the clock of the harness: monotonic nanoseconds, and the cost of a reading. */
#ifndef DRIFTLINE_BASE_CLOCK_H
#define DRIFTLINE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Of a clock that this machine has, such as CLOCK_THREAD_CPUTIME_ID. */
static inline uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

static inline double clock_seconds(uint64_t ns)
{
    return (double)ns * 1e-9;
}

/* Seconds of the clock, for differences. */
static inline double clock_now_s(void)
{
    return clock_seconds(clock_ns());
}

/* The part of a measured interval that is the cost of reading the clock: the minimum over runs of
   back-to-back readings. Takes about 50 microseconds. */
uint64_t clock_cost_ns(void);

/* Sleeps until about then; some sleeps end milliseconds late. */
void clock_sleep_until(uint64_t at_ns);
/* Waits until clock_ns() >= at_ns: sleeps first, then spins for the last 5 milliseconds. */
void clock_wait_until(uint64_t at_ns);

#endif
