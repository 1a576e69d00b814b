/* answer_distances.h - whether the distances that a search reports are those of the metric. */
#ifndef DRIFTLINE_RUN_REPLAY_ANSWER_DISTANCES_H
#define DRIFTLINE_RUN_REPLAY_ANSWER_DISTANCES_H

#include "src/run/replay/query/query_batch.h"

/* The first answers of a batch with their distances; a few suffice to see another formula. */
enum { DISTANCES_QUERIES = 16 };

struct answer_distances {
    size_t n;         /* queries that have answers here */
    uint64_t *ids;    /* DISTANCES_QUERIES x k */
    float *distances; /* the same */
    size_t *queries;  /* their numbers in the batch */
    struct buffer memory;
};

/* A zero-initialised one is empty and can be freed. */
int answer_distances_make(struct answer_distances *, const struct query_batch *);
void answer_distances_free(struct answer_distances *);
/* Keeps the answers to one query, unless there are enough. */
void answer_distances_keep(struct answer_distances *, const struct query_batch *, size_t query,
                           const uint64_t *ids, const float *distances);
/* Computes the distances of these answers in double precision. Adds a note if the reported ones
   differ by DISTANCES_DIFFER of the exact ones or more, in total. ERR_INVARIANT: the method is exact,
   and they differ by more than rounding explains. */
#define DISTANCES_DIFFER .3
int answer_distances_check(const struct answer_distances *, struct query_batch *,
                           struct step_record *);

#endif
