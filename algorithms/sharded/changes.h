/* changes.h - insertions and deletions of a call, by the shards that they concern. UNMARK and DISCARD may be
 * repeated: what they could not do is done before the next operation, or when a lost rank is back. */
#ifndef DRIFTLINE_SHARDED_CHANGES_H
#define DRIFTLINE_SHARDED_CHANGES_H

#include "algorithms/sharded/sharded.h"
#include "src/core/mem.h"

/* Rows, ids or both, for one shard. */
struct change {
    struct log_record record;
    size_t row_bytes;
    const struct row_request *in_file; /* NULL: rows are sent */
    const uint64_t *numbers;           /* of the rows in the file */
    uint64_t (*hash)(const void *rows, size_t bytes);
    uint64_t *from_file; /* counts rows that are not sent */
};

/* The rows of a call, sorted by shard; those of shard i begin at first[i]. */
struct changes {
    struct changes *next;   /* in s->undo */
    enum request_kind redo; /* what has yet to be asked of the shards: UNMARK or DISCARD */
    size_t *first;          /* n_shards + 1 */
    uint64_t *ids, *numbers;
    uint32_t *buckets;
    unsigned char *rows;
    struct change *changes;
    struct shard_call *calls;
    size_t n_calls;
    struct mem_group arrays; /* those above */
};

/* Copies the rows of a call. v.rows = NULL: ids alone. numbers: of the rows in their file; NULL: none.
   NULL: out of memory, which is recorded. The caller calls changes_free(). */
struct changes *changes_by_shard(struct sharded *, struct vectors, const uint64_t *ids,
                                 const uint32_t *buckets, const uint64_t *numbers);
/* The same ids for every shard, or for one of them; SIZE_MAX: every one. */
struct changes *changes_of_ids(struct sharded *, size_t shard, const uint64_t *ids, size_t n);
void changes_free(struct sharded *, struct changes *);
/* Asks one shard: TRAIN or RELABEL, a record without a sequence. */
int changes_tell_one(struct sharded *, enum request_kind, size_t shard, struct log_record);
/* Asks the shards: INSERT, MARK, UNMARK, FLUSH or DISCARD. */
int changes_tell(struct sharded *, enum request_kind, struct changes *);
/* Asks for the opposite: of MARK, UNMARK; of INSERT, DISCARD. Frees the changes, or keeps them for
   sharded_finish_pending(). */
void changes_take_back(struct sharded *, struct changes *, enum request_kind redo);
/* After MARK in all shards, when a deletion is done for good: FLUSH. What no copy of a shard has logged is
   kept for sharded_finish_pending(); the rest is freed. */
void changes_finish(struct sharded *, struct changes *);

#endif
