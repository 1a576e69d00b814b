/* score_internal.h - what the files that score answers share. */
#ifndef DRIFTLINE_TRUTH_SCORE_INTERNAL_H
#define DRIFTLINE_TRUTH_SCORE_INTERNAL_H

#include "src/truth/scorer.h"

/* 1. recall.c, recall_concurrent.c */

/* A row's distance, and how far rounding may move it. */
struct measured {
    double distance, rounding;
};

/* The row's distance to the query, which has the list's element. */
int score_measure(const struct score_context *, const struct score *, const void *query,
                  uint64_t id, struct measured *, struct error *);
/* The same of a row of the list's element. */
struct measured score_measure_row(const struct score_context *, const void *query, const void *row);
/* Below 0: a is nearer than b, whatever the rounding; 0: they are tied; above 0: a is farther. */
int score_compare(struct measured a, struct measured b);

/* Clears the score and allocates its memory, for n queries with up to `answers` answers. The caller
   calls score_free(), also on failure. */
int score_begin(struct score *, const struct score_context *, size_t n, size_t most, size_t answers,
                struct error *);
/* The bootstrap interval of the mean of the values, into low and high. */
void score_interval(const double *values, size_t n, uint64_t seed, struct score *);

const void *score_query_at(const struct score_context *, size_t position);

/* 2. Clusters, for scorer.c */

/* Whether the shape of the answers is that of a cluster operation (scorer.h). */
bool scorer_fits_clusters(const struct op *, const struct answers *);
/* Scores them into scored[PASS_SINGLE].json, { clusters }. `now` is the state after the
   operation. ERR_INVARIANT: an id is not live, or in two clusters. */
int scorer_take_clusters(struct scorer *, const struct answers *, struct error *);

#endif
