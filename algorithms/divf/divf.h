/* divf.h - dynamic inverted file: state, invariants, and the functions shared by its files.
 *
 * Terms. A *vector* is a row that the caller inserted. It has a *slot*, a number reused after
 * deletion, and is stored once, in `vectors` at its slot. It is in up to soft_k *lists*, one per
 * centroid, with a *copy* in each: its slot and, if there is a quantizer, its code, at a *place*
 * (chunks.h). A deleted vector's places stay, *dead*, until their list is compacted.
 *
 * Invariants (checked by check.c):
 *  - ids maps each live id to its slot s, and slots.id[s] is that id. The vector's places are
 *    lists.places[s * lists.soft_k ..], PLACE_NONE after the last.
 *  - Free slots have id INDEX_NO_ID and are linked through their places[s * lists.soft_k].
 *  - params.soft_k is the number of copies that the next insertion makes; lists.soft_k, at least
 *    that, is the most that a vector has. They differ after set_params() has lowered soft_k.
 *  - A live place has a slot whose places include it. A vector's places are in distinct lists.
 *  - A list's places are the first `rows` of its chunks; `live` of them are live. A chunk has one
 *    owner or is free.
 *  - The code at a live place is that of its vector in its list, with an error of at most the
 *    list's.
 *  - There is always a list, also in an index without a codebook (provisional, see train.c).
 *
 * Concurrency. Searches run beside each other and beside one change; method.c makes changes take
 * turns. A search finds all live rows that its lists have, because:
 *  - It reads the centroids and the table of lists from a *view*, which does not change. A change
 *    of them is made in a second set of arrays and published as the next view (views.c).
 *  - It holds a list's latch while it scans the list. A change of a list's copies or codes holds
 *    the latch too, for one list at a time. A search waits for no more than that.
 *  - A deletion takes no latch: it clears the copies' live bits.
 *  - A vector that moves is first added to its new list. Its old copy dies when all searches that
 *    began before have ended (divf_grace()). So a search may meet a vector twice, never not at all.
 *  - A slot is reused when all searches that began before its deletion have ended.
 *  - Codes that depend on a centroid are used only by searches whose view has that centroid; others
 *    read the vectors of such a list (divf_list.version).
 *
 *   1 parameters   2 state   3 lists   4 slots   5 functions for maintenance   6 operations */
#ifndef DRIFTLINE_DIVF_H
#define DRIFTLINE_DIVF_H

#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/clustering/stop_rule.h"
#include "algorithms/common/concurrency/epoch.h"
#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/durable/logged.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "algorithms/divf/storage/chunks.h"
#include "algorithms/divf/storage/rows.h"
#include "algorithms/divf/storage/segments.h"
#include "src/core/device/copy.h"
#include "src/core/index.h"
#include "src/core/slot_table.h"

/* 1. Parameters */

enum divf_storage { DIVF_RAM, DIVF_MMAP };
enum divf_maintenance {
    DIVF_NONE,
    DIVF_COPENHAGEN,
    DIVF_LIRE,
    DIVF_DEDRIFT,
    DIVF_COST_MODEL,
    DIVF_ADA_IVF
};
enum divf_quantizer { DIVF_SKETCH, DIVF_PQ, DIVF_SQ8, DIVF_RABITQ };

struct divf_params {
    int64_t clusters, soft_k;
    double split_threshold;
    int64_t max_split_iters;
    double list_limit, merge_threshold;
    int64_t reassign_lists, refine_passes, maintenance_budget;
    double cycle_every;
    int64_t dedrift_lists;
    double cost_tau, cost_probe, ada_threshold, ada_size;
    double compact_at;
    int64_t maintenance, storage, device;
    int64_t train_iters, train_sample;
    int64_t quantizer, sketch, bits, pq_bits, pq_groups;
    double eps0;
    int64_t wal, checkpoint_mb;
};

