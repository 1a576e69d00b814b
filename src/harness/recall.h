/* recall.h - how right the answers are, by the data and never by the method's word.
 *
 * RECALL_DEFINITION goes into every result. Wrong ids (deleted, unknown, repeated within a query,
 * or not let through by the filter) never count as found, and are counted themselves.
 */
#ifndef DRIFTLINE_RECALL_H
#define DRIFTLINE_RECALL_H

#include "gather.h"
#include "oracle.h"

#define RECALL_DEFINITION                                                                          \
    "recall@k: of each query's answers, at most k count; an answer counts if its id is live, "     \
    "passes the filter, is not repeated, and its exact distance, computed again from the data in " \
    "double precision, is at most the true k-th distance (relative slack 1e-6 for f32 and "        \
    "cosine, "                                                                                     \
    "none for integers and codes); divided by min(k, rows there were to find), then averaged "     \
    "over "                                                                                        \
    "queries. Deleted, unknown, repeated and filtered-out ids are counted in wrong_ids. Range: "   \
    "recall is the share of all true answers found, precision the share of all answers that are "  \
    "right, over the queries together."

struct score {
    uint32_t *hits; /* a query's right answers, n of them; freed by score_free() */
    size_t n;
    size_t most; /* hits a query could have: min(k, available); search only */
    double mean, min, low,
        high; /* search: recall, with a 95 % bootstrap interval; NAN without queries */
    double recall, precision,
        results; /* range; results: answers a query; NAN where nothing was to find / found */
    double wrong_ids;
};

/* Scoring fails with ERR_CORRUPT where an answer is nearer than the last of the "true" neighbours and is none of
   them: the ground truth is then wrong, and nothing scored by it holds. */

/* What answers are judged by: the live set and rows as they are now, and the operation's
   queries. */
struct judge {
    const struct holding *now;
    const struct op *op;
    const struct truth *truth;
    const void *queries; /* the operation's, contiguous, in the list's element */
};

/* ids: n x k answers to queries positions[0 .. n-1] (NULL: all of them, in order), ID_NONE for
   no answer. */
int score_search(struct score *, const struct judge *, const uint64_t *positions, size_t n,
                 const uint64_t *ids, uint64_t seed, struct error *);
/* The answers of query positions[i] (NULL: i) are ids[starts[i]] to ids[starts[i + 1] - 1]. */
int score_range(struct score *, const struct judge *, const uint64_t *positions, size_t n,
                const uint64_t *starts, const uint64_t *ids, struct error *);
/* As score_search(), of answers given while the operation's writes went on, at no known moment of them:
   the judge's `now` is after all of them. A row counts where every moment's answer had to hold it: it is live
   all the time, and among the k nearest of all rows that were live at any time. Queries with no such row have
   no share in the mean; hits is of what such rows an answer has. Wrong are ids live at no time, and repeated
   ones. */
int score_concurrent(struct score *, const struct judge *, const uint64_t *positions, size_t n,
                     const uint64_t *ids, uint64_t seed, struct error *);
void score_free(struct score *);

/* 95 % bootstrap interval of the mean (resamples seeded); NAN for n < 2. */
void bootstrap_mean(const double *values, size_t n, uint64_t seed, double *low, double *high);

#endif
