/* partition.h - baselines of clustering: k-means and HDBSCAN*. They keep rows in an array, search
 * by scanning it, and divide the rows anew at each call of cluster().
 *
 *   store.c    rows, ids, the scan       report.c  a division as a struct cluster_result
 *   kmeans.c   the method "kmeans"       hdbscan.c the method "hdbscan"
 *   knn.c      the nearest rows of each row
 *   density.c  edges to clusters: single linkage, condensed tree, selection */
#ifndef DRIFTLINE_PARTITION_H
#define DRIFTLINE_PARTITION_H

#include "algorithms/common/rows/dense_rows.h"
#include "src/core/index.h"

struct partition_params {
    int64_t clusters, iterations;                      /* kmeans */
    int64_t min_cluster_size, min_samples, neighbours; /* hdbscan */
};

struct partition {
    struct index base;
    struct partition_params params;
    struct dense_rows store;
};

extern const struct index_ops kmeans_ops, hdbscan_ops;

/* store.c: the operations that both methods have. */
int partition_create(struct index **, const struct index_ops *, const struct index_env *,
                     const void *params);
void partition_destroy(struct index *);
int partition_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int partition_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int partition_search(struct index *, const struct search_request *, struct search_result *);
int partition_memory(const struct index *, struct memory_use *);
int partition_check(const struct index *, struct stat_sink *);
extern const struct index_space partition_spaces[];
#define PARTITION_OPERATIONS                                                            \
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH, .spaces = partition_spaces,         \
    .params_bytes = sizeof(struct partition_params), .destroy = partition_destroy,      \
    .insert = partition_insert, .remove = partition_remove, .search = partition_search, \
    .memory = partition_memory, .check = partition_check

#define PARTITION_NOISE UINT32_MAX

/* report.c: sets levels, level, clusters and of_ids, and gives as medoid of each cluster the row
   nearest to its mean; ties go to the first. labels: of all n rows, below n_clusters or
   PARTITION_NOISE. ERR_NO_MEMORY, or the code of medoid(). */
int partition_report(const struct partition *, const struct cluster_request *,
                     const uint32_t *labels, size_t n_clusters, struct cluster_result *);

/* knn.c: the m nearest other rows of each row, ascending; m < n. Squared distances; both arrays are
   n x m. Exact, on env's pool. ERR_NO_MEMORY. */
int partition_nearest(const struct partition *, size_t threads, size_t m, uint64_t *neighbours,
                      float *distances);
/* The nearest row of each of v.n vectors, v.n x 1. There is at least one row. */
void partition_nearest_of(const struct partition *, struct vectors v, uint64_t *rows);

/* density.c */
struct density_edge {
    uint32_t a, b;
    float weight; /* a distance, not squared */
};
/* HDBSCAN* (Campello, Moulavi and Sander 2013; McInnes and Healy 2017) of n points by the edges of
   a graph of mutual reachability: its minimum spanning forest, trees being joined at an infinite
   distance; the condensed tree, with clusters of at least min_cluster_size >= 2; and the clusters
   of most excess of mass, of which the root is never one. Sorts the edges. labels[i] is below
   *clusters, or PARTITION_NOISE. ERR_NO_MEMORY. */
int partition_density(const struct index_env *, struct density_edge *edges, size_t n_edges,
                      size_t n, size_t min_cluster_size, uint32_t *labels, size_t *clusters);

#endif
