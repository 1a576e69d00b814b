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
   queries that are not among them. ids: n x k, nearest first, INDEX_NO_ID for no answer. Rows under
   cosine are of unit length. ERR_DIMENSION and the like if the queries do not suit the index. */
int saved_search(struct saved_index *, const struct search_request *, uint64_t *ids,
                 struct saved_times *);

#endif
