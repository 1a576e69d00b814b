/* oracle_internal.h - the computation of a list's ground truth. oracle.c goes through the
 * operations, oracle_query_set.c updates queries that are searched again and makes the keys of query
 * sets and of cache files, oracle_merge.c merges parts. */
#ifndef DRIFTLINE_TRUTH_ORACLE_INTERNAL_H
#define DRIFTLINE_TRUTH_ORACLE_INTERNAL_H

#include <math.h>

#include "src/core/mem.h"
#include "src/truth/cache.h"
#include "src/truth/oracle.h"
#include "src/truth/scan.h"

/* The same queries with the same k or radius and filter. If they are searched again, the
   computation starts from the neighbours stored here. */
struct query_set {
    XXH128_hash_t key;
    size_t left;              /* how many operations that search it are still to come */
    size_t at;                /* one plus the number of the last operation that searched it */
    struct neighbours *known; /* NULL: not begun, or freed */
    size_t n_queries;
};

struct oracle_run {
    struct oracle *oracle;
    const struct op_list *list;
    const struct oracle_env *env;
    struct live_state now;
    const struct live_state *asked; /* `now`, or the snapshot that the operation searches */
    struct exact_scan scan;
    struct mem_group memory; /* of the following arrays */
    struct query_set *query_sets;
    size_t n_query_sets;
    size_t *query_set_of; /* by operation; SIZE_MAX: none */
    uint64_t *ids;   /* n_ids live ids of the part that pass the filter; capacity list->n_ids */
    uint64_t *fresh; /* those inserted since the query set was last searched */
    size_t n_ids;
    bool shrinks;       /* the list deletes or updates */
    size_t range_bytes; /* bytes that the truths of ranges may still use */
    size_t n_asked;     /* operations that have a truth */
    struct error *err;
};

/* Where the neighbours of the operation's queries end, and how many each has at most. */
static inline struct neighbour oracle_horizon_of(const struct op *op)
{
    return op->kind == OP_RANGE ? (struct neighbour){ op->radius, UINT64_MAX } : HORIZON_NONE;
}
static inline size_t oracle_most_of(const struct op *op)
{
    return op->kind == OP_RANGE ? SIZE_MAX : op->k;
}

/* Hash of queries, k or radius, and filter. Both functions return 0 if out of memory. */
XXH128_hash_t oracle_query_set_key(const struct op_list *, const struct op *);
/* Hash of queries, k or radius, and the rows of the n ids that are searched. */
XXH128_hash_t oracle_truth_key(const struct oracle_run *w, const struct op *, const uint64_t *ids,
                               size_t n);

/* Allocates q->known, without neighbours. */
int oracle_query_set_begin(struct oracle_run *, struct query_set *, const struct op *);
void oracle_query_set_free(struct query_set *);
/* Updates the neighbours to the live set searched now. Scans only new rows, except for queries that
   have lost too many neighbours. which: scratch space for n_queries. */
int oracle_query_set_update(struct oracle_run *, struct query_set *, const struct op *,
                            uint32_t *which);

/* Keeps the ids of the part; returns how many. In and out may be the same. */
size_t oracle_part_of(size_t part, size_t parts, const uint64_t *ids, size_t n, uint64_t *out);
/* Replaces the query set's neighbours by those of the parts of operation `at`, merged. ERR_CORRUPT:
   a part is of another shape, or of other queries or rows. */
int oracle_merge(struct oracle_run *, struct query_set *, size_t at);

#endif
