/* operations.h - the operations of an index, one file each; method.c has the tables of them.
 *
 *   1 opening and closing   2 updates   3 other operations
 */
#ifndef DRIFTLINE_SPFRESH_OPERATIONS_H
#define DRIFTLINE_SPFRESH_OPERATIONS_H

#include "algorithms/spfresh/spfresh.h"

/* 1. Opening and closing: index.c, load.c, recover.c */

struct spfresh_opening {
    const struct index_ops *ops; /* spann_ops or spfresh_ops */
    bool live;                   /* spfresh */
    int *claim; /* lock on env.dir; the index takes it and sets -1. NULL: not locked yet */
    const struct file_fault *fault;
};
/* An index with these options, in env's folder, without store, log and jobs. */
int spfresh_open(struct spfresh **, const struct index_env *, const struct spfresh_params *,
                 const struct spfresh_opening *);
/* Opens postings and rows. resume: the snapshot whose postings are used; NULL: an empty store. */
int spfresh_open_store(struct spfresh *, const struct store_reader *resume);
/* Opens the log, starts background threads and writes the first snapshot. */
int spfresh_start(struct spfresh *);
/* create() and load() from start to end. */
int spfresh_create(struct index **, const struct index_env *, const struct spfresh_params *,
                   const struct spfresh_opening *);
int spfresh_load_from(struct index **, const struct index_env *, const char *dir,
                      const struct spfresh_opening *);
/* Makes the updates after snapshot_lsn again, by the log in env.dir. *last: of the last record. */
int spfresh_replay(struct spfresh *, uint64_t snapshot_lsn, uint64_t *last);
void spfresh_destroy(struct index *);

/* 2. Updates: insert.c, remove.c */

int spfresh_train(struct index *, struct vectors);
int spfresh_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int spfresh_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);

/* 3. Other operations */

int spfresh_search_op(struct index *, const struct search_request *, struct search_result *);
int spfresh_range(struct index *, const struct range_request *, struct range_result *);
int spfresh_save(struct index *, const char *dir);
int spfresh_stats(const struct index *, struct stat_sink *);
int spfresh_memory(const struct index *, struct memory_use *);
int spfresh_check(const struct index *, struct stat_sink *);
int spfresh_inspect(const struct index *, const struct structure_sink *);
int spfresh_cluster(struct index *, const struct cluster_request *, struct cluster_result *);

extern const struct index_ops spann_ops, spfresh_ops;

#endif
