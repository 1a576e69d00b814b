/* hnsw.h - the state of `hnsw`: a graph (algorithms/common/graph.h), and which id its nodes have.
 *
 *   hnsw.c options, creation, reports, table   update.c insert remove   search.c search range
 *   store.c save load check
 *
 * Invariant: a node is live exactly where ids[node] is not ID_NONE, and `nodes` leads from that id
 * back to it. Beside changes a search may meet a live node whose id is not written yet: it passes it
 * over, and asks for more.
 */
#ifndef DRIFTLINE_HNSW_H
#define DRIFTLINE_HNSW_H

#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/graph.h"
#include "src/core/index.h"
#include "src/core/slot_table.h"

struct hnsw_params {
    int64_t M, ef_construction, seed;
};

struct hnsw_knobs {
    int64_t ef_search;
};

/* What one thread needs to search; kept for the next one that does. */
struct hnsw_scratch {
    struct hnsw_scratch *next;
    struct graph_scratch *graph;
    uint32_t *nodes;
    float *distances;
    size_t nodes_capacity, distances_capacity;
};

struct hnsw {
    struct index base;
    struct hnsw_params params; /* seed: the one in use */
    struct epoch *epoch;
    struct graph *graph;
    pthread_mutex_t lock;             /* changes come one at a time */
    struct slot_table nodes;          /* id -> node */
    _Atomic(_Atomic(uint64_t) *) ids; /* of a node; outgrown arrays are retired */
    size_t ids_capacity;              /* the changer's; those beyond the graph's are ID_NONE */
    pthread_mutex_t scratch_lock;     /* of what follows */
    struct hnsw_scratch *scratch;     /* those not in use */
};

extern const struct index_ops hnsw_ops;

/* Inside the epoch, or while no change runs; of a node that a search has found. */
static inline uint64_t hnsw_id_of(const struct hnsw *h, uint32_t node)
{
    _Atomic(uint64_t) *ids =
        atomic_load_explicit(&((struct hnsw *)(uintptr_t)h)->ids, memory_order_acquire);

    return atomic_load_explicit(&ids[node], memory_order_acquire);
}

/* The changer's view, as the slot table takes it: no one else writes to it. */
static inline const uint64_t *hnsw_ids(const struct hnsw *h)
{
    return (const uint64_t *)(uintptr_t)atomic_load_explicit(&((struct hnsw *)(uintptr_t)h)->ids,
                                                             memory_order_relaxed);
}

/* hnsw.c. `seed`, where not 0, takes the place of the experiment's. */
int hnsw_create(struct index **, const struct index_env *, const void *params);
void hnsw_destroy(struct index *);
struct graph_options hnsw_graph_options(const struct hnsw *);

/* update.c */
bool hnsw_reserve_ids(struct hnsw *, size_t need); /* room for that many nodes; false: no memory */
void hnsw_set_id(struct hnsw *, uint32_t node, uint64_t id);
int hnsw_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int hnsw_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);

/* search.c */
int hnsw_search(struct index *, const struct search_request *, struct search_result *);
int hnsw_range(struct index *, const struct range_request *, struct range_result *);
void hnsw_scratch_free(struct hnsw *); /* all of them */
uint64_t hnsw_scratch_bytes(struct hnsw *);

/* store.c */
int hnsw_save(struct index *, const char *dir);
int hnsw_load(struct index **, const struct index_env *, const char *dir);
int hnsw_check(const struct index *, struct stat_sink *);

#endif
