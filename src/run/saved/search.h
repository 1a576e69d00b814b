/* search.h - searches of a saved index, timed. */
#ifndef DRIFTLINE_RUN_SAVED_SEARCH_H
#define DRIFTLINE_RUN_SAVED_SEARCH_H

#include "src/run/saved/saved.h"

struct saved_times {
    size_t n_single, n_batch;  /* queries that were timed each way */
    double queries_per_second; /* of the batch */
    double p50_ns, p99_ns;     /* of single queries; p99_ns is NAN below 100 */
};

/* Answers all queries: every second one by itself, the others as one batch, after a warm-up with
   queries that are not among them. ids: n x k, nearest first, ID_NONE for no answer. Rows under
   cosine are of unit length. ERR_DIMENSION and the like if the queries do not suit the index. */
int saved_search(struct saved_index *, const struct search_request *, uint64_t *ids,
                 struct saved_times *);

/* The share of the first k ids of each row of the truth that are among the answers: by ids, so that
   of two rows at the same distance only the one that the truth names counts. truth: n rows of
   `columns` >= k ids; those below 0 are no rows and do not count. NAN without any. */
double saved_recall(const uint64_t *ids, size_t n, size_t k, const int64_t *truth, size_t columns);

#endif
