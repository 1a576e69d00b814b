/* channi.h - CHANNI: a graph over cluster primaries, which are vectors of the data, and a small graph in
 * each cluster, one file a cluster. Splits keep the old route and change what it leads to, merges keep
 * both routes, so the graph of routes never deletes; transactions, versions and readers of old ones.
 *
 * Source: Cosdata's CHANNI text; what it leaves open is decided in docs/methods/channi.md.
 *
 *   1 clusters   2 routes   3 layouts and views   4 the index   5 reading   6 where ids are   7 routing
 *   8 upkeep   9 one file an operation
 *
 * Beside it: options.h what it may be told   delta.h rows since a cluster's file   changes.h what a commit does
 *   members.h clusters replaced by others   search.h, jobs.h, manifest.h, cache.h
 *
 * Words. A *primary* is the vector a cluster was founded on; a *route* is a primary's node in the top
 * graph, known by its phash, and leads to one cluster; several that lead to one are its *aliases*.
 * The *root* is the member a cluster is entered by: it changes where the route stays. Its row is the cluster's
 * *place*, by which rows are filed, and stays that when it dies. A *version* is the
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
#include "algorithms/channi/delta.h"
#include "algorithms/channi/options.h"
#include "algorithms/common/epoch.h"
#include "algorithms/common/quantizer.h"
#include "algorithms/common/stable.h"
#include "src/core/idmap.h"
#include "src/core/index.h"
#include "src/core/rng.h"
#include "src/core/slot_table.h"
#include "src/core/topk.h"

struct channi;

/* 1. Clusters */

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
    uint32_t root; /* row number */
    unsigned char
        *site; /* where rows are filed: the root's row, or that of a root before it that died */
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

/* Without file, rows and root; refs 1. NULL: out of memory. */
struct cluster *cluster_create(struct channi *, uint32_t cid, enum cluster_kind, uint64_t born_ver);
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

/* 2. Routes: the top graph as one layout has it. Rows and phashes are append-only and shared. */

struct routes {
    uint32_t n;
    struct graph_image graph;
    struct graph_image_rows rows;
    unsigned char *block; /* the image's */
    size_t block_bytes;
    uint32_t *cid; /* by route; CID_NONE: dropped */
    atomic_size_t refs;
};

void routes_ref(struct routes *);
void routes_unref(struct channi *, struct routes *);

/* 3. Layouts and views */

struct layout {
    uint64_t number;
    struct routes *routes;         /* NULL: not built yet; clusters[0] holds all rows */
    struct cluster **clusters;     /* by cid; NULL: retired */
    uint32_t n_clusters, capacity; /* cids ever used */
    uint32_t *ood, n_ood;          /* cids */
    atomic_size_t refs;
};

struct view {
    struct epoch_item item; /* for when it is retired */
    uint64_t version;
    struct layout *layout;
    atomic_size_t refs;
};

/* 4. The index */

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
struct journal;
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

/* 5. Reading (view.c) */

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

/* 6. Where ids are (places.c); `write` is held */

int channi_places_reserve(struct channi *, const uint64_t *ids, size_t n);
void channi_place_add(struct channi *, uint64_t id, struct place); /* was reserved */
bool channi_place_of(const struct channi *, uint64_t id, struct place *);
void channi_place_set(struct channi *, uint64_t id, struct place);
void channi_place_remove(struct channi *, uint64_t id);
size_t channi_live(const struct channi *); /* ids */
uint64_t channi_places_bytes(const struct channi *);

/* 7. Routing (route.c) */

/* The cluster for a row: the first of the nearest ASSIGN_CLUSTERS, ranked as searches rank them
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

/* 8. Upkeep (jobs.c, maintain.c, fold.c, split.c, ood.c, merge.c) */

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

/* 9. One file an operation */

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
