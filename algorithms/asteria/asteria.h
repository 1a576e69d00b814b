/* asteria.h - the state of Asteria: a learned rotation, buckets by the codeword that sign bits
 * decode to, short codes with bounds, a graph of a few edges a row, clusters that are prefixes of
 * addresses.
 *
 *   asteria.c options, creation, table   train.c (train, retrain) encode.c   insert.c remove.c
 *   bucket.c generation.c                probe.c scan.c search.c range.c     maintain.c compact.c
 *   turn*.c bor*.c ecc*.c vantage.c lrsq*.c calibration.c model*.c           caprg*.c bec*.c
 *   tier*.c heat.c   snapshot*.c checkpoint.c pins.c log.c save.c recover.c  certify.c audit.c
 *   stats.c check.c memory.c clusters.c
 *
 * Everything is squared distance of unit vectors, 2 - 2 cos. A slot is a row's number for as long
 * as it is stored: ids, places, codes, edges and rows are found by it. A slot is free again once
 * its bucket is compacted and the graph has forgotten it.
 *
 * Invariants (check.c): ids[slot] is not ID_NONE exactly where the slot is live, and `slots` leads
 * back from it. A live slot is alive at its place and there only. Each live row's z, p, word and
 * address are what its generation's model makes of its row; buckets' bounds hold for all their live
 * rows. Live counts add up: of buckets, generations, leaves.
 *
 * While a newer model takes over, rows of two generations are searched side by side, each by its
 * own model's codes; each row is in one. maintain() moves buckets until the older one is empty.
 *
 * Threads: searches hold `lock` for reading, changes for writing; snapshots are written beside both
 * (checkpoint.c).
 */
#ifndef DRIFTLINE_ASTERIA_H
#define DRIFTLINE_ASTERIA_H

#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/asteria/bec.h"
#include "algorithms/asteria/bucket.h"
#include "algorithms/asteria/caprg.h"
#include "algorithms/asteria/options.h"
#include "algorithms/asteria/tier.h"
#include "src/core/index.h"
#include "src/core/slot_table.h"

/* Where a live or dead row is; generation: which of asteria.generations. */
struct place {
    uint32_t bucket;
    uint32_t position : 31, generation : 1;
};

/* What searches counted, since creation. */
struct asteria_counts {
    double queries, probes, buckets_skipped, rows_skipped_b1, rows_skipped_b2, skipped_b3, scanned,
        estimates, exact, hops, walked, flips;
};

struct scratch;       /* search.h */
struct asteria_audit; /* audit.c */
struct asteria_log;   /* log.c */
struct store_fault;

/* How an index comes to be. */
struct asteria_opening {
    const struct store_fault *fault; /* tests: before system calls on files; NULL */
    int *claim;    /* of env.dir, -1 once the index has taken it over; NULL: none yet */
    bool recovers; /* the index of env.dir; else a new one, for which the folder must hold none */
};

/* Dead slots that are not free, for a snapshot needs their rows (pins.c). */
struct asteria_pins {
    /* a bit a slot, of the first so many: the last durable snapshot refers to its row in the file;
       the snapshot that is being written needs it */
    uint64_t *durable, *writing;
    size_t n_durable, n_writing;
    uint32_t *slots;
    size_t n, capacity, failed; /* failed: as many were pinned when a checkpoint failed */
};

struct asteria {
    struct index base;
    struct asteria_params params; /* as resolved */
    pthread_rwlock_t lock;
    pthread_rwlock_t checkpoint_lock; /* these three: checkpoint.c */
    pthread_mutex_t checkpointing, changing;
    /* now: the one rows are inserted into; the other: NULL, or being emptied */
    struct generation *generations[2];
    unsigned now;
    bool trained;
    /* of the models that were fitted; one that was undone does not give its version back */
    uint32_t last_version;
    uint64_t fitted_rows, inserted_since; /* live rows when the model was fitted; inserted since */
    /* by slot; n_slots of them have been used */
    uint64_t *ids; /* ID_NONE: dead or free; what `slots` looks ids up in */
    struct place *places;
    size_t n_slots, ids_capacity, places_capacity;
    uint32_t *free; /* slots that can be used again */
    size_t n_free, free_capacity;
    /* two bits a slot: dead, and still in its bucket (bit 2 s), in the graph (2 s + 1) */
    uint64_t *waiting;
    size_t waiting_capacity;
    struct slot_table slots; /* live ids */
    struct asteria_pins pins;
    size_t live;
    /* rows that came or went, since it was opened: an audit is of the rows as they are */
    uint64_t changes;
    struct tier *tier;
    struct caprg *graph;             /* NULL: params.caprg is off */
    struct bec *bec;                 /* of generations[now] */
    struct asteria_log *log;         /* NULL: it keeps no files: volatile, and its rows in memory */
    const struct store_fault *fault; /* NULL */
    pthread_mutex_t scratch_lock;    /* of what follows */
    struct scratch *scratch;         /* those not in use */
    struct asteria_counts counts;
    /* NULL: no search asked for one; asteria_scratch_free() frees it */
    struct asteria_audit *audit;
};

