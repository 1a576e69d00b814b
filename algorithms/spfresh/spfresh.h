/* spfresh.h - SPANN and SPFresh. Both are inverted files of many small postings on disk. The heads
 * (centroids) of the postings are in memory, in a proximity graph; a vector near a border is filed
 * in several postings. Inserts append, deletes leave tombstones. SPFresh also splits large
 * postings, merges small ones and reassigns their vectors, so that the index needs no rebuild.
 *
 * Papers: SPANN (arXiv 2111.08566), SPFresh (arXiv 2410.14452). Code: Microsoft's SPTAG. Departures
 * are in docs/methods/spfresh.md. This header holds the state of an index; each folder has a header
 * for its part. A folder calls only those below it:
 *
 *   method.c       the two tables of operations, and the options (options.h)
 *   operations.h   the operations, one file each: index.c (open, destroy), insert.c ...
 *   maintenance/   splits, merges, reassignments, vacuums, and when each is due
 *   durable/       lock on the folder, log, snapshots, checkpoints
 *   search/        single queries, and batches that read each posting once
 *   build/         heads chosen from many vectors, many vectors filed at once
 *   filing/        postings and heads: read, written, chosen for a vector
 *   jobs/          the queue of maintenance jobs
 *   codec/         the bytes of a posting, scans of them, exact rows beside codes
 *   slots/         ids, slots and versions
 *
 * *Terms.* A *slot* is a vector's internal number (u32), used again after a delete. A *head* is a
 * node of the graph; its number is also that of its posting. An *entry* is a copy of a vector in a
 * posting: slot, version, and the vector or its code. An entry is *current* if its version equals
 * the slot's, *coming* if it is one ahead (a move is under way), else *stale*. All entries of a
 * deleted slot are stale.
 *
 * *Invariants*
 *   - Whenever a search may read, a live slot has a current entry in the posting of a live head.
 *   - A version only grows: a move adds 1, reuse of a slot adds 3. A move that failed half-way may
 *     have left entries one ahead, and a search accepts entries one behind; 3 keeps both apart from
 *     the new vector. A slot whose version cannot grow any more is not used again before a vacuum
 *     has rewritten every posting; a live vector in such a slot gets a new one.
 *   - While a search is inside the epoch, a vector moves at most once, and an entry that was
 *     current when the search began stays in its posting. So the search finds the vector either
 *     before or after the move.
 *   - A thread that appends to a posting, rewrites it or removes its head holds the posting's lock,
 *     and checks under it that the head is still alive.
 *
 * *Locks* are taken in this order: `checkpointing`, `checkpoint_lock`, the ids of an update
 * (spfresh_ids_begin), a slot's lock, postings' locks by ascending stripe, then those inside graph,
 * store and queue. Updates and jobs share `checkpoint_lock`; snapshots, vacuums and the first
 * insert hold it exclusively. Its writers go first, so no thread may take it twice. Searches take
 * no lock: they are inside the epoch.
 */
#ifndef DRIFTLINE_SPFRESH_H
#define DRIFTLINE_SPFRESH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/clustering/stop_rule.h"
#include "algorithms/common/concurrency/latency.h"
#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/common/durable/durable.h"
#include "algorithms/common/graph/graph.h"
#include "algorithms/common/postings/posting_store.h"
#include "algorithms/spfresh/options.h"
#include "algorithms/spfresh/slots/slots.h"
#include "src/core/error.h"
#include "src/core/index.h"

/* 1. Heads */

/* A head is alive while it is OPEN. The flag is tested with the posting's lock held. */
enum {
    HEAD_OPEN = 1,
    HEAD_SPLIT_QUEUED = 2,
    HEAD_MERGE_QUEUED = 4,
    HEAD_UNSPLITTABLE = 8,
    HEAD_SPLIT_URGENT = 16,
    HEAD_DROPPING = 32
};

struct spfresh_head {
    _Atomic(uint32_t) size; /* entries, stale ones included */
    _Atomic(uint32_t) flags;
    _Atomic(uint32_t) generation; /* grows with each head added under this number */
    _Atomic(float) error;         /* codec: the largest error of the posting's codes */
    _Atomic(uint32_t) refused;    /* HEAD_UNSPLITTABLE: live entries at the failed split */
};

/* 2. The index */

/* Counters that stats() reports under these names: sums, and means per query of those of searches. */
#define SPFRESH_COUNTERS(X)                                                                \
    X(appends), X(splits), X(same_head), X(even_splits), X(inline_splits), X(collections), \
        X(merges), X(reassign_scanned), X(reassign_submitted), X(reassign_aborted),        \
        X(reassign_done), X(head_misses), X(removes), X(sweeps), X(job_errors), X(checkpoints)
#define SPFRESH_QUERY_COUNTERS(X)                                                                  \
    X(head_distances), X(postings_read), X(postings_pruned), X(postings_late), X(entries_scanned), \
        X(duplicates), X(row_pages)