struct divf_knobs {
    int64_t nprobe, rerank, scan_budget;
    double target_recall;
};

#define DIVF_SOFT_K_MAX 8
#define SLOT_NONE       UINT32_MAX

/* 2. State */

/* Has a stable address. Searches read chunks, n_chunks, error, version and encoded under the latch,
   and the atomic fields without it. */
struct divf_list {
    atomic_uint latch;
    atomic_uint first_chunk; /* chunks[0], to be prefetched; CHUNK_NONE: there is none */
    _Atomic(uint32_t *) chunks;
    uint32_t n_chunks, chunks_capacity;
    atomic_uint rows, live;
    float error;      /* the largest error of its codes since they were last made again */
    float excess;     /* at least |x|^2 - M^2 of each of its rows (storage/rows.h); -INFINITY: it
                         has been empty since it was last compacted */
    uint32_t version; /* counts the changes of its centroid */
    bool encoded;     /* its codes are those of its centroid, if they depend on it */
    bool uniform; /* all its vectors are equal, so it cannot be split; cleared when a different one
                     is added */
    atomic_bool probed;       /* a search has read it since it was compacted */
    atomic_uint probes;       /* recent queries that read it; counted only for policies that ask */
    int64_t last_split_round; /* -1: made by training; else the number of the insert batch, counted
                                 from 1, that split it */
    struct divf_list *next_removed;
};

/* What a search reads of a codebook. It does not change while it is published. */
struct divf_view {
    size_t n;
    struct divf_list **list;
    float *centroids, *norm_sq;
    uint32_t *version; /* of each list */
    unsigned char *centroid_codes;
    size_t capacity; /* of these arrays, in lists */
    float norm_sq_max, centroid_error;
    float lift; /* of the space of the vectors */
    uint64_t codebook;
    size_t soft_k;
    const struct quantizer *quantizer, *sketch;
    const struct chunks *chunks;
};

/* A codebook, its quantizers, and the copies in its lists. Retraining builds a second one
   and swaps. */
struct divf_lists {
    const struct index_env *env; /* of vectors: divf.env */
    struct divf_space space;
    const struct segments *vectors;
    struct quantizer *quantizer; /* of vectors; NULL: every vector of a list gets its
                                    exact distance */
    struct quantizer *sketch;    /* of centroids, may be the same; NULL: none */
    struct chunks *chunks;
    struct divf_list **list;
    size_t n, capacity;
    float *centroids, *norm_sq; /* capacity x dim, capacity */
    uint32_t *version;          /* divf_list.version of each list */
    float norm_sq_max;
    float *work_centroids;         /* transformed, if quantizer->per_list: capacity x work_dim */
    unsigned char *centroid_codes; /* of `sketch`: blocks of 64 centroids */
    float centroid_error;
    float *work;             /* for maintenance: CHUNK_VECTORS vectors, and as many transformed */
    uint64_t codebook;       /* changes whenever a centroid changes */
    struct cuda_copy copied; /* the chunks' codes, for a device */
    uint64_t rows, live;     /* over all lists */
    uint32_t longest;        /* at least the live rows of any list that is not uniform */
    size_t soft_k;           /* places per slot, the largest number of copies */
    uint32_t *places;        /* soft_k per slot, for slots.capacity slots */
    /* Two sets of the arrays that a view has: views.c. */
    struct divf_view *view[2];
    unsigned working;          /* the set that the fields above are */
    bool shared;               /* it is the published one, so it must not change */
    bool changed;              /* it differs from the published one, */
    uint8_t *dirty;            /* or did when it was published: in these lists */
    uint64_t mark;             /* of the epoch, when the published view replaced the other one */
    struct divf_list *removed; /* lists that the published view still has */
};

