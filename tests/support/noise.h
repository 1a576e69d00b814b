/* noise.h - kinds of noise that tests of statistics draw from: logs of times, of deviation about 1
 * and median 0. */
#ifndef DRIFTLINE_TESTS_SUPPORT_NOISE_H
#define DRIFTLINE_TESTS_SUPPORT_NOISE_H

#include <math.h>

#include "src/core/rng.h"

enum noise_kind {
    NOISE_NORMAL,     /* of logs: lognormal times */
    NOISE_HEAVY,      /* Student's t with 2 degrees: no variance */
    NOISE_SPIKES,     /* one in ten is ten times as far out */
    NOISE_CORRELATED, /* each is half the one before */
    NOISE_CORRELATED_HEAVY,
    NOISE_KINDS
};

struct noise {
    enum noise_kind kind;
    struct rng rng;
    double last;
};

static inline double noise_student(struct rng *rng, int df)
{
    double sum = 0;
    for (int i = 0; i < df; i++) {
        const double z = rng_normal(rng);
        sum += z * z;
    }
    return rng_normal(rng) / sqrt(sum / df);
}

/* A new series of a kind. */
static inline struct noise noise_new(enum noise_kind kind, uint64_t seed, uint64_t stream)
{
    struct noise n = { .kind = kind, .rng = rng_at(seed, stream) };
    n.last = rng_normal(&n.rng);
    return n;
}

static inline double noise_next(struct noise *n)
{
    switch (n->kind) {
        case NOISE_HEAVY: return noise_student(&n->rng, 2);
        case NOISE_SPIKES: return rng_normal(&n->rng) * (rng_unit(&n->rng) < 0.1 ? 10 : 1);
        case NOISE_CORRELATED: return n->last = n->last / 2 + sqrt(0.75) * rng_normal(&n->rng);
        case NOISE_CORRELATED_HEAVY: return n->last = n->last / 2 + noise_student(&n->rng, 3) / 2;
        default: return rng_normal(&n->rng);
    }
}

static inline const char *noise_name(enum noise_kind kind)
{
    static const char *const names[] = { "lognormal", "heavy-tailed", "spikes", "autocorrelated",
                                         "autocorrelated, heavy-tailed" };
    return names[kind];
}

#endif