static inline struct asteria *asteria_of(const struct index *index)
{
    return (struct asteria *)(uintptr_t)index;
}

extern const struct index_ops asteria_ops;

int asteria_create(struct index **, const struct index_env *, const void *params);
void asteria_destroy(struct index *);
int asteria_train(struct index *, struct vectors sample);
int asteria_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int asteria_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int asteria_search(struct index *, const struct search_request *, struct search_result *);
int asteria_range(struct index *, const struct range_request *, struct range_result *);
int asteria_maintain(struct index *, uint64_t budget, bool *more);
int asteria_save(struct index *, const char *dir);
int asteria_load(struct index **, const struct index_env *, const char *dir);
int asteria_stats(const struct index *, struct stat_sink *);
int asteria_memory(const struct index *, struct memory_use *);
int asteria_check(const struct index *, struct stat_sink *);
extern const struct index_cluster_ops asteria_clusters;

/* search.c: scratch that is not in use. */
void asteria_scratch_free(struct asteria *);
uint64_t asteria_scratch_bytes(struct asteria *);
void asteria_search_stats(const struct asteria *, struct stat_sink *); /* audit's, too */

/* What caprg.h and bec.h ask of rows: `to` is the asteria (encode.c). */
struct caprg_rows asteria_graph_rows(struct asteria *);
struct bec_rows asteria_bec_rows(struct asteria *);
struct bec_options asteria_bec_options(const struct asteria *, const struct model *);
/* 2 - 2 cos of a query (unit: its floats; row: as it came) and a stored row. */
float asteria_distance(const struct index_env *, const void *query, const void *row);
void asteria_distances(const struct index_env *, const void *query, const void *const *rows,
                       size_t n, float *distances);

/* encode.c. A stored or incoming row as a unit vector of floats: `to` is dim floats, used where the row is not one. */
const float *asteria_unit(const struct index_env *, const void *row, float *to);
/* n rows; arrays are the caller's: units n x dim (used for u8 rows), z n x out_dim, p n x m. */
int asteria_encode(const struct asteria *, const struct model *, const void *rows, size_t n,
                   float *units, float *z, float *p, struct encoding *out);

/* insert.c, remove.c: what replaying a log does, too. No lock is taken, nothing is logged. ids are new; is live.
   On failure all is as it was, but for the first *done rows. */
int asteria_apply_insert(struct asteria *, struct vectors, const uint64_t *ids, size_t *done);
int asteria_apply_remove(struct asteria *, uint64_t id);

/* slots.c. Room for n more rows in all that is by slot or by id; nothing of it is seen. */
int asteria_slots_reserve(struct asteria *, const uint64_t *ids, size_t n);
/* n slots, ascending, for rows that were reserved: free ones first. They are taken by asteria_slot_take(). */
void asteria_slots_next(const struct asteria *, size_t n, uint32_t *slots);
void asteria_slots_take(struct asteria *, const uint64_t *ids, const uint32_t *slots, size_t n);
/* A live slot dies: its id goes; it waits for its bucket, and for the graph if `linked`. */
void asteria_slot_die(struct asteria *, uint32_t slot, bool linked);
/* Room in `free` for all slots that are not live, and for `more` that are still. */
int asteria_free_reserve(struct asteria *, size_t more);
/* What waits is let go of by its bucket, by the graph; after asteria_free_reserve(). */
void asteria_slot_left_bucket(struct asteria *, uint32_t slot);
void asteria_slot_left_graph(struct asteria *, uint32_t slot);
static inline bool asteria_is_live(const struct asteria *a, uint32_t slot)
{
    return slot < a->n_slots && a->ids[slot] != ID_NONE;
}
static inline bool asteria_waits(const struct asteria *a, uint32_t slot, unsigned in_graph)
{
    const size_t bit = 2 * (size_t)slot + in_graph;

    return a->waiting[bit / 64] >> bit % 64 & 1;
}