struct divf_slots {
    struct slot_table ids;
    _Atomic(uint64_t *) id; /* searches read it: divf_id() */
    size_t n, capacity, n_free;
    uint32_t first_free; /* SLOT_NONE: none */
    /* Deleted, and perhaps still read by searches: lists of slots like the free ones. The waiting
       ones become free when all searches that began before `mark` have ended. */
    struct divf_slot_chain {
        uint32_t first, last;
        size_t n;
    } waiting, deleted;
    uint64_t mark;
};

/* Counters of maintenance, see maintenance/members.h. */
struct divf_maintenance_counters {
    uint64_t steps, distances;           /* steps taken; distances they computed */
    uint64_t merges;                     /* lists dissolved */
    uint64_t scanned, candidates, moved; /* copies: compared, meeting a condition, moved */
    uint64_t refreshed;                  /* centroids set to a mean of their vectors */
    uint64_t rolled_back;                /* changes that were computed and found not to pay */
    uint64_t random;                     /* streams of random numbers used */
    uint64_t changes;  /* vectors inserted and removed since find_due() last ran */
    uint64_t cycle_at; /* vectors inserted and removed when a policy's last cycle began */
    int64_t credit;    /* distances that maintenance may compute; negative: overdrawn */
};

struct divf_counters {
    uint64_t insert_batches, inserted, removed;
    uint64_t compactions, forced_compactions; /* lists compacted; times that all were, because
                                                 of compact_at */
    uint64_t splits, refused_splits, trainings;
    struct divf_maintenance_counters maintenance;
};

/* Sums over the queries searched with target_recall since the index was created or loaded. */
struct divf_stops {
    double queries, lists, recall; /* lists scanned; estimated recall */
};

struct divf {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct index_env env;    /* of the vectors that stand for rows: floats, L2 */
    struct divf_space space; /* how they do; its lift is the codebook's */
    struct divf_params params;
    pthread_mutex_t changing; /* one change at a time; a search takes it only to learn when to
                                 stop */
    struct epoch *epoch;      /* searches are inside */
    _Atomic(struct divf_view *) view; /* for searches */
    atomic_uint_fast64_t changes;     /* begun and ended: odd during a change */
    struct segments vectors;          /* rows in env's element, by slot */
    struct divf_lists lists;
    struct divf_slots slots;
    bool provisional;    /* the codebook was trained on too few vectors; see train.c */
    uint64_t retrain_at; /* provisional: trains again at this many vectors; else the number of
                              vectors that had been removed at the last training */
    struct divf_counters counters;
    uint64_t codebooks;                  /* made since the index was created or loaded */
    struct divf_maintainer *maintenance; /* maintenance/members.h; NULL: not yet needed */
    atomic_uint_fast64_t queries;        /* recent ones, the denominator of `probes` */
    atomic_bool probed_dirty;            /* some probed list has dead rows */
    struct stop_learnt stop;     /* by the first search with target_recall; under stop_lock */
    pthread_mutex_t stop_lock;   /* a search takes `changing` inside, if it is free */
    struct divf_stops stops;     /* under the lock of `scratch` */
    struct scratch_pool scratch; /* struct divf_scratch */
    struct divf_device *device;  /* device.h; NULL: device = cpu */
};

static inline struct divf *divf_of(struct index *index)
{
    return (struct divf *)index;
}

static inline const struct divf *divf_of_const(const struct index *index)
{
    return (const struct divf *)index;
}

static inline uint32_t *divf_slot_places(const struct divf_lists *lists, size_t slot)
{
    return lists->places + slot * lists->soft_k;
}

/* The id of a slot, for searches. INDEX_NO_ID: it was deleted. */
static inline uint64_t divf_id(const struct divf *d, uint32_t slot)
{
    uint64_t *id =
        atomic_load_explicit(&((struct divf *)(uintptr_t)d)->slots.id, memory_order_acquire);
    return atomic_load_explicit((_Atomic(uint64_t) *)(id + slot), memory_order_relaxed);
}

