/* channi.h - CHANNI: a graph over the primaries of clusters, which are vectors of the data, and
 * a small graph inside each cluster; one file per cluster. A split keeps the old route and
 * changes which cluster it leads to, a merge keeps both routes, so the graph of routes never
 * deletes a node. There are transactions, versions, and searches of old versions.
 *
 * Paper: Cosdata's description of CHANNI; docs/methods/channi.md records our decisions where it
 * is silent.
 *
 * This header holds the state of an index. Beside it are options.h, channi.c with index.h
 * (opening and closing, the table of operations), check.c and the reports. A folder calls only
 * those above it:
 *
 *   files/        a cluster as one file: written once, opened as an image
 *   cache/        the clusters in memory, and the reads of all others
 *   versions/     clusters, routes, layouts, views, snapshots; the place of each id
 *   search/       routing a vector, scanning clusters, answers
 *   rewrite/      clusters taken by a job, their rows, and the clusters that replace them
 *   jobs/         the jobs that a cluster needs, and their queue
 *   build/        the first clusters
 *   durable/      the manifest, checkpoints, save
 *   maintenance/  compaction, split, merge, reassignment, and when they run
 *   commit/       the changes of a commit, its log records, and its application
 *
 * *Terms.* A *primary* is the vector that a cluster was founded on. A *route* is a primary's
 * node in the top graph, identified by its phash; it leads to one cluster. Routes that lead to
 * the same cluster are its *aliases*. The *root* is the member at which a search enters a
 * cluster; it may change while the route stays. The root's row is the cluster's *site*: rows are
 * assigned by their distance to it, also after the root has been deleted, or to a route, if one
 * is nearer. A *version* is the number of a commit. A *layout* lists the clusters and where the
 * routes lead. A *view* is a version in a layout; each reader sees one view.
 *
 * *Invariants*
 *   - A row is visible at version v exactly if born <= v and not (dead and dead <= v).
 *   - A view never changes: its routes and files are kept while it has readers, and its deltas
 *     grow only by rows born later.
 *   - Every live id is in exactly one cluster of the newest layout, at the place that `places`
 *     records.
 *   - Each route leads to a live cluster in one step, or was dropped; each cluster has a route.
 *   - The root is a row of its cluster, and is alive unless no row is.
 *
 * *Locks* are taken in this order: latches of clusters (`busy`, by ascending cid; a thread that
 * cannot have one gives up and retries later), `write`, then those inside cache, log and epoch.
 * Searches take none of them: they are inside the epoch.
 */
#ifndef DRIFTLINE_CHANNI_H
#define DRIFTLINE_CHANNI_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/options.h"
#include "algorithms/common/clustering/stop_rule.h"
#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/common/durable/durable.h"
#include "src/core/index.h"
#include "src/core/rng.h"
#include "src/core/slot_table.h"

#define CHANNI_NAME "channi"

/* Counters that stats() reports under these names. build_*: distances of the build's phases; from
   `queries` on: of searches. */
/* Those that searches add to. */
#define CHANNI_SEARCH_COUNTERS(X)                                                                 \
    X(queries), X(top_distances), X(in_distances), X(delta_distances), X(clusters_touched),       \
        X(clusters_skipped), X(clusters_in_vain), X(ood_touched), X(stopped_early), X(row_reads), \
        X(filter_exact)

#define CHANNI_COUNTERS(X)                                                                      \
    X(commits), X(aborts), X(splits), X(split_parts), X(ood_found), X(ood_clusters), X(merges), \
        X(aliases), X(reroutes), X(reassigned), X(compactions), X(refused_splits), X(requeued), \
        X(caught_up), X(checkpoints), X(files_written), X(bytes_written), X(bytes_given),       \
        X(job_errors), X(build_sampling), X(build_assigning), CHANNI_SEARCH_COUNTERS(X),        \
        X(delayed_commits)

struct channi_counters {
#define FIELD(name) name
    atomic_uint_fast64_t CHANNI_COUNTERS(FIELD);
#undef FIELD
};

