/* channi.h - CHANNI: a graph over cluster primaries, which are vectors of the data, and a small graph in
 * each cluster, one file a cluster. Splits keep the old route and change what it leads to, merges keep
 * both routes, so the graph of routes never deletes; transactions, versions and readers of old ones.
 *
 * Source: Cosdata's CHANNI text; what it leaves open is decided in docs/methods/channi.md.
 *
 *   1 options   2 rows since the file: deltas   3 clusters   4 routes   5 layouts and views   6 the index
 *   7 reading   8 where ids are   9 changes   10 replacing clusters   11 upkeep   12 one file an operation
 *
 * Words. A *primary* is the vector a cluster was founded on; a *route* is a primary's node in the top
 * graph, known by its phash, and leads to one cluster; several that lead to one are its *aliases*.
 * The *root* is the member a cluster is entered by: it changes where the route stays. A *version* is the
 * number of a commit. A *layout* says which clusters there are and where routes lead; a *view* is a
 * version in a layout: what one reader sees.
 *
 * What stays true
 *   - a row is seen at version v exactly if born <= v and not (dead and dead <= v)
 *   - a view never changes: its routes and files are kept while it has readers, its deltas only grow by
 *     rows born later
 *   - every live id is in exactly one cluster of the newest layout, where `places` says
 *   - each route leads to a live cluster in one step, or was dropped; each cluster has a route
 *   - the root is a row of its cluster, alive unless no row is
 *
 * Locks, in this order: a cluster's seat (`busy`, by ascending cid; whoever cannot have it comes back
 * later), `write`, then those inside cache, journal, epoch. Searches take none of them: they are
 * inside the epoch.
 */
#ifndef DRIFTLINE_CHANNI_H
#define DRIFTLINE_CHANNI_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/channi/cache.h"
#include "algorithms/common/epoch.h"
#include "algorithms/common/journal.h"
#include "algorithms/common/quantizer.h"
#include "algorithms/common/stable.h"
#include "src/core/idmap.h"
#include "src/core/index.h"
#include "src/core/rng.h"
#include "src/core/slot_table.h"
#include "src/core/topk.h"

struct channi;

/* 1. Options */

enum channi_sampling {
    SAMPLE_UNIFORM,
    SAMPLE_DISTANT,
    SAMPLE_FARTHEST,
    SAMPLE_DENSITY,
    SAMPLE_KMEANS
};
enum channi_inside { INSIDE_GRAPH, INSIDE_SCAN, INSIDE_CODES };
enum channi_maintenance { CHANNI_AT_COMMIT, CHANNI_EXPLICIT, CHANNI_BACKGROUND };
enum channi_durability { CHANNI_VOLATILE, CHANNI_WRITTEN, CHANNI_SYNCED };
enum channi_split_count { SPLIT_LN, SPLIT_LOG2, SPLIT_2, SPLIT_3 };

struct channi_params {
    /* when, and how many */
    int64_t expected_n;    /* 0: env's hint */
    double defer_fraction; /* of it; 0: built by the first commit */
    int64_t target_cluster;
    int64_t sampling; /* enum channi_sampling */
    /* graphs */
    int64_t top_M, top_M0, top_ef_construction, assign_ef;
    int64_t inside; /* enum channi_inside */
    int64_t in_M, in_ef_construction, flat_below;
    int64_t bits; /* codes: of a dimension (RaBitQ) */
    double eps0;
    bool cold_rows; /* codes: exact rows stay on disk */
    /* splits and merges; 0: by target_cluster */
    int64_t split_max, merge_min;
    int64_t split_count; /* enum channi_split_count: temporary centroids */
    int64_t parts;       /* a split's; 0: clamp(round(size / target_cluster), 2, 3) */
    int64_t batch, batch_steps, restarts; /* mini-batch k-means */
    bool ood, reuse, alias, reroute, assign_to_centroid;
    double ood_sigma;
    int64_t ood_min;   /* 0: max(16, 1 % of the size) */
    double ood_excess; /* sigma beyond the mark, the mean of those flagged; 0: any count */
    double ood_max_share;
    int64_t ood_cap; /* 0: split_max / 4 */
    int64_t settle;  /* clusters about split ones that are divided anew with them */
    int64_t ood_age; /* commits before an OOD cluster may be merged with others */
    int64_t alias_max;
    double fold_share; /* of a cluster's file: a delta, or dead rows, of more are folded in */
    int64_t maintenance, background_threads;
    /* files */
    int64_t cache_mb; /* 0: a quarter of the rows' bytes */
    int64_t prefetch; /* clusters read ahead of need */
    int64_t io;       /* enum cache_io */
    bool direct;
    int64_t durability, checkpoint_mb;
    int64_t history; /* versions back that can be asked for without a snapshot */
    bool degraded;   /* damaged cluster files are left out of answers and named; else an error */
};

