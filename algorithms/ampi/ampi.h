/* ampi.h - adaptive multi-projection index: state, invariants, and the functions shared by its
 * files.
 *
 * Terms. A *vector* has a *slot*, a number reused after deletion; slots store each vector once. The
 * space is divided into *clusters* by k-means. A cluster has F *axes*, unit vectors, and as many
 * *cones*: cone f holds vectors whose direction from the centroid is near axis f or its opposite. A
 * vector is in one or more clusters (partition.filed), and in K cones of each. A cone lists its
 * slots F times, once for each axis, in order of the projection <x, a>.
 *
 * The projections are of the vectors themselves, not of their offsets from the centroid: these have
 * the same order and the same gaps, and remain valid while the centroid moves.
 *
 * Invariants (checked by check.c):
 *  - ids maps each live id to its slot s, and slots.id[s] is that id. A slot is live, dead
 *    (deleted, but still in a cluster) or free; free ones are on the stack slots.free.
 *  - A slot in a cluster is in min(K, F) of its cones, once in each, and in no cone of a cluster
 *    that it is not in.
 *  - The F arrays of a cone hold the same slots, each in order of (projection, slot), and every
 *    projection is exactly what ip_f32 computes from vector and axis.
 *  - There is always a cluster; without a codebook (provisional, see train.c) just one.
 *
 * Searches change nothing but their scratch, so they may run concurrently. */
#ifndef DRIFTLINE_AMPI_H
#define DRIFTLINE_AMPI_H

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/durable/logged.h"
#include "src/core/idmap.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/topk.h"

struct ampi_params {
    int64_t clusters, fans, cones;
    double drift_theta, refresh_at;
    int64_t train_sample, wal, checkpoint_mb;
};

struct ampi_knobs {
    int64_t nprobe, fan_probes, window;
};

#define AMPI_CONES_MAX 8
#define AMPI_FANS_MAX  64

#define SLOT_NONE    UINT32_MAX
#define CLUSTER_NONE UINT32_MAX

/* The entries of axis f are at [f * capacity, f * capacity + n) of both arrays. */
struct ampi_cone {
    float *projections;
    uint32_t *slots;
    uint32_t n, capacity;
};

struct ampi_cluster {
    float *axes;         /* its own F x dim axes; NULL: the shared ones */
    float *sketch;       /* rank x dim, see drift.c; NULL until something drifts in */
    uint32_t live, dead; /* slots in it */
    uint64_t weight;     /* number of vectors that the centroid is the mean of */
    uint64_t drifted;    /* vectors added to the sketch so far */
    uint32_t unchecked;  /* of them, since the sketch was last checked */
    uint32_t since;      /* of them, since the cones were last built */
    uint32_t drift_rebuilds, refreshes;
    double angle;   /* degrees between the sketch's leading axis and the nearest of the axes, at the
                       last check */
    double leading; /* share of the residuals' energy along it, a moving mean */
};

/* The clusters and their contents. Training builds a second one and swaps. */
struct ampi_partition {
    struct ampi_cluster *cluster;
    struct ampi_cone *cones; /* n x F */
    float *centroids;        /* n x dim */
    float *origins;          /* n x dim: the centroids when the cones were built */
    float *centre;           /* n x F: <centroid, axis> */
    float *norm_sq;          /* n: |centroid|^2 */
    float norm_sq_max;
    uint64_t version; /* of the centroids, see kmeans.h */
    size_t n;
    struct mem_group arrays; /* those above */
    uint32_t *filed;         /* K per slot: its clusters, CLUSTER_NONE after the last */
};

struct ampi_slots {
    struct idmap ids;
    uint64_t *id; /* INDEX_NO_ID: dead or free */
    float *rows;
    uint32_t *free;
    size_t n, n_free, capacity;
};

/* A cone during a search. */
struct ampi_view {
    const struct ampi_cone *cone;
    const float *query;  /* projections on the cone's axes; NULL: not computed */
    uint32_t *ranks;     /* F: the query's rank on each axis */
    bool ranked, closed; /* ranks are computed; the cone has nothing more to offer */
};

/* The memory that one thread of a search needs; scratch.c. */
struct ampi_scratch {
    struct scratch_item item;
    struct work work; /* of one thread, in cache lines that no other thread writes to */
    struct ampi_space {
        size_t slots, clusters, probes, views;
    } space;         /* of the arrays */
    uint32_t *stamp; /* per slot: epoch of the last query that read it */
    uint32_t epoch;
    float *list_distances, *probe_distances; /* one per cluster */
    uint64_t *probes;
    uint32_t *positions;
    float *projections; /* F on the shared axes, then F per probed cluster */
    struct ampi_view *views;
    uint32_t *ranks;         /* F per view */
    struct mem_group arrays; /* those above */
};

struct ampi_counters {
    uint64_t inserted, removed, trainings;
    uint64_t drift_rebuilds, refreshes; /* clusters rebuilt because of drift, or of tombstones */
};

struct ampi {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct ampi_params params;
    struct ampi_partition part;
    struct ampi_slots slots;
    float *axes;             /* F x dim: the axes of clusters without their own */
    size_t fans;             /* F */
    size_t copies;           /* K: the most cones per cluster, and clusters, of a vector */
    size_t rank;             /* of a sketch: min(F, dim) */
    float *residual;         /* dim: scratch of drift.c */
    double longest;          /* an upper bound on the length of stored vectors */
    uint64_t versions;       /* last version given to centroids */
    bool provisional, built; /* the codebook is incomplete, see train.c; a batch has been built
                                into it */
    uint64_t retrain_at;     /* provisional: trains again at this many vectors */
    struct ampi_counters counters;
    struct scratch_pool scratch; /* struct ampi_scratch */
    struct nearest *nearest;     /* for insert, made on first use */
};

