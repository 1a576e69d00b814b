/* answer_clusters.h - how the answers of a search lie in the method's clusters. */
#ifndef DRIFTLINE_RUN_REPLAY_ANSWER_CLUSTERS_H
#define DRIFTLINE_RUN_REPLAY_ANSWER_CLUSTERS_H

#include "src/run/replay/query/query_batch.h"

/* Asks the method once, untimed, for the finest clusters of the answers (queries.n x k;
 * INDEX_NO_ID: none) and of the queries, sends those of the answers to be stored, and sets these
 * statistics of the step:
 *
 *   answers_in_query_cluster  share of the answers that are in their query's cluster
 *   clusters_per_query        mean number of clusters that a query's answers are in; all answers in
 *                             no cluster count as one
 *
 * Without an answer it sets none. ERR_INVARIANT: a cluster is out of range. */
int answer_clusters_measure(struct query_batch *, const uint64_t *answers, struct step_record *);

#endif
