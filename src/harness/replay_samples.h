/* replay_samples.h - some of the answers that a reader is given while the clock runs, kept to be scored. */
#ifndef DRIFTLINE_REPLAY_SAMPLES_H
#define DRIFTLINE_REPLAY_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SAMPLES = 64 };

/* Every stride-th answer, evenly over the time. */
struct samples {
    uint64_t *positions, *ids; /* SAMPLES, of the operation's queries; SAMPLES x k */
    float *distances;          /* SAMPLES x k */
    size_t n, stride;
};

bool samples_make(struct samples *,
                  size_t k); /* false: out of memory; samples_free() all the same */
void samples_free(struct samples *);
/* Answer number i of the reader, counted from 0. */
void samples_offer(struct samples *, size_t k, size_t i, size_t position, const uint64_t *ids,
                   const float *distances);

#endif
