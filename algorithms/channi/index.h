/* index.h - opens and closes an index, and the functions of its table of operations. */
#ifndef DRIFTLINE_CHANNI_INDEX_H
#define DRIFTLINE_CHANNI_INDEX_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/versions/view.h"

extern const struct index_ops channi_ops;

/* create() and load(); fault: of tests. */
int channi_create_with(struct index **, const struct index_env *, const struct channi_params *,
                       const struct file_fault *fault);
int channi_load_from(struct index **, const struct index_env *, const char *dir,
                     const struct file_fault *fault);

/* Functions of the table of operations; src/core/index.h documents each. */

int channi_insert_with(struct index *, struct vectors, const uint64_t *ids,
                       const int64_t *attributes, size_t *done);
int channi_search(struct index *, const struct search_request *, struct search_result *);
int channi_search_as_of(struct index *, uint64_t version, const struct search_request *,
                        struct search_result *);
int channi_search_where(struct index *, const struct search_request *,
                        const struct attribute_filter *, struct search_result *);
int channi_range(struct index *, const struct range_request *, struct range_result *);
int channi_maintain(struct index *, uint64_t budget, bool *more);
int channi_save(struct index *, const char *dir);
int channi_stats(const struct index *, struct stat_sink *);
int channi_memory(const struct index *, struct memory_use *);
int channi_check(const struct index *, struct stat_sink *);
int channi_inspect(const struct index *, const struct structure_sink *);
int channi_cluster(struct index *, const struct cluster_request *, struct cluster_result *);
void channi_destroy(struct index *); /* NULL is allowed */

/* For tests: sizes of n clusters. Gini: 0 if all have the same size, near 1 if one has all rows.
   Sorts `live`. */
struct channi_sizes {
    double mean, cv, gini; /* cv: standard deviation over mean */
    uint32_t p99, max;     /* p99: 99th percentile */
    size_t n, empty;
};
void channi_sizes_of(uint32_t *live, size_t n, struct channi_sizes *);

#endif
