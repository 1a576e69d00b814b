/* shards.h - what the contract (index.h) has for a method that consists of indexes of another method,
 * in one process or on several. */
#ifndef DRIFTLINE_CORE_RANKS_SHARDS_H
#define DRIFTLINE_CORE_RANKS_SHARDS_H

#include "src/core/index.h"
#include "src/core/ranks/ranks.h"

struct registry;

struct shard_env {
    const struct registry *registry; /* the methods that may be contained */
    struct ranks *ranks;             /* NULL: this process only */
    const struct row_files *files;   /* NULL: rows of a call are in its memory alone */
};

struct shard_ops {
    /* What another rank of env.shards->ranks runs, until rank 0 ends or is lost. The env has no
       dimension, element and metric; its dir is the rank's own folder. */
    int (*serve)(const struct index_env *, struct rank_group *);
};

/* Summed over the queries of a request, as struct work is. */
struct shard_work {
    double asked;   /* shards that were asked, each with one query */
    double partial; /* queries that one of their shards did not answer, in time or at all */
};

#endif
