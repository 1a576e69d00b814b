/* scratch.h - a thread's memory for searching and routing. It is pooled when idle, so that a search
 * allocates only when its needs grow. */
#ifndef DRIFTLINE_CHANNI_SEARCH_SCRATCH_H
#define DRIFTLINE_CHANNI_SEARCH_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/graph/graph.h"
#include "algorithms/common/rows/key_set.h"
#include "algorithms/common/rows/range_hits.h"
#include "src/core/mem.h"

struct channi;
struct channi_delta;

/* Search state (search.h) */

enum { SCAN_BLOCK = 256 };

/* A row that its code's bounds do not exclude. */
struct channi_candidate {
    float lower, estimate;
    uint32_t source, row;
};

/* What is read of a candidate's row before its file is unpinned, with cold rows. */
struct channi_cold_row {
    uint64_t id;
    uint32_t sum;
};

/* The rows of candidates: in a delta; in memory, pinned, with their ids; or in the file (`rows`
   NULL). */
struct channi_row_source {
    const struct channi_delta *delta; /* NULL: of a file */
    const struct channi_base *base;
    const unsigned char *rows;
    const uint64_t *ids;
};

/* Arrays that grow. cids, routes: clusters to be searched. bases: files requested since the last
   unpin; of: the cluster of each; images: their images as they arrive, in groups. cold: with
   cold rows, of each candidate that is in a file. order: of candidates. rows: cold ones, read
   singly. prepared, rotated, floats: the query, for codes. nodes, to_nodes: of a graph of routes
   or of a cluster, and their distances. */
#define CHANNI_WORK_ARRAYS(X)              \
    X(uint32_t, cids)                      \
    X(float, routes)                       \
    X(struct channi_base *, bases)         \
    X(uint32_t, of)                        \
    X(const struct channi_image *, images) \
    X(struct channi_candidate, candidates) \
    X(struct channi_cold_row, cold)        \
    X(uint64_t, order)                     \
    X(struct channi_row_source, sources)   \
    X(float, upper_distances)              \
    X(uint64_t, upper_ids)                 \
    X(float, own_distances)                \
    X(uint64_t, own_ids)                   \
    X(unsigned char, rows)                 \
    X(unsigned char, prepared)             \
    X(float, rotated)                      \
    X(float, floats)                       \
    X(uint32_t, nodes)                     \
    X(float, to_nodes)

/* Starts as zeros; `mem` is set by who uses it first. */
struct channi_search_work {
    struct mem *mem;
#define FIELD(type, name) \
    type *name;           \
    size_t name##_capacity;
    CHANNI_WORK_ARRAYS(FIELD)
#undef FIELD
    size_t n_bases, n_candidates, n_sources;
    struct key_set seen; /* cids of the clusters listed so far */
    struct range_hits hits;
    float distances[SCAN_BLOCK];
    uint32_t integers[SCAN_BLOCK], at[SCAN_BLOCK];
};
/* Makes an array of it hold n elements. false: out of memory. */
#define CHANNI_WORK_FIT(w, array, n) \
    mem_grow((w)->mem, &(w)->array, &(w)->array##_capacity, n, sizeof *(w)->array)

/* Used by one thread. */
struct channi_scratch {
    struct scratch_item item;
    struct graph_scratch *graph;
    struct channi_fetch *fetch;
    struct channi_search_work work;
    struct key_set met; /* cids, for route.c */
};

extern const struct scratch_kind channi_scratch_kind; /* of the pool channi->scratch */
void channi_search_work_free(struct mem *, struct channi_search_work *); /* what is in it */

#endif
