/* divf.h - dynamic inverted file: state, invariants, and what its files offer one another.
 *
 * Words. A *vector* is what the caller inserted; it has a *slot*, a number reused after deletion, and
 * lies once in `vectors`, at its slot. It is filed in up to soft_k *lists*, one a centroid, as a
 * *copy* each: a code of the quantizer, if there is one, and its slot, at a *place* (chunks.h). A
 * deleted vector's places stay, *dead*, until their list is compacted.
 *
 * Invariants (check.c walks them):
 *  - ids maps each live id to its slot s, and slots.id[s] is that id. The vector's places are
 *    lists.places[s * soft_k ..], PLACE_NONE after the last.
 *  - slots of no vector have id ID_NONE and are chained through their places[s * soft_k].
 *  - A live place names a slot that names it. A vector's places are in distinct lists.
 *  - A list's places are the first `rows` of its chunks; `live` of them are live. A chunk has one
 *    owner or is free.
 *  - The code at a live place is that of its vector in its list, with an error of at most the list's.
 *  - There is always a list, in an index without a codebook (provisional, see train.c) too.
 *
 * Searches change nothing but their scratch and the lists' `probed` marks, so they may run beside
 * one another.
 *
 *   1 parameters   2 state   3 lists   4 slots   5 what maintenance builds on   6 operations
 */
#ifndef DRIFTLINE_DIVF_H
#define DRIFTLINE_DIVF_H

#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/kmeans.h"
#include "algorithms/common/quantizer.h"
#include "algorithms/common/stop_rule.h"
#include "algorithms/divf/chunks.h"
#include "algorithms/divf/segments.h"
#include "kernels/cuda/device.h"
#include "src/core/index.h"
#include "src/core/slot_table.h"

/* 1. Parameters */

enum divf_storage { DIVF_RAM, DIVF_MMAP };
enum divf_device { DIVF_CPU, DIVF_CUDA };
enum divf_maintenance { DIVF_NONE, DIVF_COPENHAGEN, DIVF_LIRE, DIVF_DEDRIFT, DIVF_COST_MODEL };
enum divf_quantizer { DIVF_SKETCH, DIVF_PQ, DIVF_SQ8, DIVF_RABITQ };

struct divf_params {
    int64_t clusters, soft_k;
    double split_threshold;
    int64_t max_split_iters;
    double list_limit, merge_threshold;
    int64_t reassign_lists, refine_passes, upkeep_budget;
    double dedrift_every;
    int64_t dedrift_lists;
    double cost_tau, cost_probe;
    double compact_at;
    int64_t maintenance, storage, device;
    int64_t train_iters, train_sample, init;
    int64_t quantizer, sketch, bits, pq_groups;
    double eps0;
};

struct divf_knobs {
    int64_t nprobe, rerank, scan_budget;
    double target_recall;
};

#define DIVF_SOFT_K_MAX 8
#define SLOT_NONE       UINT32_MAX

/* 2. State */

struct divf_list {
    uint32_t *chunks;
    uint32_t n_chunks, chunks_capacity;
    uint32_t rows, live;
    int64_t last_split_round; /* -1: from training; else the insert batch, counted from 1, that
                                 split it */
    float error;              /* of its codes, the largest since they were last made anew */
    bool uniform; /* its vectors are all equal, so it cannot be split; cleared when one differs */
    atomic_bool probed; /* a search has read it since it was compacted */
    atomic_uint probes; /* recent queries that read it; counted for maintenance = cost-model only */
};

/* One codebook, its quantizers, and the codes filed under it. Retraining builds a second one and
   swaps. */
struct divf_lists {
    const struct index_env *env;
    const struct segments *vectors;
    struct quantizer
        *quantizer;           /* of codes. NULL: every vector of a list gets its exact distance */
    struct quantizer *sketch; /* of centroids, may be the same. NULL: none */
    struct chunks chunks;
    struct divf_list *list;
    size_t n, capacity;
    float *centroids, *norm_sq; /* capacity x dim, capacity */
    float norm_sq_max;
    float *work_centroids;         /* transformed, if quantizer->per_list: capacity x work_dim */
    unsigned char *centroid_codes; /* of `sketch`: blocks of 64 centroids */
    float centroid_error;
    float *work;         /* maintenance's: CHUNK_VECTORS vectors, and as many transformed */
    uint64_t codebook;   /* another number whenever a centroid has changed */
    uint64_t rows, live; /* over all lists */
    size_t soft_k;
    uint32_t *places; /* soft_k a slot; slots.capacity slots */
};

