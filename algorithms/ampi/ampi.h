/* ampi.h - adaptive multi-projection index: state, invariants, and what its files offer one another.
 *
 * Words. A *vector* has a *slot*, a number reused after deletion; slots hold the vectors, once each.
 * The space is cut into *clusters* by k-means. A cluster has F *axes*, unit vectors, and as many
 * *cones*: cone f holds vectors whose direction from the centroid is near axis f or its opposite. A
 * vector is filed in one or more clusters (slots.filed), and in K cones of each. A cone lists its
 * slots F times, once along each axis, in order of the projection <x, a>.
 *
 * The projections are of the vectors themselves, not of their offsets from the centroid: these have
 * the same order and the same gaps, and stay right while the centroid moves.
 *
 * Invariants (check.c walks them):
 *  - ids maps each live id to its slot s, and slots.id[s] is that id. A slot is live, dead (deleted,
 *    but still filed) or free; free ones are on the stack slots.free.
 *  - A slot that is filed in a cluster is in min(K, F) of its cones, in each once, and in no cone of
 *    another cluster.
 *  - The F arrays of a cone hold the same slots, each in order of (projection, slot), and every
 *    projection is what ip_f32 makes of vector and axis, to the bit.
 *  - There is always a cluster; without a codebook (provisional, see train.c) just one.
 *
 * Searches change nothing but their scratch, so they may run beside one another.
 */
#ifndef DRIFTLINE_AMPI_H
#define DRIFTLINE_AMPI_H

#include <pthread.h>

#include "algorithms/common/kmeans.h"
#include "src/core/idmap.h"
#include "src/core/index.h"
#include "src/core/topk.h"

struct ampi_params {
    int64_t clusters, fans, cones;
    double drift_theta, refresh_at;
    int64_t train_iters, train_sample;
};

struct ampi_knobs {
    int64_t probes, fan_probes, window;
};

#define AMPI_CONES_MAX 8
#define AMPI_FANS_MAX  64

#define SLOT_NONE    UINT32_MAX
#define CLUSTER_NONE UINT32_MAX

/* Axis f's entries are at [f * capacity, f * capacity + n) of both arrays. */
struct ampi_cone {
    float *projections;
    uint32_t *slots;
    uint32_t n, capacity;
};

struct ampi_cluster {
    float *axes;         /* F x dim of its own; NULL: the shared ones */
    float *sketch;       /* rank x dim, see drift.c; NULL until something drifts in */
    uint32_t live, dead; /* slots filed in it */
    uint64_t weight;     /* vectors the centroid is the mean of */
    uint64_t drifted;    /* vectors the sketch has seen, ever */
    uint32_t unchecked;  /* of them since the sketch was looked at */
    uint32_t since;      /* of them since the cones were last built */
    uint32_t drift_rebuilds, refreshes;
    double angle;   /* degrees between the sketch's leading axis and the nearest of the axes;
                            when last looked at */
    double leading; /* share of the residuals' energy along it, a moving mean */
};

/* The clusters, and what is filed in them. Training builds a second one and swaps. */
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
    uint32_t *filed; /* K a slot: its clusters, CLUSTER_NONE after the last */
};

struct ampi_slots {
    struct idmap ids;
    uint64_t *id; /* ID_NONE: dead or free */
    float *rows;
    uint32_t *free;
    size_t n, n_free, capacity;
};

struct ampi_hit { /* an answer of a range search */
    uint64_t id;
    float distance;
};

/* A cone under search. */
struct ampi_view {
    const struct ampi_cone *cone;
    const float *query;  /* its projections on the cone's axes; NULL: they were not asked for */
    uint32_t *ranks;     /* F: where they stand among the cone's */
    bool ranked, closed; /* ranks are known; nothing more is to be had here */
};

/* What one thread of a search needs; scratch.c. */
struct ampi_scratch {
    struct ampi_scratch *next;
    uint32_t *stamp; /* a slot: epoch of the query that has looked at it */
    uint32_t epoch;
    size_t stamps_capacity;
    float *list_distances, *probe_distances; /* one a cluster */
    uint64_t *probes;
    uint32_t *positions;
    size_t clusters_capacity;
    float *projections; /* F on the shared axes, then F a probed cluster */
    struct ampi_view *views;
    uint32_t *ranks; /* F a view */
    size_t probes_capacity, views_capacity;
    struct ampi_hit *hits; /* a range search's answers */
    size_t n_hits, hits_capacity;
};

struct ampi_counters {
    uint64_t inserted, removed, trainings;
    uint64_t drift_rebuilds, refreshes; /* clusters built anew: for drift, for tombstones */
};