struct channi_knobs {
    int64_t nprobe, top_ef, in_ef;
    int64_t
        patience; /* graphs: steps of a beam beyond its limit that lead nowhere; 0: any number */
    int64_t idle; /* clusters in a row that bring no answer; 0: any number */
    double eps;   /* no cluster whose route is farther than (1 + eps) times the k-th; 0: all */
    int64_t ood_probe; /* OOD clusters looked at besides, nearest first */
    double ood_reach;  /* not those farther than (1 + it) times the last route; 0: all */
    int64_t rerank;    /* codes: exact distances at most; 0: all that the bound cannot exclude */
};

/* 2. Deltas: rows since the file was written, appended by the one writer, read by all */

#define ROW_VOID UINT64_MAX /* born: was never committed */

enum { DELTA_FIRST = 16, DELTA_CHUNKS = 28 };

/* Row i is in chunk c = floor(log2(i / 16 + 1)), whose first is 16 (2^c - 1). */
struct delta_chunk {
    _Atomic(uint64_t) *born, *dead; /* dead 0: alive */
    uint64_t *ids;
    uint32_t *attributes;
    unsigned char *rows;
};

struct delta {
    _Atomic(struct delta_chunk *) chunks[DELTA_CHUNKS];
    _Atomic(uint32_t) n;
    atomic_size_t bytes;
    size_t row_bytes;
    struct mem *mem;
};

struct delta_row {
    const unsigned char *row;
    uint64_t id;
    uint32_t attribute;
    _Atomic(uint64_t) *born, *dead;
};

void delta_init(struct delta *, struct mem *, size_t row_bytes);
void delta_free(struct delta *);
bool delta_reserve(struct delta *, size_t more); /* false: out of memory */
/* Room was reserved. Returns its number. */
uint32_t delta_append(struct delta *, const void *row, uint64_t id, uint32_t attribute,
                      uint64_t born, uint64_t dead);
static inline uint32_t delta_count(const struct delta *d)
{
    return atomic_load_explicit(&((struct delta *)(uintptr_t)d)->n, memory_order_acquire);
}
struct delta_row delta_at(const struct delta *, uint32_t i);
/* The rows of one chunk in a row, for scans: rows [first, first + *n) from number i on. */
const struct delta_chunk *delta_run(const struct delta *, uint32_t i, uint32_t *offset,
                                    uint32_t *n);

static inline bool channi_sees(uint64_t version, uint64_t born, uint64_t dead)
{
    return born <= version && (dead == 0 || dead > version);
}

/* 3. Clusters */

#define CID_NONE UINT32_MAX

enum cluster_kind {
    CLUSTER_NORMAL,
    CLUSTER_OOD,
    CLUSTER_DEFERRED /* rows before the build: delta only */
};

/* One state of a cluster between two rewrites. All but what is atomic stays as it was made. Rows 0 .. base->n-1
   are the file's, those from base->n on the delta's. */
struct cluster {
    uint32_t cid;
    enum cluster_kind kind;
    struct base *base; /* NULL: no file yet */
    uint32_t base_n;
    uint32_t root;           /* row number */
    unsigned char *root_row; /* a copy */
    uint64_t root_id;
    uint32_t *routes, n_routes; /* ascending */
    float mean_d, sd_d;         /* Euclidean distances of members to the root, when written */
    float drift;                /* squared distance of the root and its nearest route */
    uint64_t born_ver;          /* commits there were when the cluster (its cid) was founded */
    _Atomic(_Atomic(uint64_t) *) dead; /* of the file's rows, base_n; NULL: none since */
    _Atomic(uint32_t) live, n_dead;
    struct delta delta;
    atomic_size_t refs;
};