/* device = cuda: the library, and the centroids as they were at `codebook`. */
struct divf_gpu {
    struct device_library library;
    struct device_centroids *centroids;
    uint64_t codebook;
};

struct divf_slots {
    struct slot_table ids;
    uint64_t *id;
    size_t n, capacity;
    uint32_t first_free; /* SLOT_NONE: none */
};

/* Maintenance: see upkeep.h. */
struct divf_upkeep_counters {
    uint64_t steps, distances;           /* steps taken, what they cost */
    uint64_t merges;                     /* lists dissolved */
    uint64_t scanned, candidates, moved; /* copies: looked through, meeting a condition, moved */
    uint64_t refreshed;                  /* centroids set to a mean of their vectors */
    uint64_t rolled_back;                /* changes worked out and found not to pay */
    uint64_t random;                     /* streams of random numbers used */
    uint64_t changes;  /* vectors inserted and removed since lists were looked at */
    uint64_t cycle_at; /* vectors inserted and removed, as dedrift's last cycle began */
    int64_t credit;    /* distances that upkeep may spend; negative: owes */
};

struct divf_counters {
    uint64_t insert_batches, inserted, removed;
    uint64_t compactions, forced_compactions; /* lists compacted; times all were, past compact_at */
    uint64_t splits, refused_splits, trainings;
    struct divf_upkeep_counters upkeep;
};

/* The rule of target_recall, learnt by the first search that asks for it (stop.c) from the `live`
   vectors and `lists` of that moment; live 0: not yet. Saved. */
struct divf_stop {
    struct stop_rule rule;
    uint64_t live, lists;
};

/* Sums over the queries searched with target_recall since the index was made or loaded. */
struct divf_stops {
    double queries, lists, recall; /* lists scanned; recall estimated */
};

