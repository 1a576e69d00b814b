/* sharded.h - an index divided into shards, each an index of another method, on several processes.
 *
 * A row belongs to a bucket, by its id or by its nearest centroid, and a bucket to a shard. A shard has
 * one or more copies (replicas), each on another rank. Rank 0, whose operations are called, sends
 * requests (serve.h) to the ranks and merges what they answer. It keeps no rows and no ids: what there
 * is of a shard is in its copies.
 *
 *   1 options   2 state   3 requests   4 placement   5 changes   6 maintenance */
#ifndef DRIFTLINE_SHARDED_SHARDED_H
#define DRIFTLINE_SHARDED_SHARDED_H

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/sharded/serve.h"

/* 1. Options */

enum placement_kind { PLACE_HASH, PLACE_CLUSTER, PLACE_RANGE };

struct sharded_params {
    char of[PARAM_TEXT_BYTES], of_params[PARAM_TEXT_BYTES];
    int64_t shards, ranks, replicas, placement, buckets, split_rows, checkpoint_rows;
    double balance;
};

struct sharded_knobs {
    char of_knobs[PARAM_TEXT_BYTES];
    int64_t route;
    double timeout_ms;
};

/* 2. State */

enum { REPLICAS_MAX = 8, SHARDS_MAX = 4096, RANKS_MAX = 1024 };

struct replica {
    size_t rank;
    bool up; /* it has all operations of its shard */
};

struct shard {
    uint64_t sequence;     /* of the last operation */
    uint64_t acknowledged; /* the last one that a copy has in its log: one with less is not whole */
    uint64_t logged;       /* rows since the last checkpoint */
    size_t rows;           /* live */
    struct replica replicas[REPLICAS_MAX];
};

/* Which bucket a row is in, and which shard a bucket is in. */
struct bucket_placement {
    size_t n_buckets;
    uint32_t *shard_of; /* of each bucket */
    uint64_t *starts;   /* PLACE_RANGE: the first id of each bucket */
    uint32_t *by_start; /* PLACE_RANGE: the buckets, in that order */
    float *centroids;   /* PLACE_CLUSTER: n_buckets x dim; NULL: not trained */
    float *norms;
    float norm_max;
    uint64_t version;
    size_t room; /* buckets that the arrays have space for */
};

struct counters { /* since the index was made */
    uint64_t queries, asked, partial, requests, sent_bytes, received_bytes, rows_from_files;
    uint64_t moved_rows, bucket_splits, shard_splits, lost, recovered, late;
};

struct sharded {
    struct index base;
    struct sharded_params params;
    const struct index_ops *of;
    struct server local; /* rank 0's copies */
    char *folder;        /* of rank 0's copies */
    struct rank_group *group;
    bool *is_up; /* of each rank; 0 is */
    struct shard *shards;
    size_t n_shards, room_shards;
    struct bucket_placement placement;
    /* A move of rows was broken off: rows may be in another shard than that of their bucket. */
    bool misassigned;
    struct changes *undo; /* changes that have yet to be taken back, or finished, in some shards */
    bool sends_rows;      /* a rank could not read a file of rows */
    uint64_t call;        /* the number of the last request */
    uint64_t round_trip_ns; /* of an empty request to a rank, median; 0: no other rank */
    struct counters counters;
};

static inline struct sharded *sharded_of(struct index *index)
{
    return (struct sharded *)index;
}

static inline size_t sharded_replicas(const struct sharded *s)
{
    return (size_t)s->params.replicas;
}

static inline size_t sharded_row_bytes(const struct sharded *s)
{
    return index_row_bytes(s->base.env.element, s->base.env.dim);
}

/* Records ERR_NO_MEMORY, and returns it. */
static inline int sharded_no_memory(const struct sharded *s, const char *for_what)
{
    return fail(s->base.env.error, ERR_NO_MEMORY, "sharded: out of memory for %s", for_what);
}

/* 3. Requests (exchange.c) */

struct call {
    size_t rank;
    struct wire request; /* begun by call_begin() */
    /* After the exchange: */
    int code;  /* the reply's; ERR_IO: lost, ERR_INTERRUPTED: not in time */
    bool lost; /* the rank is, before it replied */
    bool late;
    const char *text;         /* the reply's sentence */
    struct wire_reader reply; /* the rest of the reply */
    /* Private. */
    uint64_t number;
    struct wire local;
    unsigned char *bytes;
    bool done;
    struct shard_call *of; /* of sharded_tell() */
    struct replica *replica;
};