/* compact.c: what removals pay for. A bucket of many dead is compacted, after
   asteria_free_reserve(). Whether dead nodes are to be taken out of the graph; as many of them go
   as so many removals pay for: a change of its own. */
void asteria_compact_bucket(struct asteria *, unsigned generation, uint32_t bucket);
bool asteria_graph_is_due(const struct asteria *);
void asteria_compact_graph(struct asteria *, size_t removed);

/* train.c. A model fitted to unit rows, from the one there is; then its generation takes over. On failure nothing has
   changed. */
int asteria_refit(struct asteria *, const float *units, size_t n);

/* asteria.c: an index without a model and without rows; what create() and load() share. Nothing of env.dir is read; the
   tier's file is made anew. create() is this and asteria_log_start(). */
int asteria_open(struct asteria **, const struct index_env *, const struct asteria_params *,
                 const struct asteria_opening *);

/* log.c. asteria_open() calls create before the tier is made (env.dir is copied, and claimed where
   files are kept in it: ERR_IO; ERR_ARGUMENT where it holds an index already, and that is not to be
   recovered); asteria_destroy() calls destroy when all else is gone; create() calls start last. */
int asteria_log_create(struct asteria *, const struct asteria_opening *);
int asteria_log_start(struct asteria *);
void asteria_log_destroy(struct asteria *);
/* Called by insert, remove and train. Volatile: nothing, OK. Both log first, when nothing that
   follows can fail, and then apply. A failure leaves nothing in the log. */
int asteria_log_insert(struct asteria *, struct vectors, const uint64_t *ids, size_t n);
int asteria_log_remove(struct asteria *, const uint64_t *ids, size_t n);
/* Training has begun; it has failed. What has begun and ended in neither a checkpoint nor a failure was interrupted, and
   recovery says so. */
int asteria_log_train(struct asteria *, bool begun);
/* After a checkpoint, which failed or not; whether the log is so long since that another one is
   due. May wait for the log: `lock` is not held. */
void asteria_log_set_due(struct asteria *, bool failed);
bool asteria_log_is_long(const struct asteria *);
struct journal;
struct journal *asteria_log_journal(const struct asteria *); /* NULL: volatile, or not yet begun */
/* Of its files: the journal and the snapshot. */
uint64_t asteria_log_bytes(const struct asteria *);

/* checkpoint.c. Whoever changes the index: one at a time, and beside no search. */
void asteria_change_begin(struct asteria *);
void asteria_change_end(struct asteria *);
/* Within a change: searches go on, others' changes do not. What they see must hold together. */
void asteria_change_pause(struct asteria *);
void asteria_change_resume(struct asteria *);
/* A snapshot in env.dir, after which the log forgets; volatile: nothing, OK. No lock is held. */
int asteria_checkpoint(struct asteria *);
/* The same where nothing may change until it is done: `checkpointing` and checkpoint_lock, for
   writing, are held. train()'s: where it fails training is undone, as rows that are logged later
   could not be replayed. */
int asteria_checkpoint_unchanged(struct asteria *);
/* A whole index in one file, in another folder. */
int asteria_save_to(struct asteria *, const char *dir);
/* asteria_checkpoint() after an update, where the log is long or many slots are pinned. No failure
   of the update: it is reported to env.log, and tried again later. */
void asteria_checkpoint_if_due(struct asteria *, bool pins_are_many);

/* pins.c. Live slots, and dead ones that their bucket or the graph still knows, are what the
   snapshot that is begun needs: ERR_NO_MEMORY. Nothing changes meanwhile. */
int asteria_pins_take(struct asteria *);
/* What has become of it. NONE: it has the rows itself, or was given up. The others are of snapshots
   whose rows are in the file; EITHER: it failed, and may be what a crash returns to. Slots that no
   snapshot needs are free; after asteria_free_reserve(). */
enum pins_end { PINS_NONE, PINS_FAILED, PINS_EITHER, PINS_DURABLE };
void asteria_pins_drop(struct asteria *, enum pins_end);
bool asteria_is_pinned(const struct asteria *, uint32_t slot);
/* So many that a checkpoint is due. */
bool asteria_pins_are_many(const struct asteria *);
void asteria_pins_free(struct asteria *);
uint64_t asteria_pins_bytes(const struct asteria *);

/* heat.c, called by maintain: rows of the buckets probed most since the last time become hot, others make room for them;
   probe counts are halved. At most `budget` rows are read (0: no bound). Not tiered: nothing. */
int tier_tend(struct asteria *, uint64_t budget, bool *more);

#endif
