/* index.h - opens, starts and closes an index: index.c, recover.c.
 *
 * These files do not know method.c: struct channi_opening passes the table of operations. */
#ifndef DRIFTLINE_CHANNI_INDEX_H
#define DRIFTLINE_CHANNI_INDEX_H

#include "algorithms/channi/channi.h"
#include "algorithms/common/durable/store_file.h"

extern const struct index_ops channi_ops; /* method.c */

struct channi_opening {
    const struct index_ops *ops;
    int *claim; /* lock on env.dir; the index takes it and sets -1. NULL: not locked yet */
    const struct file_fault *fault;
};
/* Opens an empty index without log and threads. */
int channi_open(struct channi **, const struct index_env *, const struct channi_params *,
                const struct channi_opening *);
/* create() and load() from start to end. */
int channi_create_with(struct channi **, const struct index_env *, const struct channi_params *,
                       const struct channi_opening *);
int channi_load_from(struct channi **, const struct index_env *, const char *dir,
                     const struct channi_opening *);
/* As durable_open_log(); does nothing if the wal is CHANNI_NO_WAL. */
int channi_open_wal(struct channi *, uint64_t last_lsn, uint64_t snapshot_lsn);
int channi_start(struct channi *); /* opens the log, starts threads, writes a manifest */
void channi_stop(struct channi *);

#endif