void call_begin(struct sharded *, struct call *, size_t rank, enum request_kind, uint64_t shard);
void call_end(struct call *);
/* Sends the requests, serves rank 0's own, and takes the replies. deadline_ns: by env's clock; 0: none.
   ERR_NO_MEMORY: nothing was sent; other failures are those of the calls. A rank that is lost is
   marked so. */
int sharded_exchange(struct sharded *, struct call *, size_t n, uint64_t deadline_ns);
/* Marks a rank as lost, and its replicas as not up. */
void sharded_lose_rank(struct sharded *, size_t rank);
/* Records the failure of a call that has one; returns its code. */
int call_check(struct sharded *, const struct call *);
/* One request to one rank. The caller calls call_end(). */
int sharded_ask(struct sharded *, struct call *);
/* The same of a request of no more than its kind and shard. *word: the reply's first; NULL: not wanted. */
int sharded_ask_word(struct sharded *, size_t rank, enum request_kind, size_t shard,
                     uint64_t *word);
/* The replica that answers for the shard: the first one that is up. NULL: none; of sharded_primary(), it is
   recorded as ERR_IO. */
const struct replica *sharded_any_up(const struct sharded *, size_t shard);
const struct replica *sharded_primary(struct sharded *, size_t shard);

/* 4. Placement (placement.c) */

int placement_begin(struct sharded *);
void placement_free(struct sharded *);
/* Centroids of the buckets, which are divided among the shards. */
int placement_train(struct sharded *, struct vectors sample);
/* out[i]: the bucket of row i. ERR_UNTRAINED. */
int placement_find(struct sharded *, struct vectors, const uint64_t *ids, uint32_t *out);
/* Of rows without ids and of queries, by their centroids: s of them, nearest first. */
int placement_nearest(struct sharded *, struct vectors, size_t s, uint32_t *out);
/* Rows as floats: those of the vectors, or in *owned, which the caller frees. */
int placement_floats(struct sharded *, struct vectors, const float **rows, float **owned);
/* Adds a bucket to the shard. centroid: PLACE_CLUSTER; start: PLACE_RANGE, whose bucket then has
   its place in order. *bucket: its number. ERR_NO_MEMORY. */
int placement_add(struct sharded *, uint32_t shard, const float *centroid, uint64_t start,
                  uint32_t *bucket);
void placement_set_centroid(struct sharded *, uint32_t bucket, const float *centroid);
/* A set of n buckets, a bit each, which is empty. The caller frees it. NULL: out of memory, which
   is recorded. */
uint64_t *placement_bits(struct sharded *, size_t n);

static inline void placement_bit_set(uint64_t *bits, size_t bucket)
{
    bits[bucket / 64] |= UINT64_C(1) << bucket % 64;
}

static inline bool placement_bit(const uint64_t *bits, size_t bucket)
{
    return bits[bucket / 64] >> bucket % 64 & 1;
}

struct keyed_bucket {
    double key;
    uint32_t bucket;
};
void placement_sort(struct keyed_bucket *, size_t n); /* by key, then by number */

/* 5. Changes (changes.c, update.c, search.c, store.c, report.c) */

/* What is asked of all replicas of a shard that are up. */
struct shard_call {
    size_t shard;
    struct log_record record;          /* TRAIN .. RELABEL; ids, buckets and rows are borrowed */
    const struct row_request *in_file; /* INSERT: NULL: the rows are sent */
    const uint64_t *numbers;           /* of the rows in the file */
    uint64_t budget;                   /* MAINTAIN */
    uint64_t found;                    /* the first word of a reply */
    bool done;                         /* some replica did it, */
    bool failed;                       /* and some replica that is up did not */
};
/* All replicas that answer must succeed, or the first failure is returned; so is ERR_IO if none of
   a shard is up. Of TRAIN and RELABEL, which are not taken back, one replica must succeed; those
   that fail are not up any more. */
int sharded_tell(struct sharded *, enum request_kind, struct shard_call *, size_t n);
/* Asks one shard: TRAIN or RELABEL, a record without a sequence. */
int sharded_tell_record(struct sharded *, enum request_kind, size_t shard, struct log_record);

/* The insertions or deletions of a call, by the shards that they concern. UNMARK and DISCARD may be
   repeated: what they could not do is done before the next operation, or once a rank is back. */
struct changes {
    struct changes *next;   /* in s->undo */
    enum request_kind redo; /* what has yet to be asked of the shards: UNMARK or DISCARD */
    size_t *first;          /* n_shards + 1: where the rows of each shard begin */
    uint64_t *ids, *numbers;
    uint32_t *buckets;
    unsigned char *rows;
    struct shard_call *calls;
    size_t n_calls;
    struct mem_group arrays; /* those above */
};

