/* cache.h - which clusters are in memory: a budget of bytes, CLOCK, pins, and reads that do not wait for one
 * another.
 *
 * A cluster that is in memory is handed out pinned; one that is not is read with a single request,
 * many at a time (io_uring, else threads), and handed out in order of arrival. A pinned one is never
 * evicted. Where all that is in use does not fit into the budget (a cluster may be larger than the
 * whole of it) reads go on past it, and what is over goes as soon as it is unpinned.
 *
 *   1 opening   2 a search's reads   3 rows by themselves   4 whole files, for upkeep   5 reports
 *
 * Threads: all of it beside all of it; a `fetch` is one thread's.
 */
#ifndef DRIFTLINE_CHANNI_CACHE_H
#define DRIFTLINE_CHANNI_CACHE_H

#include "algorithms/channi/cluster_file.h"

/* 1. Opening */

enum cache_io { CACHE_IO_AUTO, CACHE_IO_URING, CACHE_IO_PREAD };

struct cache_options {
    size_t budget_bytes;
    enum cache_io io;
    bool direct;      /* past the page cache where the file system allows */
    size_t files_max; /* descriptors kept open at most; 0: by the process's limit */
    const struct store_fault *fault;
};

struct cache;
int cache_create(struct cache **, const struct index_env *, const struct cache_options *);
void cache_destroy(struct cache *); /* NULL is allowed; nothing is pinned */

/* A file joins; its hot part is handed over if there is one (NULL: it is read when asked for). On
   ERR_NO_MEMORY the block is still the caller's. */
int cache_join(struct cache *, struct base *, unsigned char *hot);
/* The last reference is gone: memory and descriptor go. remove: the file too. */
void cache_leave(struct cache *, struct base *, bool remove);

/* 2. A search's reads */

/* One thread's list of clusters asked for. */
struct fetch;
struct fetch *fetch_create(struct cache *); /* NULL: out of memory */
void fetch_destroy(struct fetch *);

/* Asks for n clusters more; what is not in memory begins to be read. Those asked for only ahead of
   need (prefetch) may be asked for again, or cancelled, and are not handed out until they are. On failure
   none of them is asked for. */
int fetch_ask(struct fetch *, struct base *const *, size_t n);
int fetch_ahead(struct fetch *, struct base *const *, size_t n);
/* The next that is there, those in memory first: *i counts them in the order asked. false: all were handed
   out. *rc: OK, or why this one cannot be read (ERR_IO, ERR_CORRUPT naming the file; *image is NULL). It is
   pinned until fetch_done(). */
bool fetch_next(struct fetch *, size_t *i, const struct image **image, int *rc);
/* Whether the next is there already. */
bool fetch_ready(const struct fetch *);
/* Unpins all that was handed out, and waits for or drops what was not. */
void fetch_done(struct fetch *);

/* 3. Rows by themselves: n rows of a file whose rows are cold, to `out` one after the other, read together.
   ERR_IO, ERR_CORRUPT (past the end). */
int cache_rows(struct cache *, struct fetch *, const struct base *, const uint32_t *rows, size_t n,
               void *out);

/* 4. Whole files, for upkeep: pinned, not counted as asked for by a search, with all rows in memory and
   verified. One that is in the cache is taken from there. */
struct whole {
    struct image image;
    unsigned char *block; /* read for this call; NULL: pinned in the cache */
    size_t charge;        /* its bytes */
    struct base *base;
};
int cache_whole(struct cache *, struct base *, struct whole *);
void cache_whole_done(struct cache *, struct whole *);

/* 5. Reports */

struct cache_counts {
    uint64_t hits, misses, evictions, evicted_bytes;
    uint64_t reads, read_bytes;                        /* of hot parts */
    uint64_t row_reads, row_read_bytes;                /* of single rows */
    uint64_t prefetched, prefetch_used;                /* clusters */
    uint64_t resident_bytes, budget_bytes, over_bytes; /* over: past the budget, at most so far */
    uint64_t files_open, files_closed_for_room;
    bool uring, direct;
};
void cache_counts(const struct cache *, struct cache_counts *);
/* Every file that joined: pins, bytes, the clock's ring agree. ERR_INVARIANT. Nothing runs meanwhile. */
int cache_check(const struct cache *);

#endif
