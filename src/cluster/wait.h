/* wait.h - waiting for messages without a call that blocks: MPI has none that sleeps. For src/cluster. */
#ifndef DRIFTLINE_CLUSTER_WAIT_H
#define DRIFTLINE_CLUSTER_WAIT_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* What has waited a short time looks again at once; what has waited long sleeps between. On a machine
   with more ranks than cores, one that looks without end takes the time of one that works. */
struct cluster_wait {
    bool crowded;
    uint64_t since_ns; /* when there was a message last */
};

static inline void cluster_wait_step(const struct cluster_wait *w, uint64_t now_ns)
{
    enum { SPIN_NS = 200000, YIELD_NS = 2000000, SLEEP_NS = 50000 };
    const uint64_t waited = now_ns - w->since_ns;
    const struct timespec sleep = { 0, SLEEP_NS };
    if (waited < (w->crowded ? 0 : SPIN_NS))
        return;
    if (waited < YIELD_NS)
        (void)sched_yield();
    else
        (void)nanosleep(&sleep, NULL);
}

#endif