void cluster_ref(struct cluster *);
void cluster_unref(struct channi *, struct cluster *);
/* manifest.c. The last: it leaves the cache and is freed, and its file goes unless it is in_manifest. */
void base_unref(struct channi *, struct base *);
/* Version the row died in, 0: alive. */
static inline uint64_t cluster_base_dead(const struct cluster *cl, const struct image *image,
                                         uint32_t row)
{
    _Atomic(uint64_t) *dead =
        atomic_load_explicit(&((struct cluster *)(uintptr_t)cl)->dead, memory_order_acquire);
    const uint64_t at = dead ? atomic_load_explicit(&dead[row], memory_order_acquire) : 0;

    return at ? at : image->dead ? image->dead[row] : 0;
}

/* 4. Routes: the top graph as one layout has it. Rows and phashes are append-only and shared. */

struct routes {
    uint32_t n;
    struct graph_image graph;
    struct graph_image_rows rows;
    unsigned char *block; /* the image's */
    size_t block_bytes;
    uint32_t *cid; /* by route; CID_NONE: dropped */
    atomic_size_t refs;
};

/* 5. Layouts and views */

struct layout {
    uint64_t number;
    struct routes *routes;         /* NULL: not built yet; clusters[0] holds all rows */
    struct cluster **clusters;     /* by cid; NULL: retired */
    uint32_t n_clusters, capacity; /* cids ever used */
    uint32_t *ood, n_ood;          /* cids */
    atomic_size_t refs;
};

struct view {
    uint64_t version;
    struct layout *layout;
    atomic_size_t refs;
};

/* 6. The index */

struct channi_counters { /* all of them in stats(), by these names */
    atomic_uint_fast64_t commits, aborts, splits, split_parts, ood_found, ood_clusters, merges,
        aliases, aliases_dropped, reroutes, settled, folds, refused_splits, conflicts, requeued,
        carried, deferred_searches, checkpoints, files_written, bytes_written, bytes_given,
        job_errors, lost_rows, damaged_clusters, build_sampling,
        build_assigning; /* distances of the build's phases */
    /* of searches */
    atomic_uint_fast64_t queries, top_distances, in_distances, delta_distances, clusters_touched,
        clusters_skipped, ood_touched, stopped_early, row_reads, filter_exact;
};

