/* clock.h - the one clock of the harness: monotonic nanoseconds, and what a reading costs. */
#ifndef DRIFTLINE_CLOCK_H
#define DRIFTLINE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline double clock_seconds(uint64_t ns)
{
    return (double)ns * 1e-9;
}

/* What an interval between two readings contains of the clock itself: the least of many back to
   back. Takes about 50 microseconds. */
uint64_t clock_cost_ns(void);

/* Sleeps, then spins through the last 100 microseconds, until clock_ns() >= at_ns. */
void clock_wait_until(uint64_t at_ns);

#endif