static inline void channi_count(atomic_uint_fast64_t *counter, uint64_t by)
{
    (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* When searches with target_recall stop (search/target.c), for these knobs and this k. */
struct channi_stop {
    bool learnt;
    struct channi_knobs knobs;
    size_t k;
    /* Of the index when it was learnt: cids used, live rows, changed_rows. */
    uint32_t clusters;
    uint64_t rows, changed_rows;
    struct stop_rule rule;
};

/* The last two: only of log records. */
enum channi_change_op { CHANGE_PUT = 1, CHANGE_DEL, CHANGE_COMMIT, CHANGE_PUT_WITH };

/* One change of a commit: a put has n rows with ids, and attributes or NULL; a deletion has ids. A
   commit may put, delete and put an id again; changes apply in order. */
struct channi_change {
    enum channi_change_op op;
    size_t n;
    const uint64_t *ids;
    const unsigned char *rows;
    const int64_t *attributes; /* records */
};

/* Copies of changes that will be applied together (commit/changes.c). */
struct channi_changes {
    struct channi_change *list;
    size_t n, capacity;
};

struct channi_base;
struct channi_cache;
struct epoch;
struct graph;
struct channi_snapshot;
struct channi_place;
struct quantizer;
struct channi_view;

/* A query's clusters are shared among threads if they scan as many bytes at once: one thread
   takes 0.1 to 0.2 ms for them. Waking another one took 0.01 to 0.06 ms, and on a busy machine it
   often came when the work was done. */
enum { CHANNI_SHARE_BYTES = 2 << 20 };

struct channi {
    struct index base;
    struct channi_params params; /* as given; values derived for a 0 are below */
    size_t row_bytes;
    size_t build_at; /* number of rows that starts the build */
    uint32_t split_max, merge_min, ood_cap;
    double compact_share;
    size_t share_bytes;                  /* CHANNI_SHARE_BYTES; less in tests */
    enum channi_maintenance maintenance; /* never CHANNI_AUTO */
    struct epoch *epoch;
    struct epoch *graph_epoch; /* of graphs in the making; no thread ever enters it */
    struct pool *alone;        /* of clusters' graphs: one thread, the caller's */
    struct channi_cache *cache;
    struct quantizer *quantizer; /* INSIDE_CODES, after the build; else NULL */
    _Atomic(struct channi_view *) now;
    pthread_mutex_t write; /* protects all below */
    /* Places of ids */
    struct slot_table table;
    uint64_t *ids;
    struct channi_place *places;
    size_t ids_capacity, places_capacity, n_slots;
    uint32_t first_free; /* free slots: a list through places[].row; their id is INDEX_NO_ID */
    /* Routes */
    struct graph *top; /* of the newest routes, or of others or NULL: see routes.c */
    struct segmented route_rows, route_phash;
    uint32_t n_routes;
    uint64_t layouts, files;       /* numbers given out so far */
    pthread_mutex_t snapshot_lock; /* protects the next two; the innermost lock */
    struct channi_snapshot *snapshots;
    size_t n_snapshots, snapshots_capacity;
    bool in_txn; /* since begin() */
    struct channi_changes
        txn; /* of the open transaction, or read from the log since the last commit */
    struct segmented latches; /* struct channi_latch, by cid */
    struct channi_jobs jobs;
    size_t taken_bytes, taken_bytes_most; /* of clusters taken by jobs, see channi_take() */
    struct durable durable;
    /* Files that the newest durable manifest names; their in_manifest is set. */
    struct channi_base **retained;
    size_t n_retained, retained_capacity;
    atomic_bool
        file_left; /* one that nothing refers to could not be removed; the next opening does */
    atomic_uint_fast64_t trimmed_at; /* value of bytes_written at the last channi_trim() */
    struct channi_counters counters;
    struct scratch_pool scratch; /* struct channi_scratch */
    pthread_mutex_t stop_lock;   /* protects `stop` */
    struct channi_stop stop;
    atomic_uint_fast64_t changed_rows; /* inserted and deleted so far */
};

/* Bytes of a row's attributes in memory and in the log. */
static inline size_t channi_record_bytes(const struct channi *c)
{
    return c->base.env.n_attributes * sizeof(int64_t);
}

static inline struct channi *channi_of(const struct index *index)
{
    return (struct channi *)(uintptr_t)index;
}

#endif
