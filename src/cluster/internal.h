/* internal.h - what the files of src/cluster share: the library for MPI, the first messages between
 * ranks of an index, waiting for messages without a call that blocks (MPI has none that sleeps),
 * and which ranks have been silent for too long. */
#ifndef DRIFTLINE_CLUSTER_INTERNAL_H
#define DRIFTLINE_CLUSTER_INTERNAL_H

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "src/base/clock.h"
#include "src/cluster/mpi/library.h"
#include "src/core/error.h"

/* load.c: the library's table, which stays loaded. NULL: ERR_UNSUPPORTED, in a sentence that begins
   with `who`. */
const struct mpi_library *cluster_load(const char *who, struct error *);

/* What ranks.c and serve.c say to each other. */
enum rank_tag {
    TAG_HELLO = 1, /* a rank: struct rank_hello; rank 0's answer: struct rank_orders */
    TAG_MESSAGE,   /* of the method */
    TAG_ALIVE,     /* once a second, of a rank that works */
};

enum { RANK_HOST_BYTES = 256 };

struct rank_hello {
    int64_t pid;
    char host[RANK_HOST_BYTES];
};

/* And after it the paths of plugins, each with its zero. */
struct rank_orders {
    uint64_t threads;
    bool crowded;
    char method[256], folder[PATH_MAX];
};

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

/* When a process last polled for messages. After a pause, because it was stopped or had other work, silence
   is measured from the next poll: what others sent meanwhile still has to be received. */
struct cluster_listening {
    uint64_t polled_ns, since_ns;
};

static inline bool cluster_has_paused(const struct cluster_listening *l, uint64_t now_ns)
{
    static const double PAUSE_S = .5;
    return now_ns > l->polled_ns && clock_seconds(now_ns - l->polled_ns) > PAUSE_S;
}

static inline void cluster_polled(struct cluster_listening *l, uint64_t now_ns)
{
    if (cluster_has_paused(l, now_ns))
        l->since_ns = now_ns;
    l->polled_ns = now_ns;
}

/* Whether a rank whose last message came at heard_ns is lost. Another thread than the one that polls may call
   this, also in a pause. */
static inline bool cluster_is_silent(const struct cluster_listening *l, uint64_t heard_ns,
                                     uint64_t now_ns)
{
    static const double SILENCE_S = 15;
    const uint64_t since_ns = heard_ns > l->since_ns ? heard_ns : l->since_ns;
    return !cluster_has_paused(l, now_ns) && now_ns > since_ns &&
           clock_seconds(now_ns - since_ns) > SILENCE_S;
}

#endif
