/* scratch.h - the memory that one thread needs to search or insert: taken from the index's pool,
 * given back after. */
#ifndef DRIFTLINE_DIVF_SEARCH_SCRATCH_H
#define DRIFTLINE_DIVF_SEARCH_SCRATCH_H

#include "algorithms/common/rows/range_hits.h"
#include "algorithms/divf/divf.h"
#include "src/core/topk.h"

/* Vectors prefetched before the first of them is used; a power of two. */
enum { PENDING = 16 };
/* Slots whose distance was computed, indexed by their low bits; a power of two. */
enum { SEEN = 64 };

/* A query during its scans. */
struct divf_query {
    const void *row;     /* as rows are stored */
    double norm_sq;      /* of a lifted row: |q|^2 */
    double beyond;       /* of a lifted row: |q|^2 + M^2 and the list's excess, rounded up */
    void *prepared;      /* by the quantizer */
    struct topk nearest; /* exact distances */
    struct topk best;    /* rerank > 0: the slots with the best estimates */
    uint32_t pending[PENDING];
    uint32_t n_pending, first_pending;
    uint32_t opened;     /* lists read so far that have live rows */
    uint32_t seen[SEEN]; /* soft_k > 1 */
};

struct divf_scratch {
    struct scratch_item item;
    /* Of the thread that has the scratch, in cache lines that no other one writes to: side by side
       the threads' counters made two threads hardly faster than one. */
    struct work counted;
    struct divf_stops stops;
    /* One query's lists: space for lists_capacity. */
    float *list_distances, *probe_distances;
    uint64_t *probes;
    uint32_t *positions;
    uint8_t *probed; /* all 0 between uses */
    size_t lists_capacity;
    struct range_hits hits; /* answers of a range search */
    int failure;            /* error while storing hits */
    /* Transformed rows and prepared queries. */
    float *work;
    size_t work_floats;
    float *floats; /* rows of bytes as floats */
    size_t floats_capacity;
    struct divf_query *queries; /* n_queries */
    unsigned char *prepared;    /* one per query; then one for `sketch` */
    size_t n_queries, prepared_bytes;
    float *best_distances; /* rerank per query */
    uint64_t *best_slots;
    size_t best_capacity;
    /* A group of queries (batch.c). */
    uint32_t *group_probes, *group_queries; /* nprobe per query, group_capacity in all */
    float *group_distances;                 /* from the query to the probes' centroids */
    uint32_t *group_start;                  /* one per list */
    uint32_t *group_counts;                 /* probes of each query */
    size_t group_capacity, group_lists, group_size;
    struct nearest *nearest;
};

/* Reserves n transformed rows. The fit functions return false if out of memory. */
bool divf_scratch_fit_work(struct divf *, const struct divf_view *, struct divf_scratch *,
                           size_t n);
/* Reserves s->floats for n rows. */
bool divf_scratch_fit_floats(struct divf *, struct divf_scratch *, size_t n);
/* The view's lists, n prepared queries with their floats, and `rerank` best slots for each. */
bool divf_scratch_fit_queries(struct divf *, const struct divf_view *, struct divf_scratch *,
                              size_t n, size_t rerank);
/* A group of n queries that probe up to nprobe lists each. */
bool divf_scratch_fit_group(struct divf *, const struct divf_view *, struct divf_scratch *,
                            size_t n, size_t nprobe);
/* nearest_rows() of up to NEAREST_MOST lists per row. */
enum { NEAREST_MOST = DIVF_SOFT_K_MAX };
bool divf_scratch_fit_nearest(struct divf *, struct divf_scratch *);

#endif
