/* copy.h - one copy of a shard: an index of another method, the ids in it, and the log of its rows. It
 * lives in one process, in a folder of its own.
 *
 *   1 making   2 changing   3 asking   4 rows and records   5 storing */
#ifndef DRIFTLINE_SHARDED_COPY_H
#define DRIFTLINE_SHARDED_COPY_H

#include "algorithms/sharded/copy/log.h"
#include "src/core/idmap.h"
#include "src/core/index.h"
#include "src/core/mem.h"

enum { BUCKET_BITS = 24, BUCKETS_MAX = 1 << BUCKET_BITS };

/* An id that is marked leaves `live` at once, and the log and the index when all shards have marked theirs:
   until then it is in `leaving`. So a deletion that fails for one shard is taken back in the others,
   also by a rank that dies. What cannot leave the log and the index tries again at the next call. */
struct shard_copy {
    struct index_env env; /* of the index */
    const struct index_ops *ops;
    struct index *index;
    void *params, *knobs;
    char of_knobs[PARAM_TEXT_BYTES]; /* what `knobs` was made from */
    char *folder, *index_folder;
    struct row_log log;
    struct idmap live;    /* id -> lsn of its record << BUCKET_BITS | bucket */
    struct idmap leaving; /* id -> its value in live */
    uint64_t sequence;    /* the last operation that was done whole */
    uint64_t checkpoint;  /* the lsn that the last one includes; 0: none */
    /* A sample of more than one record, of which the last has not come yet. */
    unsigned char *sample;
    size_t sample_bytes, sample_capacity;
};

static inline uint32_t copy_bucket(uint64_t live_value)
{
    return (uint32_t)(live_value & (BUCKETS_MAX - 1));
}

static inline size_t copy_row_bytes(const struct shard_copy *c)
{
    return index_row_bytes(c->env.element, c->env.dim);
}

/* Records ERR_NO_MEMORY, and returns it. */
static inline int copy_no_memory(const struct shard_copy *c, size_t rows)
{
    return fail(c->env.error, ERR_NO_MEMORY, "sharded: out of memory for %zu rows", rows);
}

/* 1. Making. */

/* A copy without an index and a log, for one of the functions below; to be destroyed also on
   failure. The env is that of the whole index; its dir is not used. of_params:
   "clusters=64,soft_k=2"; the folder is made if it is new. ERR_NO_MEMORY, ERR_CONFIG. */
int copy_new(struct shard_copy **, const struct index_env *, const struct index_ops *,
             const char *of_params, const char *folder);
/* Replaces what is in the folder by an empty copy, which can be recovered once its log's base ends. */
int copy_create(struct shard_copy *);
/* Makes the copy that the folder's process had, from its log, and from its checkpoint if that can be
   loaded. On failure all files stay. ERR_NOT_FOUND: the folder has no complete log; ERR_CORRUPT: the log
   ends before the checkpoint. */
int copy_recover(struct shard_copy *);
/* After copy_create(): takes what copy_save() stored in `from`. */
int copy_load(struct shard_copy *, const char *from);
void copy_destroy(struct shard_copy *);
/* Fills the struct of an option table from "name=value,name=value". ERR_CONFIG. */
int copy_options(const struct param *table, void *out, const char *text, const char *owner,
                 struct error *);

/* 2. Changing. All rows of a call, or none. */

/* Does what the record says, in the index (index) and in `live`, and writes it to the log (logs). A removal
   logs all of its ids: other copies may have those that this one has not. On ERR_NO_MEMORY nothing of it is
   done; on other failures its rows are marked, but perhaps not logged. */
int copy_do(struct shard_copy *, const struct log_record *, bool logs, bool index);
/* Takes the ids of a removal out of `live`; those that are not there are ignored. Nothing is removed from the
   index yet. *found: how many were there. */
int copy_mark(struct shard_copy *, const struct log_record *, size_t *found);
/* Puts ids back that this mark took, if it was the last change. Cannot fail. */
void copy_unmark(struct shard_copy *, const struct log_record *);
/* Writes what is marked to the log, and removes it from the index. On failure the rest stays marked. */
int copy_flush(struct shard_copy *);
/* Maintenance of the index; and the log is compacted if most of it is of rows that are gone. */
int copy_maintain(struct shard_copy *, uint64_t budget, bool *more);

/* 3. Asking. of_knobs: as of_params. */

int copy_search(struct shard_copy *, const char *of_knobs, struct search_request,
                struct search_result *);
int copy_range(struct shard_copy *, const char *of_knobs, struct range_request,
               struct range_result *);
int copy_check(struct shard_copy *);
/* The same for copies with the same live rows in the same buckets. */
uint64_t copy_digest(const struct shard_copy *);

/* 4. Rows and records */

/* Rows chosen from others, with their ids and buckets. */
struct picked_rows {
    uint64_t *ids;
    uint32_t *buckets;
    unsigned char *rows;
    size_t n, row_bytes;
    struct mem_group arrays;
};
/* With space for n rows. false: out of memory. The caller calls copy_picked_free() in any case. */
bool copy_picked_make(struct picked_rows *, struct mem *, size_t n, size_t row_bytes);
void copy_picked_free(struct picked_rows *);
/* Adds row i of `rows`. */
void copy_picked_add(struct picked_rows *, uint64_t id, uint32_t bucket, const void *rows,
                     size_t i);
/* Adds the rows of a record of the log that are live with want[bucket] (bits of n_buckets; NULL:
   every one). */
void copy_pick_live(const struct shard_copy *, const struct log_record *, const uint64_t *want,
                    size_t n_buckets, struct picked_rows *);
/* Such rows of the records after `*after`, in their order; stops at the end of a record once there
   are `most`. *after: the last record that was read; UINT64_MAX: the end. The caller calls
   copy_picked_free() in any case. */
int copy_read_rows(struct shard_copy *, const uint64_t *want, size_t n_buckets, size_t most,
                   uint64_t *after, struct picked_rows *out);
/* copy_do() of a record of another copy, which is logged. Rows that are there are left out. */
int copy_apply(struct shard_copy *, const struct log_record *);

/* 5. Storing */

/* Stores the copy in a folder, which is empty. ERR_UNSUPPORTED: its method cannot be saved. */
int copy_save(struct shard_copy *, const char *to);
/* Saves the index beside the log, so that a restart need not insert the rows before again. */
int copy_checkpoint(struct shard_copy *);

/* internal: restore.c and save.c use it. The index is empty, or that saved in the folder `from`. */
int copy_make_index(struct shard_copy *, const char *from);

#endif
