/* operations.h - the functions in method.c's table of operations. src/core/index.h
   documents each. */
#ifndef DRIFTLINE_CHANNI_OPERATIONS_H
#define DRIFTLINE_CHANNI_OPERATIONS_H

#include "algorithms/channi/versions/view.h"

int channi_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int channi_insert_with(struct index *, struct vectors, const uint64_t *ids,
                       const int64_t *attributes, size_t *done);
int channi_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int channi_begin(struct index *);
int channi_commit(struct index *, uint64_t *version);
int channi_rollback(struct index *);
int channi_search(struct index *, const struct search_request *, struct search_result *);
int channi_search_as_of(struct index *, uint64_t version, const struct search_request *,
                        struct search_result *);
int channi_search_where(struct index *, const struct search_request *,
                        const struct attribute_filter *, struct search_result *);
int channi_range(struct index *, const struct range_request *, struct range_result *);
int channi_set_params(struct index *, const void *params);
int channi_maintain(struct index *, uint64_t budget, bool *more);
int channi_save(struct index *, const char *dir);
int channi_stats(const struct index *, struct stat_sink *);
int channi_memory(const struct index *, struct memory_use *);
int channi_check(const struct index *, struct stat_sink *);
int channi_inspect(const struct index *, const struct structure_sink *);
int channi_cluster(struct index *, const struct cluster_request *, struct cluster_result *);
void channi_destroy(struct index *); /* NULL is allowed */

#endif
