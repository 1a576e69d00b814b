/* oracle.h - ground truth of every search and range operation of a list, computed once, before any
 * cell runs.
 *
 * A blocked SGEMM (popcount for codes) selects candidates, which are measured exactly. A query set
 * that is searched again is updated for the inserts and deletes in between. Results are cached on
 * disk under a hash of data, live set, queries, metric and k, and verified when read. */
#ifndef DRIFTLINE_TRUTH_ORACLE_H
#define DRIFTLINE_TRUTH_ORACLE_H

#include "src/workload/record.h"

struct kernels;
struct pool;

/* The ground truth of one operation; all fields are 0 for an operation without queries. */
struct truth {
    size_t n_queries, k; /* range: k is 0 */
    /* n_queries x k, nearest first, ID_NONE past the live rows; range: concatenated */
    uint64_t *ids;
    float *distances; /* same shape as ids */
    uint64_t *starts; /* range: n_queries + 1 offsets into ids; else NULL */
    size_t available; /* live rows that pass the filter */
};

struct oracle {
    struct truth *truths; /* one for each operation of the list */
    size_t n;
    /* time and rate of the computation; 0 if everything was in the cache */
    double seconds, gflops;
    char *notes[16]; /* messages for the user, about the cache */
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
};

/* Computes or reads the ground truth of all operations; the caller calls oracle_free().
   ERR_UNSUPPORTED: there is no device. */
int oracle_make(struct oracle *, const struct op_list *, const struct oracle_env *, struct error *);
void oracle_free(struct oracle *);

#endif
