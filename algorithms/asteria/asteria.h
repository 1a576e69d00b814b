/* asteria.h - the state of an Asteria index: a learned rotation, buckets of rows whose sign bits
 * decode to the same codeword, residual codes with bounds, a graph of a few edges per row, and
 * clusters that are prefixes of addresses.
 *
 *     rotation/     unit rows to z: BOR, PCA, OPQ
 *     code/         error-correcting codes: words of sign bits to addresses
 *     residual/     LRSQ and PCA codes of rows
 *     model/        all of these, fitted to a sample
 *     graph/        CAPRG
 *     tree/         BEC-tree: clusters
 *     rows/         the rows, in memory or in a file
 *     buckets/      rows of one address, and the codes that scans read
 *     search/       k nearest, range
 *     maintenance/  training, re-encoding, compaction, links
 *     .             method.c: options, creation, the table of operations; update.c, store.c, check.c,
 *                   stats.c, clusters.c
 *
 * Each folder calls only those above it in this list.
 *
 * All distances are squared distances of unit vectors, 2 - 2 cos. A slot is the number of a stored
 * row; ids, places, codes, edges and rows are indexed by it. A removed row is a tombstone: its slot is
 * free again once its bucket is compacted and the graph has no edge to it.
 *
 * Invariants (check.c): ids[slot] differs from INDEX_NO_ID exactly if the slot is live, and `slots`
 * maps that id to the slot. A live slot is live at its place and at no other. Each live row's z, p,
 * word and address are those that its generation's model computes for it. A bucket's bounds hold
 * for all its live rows. The live counts of buckets, generations and leaves add up.
 *
 * During a change to a newer model, rows of both generations are searched, each by its own model's
 * codes; each row is in one of them. maintain() moves buckets until the older generation is empty.
 *
 * Threads: changes come one at a time (src/core/index.h), and so does a file that is written of the index;
 * searches run meanwhile. `lock` is held by searches for reading, and by each step of a change for writing,
 * not while rows are encoded, or written to a file.
 */
#ifndef DRIFTLINE_ASTERIA_H
#define DRIFTLINE_ASTERIA_H

#include <pthread.h>

#include "algorithms/asteria/buckets/bucket.h"
#include "algorithms/asteria/graph/caprg.h"
#include "algorithms/asteria/options.h"
#include "algorithms/asteria/rows/rows.h"
#include "algorithms/common/clustering/stop_rule.h"
#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/durable/logged.h"
#include "src/core/device/copy.h"
#include "src/core/index.h"
#include "src/core/slot_table.h"

/* The place of a live or dead row; generation: the index into asteria.generations. */
struct asteria_place {
    uint32_t bucket; /* UINT32_MAX: none has a dead row any more */
    uint32_t position : 31, generation : 1;
};

/* Counted by searches since creation. estimates, exact: of rows; those of centres are apart. */
struct asteria_counts {
    double queries, probes, buckets_skipped, rows_skipped_b1, rows_skipped_b2, skipped_b3, scanned,
        estimates, exact, hops, beam_rows, centre_distances, centre_estimates, bytes_read;
};

struct asteria_audit; /* search/bounds_audit.c */
struct asteria_device;

struct asteria {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct asteria_params params; /* with defaults resolved */
    pthread_rwlock_t lock;
    /* generations[now] receives inserts, NULL: not trained; the other is being emptied, or NULL. */
    struct asteria_generation *generations[2];
    unsigned now;
    /* Versions count fitted models; the version of a model that was discarded is not reused. */
    uint32_t last_version;
    uint64_t fitted_rows, inserted_since; /* live rows at the time of fitting; inserted since */
    /* Arrays by slot, of which n_slots have been used. */
    uint64_t *ids; /* INDEX_NO_ID: dead or free; `slots` compares with these */
    struct asteria_place *places;
    size_t n_slots, ids_capacity, places_capacity;
    uint32_t *free; /* slots that can be reused; space for all */
    size_t n_free, free_capacity;
    struct slot_table slots; /* live ids */
    size_t live;
    /* Rows inserted and removed since opening; a bounds audit is valid for one value. */
    uint64_t changes;
    struct asteria_rows *rows;
    struct asteria_caprg *graph; /* NULL: params.caprg is off */
    struct scratch_pool scratch; /* struct asteria_scratch; its lock also guards counts, audit */
    struct asteria_counts counts;
    /* Of target_recall, by the first such search. Searches take `lock` while they have stop_lock. */
    struct stop_learnt stop;
    pthread_mutex_t stop_lock;
    struct asteria_device *device; /* buckets/device.h; NULL: device = cpu */
    struct cuda_copy on_device;    /* of the LRSQ codes of generations[now] */
    /* NULL: no search has been audited. */
    struct asteria_audit *audit;
};

