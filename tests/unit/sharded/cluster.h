/* cluster.h - an index on several ranks, which are threads, beside an exact index with the same rows. */
#ifndef DRIFTLINE_TESTS_SHARDED_CLUSTER_H
#define DRIFTLINE_TESTS_SHARDED_CLUSTER_H

#include "algorithms/sharded/sharded.h"
#include "src/core/ranks/shards.h"
#include "tests/support/checked_calls.h"
#include "tests/support/testing.h"
#include "tests/unit/sharded/thread_ranks.h"

enum { DIM = 12, K = 7 };

struct cluster {
    struct test_bench bench;
    struct registry registry;
    struct thread_ranks ranks;
    struct shard_env shards;
    struct checked index, exact;
    struct sharded_params params;
    struct sharded_knobs knobs;
    struct rng rng;
    char dir[PATH_MAX], saved[PATH_MAX];
    uint64_t next_id;
    size_t folders;
};

/* options: "shards=3,ranks=3"; a failure leaves the test. */
void cluster_open(struct cluster *, const char *options);
void cluster_close(struct cluster *);
struct sharded *cluster_sharded(struct cluster *);
/* n rows around a few centres, shifted by `drift`. The caller frees. */
float *cluster_rows(struct cluster *, size_t n, double drift);
void cluster_train(struct cluster *, size_t n);
void cluster_insert(struct cluster *, size_t n, double drift);
void cluster_remove(struct cluster *, size_t n);
void cluster_maintain(struct cluster *);
void cluster_check(struct cluster *);
/* Answers of n queries are those of the exact index. Returns how many are partial, which may lack
   answers. */
size_t cluster_search(struct cluster *, size_t n);
void cluster_range(struct cluster *, size_t n);
/* Saves, closes, loads. */
void cluster_reload(struct cluster *);

#endif
