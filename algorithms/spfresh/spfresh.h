/* spfresh.h - SPANN, and SPFresh that keeps it fresh: an inverted file of many small postings on
 * disk, their heads (centroids) in memory under a proximity graph, vectors near a border filed in
 * several postings. Inserts append, deletes leave tombstones, and what grows or starves is split,
 * merged and its vectors reassigned on the spot, so that there is never a rebuild.
 *
 * Sources: SPANN (arXiv 2111.08566), SPFresh (arXiv 2410.14452), Microsoft's SPTAG; what we changed
 * is in docs/methods/spfresh.md.
 *
 *   1 options   2 vectors: slots and versions   3 heads and postings   4 the index   5 members
 *   6 choosing heads   7 updates   8 jobs   9 one file an operation
 *
 * Words. A *slot* is a vector's number in here (u32), used again after a delete. A *head* is a node
 * of the graph, and the number of its posting. An *entry* is a copy of a vector in a posting: slot,
 * version, and the vector or its code. An entry is *current* if its version is the slot's, *coming*
 * if it is one ahead (a move under way), else *stale*; a deleted slot's entries are stale.
 *
 * What stays true
 *   - a live slot has a current entry in the posting of a live head, at any moment a search may look
 *   - a version only goes up: a move adds 1, reuse of a slot adds 3 (a move that failed half-way may
 *     have left entries one ahead, and a search accepts those one behind). A slot whose version cannot
 *     go up any more is not used again before a sweep has rewritten every posting; a live vector there
 *     gets a new slot.
 *   - while one search is inside the epoch a vector moves once at most, and no entry that was current
 *     when the search began leaves its posting: it finds the vector before the move or after
 *   - whoever appends to a posting, rewrites it or removes its head holds the posting's lock, and
 *     looks after taking it whether the head is still alive
 *
 * Locks, in this order: `checkpointing`, `gate` (shared by updates and jobs, exclusive for
 * snapshots, sweeps and the first vectors; whoever waits for it exclusively goes first, so nobody
 * takes it twice), the ids of an update (spfresh_ids_begin), a slot's, postings' by ascending
 * stripe, then those inside graph, store, queue. Searches take none: they are inside the epoch.
 */
#ifndef DRIFTLINE_SPFRESH_H
#define DRIFTLINE_SPFRESH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/epoch.h"
#include "algorithms/common/graph.h"
#include "algorithms/common/journal.h"
#include "algorithms/common/posting_store.h"
#include "algorithms/common/stable.h"
#include "algorithms/spfresh/codec.h"
#include "src/core/idmap.h"
#include "src/core/index.h"
#include "src/core/slot_table.h"

/* 1. Options */

/* ADDERS: threads that may make a head at once. */
enum { SPFRESH_REPLICAS_MAX = 8, SPFRESH_STRIPES = 1024, SPFRESH_ADDERS = 128 };

enum spfresh_maintenance { SPFRESH_INLINE, SPFRESH_EXPLICIT, SPFRESH_BACKGROUND };
/* AUTO: written where postings lie in files; an index's own params have one of the others. */
enum spfresh_durability { SPFRESH_NO_JOURNAL, SPFRESH_WRITTEN, SPFRESH_SYNCED, SPFRESH_AUTO };

struct spfresh_params {
    /* heads */
    double ratio;                                            /* heads per vector of the build */
    int64_t fanout, leaf, samples;                           /* of the balanced tree */
    double balance;                                          /* 0: none; < 0: tried by decades */
    int64_t select_threshold, split_threshold, split_factor; /* 0: found */
    int64_t refine;                                          /* passes of Lloyd's over the heads */
    int64_t head_index;                                      /* enum graph_kind */
    int64_t degree, build_ef, insert_ef;
    /* filing */
    int64_t assign_heads; /* heads looked at for a vector (InternalResultNum) */
    int64_t replicas;
    double rng_factor, closure_eps;
    int64_t page_limit;      /* pages of a posting; 0: 3 for bytes, 12 for floats */
    int64_t posting_entries; /* the same in entries; 0: by page_limit */
    int64_t buffer_pages;    /* past the limit, before an update must split by itself */
    /* what a posting holds */
    int64_t postings; /* enum codec_kind */
    int64_t bits, pq_groups;
    double eps0;
    int64_t code_centre;  /* enum codec_centre */
    int64_t version_bits; /* choice: 7, 15 */
    /* where it lies */
    int64_t store, io; /* enum posting_kind, posting_io */
    bool direct, verify;
    int64_t journal; /* enum spfresh_durability */
    int64_t checkpoint_mb;
    /* upkeep: spfresh only */
    int64_t maintenance; /* enum spfresh_maintenance */
    int64_t background_threads;
    int64_t reassign_heads; /* postings looked at after a split (ReassignK); 0: none */
    bool split, condition1, condition2, merge, recentre;
    int64_t merge_entries; /* a posting of at most so many live entries is merged; 0: a tenth of the
                              limit, at least 10 */
    double
        same_head; /* a half whose centre is within this share of the mean distance of its members
                         from the old head keeps that head */
};

