/* clusters.h - the quality of a clustering, by the labels of the rows and by the rows themselves. */
#ifndef DRIFTLINE_TRUTH_CLUSTERS_H
#define DRIFTLINE_TRUTH_CLUSTERS_H

#include "src/workload/live_state.h"

/* Agreement of clusters with classes. Rows of INDEX_NO_CLUSTER count as one cluster more.
 *
 *   nmi     mutual information / mean of the two entropies (Strehl and Ghosh 2002, with the
 *           arithmetic mean)
 *   ari     adjusted Rand index (Hubert and Arabie 1985): 0 expected by chance, 1 the same
 *   purity  share of the rows that are of the most frequent class of their cluster; it is 1 if each
 *           row is a cluster
 *
 * A nmi or ari without a meaning, because neither side divides the rows or each is all single rows,
 * is 1. */
struct score_agreement {
    double nmi, ari, purity;
};
/* n >= 1. ERR_NO_MEMORY. */
int score_agreement(const uint32_t *classes, const uint64_t *clusters, size_t n,
                    struct score_agreement *, struct error *);

/* Over the clusters that have rows, of which there are `count`; NAN if there are none. gini: of the
   sizes, 0 if all are equal. */
struct score_sizes {
    double count, smallest, median, largest, gini;
};
/* Sorts the sizes. */
void score_sizes(uint64_t *sizes, size_t n, struct score_sizes *);

/* Sum of squared distances of rows to the mean of their cluster, divided by that to the mean of all
   rows, over the rows that are in a cluster; 0 if all rows are equal. Euclidean, of unit rows under
   COS and of bits as 0 and 1 under HAMMING. clusters: of the n ids, below n_clusters or
   INDEX_NO_CLUSTER. NAN: no row is in a cluster. ERR_NO_MEMORY, or a read error. */
int score_within(const struct live_state *, const uint64_t *ids, const uint64_t *clusters, size_t n,
                 size_t n_clusters, double *share, struct error *);

#endif
