/* scratch.h - what one thread needs to search or to file: taken from the index's idle ones, given
 * back after. */
#ifndef DRIFTLINE_DIVF_SCRATCH_H
#define DRIFTLINE_DIVF_SCRATCH_H

#include "algorithms/divf/divf.h"
#include "src/core/topk.h"

struct divf_hit { /* an answer of a range search */
    uint64_t id;
    float distance;
};

/* Rows fetched from memory before the first of them is used; a power of two. */
enum { PENDING = 16 };
/* Slots whose distance is known, by their low bits; a power of two. */
enum { SEEN = 64 };

/* A query on its way through its lists. */
struct divf_query {
    const float *vector;
    void *prepared;      /* the quantizer's */
    struct topk nearest; /* exact */
    float cap;           /* k vectors are known to be within this distance */
    struct topk best;    /* rerank > 0: the slots with the best estimates */
    uint32_t pending[PENDING];
    uint32_t n_pending, first_pending;
    uint32_t seen[SEEN]; /* soft_k > 1 */
};

struct divf_scratch {
    struct divf_scratch *next;
    /* One query's lists: room for lists_capacity. */
    float *list_distances, *probe_distances;
    uint64_t *probes;
    uint32_t *positions;
    uint8_t *probed; /* a range search's lists are 1 */
    size_t lists_capacity;
    struct divf_hit *hits; /* answers of a range search */
    size_t n_hits, hits_capacity;
    int failure; /* keeping them */
    /* Transformed rows, as many as asked for, and prepared queries. */
    float *work;
    size_t work_bytes;
    struct divf_query *queries; /* n_queries */
    unsigned char *prepared;    /* one a query; then one for `sketch` */
    size_t n_queries, prepared_bytes;
    float *best_distances; /* rerank a query */
    uint64_t *best_slots;
    size_t best_capacity;
    /* A group of queries (many.c). */
    uint32_t *group_probes, *group_queries; /* nprobe a query, group_capacity in all */
    float *group_distances;                 /* of the probes' centroids */
    uint32_t *group_start;                  /* one a list */
    uint32_t *group_counts;                 /* probes of a query, one a query */
    size_t group_capacity, group_lists, group_size;
    struct nearest *nearest;
};

/* Large enough for the lists there are now. NULL: out of memory. Thread-safe. */
struct divf_scratch *divf_scratch_take(struct divf *);
void divf_scratch_give(struct divf *, struct divf_scratch *);
uint64_t divf_scratch_bytes(const struct divf *); /* of the idle ones */

/* Room for n transformed rows. These return false: out of memory. */
bool divf_scratch_fit_work(struct divf *, struct divf_scratch *, size_t n);
/* For n prepared queries, and `rerank` best slots each. */
bool divf_scratch_fit_queries(struct divf *, struct divf_scratch *, size_t n, size_t rerank);
/* For a group of n queries that probe up to nprobe lists each. */
bool divf_scratch_fit_group(struct divf *, struct divf_scratch *, size_t n, size_t nprobe);
/* For nearest_rows() of up to NEAREST_MOST lists a row. */
enum { NEAREST_MOST = DIVF_SOFT_K_MAX };
bool divf_scratch_fit_nearest(struct divf *, struct divf_scratch *);

#endif