struct spfresh_knobs {
    int64_t nprobe;        /* heads searched at most (SearchInternalResultNum) */
    int64_t ef, max_check; /* of the head search; 0: by nprobe, none */
    double max_dist_ratio; /* a head farther than this times the nearest one's squared distance is
                               left out (MaxDistRatio); 0: none is */
    int64_t page_budget;   /* pages of a posting that are read at most; 0: all */
    int64_t rerank; /* codes: exact distances at most; 0: all that the bound cannot exclude */
    double latency_limit_ms; /* postings not there by then are left out; 0: all are waited for */
};

/* 2. Vectors */

#define SLOT_NONE       UINT32_MAX
#define VERSION_DELETED 0x8000u /* of what spfresh_version() returns */

/* Free slots form a list through ids[]: nobody looks at a dead slot's id. */
struct spfresh_slots {
    struct stable versions;  /* _Atomic uint8_t or uint16_t by version_bits, top bit: deleted */
    _Atomic(uint64_t *) ids; /* ids[slot]; replaced by a longer copy, the old one retired. Load it
                                after the version that makes the slot of interest */
    size_t ids_capacity;
    struct slot_table table;              /* id -> slot of live ones */
    uint32_t first_free, first_exhausted; /* SLOT_NONE: none */
    uint32_t first_parked, first_frozen;  /* free after the next snapshot, the one being written */
    atomic_size_t n;                      /* slots ever used */
    size_t exhausted;                     /* dead ones that wait for a sweep */
    atomic_size_t live;
    struct idmap changing; /* ids that an update is at work on -> the array of ids it was given */
    pthread_cond_t changed;
    pthread_mutex_t lock;                /* of all but versions */
    pthread_mutex_t of[SPFRESH_STRIPES]; /* a slot's own, by slot % SPFRESH_STRIPES */
};

/* 3. Heads */

/* A head is alive while it is OPEN, which is looked at with its posting's lock held. */
enum {
    HEAD_OPEN = 1,
    HEAD_SPLIT_QUEUED = 2,
    HEAD_MERGE_QUEUED = 4,
    HEAD_UNSPLITTABLE = 8,
    HEAD_SPLIT_URGENT = 16,
    HEAD_DROPPING = 32,
    HEAD_STRAYED = 64 /* it is none of its members' vectors: recentre.c */
};

struct spfresh_head {
    _Atomic(uint32_t) size; /* entries, stale ones included */
    _Atomic(uint32_t) flags;
    _Atomic(uint32_t) lives;   /* heads that have had this number */
    _Atomic(float) error;      /* codec: the largest error of the posting's codes */
    _Atomic(uint32_t) refused; /* unsplittable: live entries when it was tried */
};

/* 4. The index */

struct spfresh_counters { /* all of them in stats(), by these names */
    atomic_uint_fast64_t appends, splits, same_head, collections, merges, recentres,
        reassign_scanned, reassign_submitted, reassign_aborted, reassign_done, head_misses,
        even_splits, sweeps, inline_splits, job_errors, checkpoints, removes;
    atomic_uint_fast64_t cascade[8]; /* splits and merges by the splits that led to them */
    /* of searches */
    atomic_uint_fast64_t queries, head_distances, postings_read, postings_pruned, postings_late,
        entries_scanned, duplicates, row_pages;
};

