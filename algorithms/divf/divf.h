/* divf.h - dynamic inverted file ("Copenhagen"): state, invariants, and what its files offer one
 * another.
 *
 * Words. A *vector* is what the caller inserted; it has a *slot*, a number reused after deletion.
 * It is filed in up to soft_k *lists*, one a centroid, as a *row* each: a copy of its components.
 * Rows are numbered by where they lie (chunks.h). A deleted vector's rows stay, *dead* (slot
 * SLOT_NONE), until their list is compacted.
 *
 * Invariants (check.c walks them):
 *  - ids maps each live id to its slot s, and slots.id[s] is that id. The vector's rows are
 *    lists.slot_rows[s * soft_k ..], ROW_NONE after the last.
 *  - slots of other vectors have id ID_NONE and are chained through their slot_rows[s * soft_k].
 *  - row_slot() of a live vector's rows is s; they are in distinct lists, with equal components.
 *  - A list's rows are the first `rows` of its chunks; `live` of them have a slot. A chunk has one
 *    owner or is free.
 *  - There is always a list, in an index without a codebook (provisional, see train.c) too.
 *
 * Searches change nothing but their scratch and the lists' `probed` marks, so they may run beside
 * one another.
 */
#ifndef DRIFTLINE_DIVF_H
#define DRIFTLINE_DIVF_H

#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/kmeans.h"
#include "algorithms/divf/chunks.h"
#include "kernels/cuda/device.h"
#include "src/core/idmap.h"
#include "src/core/index.h"

enum divf_storage { DIVF_RAM, DIVF_MMAP };
enum divf_device { DIVF_CPU, DIVF_CUDA };
enum divf_maintenance { DIVF_NONE, DIVF_COPENHAGEN };

struct divf_params {
    int64_t clusters, soft_k;
    double split_threshold;
    int64_t max_split_iters;
    double compact_at;
    int64_t maintenance, storage, device;
    int64_t train_iters, train_sample, init;
};

struct divf_knobs {
    int64_t nprobe;
};

#define DIVF_SOFT_K_MAX 8

struct divf_list {
    uint32_t *chunks;
    uint32_t n_chunks, chunks_capacity;
    uint32_t rows, live;
    int64_t last_split_round; /* -1: from training; else the insert batch, counted from 1, that
                                 split it */
    bool uniform; /* its vectors are all equal, so it cannot be split; cleared when one differs */
    atomic_bool probed; /* a search has read it since it was compacted */
};

/* One codebook and the rows filed under it. Retraining builds a second one and swaps. */
struct divf_lists {
    struct chunks chunks;
    struct divf_list *list;
    size_t n, capacity;
    float *centroids, *norm_sq; /* capacity x dim, capacity */
    float norm_sq_max;
    uint64_t codebook;   /* another number whenever a centroid has changed */
    uint64_t rows, live; /* over all lists */
    size_t soft_k;
    uint32_t *slot_rows; /* soft_k a slot; slots.capacity slots */
};

/* device = cuda: the library, and the centroids as they were at `codebook`. */
struct divf_gpu {
    struct device_library library;
    struct device_centroids *centroids;
    uint64_t codebook;
};

struct divf_slots {
    struct idmap ids;
    uint64_t *id;
    size_t n, capacity;
    uint32_t first_free; /* SLOT_NONE: none */
};

struct divf_hit { /* an answer of a range search */
    uint64_t id;
    float distance;
};

/* What one thread of a search needs. */
struct divf_scratch {
    struct divf_scratch *next;
    float *distances; /* of a piece of a list */
    /* One query: room for lists_capacity lists. */
    float *list_distances, *probe_distances;
    uint64_t *probes;
    uint32_t *positions;
    uint8_t *probed; /* a range search's lists are 1 */
    size_t lists_capacity;
    struct divf_hit *hits; /* its answers */
    size_t n_hits, hits_capacity;
    /* A group of queries (many.c). */
    uint32_t *group_probes, *group_queries; /* nprobe a query, group_capacity in all */
    uint32_t *group_start;                  /* one a list */
    size_t group_capacity, group_lists;
    struct nearest *nearest;
};

