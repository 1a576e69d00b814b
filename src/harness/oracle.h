/* oracle.h - exact truth for every search and range operation of a list, computed once, before any
 * cell runs.
 *
 * Blocked SGEMM (or popcount for codes) with an exact recheck; incremental over inserts and deletes
 * for a query set that is asked again; cached on disk under a hash of data, live set, queries,
 * metric, k, and verified when read.
 */
#ifndef DRIFTLINE_ORACLE_H
#define DRIFTLINE_ORACLE_H

#include "record.h"

struct kernels;
struct pool;

struct truth {           /* of one operation; empty for others */
    size_t n_queries, k; /* k: as asked; range: 0 */
    uint64_t
        *ids; /* n_queries x k, nearest first, ID_NONE past the live rows; range: concatenated */
    float *distances; /* same shape */
    uint64_t *starts; /* range: n_queries + 1 offsets into ids; else NULL */
    size_t available; /* live rows (passing the filter) there were to find */
};

struct oracle {
    struct truth *truths; /* one for each operation of the list */
    size_t n;
    double seconds,
        gflops;      /* what computing took, and at what rate; 0 where it all came from the cache */
    char *notes[16]; /* what a person should hear of: a damaged cache file, a cache that cannot be
                        written */
    size_t n_notes;
    void *mapped; /* oracle_apart.h: where all truths lie; NULL: each on its own */
    size_t mapped_bytes;
};

/* progress and interrupted may be NULL; once *interrupted is set, ERR_INTERRUPTED comes within a
   moment. cache_dir NULL: no disk cache. */
int oracle_make(struct oracle *, const struct op_list *, const struct kernels *, struct pool *,
                const char *cache_dir, void (*progress)(void *to, double share), void *to,
                const volatile int *interrupted, struct error *);
void oracle_free(struct oracle *);

#endif
