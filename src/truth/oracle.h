/* oracle.h - ground truth of every search and range operation of a list, computed once, before any
 * cell runs; whole, or in parts that are merged.
 *
 * A blocked SGEMM (popcount for codes) selects candidates, which are measured exactly. A query set
 * that is searched again is updated for the inserts and deletes in between. Results are cached on
 * disk under a hash of data, live set, queries, metric and k, and verified when read. */
#ifndef DRIFTLINE_TRUTH_ORACLE_H
#define DRIFTLINE_TRUTH_ORACLE_H

#include <stdbool.h>

#include "src/workload/record.h"

struct kernels;
struct pool;

/* The ground truth of one operation; all fields are 0 for an operation without queries. */
struct truth {
    size_t n_queries, k; /* range: k is 0 */
    /* n_queries x k, nearest first, INDEX_NO_ID past the live rows; range: concatenated */
    uint64_t *ids;
    double *distances; /* same shape as ids; for the merge of parts (below) */
    uint64_t *starts;  /* range: n_queries + 1 offsets into ids; else NULL */
    size_t available;  /* live rows that pass the filter */
    uint64_t key[2];   /* a hash of the queries and of the rows searched */
};

struct oracle {
    struct truth *truths; /* one for each operation of the list */
    size_t n;
    /* time and rate of the computation; 0 if everything was in the cache */
    double seconds, gflops;
    char notes[16][1000]; /* messages for the user, about the cache */
    size_t n_notes;
    void *mapped; /* the mapping with all truths (apart.h); NULL: each is allocated separately */
    size_t mapped_bytes;
};

/* What the computation may use. */
struct oracle_env {
    const struct kernels *kernels;
    struct pool *pool;     /* oracle_make() */
    size_t threads;        /* oracle_make_apart(), which has a pool of its own */
    bool on_device;        /* floats and bytes on a CUDA device, with the same result */
    const char *cache_dir; /* NULL: no disk cache */
    void (*progress)(void *to, double share); /* may be NULL */
    void *to;
    const volatile int *interrupted; /* soon after it is set: ERR_INTERRUPTED; may be NULL */
    size_t part, parts; /* search the ids of this part only (oracle_part_has()); 0, 0: all */
    const struct oracle *merge; /* merge[0 .. n_merge-1], one of each part of the same list, are
                                   merged instead of computing; NULL: none */
    size_t n_merge;
    bool only_cached; /* ERR_NOT_FOUND at the first truth that is not in the cache */
};

/* Parts are dealt in chunks of ids, so that all parts of a growing live set are of about the same
   size, and each reads its own rows only. */
enum { ORACLE_PART_CHUNK = 4096 };

static inline bool oracle_part_has(size_t part, size_t parts, uint64_t id)
{
    return parts == 0 || id / ORACLE_PART_CHUNK % parts == part;
}

/* How many of the ids 0 .. n_ids-1 are of the part. */
size_t oracle_part_ids(size_t part, size_t parts, size_t n_ids);

/* Computes, reads or merges the ground truth of all operations; the caller calls oracle_free().
   The merge is bit for bit what one process computes. ERR_UNSUPPORTED: there is no device.
   ERR_CORRUPT: a part to merge is of other queries or rows. */
int oracle_make(struct oracle *, const struct op_list *, const struct oracle_env *, struct error *);
void oracle_free(struct oracle *);

#endif
