/* serve.h - what a rank does: it has copies of shards, and does what requests say. Rank 0's own copies
 * are served in the same way, without messages. */
#ifndef DRIFTLINE_SHARDED_SERVE_H
#define DRIFTLINE_SHARDED_SERVE_H

#include "algorithms/sharded/copy/copy.h"
#include "algorithms/sharded/copy/wire.h"
#include "src/core/ranks/shards.h"

/* A request: its kind, the shard, then as below; n_ is a number of what follows. A reply: a code of
   error.h, the sentence if it is not OK, then as below. */
enum request_kind {
    REQUEST_CREATE = 1, /* made, dim, element, metric, expected_n, seed, k_hint, of, of_params, the
                           folder to load from or "" -> sequence */
    REQUEST_DROP,       /* the copy, and its files */
    REQUEST_TRAIN, /* Changes: in_file, a record (copy/log.h) of that kind, of a removal from MARK to
                           DISCARD. */
    REQUEST_INSERT,  /* in_file: the record has no rows, and path, offset, stride, hash, and numbers
                           of the rows follow */
    REQUEST_MARK,    /* -> found */
    REQUEST_UNMARK,  /* the record of the mark */
    REQUEST_FLUSH,   /* alone: marked rows leave the log and the index */
    REQUEST_DISCARD, /* rows that are there or are not */
    REQUEST_RELABEL,
    REQUEST_MAINTAIN, /* budget -> more */
    REQUEST_CHECKPOINT,
    REQUEST_SEARCH,  /* of_knobs, k, threads, filter, n, queries, n_lists; lists of a shard and the
                           numbers of its queries -> n x k ids, distances; work */
    REQUEST_RANGE,   /* of_knobs, radius, threads, filter, n, queries, n_lists; lists -> n,
                           found rows; work */
    REQUEST_ROWS,    /* n_buckets, bits, most, after -> last, n, ids, buckets, rows */
    REQUEST_RECORDS, /* after operation, lsn -> whether all since the base, last lsn or UINT64_MAX,
                           n, records */
    REQUEST_APPLY,   /* n, records */
    REQUEST_SAVE,    /* folder */
    REQUEST_REPORT,  /* n_buckets -> rows, memory, rows of each bucket */
    REQUEST_CHECK,   /* -> digest, n, ids, buckets */
    REQUEST_DIGEST,  /* -> digest */
    REQUEST_PING,
};

enum copy_made {
    COPY_NEW,       /* empty; replaces what the folder has, as do the last two */
    COPY_RECOVERED, /* of the folder's files, which stay as they are */
    COPY_REPLICA,   /* empty, for all records of another copy */
    COPY_LOADED,
};

/* A filter in a request: 0 for none, else 1, n_ids, bits. */

/* An answer of REQUEST_RANGE. */
struct found_row {
    uint64_t id;
    uint32_t query;
    float distance;
};

struct server {
    struct index_env env; /* dir: this rank's folder; no dimension, element and metric */
    struct error error;
    int claim; /* on the folder, from the first copy on: a rank that is only silent may be there still */
    struct shard_copy **copies; /* by shard; NULL: it has none */
    size_t n, capacity;
};

static inline int server_damaged(struct server *s)
{
    return fail(&s->error, ERR_CORRUPT, "sharded: a message between ranks is damaged");
}

/* NULL: it has no such copy, which is recorded. */
static inline struct shard_copy *server_copy(struct server *s, uint64_t shard)
{
    if (shard < s->n && s->copies[shard])
        return s->copies[shard];
    fail(&s->error, ERR_ARGUMENT, "sharded: this rank has no copy of shard %zu", (size_t)shard);
    return NULL;
}

/* The env is borrowed but for its error. */
void server_open(struct server *, const struct index_env *);
void server_close(struct server *);
/* Writes the reply. Running out of memory for the reply sets reply->failed. */
void server_execute(struct server *, const void *request, size_t n, struct wire *reply);

/* index_ops.serve: requests and replies begin with a number, by which rank 0 matches them. Number 0
   ends the rank. */
int sharded_serve(const struct index_env *, struct rank_group *);

/* serve_search.c; each reads the rest of its request and writes the rest of its reply. */
int server_search(struct server *, struct wire_reader *, struct wire *reply);
int server_range(struct server *, struct wire_reader *, struct wire *reply);

#endif
