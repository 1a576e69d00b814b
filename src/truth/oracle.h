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

/* Computes or reads the ground truth of all operations; the caller calls oracle_free(). progress
   and interrupted may be NULL. Soon after *interrupted is set, it returns ERR_INTERRUPTED.
   cache_dir NULL: no disk cache. */
int oracle_make(struct oracle *, const struct op_list *, const struct kernels *, struct pool *,
                const char *cache_dir, void (*progress)(void *to, double share), void *to,
                const volatile int *interrupted, struct error *);
void oracle_free(struct oracle *);

#endif