struct divf {
    struct index base;
    struct divf_params params;
    struct segments vectors; /* dim floats each, by slot */
    struct divf_lists lists;
    struct divf_slots slots;
    bool provisional;      /* the codebook had too few vectors; see train.c */
    uint64_t retrain_at;   /* provisional: not before so many vectors are there */
    uint32_t largest_list; /* at least the live rows of any list that is not uniform */
    struct divf_counters counters;
    struct upkeep *upkeep;        /* upkeep.h; NULL: not needed so far */
    atomic_uint_fast64_t queries; /* recent ones, as `probes` counts them */
    atomic_bool probed_dirty;     /* some probed list has dead rows */
    struct divf_stop stop;        /* under stop_lock */
    pthread_mutex_t stop_lock;
    struct divf_stops stops; /* under scratch_lock */
    pthread_mutex_t scratch_lock;
    struct divf_scratch *scratch; /* idle ones */
    struct divf_gpu device;
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

/* dim floats; they stay where they are as long as the slot is the vector's. */
static inline float *divf_vector(const struct divf_lists *lists, uint32_t slot)
{
    return (float *)segments_at(lists->vectors, slot);
}

/* The place of a list's `position`, position < rows. */
static inline uint32_t divf_place(const struct divf_list *l, size_t position)
{
    return l->chunks[position >> CHUNK_SHIFT] << CHUNK_SHIFT |
           (uint32_t)(position & (CHUNK_VECTORS - 1));
}

/* Transformed as the quantizer of codes has it; NULL where it does not need one. */
static inline const float *divf_work_centroid(const struct divf_lists *lists, size_t list)
{
    return lists->work_centroids ? lists->work_centroids + list * lists->quantizer->work_dim : NULL;
}

static inline bool divf_codes_per_list(const struct divf *d)
{
    return d->lists.quantizer && d->lists.quantizer->per_list;
}

/* 3. Lists (lists.c). Those that return nothing cannot fail. */

/* Without any list. Takes both quantizers over, whatever it returns. ERR_NO_MEMORY. */
int divf_lists_open(struct divf_lists *, const struct divf *, struct quantizer *quantizer,
                    struct quantizer *sketch);
void divf_lists_close(struct divf_lists *);
/* Appends an empty list with this centroid. ERR_NO_MEMORY, nothing changed. */
int divf_list_add(struct divf_lists *, const float *centroid, int64_t split_round);
/* Makes room for n more copies. ERR_NO_MEMORY. */
int divf_list_reserve(struct divf_lists *, size_t list, size_t n);
/* Files a copy of the slot's vector, which is at its slot; room must be reserved. Returns its place,
   whose code is still to be put. The slot's places are the caller's to set. */
uint32_t divf_list_append(struct divf_lists *, size_t list, uint32_t slot);
void divf_code_put(struct divf_lists *, size_t list, uint32_t place, const float *transformed);
/* Fills dead places with the last live copies. Returns the copies moved. */
size_t divf_list_compact(struct divf *, size_t list);
void divf_compact_probed(struct divf *);
struct centroids divf_centroids(const struct divf_lists *);
bool divf_same_vector(const float *a, const float *b, size_t dim);

/* 4. Slots (slots.c): numbers of vectors. */

/* So that slot_takes of these n new ids succeed and have room for a vector each. ERR_NO_MEMORY,
   ERR_IO, ERR_ARGUMENT. */
int divf_slots_reserve(struct divf *, const uint64_t *ids, size_t n);
uint32_t divf_slot_take(struct divf *, uint64_t id);
void divf_slot_give(struct divf *, uint32_t slot);

/* 5. What maintenance builds on (lists.c). They keep every invariant, and use lists->work: one
   thread, and no search beside them. Nothing but what says so can fail. */

/* The slots of a list's live vectors, in the order of their places; room for list->live. Their
   vectors: divf_vector(). Returns how many. */
size_t divf_list_slots(const struct divf_lists *, size_t list, uint32_t *slots);
/* Whether the vector has a copy in the list. */
bool divf_slot_in_list(const struct divf_lists *, uint32_t slot, size_t list);
/* Moves the copies of n vectors from one list to another: their codes go along, or are made anew if
   per_list. Every one has a copy in `from` and none in `to`, where room for n is reserved. The
   places they leave are dead. */
void divf_list_move(struct divf_lists *, size_t from, size_t to, const uint32_t *slots, size_t n);
/* Drops copies: of each vector at least another is left. The places they leave are dead. */
void divf_list_drop(struct divf_lists *, size_t list, const uint32_t *slots, size_t n);
/* Makes all codes of a list anew. */
void divf_list_encode(struct divf_lists *, size_t list);
/* Gives a list another centroid; codes that depend on it are made anew. No vector moves. */
void divf_centroid_set(struct divf_lists *, size_t list, const float *centroid);
/* Removes a list that has no live copy, giving its chunks back; the last list takes its number. */
void divf_list_remove(struct divf_lists *, size_t list);

/* 6. The operations, a file each. */

/* stop.c. A rule that fits what is stored now. Thread-safe. ERR_NO_MEMORY. */
int divf_stop_rule(struct divf *, struct stop_rule *);

/* device.c. assign: the s lists nearest to each of n rows. ERR_UNSUPPORTED, ERR_PEER. */
int divf_device_open(struct divf *);
void divf_device_close(struct divf *);
int divf_device_assign(struct divf *, const float *rows, size_t n, size_t s, uint32_t *lists);

int divf_train(struct index *, struct vectors sample);
/* Lists that training on n vectors would make. */
size_t divf_clusters_wanted(const struct divf *, size_t n);
int divf_train_if_due(struct divf *, const float *rows, size_t n);
int divf_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int divf_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int divf_search(struct index *, const struct search_request *, struct search_result *);
int divf_range(struct index *, const struct range_request *, struct range_result *);
int divf_maintain(struct index *, uint64_t budget, bool *more);
int divf_save(struct index *, const char *dir);
int divf_load(struct index **, const struct index_env *, const char *dir);
int divf_stats(const struct index *, struct stat_sink *);
int divf_memory(const struct index *, struct memory_use *);
int divf_check(const struct index *, struct stat_sink *);

/* With no list, which create and load then add. */
int divf_open(struct index **, const struct index_env *, const struct divf_params *);
int divf_create(struct index **, const struct index_env *, const void *params);
void divf_destroy(struct index *);
void divf_scratch_free(struct divf *);

extern const struct index_ops divf_ops;

#endif
