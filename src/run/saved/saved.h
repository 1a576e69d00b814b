/* saved.h - a saved index, which other processes can open.
 *
 *     DIR/index.json   what the index is; made by saved_commit()
 *     DIR/state-N/     the files of the method's save(), and "live_ids"
 *
 * index.json names its state folder. A new index is saved to another state folder, and the rename of
 * index.json replaces the old index by it. DIR thus has the old index or the new one, never a mix.
 */
#ifndef DRIFTLINE_RUN_SAVED_SAVED_H
#define DRIFTLINE_RUN_SAVED_SAVED_H

#include <jansson.h>
#include <limits.h>

#include "src/core/checked.h"
#include "src/core/mem.h"
#include "src/core/ranks/shards.h"
#include "src/core/registry.h"

/* The format of index.json. */
#define SAVED_FORMAT 1

struct kernels;
struct cell;
struct experiment;

/* 1. Saving */

struct saved_folder {
    char dir[PATH_MAX], state[PATH_MAX]; /* DIR and DIR/state-N */
    /* The index that is replaced: "state-N", its method, rows, and updates since it was built; "":
       none. */
    char old[32], old_method[64];
    long long old_rows;
    size_t old_updates;
};

/* Refuses a folder that holds files other than those of a saved index. ERR_CONFIG, ERR_IO. */
int saved_check(const char *dir, struct error *);
/* Makes an empty state folder in DIR, which exists and which this process has locked, and removes
   what killed processes left there. */
int saved_begin(struct saved_folder *, const char *dir, struct error *);
/* Writes index.json, which makes the files of the state folder the index of DIR. `about` is the
   object of saved_about(). The earlier index is removed. */
int saved_commit(struct saved_folder *, json_t *about, struct error *);
/* Removes the state folder; the earlier index stays. */
void saved_abandon(struct saved_folder *);

/* A new object: what index.json says of the index that a cell builds.
 *
 * { driftline_index: 1, version, method, label, plugin: path or null, params, knobs: those that the
 *   config sets, element, metric, dim, rows, next_id: one more than the largest id that was used,
 *   threads, seed, k, config, config_file: its whole path, config_sha256, overrides: as in
 *   result.json, data: array of the sha256 of the data; updates: what other processes changed
 *   later, an array of { version, deleted, inserted, from: the file's name or null } } */
json_t *saved_about(const struct cell *, const struct experiment *, const char *plugin);
/* Writes the ids of the rows to the state folder: an update needs them, and no method lists them. */
int saved_ids_write(const char *state, const struct idmap *live, struct error *);

/* 2. Opening */

struct saved_index {
    json_t *about; /* index.json, whose fields have been checked */
    const struct index_ops *ops;
    struct mem account;
    struct pool *pool;
    struct shard_env shards; /* of env */
    struct index_env env;
    struct checked checked; /* for changes, saved_take_ids() fills its set of live ids */
    char state[PATH_MAX];   /* the state folder */
    char scratch[PATH_MAX]; /* "": none */
    int scratch_lock;       /* of scratch_lock() */
    struct error *error;
};

/* Loads the index of a folder. threads: 0: as many as it was built with. The caller calls
   saved_close() even after an error. ERR_NOT_FOUND: no index, or its method is not in the registry;
   ERR_VERSION: another format; ERR_CORRUPT: damaged. */
int saved_open(struct saved_index *, const char *dir, const struct registry *,
               const struct kernels *, size_t threads, struct error *);
void saved_close(struct saved_index *);
/* After it, index_insert() and index_remove() know the rows. ERR_NOT_FOUND: an earlier version saved
   the index; ERR_CORRUPT. */
int saved_take_ids(struct saved_index *, struct error *);

/* 3. Searches, timed (search.c) */

struct saved_times {
    size_t n_single, n_batch;  /* queries that were timed each way */
    double queries_per_second; /* of the batch */
    double p50_ns, p99_ns;     /* of single queries; p99_ns is NAN below 100 */
};

/* Answers all queries: every second one by itself, the others as one batch, after a warm-up with
   queries that are not among them. ids: n x k, nearest first, INDEX_NO_ID for no answer. Rows under
   cosine are of unit length. ERR_DIMENSION and the like if the queries do not suit the index. */
int saved_search(struct saved_index *, const struct search_request *, uint64_t *ids,
                 struct saved_times *);

#endif