/* A row in env's element, at a stable address while the slot belongs to the vector. */
static inline void *divf_row(const struct divf_lists *lists, uint32_t slot)
{
    return divf_segments_at(lists->vectors, slot);
}

/* The place at a list's `position`, position < rows. */
static inline uint32_t divf_place(const struct divf_list *l, size_t position)
{
    return l->chunks[position >> CHUNK_SHIFT] << CHUNK_SHIFT |
           (uint32_t)(position & (CHUNK_VECTORS - 1));
}

/* The centroid as transformed by the quantizer of vectors; NULL if that does not need it. */
static inline const float *divf_work_centroid(const struct divf_lists *lists, size_t list)
{
    return lists->work_centroids ? lists->work_centroids + list * lists->quantizer->work_dim : NULL;
}

/* Whether maintenance wants to know which lists queries read. */
static inline bool divf_counts_reads(const struct divf *d)
{
    return d->params.maintenance == DIVF_COST_MODEL || d->params.maintenance == DIVF_ADA_IVF;
}

static inline unsigned divf_list_reads(const struct divf_list *l)
{
    return atomic_load_explicit(&((struct divf_list *)(uintptr_t)l)->probes, memory_order_relaxed);
}

static inline bool divf_codes_per_list(const struct divf *d)
{
    return d->lists.quantizer && d->lists.quantizer->per_list;
}

/* 3. Lists (lists.c). Functions that return nothing cannot fail. */

/* Opens without any list and unpublished. Takes ownership of both quantizers, also on failure.
   ERR_NO_MEMORY. */
int divf_lists_open(struct divf_lists *, const struct divf *, struct quantizer *quantizer,
                    struct quantizer *sketch);
void divf_lists_close(struct divf_lists *);
/* Reserves space for n more copies. ERR_NO_MEMORY. */
int divf_list_reserve(struct divf_lists *, size_t list, size_t n);
/* Adds a copy of the slot's vector with its code (`transformed` NULL: without, which only an index
   that nobody searches may have); space must be reserved. Returns its place, which the caller
   records for the slot. */
uint32_t divf_list_append(struct divf_lists *, size_t list, uint32_t slot,
                          const float *transformed);
/* The same for several threads, each with its own list: the caller holds the latch, and then counts
   the n copies that the list has got. */
uint32_t divf_copy_put(struct divf_lists *, size_t list, uint32_t slot, const float *transformed);
void divf_list_grown(struct divf_lists *, size_t list, size_t n);
/* Fills dead places with the last live copies. Returns the number of copies moved. */
size_t divf_list_compact(struct divf *, size_t list);
void divf_compact_probed(struct divf *);

/* views.c. Lists are added and removed, and centroids change, in a set of arrays that no search
   reads: after divf_lists_detach(), until divf_lists_publish(). ERR_NO_MEMORY, nothing changed. */
int divf_lists_detach(struct divf *);
/* Makes such changes visible to searches, if there are any. */
void divf_lists_publish(struct divf *);
/* Publishes, and waits until all searches that began before have ended. */
void divf_grace(struct divf *);
/* Appends an empty list with this centroid. ERR_NO_MEMORY, nothing changed. */
int divf_list_add(struct divf_lists *, const float *centroid, int64_t split_round);
/* Changes a list's centroid. Codes that depend on it are not used until divf_list_encode(). */
void divf_centroid_move(struct divf_lists *, size_t list, const float *centroid);
/* Removes a list that has no live copy, and frees its chunks; the last list takes its number. */
void divf_list_remove(struct divf_lists *, size_t list);
struct centroids divf_centroids(const struct divf_lists *);
struct centroids divf_view_centroids(const struct divf *, const struct divf_view *);

/* 4. Slots (slots.c): numbers of vectors. */

/* Reserves slots and vector storage for these n new ids, so that divf_slot_take() succeeds for
   each. ERR_NO_MEMORY, ERR_IO, ERR_ARGUMENT. */