static inline struct ampi *ampi_of(struct index *index)
{
    return (struct ampi *)index;
}

static inline const struct ampi *ampi_of_const(const struct index *index)
{
    return (const struct ampi *)index;
}

static inline float *ampi_row(const struct ampi *a, size_t slot)
{
    return a->slots.rows + slot * a->base.env.dim;
}

static inline uint32_t *ampi_filed(const struct ampi *a, const struct ampi_partition *p,
                                   size_t slot)
{
    return p->filed + slot * a->copies;
}

static inline struct ampi_cone *ampi_cone(const struct ampi *a, const struct ampi_partition *p,
                                          size_t cluster, size_t fan)
{
    return p->cones + cluster * a->fans + fan;
}

static inline const float *ampi_axes(const struct ampi *a, const struct ampi_cluster *c)
{
    return c->axes ? c->axes : a->axes;
}

/* cones.c */
/* Projects a vector on F axes. A sum that overflows both ways becomes 0, so that projections can be
   ordered; the vector's length is infinite then, so no bound is derived from it. */
void ampi_project(const struct ampi *, const float *vector, const float *axes, float *out);

/* An entry of one axis. */
struct ampi_entry {
    float projection;
    uint32_t slot;
};

static inline bool ampi_entry_before(struct ampi_entry a, struct ampi_entry b)
{
    return a.projection < b.projection || (a.projection == b.projection && a.slot < b.slot);
}

void ampi_entries_sort(struct ampi_entry *, size_t n);
/* Reserves a total of `n` entries per axis. false: out of memory, unchanged. */
bool ampi_cone_reserve(const struct ampi *, struct ampi_cone *, size_t n);
void ampi_cone_free(const struct ampi *, struct ampi_cone *);
/* Merges m sorted entries into axis f, which holds cone->n and must have space; the caller updates
   cone->n when all axes are merged. */
void ampi_cone_merge(struct ampi_cone *, size_t f, const struct ampi_entry *, size_t m);
/* The number of entries of axis f below `value`. */
size_t ampi_cone_rank(const struct ampi_cone *, size_t f, double value);
/* Chooses the K fans with the largest |projection - centre|, ties to the smaller number. */
void ampi_choose_fans(const struct ampi *, const float *projections, const float *centre, size_t k,
                      uint32_t *out);

/* slots.c */
int ampi_slots_reserve(struct ampi *, size_t more); /* for `more` calls of ampi_slot_take() */
uint32_t ampi_slot_take(struct ampi *, uint64_t id, const float *row);
/* Removes the slot from the cluster; frees it with the last one. */
void ampi_slot_leave(struct ampi *, struct ampi_partition *, uint32_t slot, uint32_t cluster);

/* partition.c. build: replaces the cluster's cones by cones of exactly these slots, on these
   axes (copied; NULL: its current ones). The caller sets `filed` of the slots. ERR_NO_MEMORY,
   nothing changed. */
int ampi_partition_open(struct ampi *, struct ampi_partition *, const float *centroids, size_t n);
void ampi_partition_close(struct ampi *, struct ampi_partition *);
int ampi_cluster_build(struct ampi *, struct ampi_partition *, size_t cluster,
                       const uint32_t *slots, size_t n, const float *axes);
/* The same with the cluster's live slots, which removes tombstones. */
int ampi_cluster_rebuild(struct ampi *, size_t cluster, const float *axes);
/* The cluster's distinct slots, the *n live ones first. The caller frees the array. NULL: out
   of memory. */
uint32_t *ampi_cluster_slots(struct ampi *, size_t cluster, size_t *n);

/* drift.c. open: creates the cluster's sketch if there is none; false: out of memory. */
bool ampi_sketch_open(struct ampi *, struct ampi_cluster *);
/* Adds a vector of the cluster to the sketch, before the centroid moves. */
void ampi_drift_note(struct ampi *, size_t cluster, const float *row);
/* Checks the sketch if that is due, and gives the cluster new axes if its direction has moved away
   from the current ones. ERR_NO_MEMORY, the cones unchanged. */
int ampi_drift_check(struct ampi *, size_t cluster);
double ampi_drift_norm(const struct ampi *, size_t cluster); /* |centroid - origin| */

/* scratch.c. take: NULL: out of memory. Thread-safe. */
struct ampi_scratch *ampi_scratch_take(struct ampi *, size_t probes, size_t views);
extern const struct scratch_kind ampi_scratch_kind; /* of the pool ampi->scratch */

/* The operations. */
int ampi_train(struct index *, struct vectors sample);
int ampi_train_if_due(struct ampi *, const float *rows, size_t n);
int ampi_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int ampi_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int ampi_search(struct index *, const struct search_request *, struct search_result *);
int ampi_maintain(struct index *, uint64_t budget, bool *more);
int ampi_write(struct index *, struct store_writer *);
int ampi_read(struct index *, struct store_reader *);
int ampi_stats(const struct index *, struct stat_sink *);
int ampi_memory(const struct index *, struct memory_use *);
int ampi_check(const struct index *, struct stat_sink *);

extern const struct index_ops ampi_ops;

#endif
