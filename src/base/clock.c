/* clock.c - the cost of a clock reading, and waiting for an intended start. */
#include "src/base/clock.h"

#include <errno.h>

uint64_t clock_cost_ns(void)
{
    enum { READINGS = 2000, RUN = 16 };
    uint64_t least = UINT64_MAX;

    /* The mean over a run reduces the error that the clock's resolution causes. */
    for (int i = 0; i < READINGS / RUN; i++) {
        const uint64_t start = clock_ns();
        uint64_t end = start;

        for (int j = 0; j < RUN; j++)
            end = clock_ns();
        if ((end - start) / RUN < least)
            least = (end - start) / RUN;
    }
    return least;
}

void clock_wait_until(uint64_t at_ns)
{
    enum { SPIN_NS = 100000 }; /* a sleep may end tens of microseconds late */
    const uint64_t now = clock_ns();

    if (at_ns > now + SPIN_NS) {
        const uint64_t wake = at_ns - SPIN_NS;
        const struct timespec t = { (time_t)(wake / 1000000000u), (long)(wake % 1000000000u) };

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
        }
    }
    while (clock_ns() < at_ns) {
    }
}