struct divf_counters {
    uint64_t insert_batches, inserted, removed;
    uint64_t compactions, forced_compactions; /* lists compacted; times all were, past compact_at */
    uint64_t splits, refused_splits, trainings;
};

struct divf {
    struct index base;
    struct divf_params params;
    struct divf_lists lists;
    struct divf_slots slots;
    bool provisional;      /* the codebook had too few vectors; see train.c */
    uint64_t retrain_at;   /* provisional: not before so many vectors are there */
    uint64_t generation;   /* of lists, for the name of a mapped file */
    uint32_t largest_list; /* at least the live rows of any list that is not uniform */
    struct divf_counters counters;
    atomic_bool probed_dirty; /* some probed list has dead rows */
    pthread_mutex_t scratch_lock;
    struct divf_scratch *scratch; /* idle ones */
    struct divf_gpu device;
    struct nearest *nearest; /* insert's, made when first needed */
};

static inline uint32_t *divf_slot_rows(const struct divf_lists *lists, size_t slot)
{
    return lists->slot_rows + slot * lists->soft_k;
}

static inline struct divf *divf_of(struct index *index)
{
    return (struct divf *)index;
}

static inline const struct divf *divf_of_const(const struct index *index)
{
    return (const struct divf *)index;
}

/* lists.c: rows of lists. Those that return nothing cannot fail. */
int divf_lists_open(struct divf_lists *, const struct divf *, uint64_t generation);
void divf_lists_close(struct divf_lists *, const struct index_env *);
/* Appends an empty list with this centroid. ERR_NO_MEMORY, nothing changed. */
int divf_list_add(struct divf_lists *, const struct index_env *, const float *centroid,
                  int64_t split_round);
void divf_centroid_set(struct divf_lists *, const struct index_env *, size_t list,
                       const float *centroid);
/* Makes room for one more row, or n. */
int divf_list_reserve(struct divf_lists *, const struct index_env *, size_t list, size_t n);
/* Files a copy; room must be reserved. Returns the row's number. */
uint32_t divf_list_append(struct divf_lists *, size_t list, const float *vector, uint32_t slot);
/* Fills dead rows with the last live ones; `slots` follow. Returns the rows moved. */
size_t divf_list_compact(struct divf *, size_t list);
void divf_compact_probed(struct divf *);
uint32_t divf_list_row(const struct divf_lists *, const struct divf_list *, size_t position);
struct centroids divf_centroids(const struct divf *);
bool divf_same_vector(const float *a, const float *b, size_t dim);

/* slots.c: numbers of vectors. */
int divf_slots_reserve(struct divf *, size_t more); /* so that `more` slot_takes succeed */
uint32_t divf_slot_take(struct divf *, uint64_t id);
void divf_slot_give(struct divf *, uint32_t slot);
void divf_slot_moved(struct divf_lists *, uint32_t slot, uint32_t from, uint32_t to);

/* device.c. assign: the s lists nearest to each of n rows. ERR_UNSUPPORTED, ERR_PEER. */
int divf_device_open(struct divf *);
void divf_device_close(struct divf *);
int divf_device_assign(struct divf *, const float *rows, size_t n, size_t s, uint32_t *lists);

/* The operations, a file each. */
int divf_train(struct index *, struct vectors sample);
int divf_train_if_due(struct divf *, const float *rows, size_t n);
int divf_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int divf_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int divf_search(struct index *, const struct search_request *, struct search_result *);
int divf_range(struct index *, const struct range_request *, struct range_result *);
int divf_maintain(struct index *, uint64_t budget, bool *more);
int divf_split_overfull(struct divf *);
int divf_save(struct index *, const char *dir);
int divf_load(struct index **, const struct index_env *, const char *dir);
int divf_stats(const struct index *, struct stat_sink *);
int divf_memory(const struct index *, struct memory_use *);
int divf_check(const struct index *, struct stat_sink *);

/* Without any list, which create and load then add. */
int divf_open(struct index **, const struct index_env *, const struct divf_params *);
int divf_create(struct index **, const struct index_env *, const void *params);
void divf_destroy(struct index *);
void divf_scratch_free(struct divf *);

extern const struct index_ops divf_ops;

#endif