/* Copies the rows of a call. v.rows = NULL: ids alone. in_file: where the rows are in a file; NULL:
   in none. NULL: out of memory, which is recorded. The caller calls changes_free(). */
struct changes *changes_by_shard(struct sharded *, struct vectors, const uint64_t *ids,
                                 const uint32_t *buckets, const struct row_request *in_file);
/* The same ids for every shard, or for one of them; SIZE_MAX: every one. */
struct changes *changes_of_ids(struct sharded *, size_t shard, const uint64_t *ids, size_t n);
void changes_free(struct sharded *, struct changes *);
/* Asks the shards: INSERT, MARK, UNMARK, FLUSH or DISCARD. */
int changes_tell(struct sharded *, enum request_kind, struct changes *);
/* Asks for the opposite: of MARK, UNMARK; of INSERT, DISCARD. Frees the changes, or keeps them for
   sharded_finish_pending(). */
void changes_take_back(struct sharded *, struct changes *, enum request_kind redo);
/* After MARK in all shards, when a deletion is done for good: FLUSH. What no copy of a shard has
   logged is kept for sharded_finish_pending(); the rest is freed. */
void changes_finish(struct sharded *, struct changes *);

int sharded_train(struct index *, struct vectors sample);
int sharded_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int sharded_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int sharded_search(struct index *, const struct search_request *, struct search_result *);
int sharded_range(struct index *, const struct range_request *, struct range_result *);
int sharded_save(struct index *, const char *dir);
int sharded_load(struct index **, const struct index_ops *, const struct index_env *,
                 const char *dir);
int sharded_stats(const struct index *, struct stat_sink *);
int sharded_memory(const struct index *, struct memory_use *);
int sharded_check(const struct index *, struct stat_sink *);
/* Every operation begins with it: takes back, or finishes, what an earlier one could not. What waits for
   a shard that is down is no failure. */
int sharded_finish_pending(struct sharded *);
void sharded_forget_undo(struct sharded *);
/* Moves rows from a shard to those of their buckets, which are others. All of them, or none. */
int sharded_move(struct sharded *, size_t from, struct vectors, const uint64_t *ids,
                 const uint32_t *buckets);
int sharded_train_shard(struct sharded *, size_t shard, struct vectors sample);

/* index.c */
int sharded_new(struct sharded **, const struct index_ops *, const struct index_env *,
                const struct sharded_params *);
void sharded_destroy(struct index *);
/* Makes the copies of a new shard on the ranks with the fewest. from: the folder of a saved shard;
   NULL: empty ones. On failure there is no new shard. */
int sharded_add_shard(struct sharded *, const char *from);
/* The last one, which has no rows. */
void sharded_drop_shard(struct sharded *);
/* *sequence: of the copy's last operation; NULL: not wanted. */
int sharded_create_copy(struct sharded *, size_t shard, size_t rank, enum copy_made,
                        const char *from, uint64_t *sequence);

/* 6. Maintenance (maintain.c, rehome.c, split.c, recover.c) */

int sharded_maintain(struct index *, uint64_t budget, bool *more);
/* Starts lost ranks again, and gives their copies what they lack. A shard that does not get all of its
   rows stays down, and its files as they are; the first reason is returned once all shards were
   tried. */
int sharded_recover(struct sharded *);
/* Rows of buckets in `want` (bits) that are in the shard get the bucket that placement_find() says,
   and move to its shard. *moved: added to. On failure, and until all is done, s->misassigned is set. */
int sharded_rehome(struct sharded *, size_t shard, const uint64_t *want, size_t *moved);
/* Up to `most` rows of the buckets: ids, buckets and rows are valid until call_end(). *after: 0 at
   first; UINT64_MAX: there are no more. */
struct shard_rows {
    struct call call;
    size_t n;
    const uint64_t *ids;
    const uint32_t *buckets;
    const void *rows;
};
int sharded_read_rows(struct sharded *, size_t shard, const uint64_t *want, size_t most,
                      uint64_t *after, struct shard_rows *);
/* split.c: divides buckets into so many parts, at least 2. done: whether it could. */
struct bucket_split {
    uint32_t bucket;
    size_t parts;
    bool done;
};
int sharded_split_buckets(struct sharded *, struct bucket_split *, size_t n, size_t *moved);
/* Divides a shard, given the rows of each bucket. */
int sharded_split_shard(struct sharded *, size_t shard, const uint64_t *counts, size_t *moved);

struct shard_report {
    uint64_t rows;
    struct memory_use memory;
};
/* Of the shard's replica on `rank`; counts: rows of each of n_buckets, added; NULL: not wanted. */
int sharded_report(struct sharded *, size_t shard, size_t rank, struct shard_report *,
                   uint64_t *counts);

#endif