static inline struct asteria *asteria_of(const struct index *index)
{
    return (struct asteria *)(uintptr_t)index;
}

extern const struct index_ops asteria_ops;

static inline void asteria_emit(struct stat_sink *sink, const char *name, double value)
{
    sink->value(sink->to, name, value);
}

/* The operations (src/core/index.h). */
int asteria_train(struct index *, struct vectors sample);
int asteria_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int asteria_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int asteria_search(struct index *, const struct search_request *, struct search_result *);
int asteria_range(struct index *, const struct range_request *, struct range_result *);
int asteria_maintain(struct index *, uint64_t budget, bool *more);
int asteria_write(struct index *, struct store_writer *);
int asteria_read(struct index *, struct store_reader *);
int asteria_stats(const struct index *, struct stat_sink *);
int asteria_memory(const struct index *, struct memory_use *);
int asteria_check(const struct index *, struct stat_sink *);
/* check.c, for an index that was read from a file: checks ids, places, free slots, buckets, and which
   slots graph and tree have, without reading rows. ERR_INVARIANT, ERR_NO_MEMORY. */
int asteria_check_places(const struct asteria *);
int asteria_inspect(const struct index *, const struct structure_sink *);
int asteria_cluster(struct index *, const struct cluster_request *, struct cluster_result *);

/* buckets/access.c. A dead row left its bucket or the graph: its slot is free once both have none
   of it. As asteria_caprg_forget() calls it. */
void asteria_slot_left(void *asteria, uint32_t slot);
static inline bool asteria_is_live(const struct asteria *a, uint32_t slot)
{
    return slot < a->n_slots && a->ids[slot] != INDEX_NO_ID;
}
static inline bool asteria_is_dead_in_graph(const struct asteria *a, uint32_t slot)
{
    return a->graph && asteria_caprg_standing(a->graph, slot) == CAPRG_DEAD;
}

/* Whether the slot is not free: a file has its row and codes. */
static inline bool asteria_keeps(const struct asteria *a, uint32_t slot)
{
    return a->places[slot].bucket != UINT32_MAX || asteria_is_dead_in_graph(a, slot);
}

/* buckets/access.c. A row as a unit vector of floats; to: dim floats, used if its elements are
   bytes. */
const float *asteria_unit(const struct index_env *, const void *row, float *to);
/* The same, always in `to`. */
void asteria_unit_copy(const struct index_env *, const void *row, float *to);
/* 2 - 2 cos of a query and a stored row, both as given by the user. */
float asteria_distance(const struct index_env *, const void *query, const void *row);
void asteria_distances(const struct index_env *, const void *query, const void *const *rows,
                       size_t n, float *distances);

/* buckets/file.c. Generation g of a file. Reading: slots and the graph must have been read. */
void asteria_generation_write(struct asteria *, unsigned g, struct store_writer *);
int asteria_generation_read(struct asteria *, unsigned g, const struct store_reader *);

/* The rows for caprg.h and bec.h; `to` is the struct asteria. */
struct asteria_caprg_rows asteria_graph_rows(struct asteria *);
struct asteria_bec_options asteria_bec_options(struct asteria *, const struct asteria_model *);

/* maintenance/: the steps of maintain(), and what updates do of them at once. Each step holds the lock
   for writing while it processes one bucket or one row, and stops when the budget is spent, so that
   searches run in between.

   Links all queued rows, within a change. On failure the remaining rows stay queued. */
int asteria_link(struct asteria *);
/* Takes dead nodes out of the graph, if that is due, in proportion to `removed` removals: a change
   of its own. */
void asteria_compact_graph(struct asteria *, size_t removed);

struct asteria_maintenance {
    struct asteria *a;
    uint64_t budget, spent; /* distances, or equal work; budget 0: no limit */
    bool more;              /* work is left */
};

static inline bool asteria_maintenance_goes_on(const struct asteria_maintenance *u)
{
    return u->budget == 0 || u->spent < u->budget;
}
/* The rest of the budget, at least 1; 0: no limit. */
static inline uint64_t asteria_maintenance_left(const struct asteria_maintenance *u)
{
    return u->budget == 0 ? 0 : u->spent < u->budget ? u->budget - u->spent : 1;
}

/* train.c: fits a newer model if more than retrain_share of the rows are new. */
int asteria_maintenance_refit(struct asteria_maintenance *);
/* Moves rows of the older generation to the newer one, then destroys it. Takes the lock itself. */
int asteria_maintenance_reencode(struct asteria_maintenance *);

/* search/ */
extern const struct scratch_kind asteria_scratch_kind; /* of the pool asteria.scratch */
void asteria_search_stats(const struct asteria *, struct stat_sink *); /* and of the audit */

#endif
