/* latency.h - latencies of the phases of a method, in logarithmic buckets as in HdrHistogram.
 *
 * There are 16 buckets per octave: a reported percentile differs from the value by at most 3 %.
 * Values below 32 ns are exact.
 *
 *     const uint64_t start = latency_now(env);
 *     ...
 *     (void)latency_lap(&phases[HEADS], env, start);
 *
 * Threads: any number may record at once, also beside latency_stats(), which one thread calls at a
 * time. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_LATENCY_H
#define DRIFTLINE_COMMON_CONCURRENCY_LATENCY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

enum {
    LATENCY_BITS = 4,
    LATENCY_OCTAVES = 40, /* longer than 2^40 ns, 18 minutes, counts as that */
    LATENCY_BUCKETS = (LATENCY_OCTAVES - LATENCY_BITS + 1) << LATENCY_BITS
};

/* All zero: empty. */
struct latency {
    _Atomic(uint64_t) recent[LATENCY_BUCKETS], recent_max_ns; /* since the last latency_stats() */
    uint64_t before[LATENCY_BUCKETS], before_max_ns;          /* until then */
};

/* The time by env's clock; 0 without one. */
static inline uint64_t latency_now(const struct index_env *env)
{
    return env->clock_ns ? env->clock_ns() : 0;
}

void latency_add(struct latency *, uint64_t ns);

/* Records the time since `start_ns`, which is of latency_now(). Returns the time now, where the
   next phase starts. Without a clock: records nothing. */
static inline uint64_t latency_lap(struct latency *phase, const struct index_env *env,
                                   uint64_t start_ns)
{
    const uint64_t now_ns = latency_now(env);

    if (env->clock_ns)
        latency_add(phase, now_ns - start_ns);
    return now_ns;
}

/* Reports n phases by their names. Values, of what was recorded since the last call: NAME_us.p50,
   .p99, .p999 and .count, for phases that have any. Table `phases`, of all that was ever recorded:
   a row per phase in the order given, with the columns count, p50_us, p90_us, p99_us, p999_us and
   max_us; a phase without a record has only the first. */
void latency_stats(struct latency *phases, const char *const *names, size_t n, struct stat_sink *);

#endif