int divf_slots_reserve(struct divf *, const uint64_t *ids, size_t n);
uint32_t divf_slot_take(struct divf *, uint64_t id);
void divf_slot_give(struct divf *, uint32_t slot);
/* Makes places for more copies of a vector: soft_k > lists.soft_k per slot. ERR_NO_MEMORY. */
int divf_slots_widen(struct divf *, size_t soft_k);

/* 5. Functions for maintenance (lists.c). They use lists->work, and cannot fail unless noted. */

/* Writes the slots of a list's live vectors in the order of their places to `slots`, which has
   space for list->live; returns their number. */
size_t divf_list_slots(const struct divf_lists *, size_t list, uint32_t *slots);
/* The same for their places. */
size_t divf_list_places(const struct divf_lists *, size_t list, uint32_t *places);
/* Whether the vector has a copy in the list. */
bool divf_slot_in_list(const struct divf_lists *, uint32_t slot, size_t list);
/* Moves the copies of n vectors to another list. Their codes move too, or are made again if
   per_list. Each vector must have a copy in `from` and none in `to`, where space for n must be
   reserved. Writes the places in `from` to was[n]: they belong to no vector any more, and are to
   be buried after divf_grace(). */
void divf_list_move(struct divf_lists *, size_t from, size_t to, const uint32_t *slots, size_t n,
                    uint32_t *was);
/* n places of a list become dead. */
void divf_list_bury(struct divf_lists *, size_t list, const uint32_t *places, size_t n);
/* Drops copies of vectors that have another copy. Their places become dead. */
void divf_list_drop(struct divf_lists *, size_t list, const uint32_t *slots, size_t n);
/* Makes all codes of a list again. */
void divf_list_encode(struct divf_lists *, size_t list);
/* divf_centroid_move(), and makes the codes again that depend on it. No vector moves. */
void divf_centroid_set(struct divf_lists *, size_t list, const float *centroid);
/* The number of lists that training on n vectors would make. */
size_t divf_clusters_wanted(const struct divf *, size_t n);

/* 6. The operations, one file each. Except for search and range, they hold `changing`. */

/* stop.c. Returns a rule that fits the index as it is now. Thread-safe. ERR_NO_MEMORY. */
int divf_stop_rule(struct divf *, struct stop_rule *);

int divf_train(struct index *, struct vectors sample);
int divf_train_if_due(struct divf *, struct vectors rows);
/* Trains again on all rows if the codebook no longer fits them (train.c). ERR_NO_MEMORY. */
int divf_train_again_if_due(struct divf *, bool maintaining, bool *trained);
/* filing.c. Stores n rows, for which divf_slots_reserve() was called; *done of them on failure.
   ERR_NO_MEMORY, ERR_ARGUMENT; of a device: as divf_device_assign(). */
int divf_file_rows(struct divf *, const void *rows, const uint64_t *ids, size_t n, size_t *done);
/* Files all stored vectors in the lists of a training, which have no places yet. ERR_NO_MEMORY. */
int divf_file_stored(struct divf *, struct divf_lists *);
int divf_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int divf_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int divf_search(struct index *, const struct search_request *, struct search_result *);
int divf_range(struct index *, const struct range_request *, struct range_result *);
int divf_set_params(struct index *, const void *params);
int divf_write(struct index *, struct store_writer *);
int divf_read(struct index *, struct store_reader *);
int divf_stats(const struct index *, struct stat_sink *);
int divf_memory(const struct index *, struct memory_use *);
int divf_check(const struct index *, struct stat_sink *);
int divf_cluster(struct index *, const struct cluster_request *, struct cluster_result *);

int divf_create(struct index **, const struct index_ops *, const struct index_env *,
                const void *params);
void divf_destroy(struct index *);
extern const struct scratch_kind divf_scratch_kind; /* of the pool divf->scratch */

extern const struct index_ops divf_ops;

#endif
