/* cache.h - the clusters in memory: a budget in bytes, CLOCK eviction, pins, and parallel reads.
 *
 * A cluster that is in memory is returned pinned. Others are read with one request each, many at a
 * time (io_uring, else threads), and returned in order of arrival. A pinned cluster is never
 * evicted. If the pinned clusters exceed the budget (a single cluster may), reads go on beyond it,
 * and the excess is evicted as soon as it is unpinned.
 *
 *   1 opening   2 a search's reads   3 single rows   4 whole files, for jobs   5 reports
 *
 * Threads: all functions may run concurrently; a `fetch` is used by one thread.
 */
#ifndef DRIFTLINE_CHANNI_CACHE_CACHE_H
#define DRIFTLINE_CHANNI_CACHE_CACHE_H

#include "algorithms/channi/files/cluster_file.h"

/* 1. Opening */

enum channi_cache_io { CACHE_IO_AUTO, CACHE_IO_URING, CACHE_IO_PREAD };

struct channi_cache_options {
    size_t budget_bytes;
    enum channi_cache_io io;
    bool direct;      /* O_DIRECT, if the file system has it */
    size_t files_max; /* open descriptors at most; 0: from the process's limit */
    const struct file_fault *fault;
};

struct channi_cache;
int channi_cache_create(struct channi_cache **, const struct index_env *,
                        const struct channi_cache_options *);
void channi_cache_destroy(struct channi_cache *); /* NULL is allowed; nothing is pinned */
/* Changes the budget, and evicts what exceeds it. No other thread uses the cache meanwhile. */
void channi_cache_resize(struct channi_cache *, size_t budget_bytes);

/* Adds a file. hot: its hot part, which the cache takes; NULL: read when needed. On ERR_NO_MEMORY
   the caller still owns `hot`. */
int channi_cache_join(struct channi_cache *, struct channi_base *, unsigned char *hot);
/* Drops a file that has no reference: frees its memory and descriptor. It stays on disk. */
void channi_cache_leave(struct channi_cache *, struct channi_base *);

/* 2. A search's reads */

/* A list of requested clusters, used by one thread. */
struct channi_fetch;
struct channi_fetch *channi_fetch_create(struct channi_cache *); /* NULL: out of memory */
void channi_fetch_destroy(struct channi_fetch *);

/* Requests n more clusters and starts to read those not in memory. After an error only
   channi_fetch_done() may follow. */
int channi_fetch_ask(struct channi_fetch *, struct channi_base *const *, size_t n);
/* Returns the next cluster that is ready, those in memory first. *i: its index in the order of
   requests. false: all were returned. *rc: OK, or why it cannot be read (ERR_IO, ERR_CORRUPT naming
   the file; *image is NULL). It is pinned until channi_fetch_done(). */
bool channi_fetch_next(struct channi_fetch *, size_t *i, const struct channi_image **image,
                       int *rc);
/* Whether channi_fetch_next() would return without waiting. */
bool channi_fetch_ready(const struct channi_fetch *);
/* Unpins all returned clusters; cancels or waits for the others. */
void channi_fetch_done(struct channi_fetch *);

/* 3. Single rows: copies n rows of a file with cold rows to `out`, one after another, with parallel
   reads. sums: their checksums, of the image. ERR_IO; ERR_CORRUPT: a wrong checksum. */
int channi_cache_rows(struct channi_cache *, struct channi_fetch *, const struct channi_base *,
                      const uint32_t *rows, const uint32_t *sums, size_t n, void *out);

/* 4. Whole files, for jobs: pinned, with all rows in memory and verified; not counted as a search's
   hit or miss. A file in the cache is used from there. */
struct channi_cache_block { /* memory of the cache for a read */
    /* `block` as allocated; `bytes` is page-aligned within it if reads are direct. */
    unsigned char *block, *bytes;
    size_t charge; /* bytes of block */
};
struct channi_whole_file {
    struct channi_image image;
    struct channi_cache_block own; /* of this struct; none: pinned in the cache */
    struct channi_base *base;
};
int channi_cache_whole(struct channi_cache *, struct channi_base *, struct channi_whole_file *);
void channi_cache_whole_done(struct channi_cache *, struct channi_whole_file *);

/* 5. Reports */

/* Counters that stats() reports, each as cache_NAME. reads: of hot parts; row_reads: of single rows. */
#define CHANNI_CACHE_COUNTERS(X)                                                               \
    X(hits), X(misses), X(evictions), X(evicted_bytes), X(reads), X(read_bytes), X(row_reads), \
        X(row_read_bytes)

struct channi_cache_counts {
#define FIELD(name) name
    uint64_t CHANNI_CACHE_COUNTERS(FIELD);
#undef FIELD
    uint64_t resident_bytes, budget_bytes, over_bytes; /* over: most past the budget so far */
    uint64_t files_open;
    bool uring, direct;
};
void channi_cache_counts(const struct channi_cache *, struct channi_cache_counts *);
/* Checks pins, bytes and the clock's ring over all files. ERR_INVARIANT. No other thread may use
   the cache meanwhile. */
int channi_cache_check(const struct channi_cache *);

#endif
