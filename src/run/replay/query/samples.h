/* samples.h - a sample of the answers that a reader receives while the clock runs, for scoring. */
#ifndef DRIFTLINE_RUN_REPLAY_SAMPLES_H
#define DRIFTLINE_RUN_REPLAY_SAMPLES_H

#include "src/core/rng.h"
#include "src/run/replay/query/query_batch.h"

enum { SAMPLES = 64 };

/* A random sample (reservoir sampling; Vitter, 1985), from a seed that the system draws: a method
   cannot know which of its answers will be scored. The caller sets the arrays and rng. */
struct samples {
    /* positions: SAMPLES positions in the operation's queries. ids: SAMPLES x k. */
    uint64_t *positions, *ids;
    float *distances; /* SAMPLES x k */
    size_t n;
    struct rng rng;
};

/* A generator with a seed that the system draws. */
struct rng samples_rng(void);
/* Offers the answers of the reader's search number i, counted from 0. */
void samples_offer(struct samples *, size_t k, size_t i, size_t position, const uint64_t *ids,
                   const float *distances);

/* The samples of all readers, scored together. The caller calls sample_set_free()
   even if sample_set_make() fails. */
struct sample_set {
    struct answers answers;
    struct buffer words;
};
int sample_set_make(struct sample_set *, const struct query_batch *, size_t readers);
/* ERR_INVARIANT: a sample is not a valid answer by index.h. */
int sample_set_add(struct sample_set *, const struct query_batch *, const struct samples *);
int sample_set_score(const struct sample_set *, const struct query_batch *);
void sample_set_free(struct sample_set *);

#endif