static inline void spfresh_count(atomic_uint_fast64_t *counter, uint64_t by)
{
    (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

struct spfresh_jobs;

struct spfresh {
    struct index base;
    struct spfresh_params params;
    bool live; /* spfresh; else spann: postings grow, nothing is split */
    struct epoch *epoch;
    struct spfresh_slots slots;
    struct graph *graph;        /* of heads; empty before the build */
    atomic_bool built;          /* there are heads */
    struct stable heads;        /* struct spfresh_head, by node */
    pthread_mutex_t heads_lock; /* of its growth */
    struct posting_store *store;
    struct codec *codec;
    size_t limit, hard_limit, merge_limit; /* entries of a posting */
    atomic_bool forgotten;                 /* a split found no memory to be queued */
    atomic_bool repeats; /* a move has failed half-way: some entry may be there twice */
    pthread_rwlock_t gate;
    pthread_mutex_t posting[SPFRESH_STRIPES]; /* by head % SPFRESH_STRIPES */
    /* Marks of the epoch: of the last move of a slot of each stripe, of any. */
    _Atomic(uint64_t) moved[SPFRESH_STRIPES], last_move;
    struct spfresh_jobs *jobs;       /* NULL for spann */
    struct journal *journal;         /* NULL: none */
    pthread_mutex_t checkpointing;   /* one checkpoint at a time */
    uint64_t snapshot, snapshot_lsn; /* number of the newest, 0: none; the last record in it */
    atomic_uint_fast64_t due_at;     /* bytes of journal that make the next checkpoint due */
    int claim;                       /* of env.dir, -1: none */
    char *dir;                       /* base.env.dir: the caller's text may change */
    const struct store_fault *fault; /* tests: before each system call on files; NULL */
    struct spfresh_counters counters;
    pthread_mutex_t scratch_lock;
    struct spfresh_scratch *scratch; /* a list of unused ones */
};

static inline struct spfresh *spfresh_of(const struct index *index)
{
    return (struct spfresh *)(uintptr_t)index;
}

static inline struct spfresh_head *spfresh_head(const struct spfresh *s, uint32_t head)
{
    return stable_at(&s->heads, head);
}

static inline size_t spfresh_row_bytes(const struct spfresh *s)
{
    return element_row_bytes(s->base.env.element, s->base.env.dim);
}

/* Versions as 0 .. 2^bits - 1, with VERSION_DELETED. */
unsigned spfresh_version(const struct spfresh *, uint32_t slot);
void spfresh_set_version(struct spfresh *, uint32_t slot, unsigned version);
static inline unsigned spfresh_version_max(const struct spfresh *s)
{
    return s->params.version_bits ? 0x7fff : 0x7f;
}
/* Whether an upkeep must keep an entry: current, or coming. */
static inline bool spfresh_keeps(const struct spfresh *s, uint32_t slot, unsigned version)
{
    const unsigned now = spfresh_version(s, slot);

    return !(now & VERSION_DELETED) && (version == now || version == now + 1);
}

void spfresh_lock_slot(struct spfresh *, uint32_t slot);
void spfresh_unlock_slot(struct spfresh *, uint32_t slot);
void spfresh_lock_posting(struct spfresh *, uint32_t head);
void spfresh_unlock_posting(struct spfresh *, uint32_t head);
/* Several heads' stripes, each once, in order. n <= 3. */
void spfresh_lock_postings(struct spfresh *, const uint32_t *heads, size_t n);
void spfresh_unlock_postings(struct spfresh *, const uint32_t *heads, size_t n);

/* 5. Members: a posting in memory, one thread's to work on */

struct members {
    uint32_t *slots;
    uint16_t *versions;
    unsigned char *rows; /* n x row_bytes, exact vectors */
    size_t n, capacity;
    size_t row_bytes;
    struct mem *mem;
};

void members_init(struct members *, const struct spfresh *);
void members_free(struct members *);
bool members_reserve(struct members *, size_t n);
/* Adds a copy; room was reserved. */
void members_add(struct members *, uint32_t slot, unsigned version, const void *row);

/* All with the posting's lock held. */
/* What is in the posting, stale entries left out (and a slot's second entry) if `kept`. */
int spfresh_load(struct spfresh *, uint32_t head, bool kept, struct members *);
/* The posting holds these and nothing else; sets its size. */
int spfresh_put(struct spfresh *, uint32_t head, const struct members *);
/* Adds n of them; sets its size. The head is alive. */
int spfresh_append(struct spfresh *, uint32_t head, const struct members *, size_t first, size_t n);
/* Whether the posting has this very entry. */
int spfresh_holds(struct spfresh *, uint32_t head, uint32_t slot, unsigned version, bool *held);
/* No longer OPEN, off the graph; its posting goes when no search may be reading it. On failure as
   before. */
int spfresh_remove_head(struct spfresh *, uint32_t head);
static inline bool spfresh_is_open(const struct spfresh *s, uint32_t head)
{
    return atomic_load_explicit(&spfresh_head(s, head)->flags, memory_order_acquire) & HEAD_OPEN;
}
/* A node, its posting, then OPEN, so that nobody else appends before `members` are in. Searches may find
   it empty meanwhile. centre: an element row. Needs no lock. */
int spfresh_add_head(struct spfresh *, const void *centre, const struct members *, uint32_t *head);

/* 6. Choosing heads */

/* One thread's. From spfresh_scratch_take(), back with spfresh_scratch_give(). */
struct spfresh_scratch {
    struct spfresh_scratch *next;
    struct graph_scratch *graph;
    struct posting_reader *reader;
    struct codec_scratch *codec;
    uint32_t *heads; /* candidates, head_capacity */
    float *distances;
    size_t head_capacity, n_heads;
    struct members members[4]; /* work space of upkeep */
    struct upkeep *upkeep;     /* more of it, upkeep.h; NULL until needed */
};
void spfresh_upkeep_free(struct upkeep *); /* NULL is allowed */
int spfresh_scratch_take(struct spfresh *, struct spfresh_scratch **);
void spfresh_scratch_give(struct spfresh *, struct spfresh_scratch *);
void spfresh_scratch_free(struct spfresh *); /* the unused ones */
uint64_t spfresh_scratch_bytes(struct spfresh *);

struct choice {
    uint32_t heads[SPFRESH_REPLICAS_MAX];
    float distances[SPFRESH_REPLICAS_MAX];
    uint32_t lives[SPFRESH_REPLICAS_MAX]; /* of the heads: another may get the number meanwhile */
    size_t n;
};
/* The heads a vector is filed under: of the assign_heads nearest, ascending, one is taken unless a
   taken one c_j has rng_factor d(c_i, c_j) <= d(c_i, x), or d(x, c_i) > (1 + closure_eps)^2 d(x, c_1)
   (SPANN's closure; squared distances). Enters the epoch itself; *checked: distances computed. */
int spfresh_choose(struct spfresh *, struct spfresh_scratch *, const void *row, struct choice *,
                   double *checked);
/* The same from candidates at hand, ascending. */
void spfresh_choose_of(const struct spfresh *, const uint32_t *heads, const float *distances,
                       size_t n, struct choice *);
/* The k nearest heads to x->heads, x->distances, x->n_heads; inside the epoch. ef, max_check: graph.h. */
int spfresh_nearest(struct spfresh *, struct spfresh_scratch *x, const void *row, size_t k,
                    size_t ef, size_t max_check, double *checked);
bool spfresh_scratch_fit(struct spfresh *, struct spfresh_scratch *, size_t heads);

/* 7. Updates: shared by insert, recovery and upkeep. The caller holds `gate` shared. */

/* Appends to every head of the choice; a head that has died meanwhile is left out and counted as a
   miss. *done: to how many. Queues splits. */
int spfresh_file(struct spfresh *, const struct choice *, uint32_t slot, unsigned version,
                 const void *row, uint32_t depth, size_t *done);

/* Adds a record to the journal's batch, if there is a journal. row NULL: none. */
int spfresh_log(struct spfresh *, uint8_t op, const uint64_t *id, const void *row);

/* 8. Jobs (jobs.c, maintain.c, background.c) */

enum job_kind { JOB_SPLIT, JOB_MERGE, JOB_REASSIGN, JOB_RECENTRE };

struct job {
    enum job_kind kind;
    uint32_t what;    /* head; reassign: slot */
    uint32_t version; /* reassign: the slot's when it was queued */
    uint32_t depth;   /* splits that led to this one */
    uint32_t from;    /* reassign: a head whose posting holds the vector */
};

/* Distances a job has computed; from `limit` on it queues moves instead of doing them. */
struct job_cost {
    double distances, limit;
};

int spfresh_jobs_open(struct spfresh *);
/* The background's threads, if it has any: when all else is open. */
int spfresh_jobs_start(struct spfresh *);
void spfresh_jobs_close(struct spfresh *); /* background threads end after their job */
/* Queues unless it is queued already. Out of memory: forgotten, and found again by the next append or
   sweep. No lock but slots' and postings' held. */
void spfresh_queue(struct spfresh *, struct job);
/* Every posting past the limit: after a build, or when an index comes from a file. */
void spfresh_queue_overfull(struct spfresh *);
/* Works jobs off until the queue is empty or about `budget` distances were computed (0: no bound). */
int spfresh_work(struct spfresh *, uint64_t budget, bool *more);
/* What an update does before it returns: inline, all jobs; background, wakes the threads, and splits
   by itself what is past the hard limit. */
int spfresh_after_update(struct spfresh *);
size_t spfresh_queued(const struct spfresh *);

/* OK, or the failure of a job that has not gone well since. */
int spfresh_upkeep_error(const struct spfresh *);

/* One job each: split.c, merge.c, reassign.c. `gate` is held shared by who calls. */
int spfresh_split(struct spfresh *, struct spfresh_scratch *, const struct job *,
                  struct job_cost *);
int spfresh_recentre(struct spfresh *, struct spfresh_scratch *, const struct job *,
                     struct job_cost *);
int spfresh_merge(struct spfresh *, struct spfresh_scratch *, const struct job *,
                  struct job_cost *);
int spfresh_reassign(struct spfresh *, struct spfresh_scratch *, const struct job *,
                     struct job_cost *);
/* sweep.c: rewrites every posting without stale entries; takes `gate` exclusively. */
int spfresh_sweep(struct spfresh *);

/* 9. One file an operation */

struct spfresh_opening {
    bool live;
    int *claim; /* of env.dir: becomes the index's, then -1. NULL: there is none yet */
    const struct store_fault *fault;
};
/* An index without heads, and without store and journal. */
int spfresh_open(struct spfresh **, const struct index_env *, const struct spfresh_params *,
                 const struct spfresh_opening *);
/* The whole of create() and load(). */
int spfresh_create(struct spfresh **, const struct index_env *, const struct spfresh_params *,
                   const struct spfresh_opening *);
int spfresh_load_from(struct spfresh **, const struct index_env *, const char *dir,
                      const struct spfresh_opening *);
void spfresh_set_limits(struct spfresh *); /* once the codec knows how large entries are */
int spfresh_open_store(struct spfresh *,
                       const struct store_reader *resume);     /* NULL: an empty one */
int spfresh_open_journal(struct spfresh *, uint64_t last_lsn); /* if its options want one */
/* Journal, the first snapshot, background threads. */
int spfresh_start(struct spfresh *);
void spfresh_stop(struct spfresh *); /* ends threads, closes the journal */
bool spfresh_has_files(const struct spfresh *);
int spfresh_claim(struct spfresh *);       /* of env.dir, before any file in it is opened */
int spfresh_claim_empty(struct spfresh *); /* no index has been in the folder. ERR_ARGUMENT */
void spfresh_release(struct spfresh *);
void spfresh_destroy(struct index *);
int spfresh_train(struct index *, struct vectors);
int spfresh_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int spfresh_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int spfresh_search_op(struct index *, const struct search_request *, struct search_result *);
int spfresh_range(struct index *, const struct range_request *, struct range_result *);
int spfresh_maintain(struct index *, uint64_t budget, bool *more);
int spfresh_save(struct index *, const char *dir);
int spfresh_load_index(struct index **, const struct index_env *, const char *dir);
int spann_load_index(struct index **, const struct index_env *, const char *dir);
int spfresh_stats(const struct index *, struct stat_sink *);
int spfresh_memory(const struct index *, struct memory_use *);
int spfresh_check(const struct index *, struct stat_sink *);

/* misfiled.c: the value "npa_violations", the share of (a sample of) live vectors that are in no posting
   of a head as near as the nearest. Nothing changes meanwhile. m: to work with. */
int spfresh_misfiled(struct spfresh *, struct members *m, struct stat_sink *);

/* build.c: heads from rows (train, or the first insert), and filing many rows at once. */
int spfresh_build_heads(struct spfresh *, struct vectors rows);
int spfresh_fill(struct spfresh *, struct vectors rows, const uint64_t *ids);
/* Takes that back. */
void spfresh_unfill(struct spfresh *, const uint64_t *ids, size_t n);
bool spfresh_is_empty(const struct spfresh *); /* no vector, no entry */

/* slots.c. Each takes slots.lock itself. */
/* An update of these ids begins: until it ends, no other one changes any of them. So the log has
   the updates of an id in the order in which they took effect, and what an update takes back is its
   own. Waits, holding none of the ids, while another update has one. ERR_DUPLICATE_ID: an id is
   there twice; ERR_NO_MEMORY. */
int spfresh_ids_begin(struct spfresh *, const uint64_t *ids, size_t n);
void spfresh_ids_end(struct spfresh *, const uint64_t *ids, size_t n);
/* Slots for n new ids, versions raised, deleted bit still set (the caller publishes them under the
   slot's lock, before it files the vector); ids filed. ERR_DUPLICATE_ID, ERR_NO_MEMORY: none. */
int spfresh_slots_take(struct spfresh *, const uint64_t *ids, size_t n, uint32_t *slots);
bool spfresh_slot_of(struct spfresh *, uint64_t id, uint32_t *slot);
/* The ids are gone and their slots deleted; a slot is used again when no reader may hold it. Cannot
   fail; out of memory it waits for the readers, so no lock but the gate is held, and nobody is
   inside the epoch. */
void spfresh_slots_drop(struct spfresh *, const uint64_t *ids, size_t n);
/* A dead slot that no reader holds is free, or exhausted if its version cannot go up by a reuse any
   more. */
void spfresh_slot_give(struct spfresh *, uint32_t slot);
/* A second slot for the live vector of an exhausted one, whose lock the caller holds: still deleted. The
   caller files the vector under it and publishes it, then tells whether that went well: the old slot
   dies, or the fresh one does. Meanwhile an answer may find both: one id, one distance. */
int spfresh_slot_renew(struct spfresh *, uint32_t slot, uint32_t *fresh);
void spfresh_slot_renewed(struct spfresh *, uint32_t slot, uint32_t fresh, bool done);
/* After a sweep: exhausted dead slots start anew. */
void spfresh_slots_swept(struct spfresh *);

/* A live vector's old slot is among them, whose row the last snapshot still needs (snapshot.h): so those that
   began anew before a snapshot are used again once it is durable. The gate is shut; it is not. */
void spfresh_slots_frozen(struct spfresh *);
void spfresh_slots_thawed(struct spfresh *, bool durable);

/* snapshot.c, recover.c, save.c. Ops of the journal: */
enum { SPFRESH_LOG_INSERT = 1, SPFRESH_LOG_REMOVE = 2 }; /* u64 id [+ row]; u64 id */
/* Writes env.dir's snapshot anew and forgets the journal before it. Takes `checkpointing` and
   `gate`. Nothing without a journal. */
int spfresh_checkpoint(struct spfresh *);
/* No update, no upkeep and no checkpoint but the caller's: takes both. */
void spfresh_lock_updates(struct spfresh *);
void spfresh_unlock_updates(struct spfresh *);
/* The same as spfresh_checkpoint(), meanwhile. *kept: a crash may return to this state, even after
   a failure. */
int spfresh_checkpoint_locked(struct spfresh *, bool *kept);
int spfresh_load_saved(struct spfresh **, const struct index_env *, const char *dir,
                       const struct spfresh_opening *);
/* Whether there is enough journal for one. */
bool spfresh_checkpoint_due(const struct spfresh *);

extern const struct index_ops spann_ops, spfresh_ops;
extern const struct param spann_params[], spfresh_param_table[];

#endif