static inline void channi_count(atomic_uint_fast64_t *counter, uint64_t by)
{
    (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

struct channi_jobs;
struct channi_txn;
struct channi_scratch;

/* A pinned version. */
struct pin {
    uint64_t version;
    struct view *view;
    size_t times;
};

struct place {
    uint32_t cid, row;
};

struct channi {
    struct index base;
    struct channi_params params; /* as given; what was 0 for "found" is in the fields below */
    size_t row_bytes;
    size_t build_at; /* rows */
    uint32_t split_max, merge_min, ood_cap;
    struct epoch *epoch;
    struct cache *cache;
    struct quantizer *quantizer; /* INSIDE_CODES, once built; else NULL */
    _Atomic(struct view *) now;
    pthread_mutex_t write; /* of all below */
    /* where ids are */
    struct slot_table table;
    uint64_t *ids;
    struct place *places;
    size_t ids_capacity, places_capacity, n_slots;
    uint32_t first_free; /* a list through places[].row; a free slot's id is ID_NONE */
    /* routes */
    struct graph *top;       /* what `now`'s routes were frozen from; NULL before the build */
    struct epoch *top_epoch; /* its own: nobody is ever inside */
    struct stable route_rows, route_phash;
    uint32_t n_routes;
    struct idmap by_phash;    /* phash -> route */
    uint64_t layouts, files;  /* numbers given so far */
    pthread_mutex_t pin_lock; /* of the next two; nothing is locked under it */
    struct pin *pins;
    size_t n_pins, pins_capacity;
    struct channi_txn *txn; /* open; NULL: none */
    struct stable seats;    /* struct channi_seat, by cid */
    struct channi_jobs *jobs;
    struct journal *journal; /* NULL: CHANNI_VOLATILE */
    uint64_t manifest, manifest_lsn;
    struct base **kept; /* files of the newest durable manifest, referred to: in_manifest */
    size_t n_kept, kept_capacity;
    atomic_uint_fast64_t parked_bytes; /* files that only the manifest still refers to */
    atomic_uint_fast64_t due_at;       /* bytes of journal and parked files */
    _Atomic(struct base *) left_over; /* nobody's, but for their files: they could not be removed */
    pthread_mutex_t checkpointing;
    atomic_uint_fast64_t trimmed_at; /* bytes written when free memory was last given back */
    int claim;
    char *dir;
    const struct store_fault *fault;
    struct channi_counters counters;
    pthread_mutex_t scratch_lock;
    struct channi_scratch *scratch;
    struct rng rng; /* of maintenance at commit: one thread's order */
};

/* By cid, whatever cluster object has it. */
struct channi_seat {
    atomic_bool busy;        /* upkeep has it */
    atomic_uint queued;      /* bits by job kind */
    _Atomic(uint32_t) tried; /* live rows when a split was refused; 0: never */
    _Atomic(uint32_t) kept;  /* dead rows the last fold left, for versions that still see them */
    _Atomic(uint64_t) alone; /* channi_stamp() when no partner was found; 0: never */
};

/* Another one whenever rows or clusters have changed; never 0. */
static inline uint64_t channi_stamp(const struct view *view)
{
    return view->version + view->layout->number + 1;
}

static inline struct channi *channi_of(const struct index *index)
{
    return (struct channi *)(uintptr_t)index;
}

/* 7. Reading (view.c) */

/* Inside the epoch from here on. */
const struct view *channi_enter(struct channi *, unsigned *ticket);
void channi_leave(struct channi *, unsigned ticket);

void view_unref(struct channi *, struct view *); /* at the last: retired */
/* A layout like this one, to be changed before it is published; refers to all its clusters and routes. NULL:
   out of memory. */
struct layout *layout_copy(const struct channi *, const struct layout *);
void layout_unref(struct channi *, struct layout *);
/* Room for cids below n_clusters, and their seats; `write` is held, or nobody else is there. */
bool layout_reserve(struct channi *, struct layout *, uint32_t n_clusters);
/* Takes a reference to `cl` over (NULL: the cid is retired) and drops that to the one it replaces. */
void layout_set(struct channi *, struct layout *, uint32_t cid, struct cluster *cl);
bool layout_find_ood(const struct channi *, struct layout *); /* sets ood, n_ood */
/* `write` is held. A view {version, layout} becomes `now`; takes the layout's reference over. NULL layout: the
   present one. ERR_NO_MEMORY: nothing has changed (the layout is still the caller's). */
int channi_publish(struct channi *, uint64_t version, struct layout *);
/* The same in two steps, of which only the first can fail: ERR_NO_MEMORY said, NULL. Not shown: mem_free(). */
struct view *channi_view_make(struct channi *);
void channi_show(struct channi *, struct view *, uint64_t version, struct layout *);

/* Snapshots (pins.c) */
int channi_snapshot(struct index *, uint64_t *version);
int channi_release(struct index *, uint64_t version);
/* A reference to the view for this version; ERR_NOT_FOUND naming the versions there are. */
int channi_view_of(struct channi *, uint64_t version, struct view **);
/* The oldest version that rewritten files must still hold the dead of. `write` held or not. */
uint64_t channi_horizon(struct channi *);

/* 8. Where ids are (places.c); `write` is held */

int channi_places_reserve(struct channi *, const uint64_t *ids, size_t n);
void channi_place_add(struct channi *, uint64_t id, struct place); /* was reserved */
bool channi_place_of(const struct channi *, uint64_t id, struct place *);
void channi_place_set(struct channi *, uint64_t id, struct place);
void channi_place_remove(struct channi *, uint64_t id);
size_t channi_live(const struct channi *); /* ids */
uint64_t channi_places_bytes(const struct channi *);

/* 9. Changes (txn.c buffers, apply.c applies) */

enum change_op { CHANGE_PUT = 1, CHANGE_DEL = 2, CHANGE_COMMIT = 3 }; /* also the journal's */

/* What one commit does, in order: puts are n rows with ids (and attributes or NULL), dels ids. An id may be put,
   deleted and put again in one commit. */
struct change {
    enum change_op op;
    size_t n;
    const uint64_t *ids;
    const unsigned char *rows;
    const uint32_t *attributes;
};
/* All of it at the next version, or nothing: routes rows (over the pool), appends to deltas, marks the dead,
   journals, publishes; queues upkeep and does what is due at commit. ids as the contract says. *version may
   be NULL. */
int channi_apply(struct channi *, const struct change *, size_t n, uint64_t *version);

/* Changes gathered to be applied together, copied (changes.c): what an open transaction holds, and what replay
   has read up to a CHANGE_COMMIT. */
struct changes {
    struct change *list;
    size_t n, capacity;
    size_t bytes; /* of what was copied */
    struct mem *mem;
};
void changes_init(struct changes *, struct mem *);
void changes_free(struct changes *); /* empty again */
/* From any alignment; attributes NULL: none. ERR_NO_MEMORY: as before. */
int changes_put(struct changes *, struct error *, const void *rows, size_t row_bytes,
                const void *ids, const void *attributes, size_t n);
int changes_del(struct changes *, struct error *, const void *ids, size_t n);

/* The journal's records, whose op is the change's, all numbers little-endian:
     PUT     u32 n, u32 has_attributes, u64 ids[n], u32 attributes[n] if so, rows
     DEL     u64 ids[n]
     COMMIT  u64 version
   One commit is a run of PUT and DEL, of at most 1 MB each, and a COMMIT. Appends and commits that to the journal: a
   commit's last step that can fail. */
int channi_log_commit(struct channi *, const struct change *, size_t n, uint64_t version);
/* Adds a PUT or DEL record to `to`, or sets *version for a COMMIT (else 0). ERR_CORRUPT naming the record. */
int channi_log_read(const struct channi *, const struct journal_record *, struct changes *to,
                    uint64_t *version);

/* route.c: the cluster for a row: the first of the nearest ASSIGN_CLUSTERS, ranked as searches rank them
   (channi_rank_clusters). Inside the epoch. */
enum { ASSIGN_CLUSTERS = 4 };
int channi_route(struct channi *, struct channi_scratch *, const struct layout *, const void *row,
                 size_t ef, uint32_t *cid, double *checked);
/* The routes found nearest, ascending, as clusters, each once: at most n. For searches. */
int channi_nearest_clusters(struct channi *, struct channi_scratch *, const struct layout *,
                            const void *query, size_t n, size_t ef, uint32_t *cids,
                            float *distances, size_t *found, double *checked);
/* The same n clusters, ascending by the nearer of root and route: a route that a split or a death left behind says
   where the cluster was, its root where it is. Ties stay in the routes' order. */
void channi_rank_clusters(const struct channi *, const struct layout *, const void *query,
                          uint32_t *cids, float *distances, size_t n, double *checked);
/* The n nearest routes by number. */
int channi_nearest_routes(struct channi *, struct channi_scratch *, const struct routes *,
                          const void *query, size_t n, size_t ef, uint32_t *routes,
                          float *distances, size_t *found, double *checked);

/* 10. Replacing clusters (members.c, replace.c) */

/* Rows of clusters as they were at one moment, one thread's to work on. Rows are pointed to where they are:
   files are held, deltas stay while the layout they were read in is held. */
struct members {
    const unsigned char **rows;
    uint64_t *ids, *born, *dead; /* dead 0: alive */
    uint32_t *attributes;
    uint32_t *from; /* index into clusters[] of what it was gathered from */
    uint32_t *row;  /* its number there */
    size_t n, n_live, capacity;
    struct whole *wholes;
    size_t n_wholes;
    struct mem *mem;
};

/* Upkeep of some clusters: their seats are taken, by ascending cid. */
enum { WORK_MOST = 16 }; /* clusters */

struct work_on {
    struct cluster *clusters[WORK_MOST]; /* referred to */
    uint32_t seen[WORK_MOST];            /* delta rows that were gathered */
    size_t n;
    struct view *view; /* referred to: what it works on */
};

/* ERR_BUSY-like: *taken false where a seat is not to be had, or a cid is no more. */
int channi_take(struct channi *, const uint32_t *cids, size_t n, struct work_on *, bool *taken);
void channi_give(struct channi *, struct work_on *);
/* Live rows, and dead ones that a version from the horizon on may still see. */
int channi_gather(struct channi *, struct work_on *, struct members *);
void channi_members_init(struct members *, struct channi *);
void channi_members_free(struct members *, struct channi *);

/* What becomes of them. */
struct part {
    const uint32_t *rows; /* members, n of them; the root first is no rule */
    size_t n;
    uint32_t root; /* a member, live where any is */
    enum cluster_kind kind;
    uint32_t heir_of;   /* index into work_on: it keeps that one's cid, file name and routes;
                             UINT32_MAX: a new cid, named after its root */
    uint32_t routes_of; /* bits: it also gets the routes of these (indices into work_on) */
    bool new_route;     /* the root's vector becomes a route to it */
    bool go_on; /* its graph goes on from the file's of heir_of, whose rows it keeps in order */
};
/* Writes the parts' files (on up to `threads` of the pool), then, under `write`, carries over what was
   appended and what died meanwhile, publishes the new layout, and sets places. All members are in one
   part each. ERR_IO, ERR_NO_MEMORY: nothing has changed, no file is left. `dropped`: routes that lead
   nowhere any more. */
struct replacement {
    const struct part *parts;
    size_t n_parts;
    const uint32_t *dropped;
    size_t n_dropped;
    size_t threads;
    uint32_t *cids; /* NULL, or room for n_parts: where they came to be */
};
int channi_replace(struct channi *, struct work_on *, const struct members *,
                   const struct replacement *);

/* routes.c. `write` is held. The next routes: those of `old` (NULL: none) and n more, whose rows and phashes are
   appended; cid[] of old ones is copied, of new ones given. ERR_NO_MEMORY: as before. */
int channi_routes_add(struct channi *, const struct routes *old, const void *const *rows,
                      const uint64_t *phashes, const uint32_t *cids, size_t n, struct routes **);
void routes_ref(struct routes *);
void routes_unref(struct channi *, struct routes *);
/* A phash of (id, row) that no route has. */
uint64_t channi_phash(const struct channi *, uint64_t id, const void *row);

/* codes.c: the codes of a cluster's rows, as its file has them, about their mean. *codes, *centre: to be freed.
   Nothing (NULL) where the index has no quantizer. */
struct cluster_codes {
    unsigned char *bytes;
    size_t n_bytes;
    float *centre;
    size_t centre_bytes;
    float error;
};
int channi_codes_make(struct channi *, const void *rows, size_t n, struct cluster_codes *);
void channi_codes_free(struct channi *, struct cluster_codes *);

/* 11. Upkeep (jobs.c, maintain.c, fold.c, split.c, ood.c, merge.c) */

enum job_kind { JOB_FOLD, JOB_SPLIT, JOB_MERGE, JOB_KINDS };
struct job {
    enum job_kind kind;
    uint32_t cid;
};
/* What a cluster needs, by its live rows, delta and dead. JOB_KINDS: nothing. */
enum job_kind channi_needs(const struct channi *, const struct cluster *);

int channi_jobs_open(struct channi *);
int channi_jobs_start(struct channi *); /* background threads, when all else is open */
void channi_jobs_close(struct channi *);
/* Queues what `cid` needs unless it is queued. Never fails: out of memory, the next commit queues it. */
void channi_queue(struct channi *, uint32_t cid);
/* Works off the queue, over the pool, until empty or about `budget` distances were computed (0: no bound). */
int channi_work(struct channi *, uint64_t budget, bool *more);
/* What a commit does before it returns: at commit, all of the queue; background: wakes the threads. No lock
   is held. */
int channi_after_commit(struct channi *);
/* Gives the system back what a build and upkeep have freed, when enough files were written since the last time. */
void channi_trim(struct channi *);
/* OK, or why the last job that failed did. */
int channi_upkeep_error(const struct channi *);
size_t channi_queued(const struct channi *);

/* One job each; *cost: distances. *busy: a seat was not to be had: come again. */
int channi_fold(struct channi *, uint32_t cid, double *cost, bool *busy);
int channi_split(struct channi *, uint32_t cid, double *cost, bool *busy);
int channi_merge(struct channi *, uint32_t cid, double *cost, bool *busy);
/* After a split: rows of these clusters, and of params.settle about them, to the nearest of their roots. Nothing
   where a seat is not to be had, or hardly a row would move. */
int channi_settle(struct channi *, const uint32_t *cids, size_t n, double *cost);

/* split.c, for tests: how members would be split, nothing is changed. parts' rows point into *block, to be
   freed. n_parts 0: it cannot be (`why` says so). */
struct split_plan {
    struct part parts[64];
    size_t n_parts, n_normal; /* normal ones first */
    uint32_t *block;
    size_t flagged, n_temporary;
    double mean, sd; /* of Euclidean distances to the nearest temporary centroid */
    const char *why;
};
int channi_split_plan(struct channi *, const struct cluster *, const struct members *,
                      uint64_t seed, struct split_plan *, double *cost);

/* 12. One file an operation */

struct channi_opening {
    int *claim; /* of env.dir: becomes the index's, then -1; NULL: there is none yet */
    const struct store_fault *fault;
};
/* An empty index without journal and threads. */
int channi_open(struct channi **, const struct index_env *, const struct channi_params *,
                const struct channi_opening *);
/* The whole of create() and load(). */
int channi_create_with(struct channi **, const struct index_env *, const struct channi_params *,
                       const struct channi_opening *);
int channi_load_from(struct channi **, const struct index_env *, const char *dir,
                     const struct channi_opening *);
/* Nothing where durability is CHANNI_VOLATILE. */
int channi_open_journal(struct channi *, uint64_t last_lsn);
int channi_start(struct channi *); /* journal unless it is open, threads, a manifest */
void channi_stop(struct channi *);
void channi_destroy(struct index *);

/* sample.c: k distinct rows of n, as indices, ascending. SAMPLE_KMEANS is for comparison: the row nearest
   each centroid of k-means. */
int channi_sample(const struct index_env *, enum channi_sampling, struct rng *, const void *rows,
                  size_t n, size_t k, uint32_t *out, double *checked);
/* build.c: when enough rows have come; `write` is not held. Nothing if it is built, or too few. */
int channi_build_if_due(struct channi *);

int channi_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int channi_insert_with(struct index *, struct vectors, const uint64_t *ids,
                       const uint32_t *attributes, size_t *done);
int channi_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int channi_begin(struct index *);
int channi_commit(struct index *, uint64_t *version);
int channi_rollback(struct index *);
void channi_txn_drop(struct channi *); /* the open one, if any */
int channi_search(struct index *, const struct search_request *, struct search_result *);
int channi_search_as_of(struct index *, uint64_t version, const struct search_request *,
                        struct search_result *);
int channi_search_where(struct index *, const struct search_request *, struct attribute_range,
                        struct search_result *);
int channi_range(struct index *, const struct range_request *, struct range_result *);
int channi_maintain(struct index *, uint64_t budget, bool *more);
int channi_save(struct index *, const char *dir);
int channi_load(struct index **, const struct index_env *, const char *dir);
int channi_stats(const struct index *, struct stat_sink *);
int channi_memory(const struct index *, struct memory_use *);
int channi_check(const struct index *, struct stat_sink *);
int channi_assign(const struct index *, const uint64_t *ids, size_t n, size_t level,
                  uint64_t *cluster);
int channi_cluster_count(const struct index *, size_t level, size_t *clusters);
int channi_medoids(const struct index *, size_t level, uint64_t *ids);

/* manifest.c: writes env.dir's manifest anew, forgets the journal before it, removes files that only the old one
   referred to. Nothing without a journal. Takes `write` for as long as it copies, not while it writes. */
int channi_checkpoint(struct channi *);
bool channi_checkpoint_due(const struct channi *);
/* destroy()'s, before the cache goes: the manifest's files are let go of, and stay. */
void channi_manifest_close(struct channi *);
/* Whether a folder holds an index that ran there: create() refuses it. ERR_IO. */
int channi_holds_index(const struct index_env *, const char *dir, bool *holds);
/* Removes cluster files from env.dir: of an index that never was, or kept nothing. ERR_IO. */
int channi_clear_folder(struct channi *);

/* scratch.c: one thread's */
struct channi_scratch {
    struct channi_scratch *next;
    struct graph_scratch *graph;
    struct fetch *fetch;      /* NULL until search.c needs it */
    struct search_work *work; /* search.c's own; NULL until it makes it */
    /* route.c's */
    uint32_t *nodes;
    float *distances;
    uint8_t *marks; /* by cid; 0 between calls */
    size_t nodes_capacity, distances_capacity, marks_capacity;
};
struct channi_scratch *channi_scratch_take(struct channi *); /* NULL: out of memory */
void channi_scratch_give(struct channi *, struct channi_scratch *);
void channi_scratch_free(struct channi *); /* the unused ones */
uint64_t channi_scratch_bytes(struct channi *);
/* Room for n in nodes and distances; for n marks. false: out of memory. */
bool channi_scratch_fit(struct channi *, struct channi_scratch *, size_t n);
bool channi_scratch_marks(struct channi *, struct channi_scratch *, size_t n);
/* search.c; NULL is allowed. */
void channi_search_work_free(struct mem *, struct search_work *);
uint64_t channi_search_work_bytes(const struct search_work *);

extern const struct index_ops channi_ops;

#endif