struct ampi {
    struct index base;
    struct ampi_params params;
    struct ampi_partition part;
    struct ampi_slots slots;
    float *axes;             /* F x dim: those of every cluster that has none of its own */
    size_t fans;             /* F */
    size_t copies;           /* K: cones of a cluster, and clusters, at most, of a vector */
    size_t rank;             /* of a sketch: min(F, dim) */
    float *residual;         /* dim: drift.c's */
    double longest;          /* at least the length of any stored vector */
    uint64_t versions;       /* of centroids so far */
    bool provisional, built; /* no full codebook, see train.c; a batch has been built into it */
    uint64_t retrain_at;     /* provisional: not before so many vectors are there */
    struct ampi_counters counters;
    pthread_mutex_t scratch_lock;
    struct ampi_scratch *scratch; /* idle ones */
    struct nearest *nearest;      /* insert's, made when first needed */
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

/* Projections of a vector on F axes. A sum that overflows both ways is 0, to have an order; the
   vector's length is infinite then, so no bound is drawn from it. */
void ampi_project(const struct ampi *, const float *vector, const float *axes, float *out);

/* cones.c. Entries of one axis. */
struct ampi_entry {
    float projection;
    uint32_t slot;
};

static inline bool ampi_entry_before(struct ampi_entry a, struct ampi_entry b)
{
    return a.projection < b.projection || (a.projection == b.projection && a.slot < b.slot);
}

void ampi_entries_sort(struct ampi_entry *, size_t n);
/* Room for `n` entries an axis in all. false: out of memory, unchanged. */
bool ampi_cone_reserve(const struct ampi *, struct ampi_cone *, size_t n);
void ampi_cone_free(const struct ampi *, struct ampi_cone *);
/* Merges m sorted entries into axis f, which holds cone->n; the caller counts them when all axes
   have them. Room must be there. */
void ampi_cone_merge(struct ampi_cone *, size_t f, const struct ampi_entry *, size_t m);
/* How many entries of axis f are below `value`. */
size_t ampi_cone_rank(const struct ampi_cone *, size_t f, double value);
/* The K fans with the largest |projection - centre|, ties to the smaller. */
void ampi_choose_fans(const struct ampi *, const float *projections, const float *centre, size_t k,
                      uint32_t *out);

/* slots.c */
int ampi_slots_reserve(struct ampi *, size_t more); /* so that `more` slot_takes succeed */
uint32_t ampi_slot_take(struct ampi *, uint64_t id, const float *row);
/* The slot is no longer filed in the cluster; freed with the last. */
void ampi_slot_leave(struct ampi *, struct ampi_partition *, uint32_t slot, uint32_t cluster);

/* partition.c. build: gives the cluster the cones of exactly these slots, on these axes (copied;
   NULL: those it has). Slots' `filed` are the caller's. ERR_NO_MEMORY, nothing changed. */
int ampi_partition_open(struct ampi *, struct ampi_partition *, const float *centroids, size_t n);
void ampi_partition_close(struct ampi *, struct ampi_partition *);
int ampi_cluster_build(struct ampi *, struct ampi_partition *, size_t cluster,
                       const uint32_t *slots, size_t n, const float *axes);
/* The same with the live slots it has: tombstones go. */
int ampi_cluster_rebuild(struct ampi *, size_t cluster, const float *axes);
/* The cluster's distinct live slots; dead ones follow. *n live ones. NULL: out of memory. */
uint32_t *ampi_cluster_slots(struct ampi *, size_t cluster, size_t *n);

/* drift.c. open: makes the cluster's sketch where there is none; false: out of memory. */
bool ampi_sketch_open(struct ampi *, struct ampi_cluster *);
/* A vector has come into the cluster, whose centroid has not moved yet. */
void ampi_drift_note(struct ampi *, size_t cluster, const float *row);
/* Looks at the sketch if that is due; gives the cluster new axes if it has turned away from those it
   has. ERR_NO_MEMORY, the cones as they were. */
int ampi_drift_check(struct ampi *, size_t cluster);
double ampi_drift_norm(const struct ampi *, size_t cluster); /* |centroid - origin| */

/* scratch.c. take: NULL: out of memory. Thread-safe. */
struct ampi_scratch *ampi_scratch_take(struct ampi *, size_t probes, size_t views);
void ampi_scratch_give(struct ampi *, struct ampi_scratch *);
void ampi_scratch_free(struct ampi *);
uint64_t ampi_scratch_bytes(const struct ampi *); /* of the idle ones */

/* One search or range over the queries of a request, shared by its threads. */
struct ampi_job {
    struct ampi *a;
    const float *queries;
    const struct id_filter *filter;
    size_t probes, fan_probes, window;
    struct ampi_scratch **scratch; /* one a thread */
    struct work *work;             /* one a thread */
    /* search */
    size_t k;
    uint64_t *ids;
    float *distances;
    /* range: query first_query + i leaves its answers in scratch[i] */
    double radius;
    size_t first_query;
};

/* probe.c, what search and range share. */
struct ampi_query {
    const struct ampi_job *job;
    struct ampi_scratch *s;
    const float *row;
    struct work *work;
    size_t n_views;
    double slack; /* what rounding may have done to a difference of two projections */
};

/* The cones to look into go to s->views. Those of at most `whole` vectors, if all of their cluster
   are looked into, may get no projections. */
void ampi_probe(struct ampi_query *, size_t whole);
void ampi_rank(const struct ampi_query *, struct ampi_view *);
/* A vector whose projection is farther than this from the query's has a computed distance above
   `distance_sq`. */
double ampi_reach(const struct ampi_query *, double distance_sq);
/* Distances of n slots, n <= AMPI_GATHER, that may answer and were not looked at before go to
   `distances`; `slots` keeps those. Returns how many. */
enum { AMPI_GATHER = 256 };
size_t ampi_measure(const struct ampi_query *, uint32_t *slots, size_t n, float *distances);

/* The operations. */
int ampi_train(struct index *, struct vectors sample);
int ampi_train_if_due(struct ampi *, const float *rows, size_t n);
int ampi_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int ampi_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int ampi_search(struct index *, const struct search_request *, struct search_result *);
int ampi_range(struct index *, const struct range_request *, struct range_result *);
int ampi_maintain(struct index *, uint64_t budget, bool *more);
int ampi_save(struct index *, const char *dir);
int ampi_load(struct index **, const struct index_env *, const char *dir);
int ampi_stats(const struct index *, struct stat_sink *);
int ampi_memory(const struct index *, struct memory_use *);
int ampi_check(const struct index *, struct stat_sink *);

/* Without any cluster, which create and load then add. */
int ampi_open(struct index **, const struct index_env *, const struct ampi_params *);
int ampi_create(struct index **, const struct index_env *, const void *params);
void ampi_destroy(struct index *);

extern const struct index_ops ampi_ops;

#endif