struct spfresh_counters {
#define FIELD(name) name
    atomic_uint_fast64_t queries, SPFRESH_COUNTERS(FIELD), SPFRESH_QUERY_COUNTERS(FIELD);
#undef FIELD
};

static inline void spfresh_count(atomic_uint_fast64_t *counter, uint64_t by)
{
    (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* Phases whose latencies stats() reports; their names are in stats.c. */
enum spfresh_phase {
    /* per query */
    SPFRESH_PHASE_HEADS,    /* search for heads */
    SPFRESH_PHASE_POSTINGS, /* postings awaited and scanned */
    SPFRESH_PHASE_RERANK,   /* exact distances, where postings hold codes */
    /* of updates; waits for locks included */
    SPFRESH_PHASE_APPEND,   /* per inserted vector: all its copies appended */
    SPFRESH_PHASE_SPLIT,    /* per split, until its halves are written */
    SPFRESH_PHASE_MERGE,    /* per merge, until the survivor is written */
    SPFRESH_PHASE_REASSIGN, /* per candidate of a reassignment: checked, and moved if needed */
    SPFRESH_PHASE_COLLECT,  /* per posting rewritten without stale entries */
    SPFRESH_PHASES
};

struct spfresh_codec;
struct spfresh_jobs;
struct row_store;
struct spfresh_scratch;
struct spfresh_work;

struct spfresh {
    struct index base;
    struct spfresh_params params;
    bool live; /* spfresh; else spann: postings grow, nothing is split */
    struct epoch *epoch;
    struct spfresh_slots slots;
    struct graph *graph;        /* over the heads; empty before the build */
    atomic_bool built;          /* heads exist */
    struct segmented heads;     /* struct spfresh_head, by node */
    pthread_mutex_t heads_lock; /* held while heads grows */
    struct posting_store *store;
    struct spfresh_codec *codec;
    struct row_store *rows; /* exact vectors by slot, if postings hold codes; else NULL */
    size_t limit, hard_limit, merge_limit; /* in entries per posting */
    atomic_bool forgotten;                 /* a split was not queued for lack of memory */
    atomic_bool repeats; /* a move failed half-way: a slot may have an entry twice */
    pthread_rwlock_t checkpoint_lock;
    pthread_mutex_t posting[SPFRESH_STRIPES]; /* by head % SPFRESH_STRIPES */
    /* Epoch marks: of the last move of any slot in each stripe, and of the last move of all. */
    _Atomic(uint64_t) moved[SPFRESH_STRIPES], last_move;
    struct spfresh_jobs *jobs; /* NULL for spann */
    pthread_mutex_t merging;   /* one merge at a time: two could remove the last two heads */
    struct durable durable;
    uint64_t snapshot; /* number of the newest one; 0: none */
    struct spfresh_counters counters;
    struct latency phases[SPFRESH_PHASES];
    struct stop_learnt stop; /* by the first search with target_recall; under stop_lock */
    pthread_mutex_t stop_lock;
    struct scratch_pool scratch; /* struct spfresh_scratch */
    struct scratch_pool works;   /* struct spfresh_work, of maintenance */
};

static inline struct spfresh *spfresh_of(const struct index *index)
{
    return (struct spfresh *)(uintptr_t)index;
}

static inline struct spfresh_head *spfresh_head(const struct spfresh *s, uint32_t head)
{
    return segmented_at(&s->heads, head);
}

static inline uint64_t spfresh_now(const struct spfresh *s)
{
    return latency_now(&s->base.env);
}

/* Ends a phase that began at `start`, of spfresh_now(). Returns the time now. */
static inline uint64_t spfresh_lap(struct spfresh *s, enum spfresh_phase phase, uint64_t start)
{
    return latency_lap(&s->phases[phase], &s->base.env, start);
}

static inline size_t spfresh_row_bytes(const struct spfresh *s)
{
    return index_row_bytes(s->base.env.element, s->base.env.dim);
}

static inline bool spfresh_is_open(const struct spfresh *s, uint32_t head)
{
    return atomic_load_explicit(&spfresh_head(s, head)->flags, memory_order_acquire) & HEAD_OPEN;
}

/* True if postings hold codes: the exact vectors then lie by slot in the row file. */
static inline bool spfresh_has_row_file(const struct spfresh *s)
{
    return s->params.postings != CODEC_RAW;
}

static inline unsigned spfresh_version_max(const struct spfresh *s)
{
    return s->params.version_bits ? 0x7fff : 0x7f;
}

/* Whether maintenance must keep an entry: it is current or coming. */
static inline bool spfresh_keeps(const struct spfresh *s, uint32_t slot, unsigned version)
{
    const unsigned now = spfresh_version(s, slot);

    return !(now & VERSION_DELETED) && (version == now || version == now + 1);
}

/* Returns ERR_NO_MEMORY. message: without the method's name. */
static inline int spfresh_no_memory(const struct spfresh *s, const char *message)
{
    return fail(s->base.env.error, ERR_NO_MEMORY, "%s: %s", s->base.ops->name, message);
}

#endif
