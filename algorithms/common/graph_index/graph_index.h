/* graph_index.h - an index that is one graph over all rows (algorithms/common/graph/graph.h), with
 * the ids of its nodes: all of `hnsw`, and `vamana` in memory. A method gives its options, its
 * table, and the struct graph_index_kind.
 *
 *   index.c creation, memory of a thread, sections of a file, check, stats memory inspect
 *   update.c insert remove maintain   search.c search range
 *
 * Invariant: a node is live exactly if the graph has it and ids[node] is not INDEX_NO_ID, and
 * `nodes` maps that id back to it. A node of the graph without an id is deleted and not
 * consolidated yet (`deleted`), or is just being added or removed; a search skips it and searches
 * for more. */
#ifndef DRIFTLINE_COMMON_GRAPH_INDEX_GRAPH_INDEX_H
#define DRIFTLINE_COMMON_GRAPH_INDEX_GRAPH_INDEX_H

#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/durable/logged.h"
#include "algorithms/common/graph/graph.h"
#include "src/core/index.h"
#include "src/core/slot_table.h"

/* What a method says of itself. The functions read its params and knobs. */
struct graph_index_kind {
    struct graph_options (*options)(const void *params);
    size_t (*beam)(const void *knobs); /* candidates kept per query */
    /* Whether remove() only marks rows, which leave the graph together: once they are more than this
       share of the rows, or in maintain(). 0: in maintain() alone. NULL: never lazy. */
    bool (*lazy)(const void *params);
    double (*consolidate_share)(const void *params);
};

/* The memory that one thread needs to search; pooled. */
struct graph_index_scratch {
    struct scratch_item item;
    struct graph_scratch *graph;
    uint32_t *nodes;
    float *distances;
    size_t nodes_capacity, distances_capacity;
};

struct graph_index {
    union {
        struct index base;
        struct logged_index logged;
    };
    const struct graph_index_kind *kind;
    struct epoch *epoch;
    struct graph *graph;
    pthread_mutex_t lock;             /* changes run one at a time */
    struct slot_table nodes;          /* id -> node */
    _Atomic(_Atomic(uint64_t) *) ids; /* by node; replaced arrays are retired */
    size_t ids_capacity; /* for changes; ids beyond the graph's nodes are INDEX_NO_ID */
    uint32_t *deleted;   /* marked nodes, which are still in the graph */
    size_t deleted_capacity;
    atomic_size_t n_deleted, n_marked; /* n_marked: ever */
    size_t linked_once; /* rows added one by one, for which maintain() is to link rows again */
    struct scratch_pool scratch; /* struct graph_index_scratch */
    max_align_t params[];        /* the method's */
};

/* The id of a node that a search has found; inside the epoch, or while no change runs. */
static inline uint64_t graph_index_id_of(const struct graph_index *h, uint32_t node)
{
    _Atomic(uint64_t) *ids =
        atomic_load_explicit(&((struct graph_index *)(uintptr_t)h)->ids, memory_order_acquire);

    return atomic_load_explicit(&ids[node], memory_order_acquire);
}

/* The ids for the slot table, during a change: nothing else writes them. */
static inline const uint64_t *graph_index_ids(const struct graph_index *h)
{
    return (const uint64_t *)(uintptr_t)atomic_load_explicit(
        &((struct graph_index *)(uintptr_t)h)->ids, memory_order_relaxed);
}

static inline bool graph_index_is_lazy(const struct graph_index *h)
{
    return h->kind->lazy && h->kind->lazy(h->params);
}

static inline size_t graph_index_n_deleted(const struct graph_index *h)
{
    return atomic_load_explicit(&((struct graph_index *)(uintptr_t)h)->n_deleted,
                                memory_order_acquire);
}

static inline size_t graph_index_n_marked(const struct graph_index *h)
{
    return atomic_load_explicit(&((struct graph_index *)(uintptr_t)h)->n_marked,
                                memory_order_acquire);
}

/* index.c. Copies ops->params_bytes of params. ERR_NO_MEMORY, ERR_ARGUMENT. */
int graph_index_create(struct index **, const struct index_ops *, const struct graph_index_kind *,
                       const struct index_env *, const void *params);
void graph_index_destroy(struct index *);

/* update.c */
bool graph_index_reserve_ids(struct graph_index *, size_t need); /* for that many nodes; false: out
                                                                    of memory */
bool graph_index_reserve_deleted(struct graph_index *, size_t more); /* false: out of memory */
void graph_index_set_id(struct graph_index *, uint32_t node, uint64_t id);
int graph_index_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int graph_index_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int graph_index_maintain(struct index *, uint64_t budget, bool *more);

/* search.c */
int graph_index_search(struct index *, const struct search_request *, struct search_result *);
int graph_index_range(struct index *, const struct range_request *, struct range_result *);

/* index.c. The sections of a file, for logged.h: "ids" and "graph.*". Read: into an index
   without rows. */
int graph_index_write(struct index *, struct store_writer *);
int graph_index_read(struct index *, struct store_reader *);
bool graph_index_has(const struct index *, uint64_t id);
int graph_index_check(const struct index *, struct stat_sink *);

int graph_index_stats(const struct index *, struct stat_sink *);
int graph_index_memory(const struct index *, struct memory_use *);
int graph_index_inspect(const struct index *, const struct structure_sink *);

/* For the method's struct logged_method, and for its table. */
#define GRAPH_INDEX_CALLS                                                               \
    .params = offsetof(struct graph_index, params), .destroy = graph_index_destroy,     \
    .insert = graph_index_insert, .remove = graph_index_remove, .has = graph_index_has, \
    .write = graph_index_write, .read = graph_index_read
#define GRAPH_INDEX_OPERATIONS                                                   \
    LOGGED_OPERATIONS, .search = graph_index_search, .range = graph_index_range, \
                       .stats = graph_index_stats, .memory = graph_index_memory, \
                       .check = graph_index_check, .inspect = graph_index_inspect

#endif
