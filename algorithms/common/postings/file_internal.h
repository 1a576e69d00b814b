/* file_internal.h - inside the block file: declarations shared by its parts.
 *
 * One file, env->dir/postings, of pages. A posting's *placement* lists the addresses of its pages;
 * readers find it through the directory. The first `length` bytes of a placement never change, in
 * the file either:
 *
 *   - an append within the last page writes past them and then publishes the length and the
 *     checksum of that page in one word; readers of the old length, and a snapshot that holds it,
 *     see the same bytes as before
 *   - any other update goes to fresh pages (copy on write) in a fresh placement; the old one is
 *     retired with those of its pages that the new one does not use
 *
 * A posting's pages are contiguous if possible. Otherwise they may be in one run for each eight
 * pages begun; an update that would need more runs rewrites the whole posting. So postings of a few
 * pages are read at one address, and long ones are not copied for every page.
 *
 *   extents.c        free pages
 *   file.c           opening, updates, reports
 *   file_access.c    placements; writing and reading byte ranges, checksums, growth, mapping
 *   file_snapshot.c  freeze, sync, resume, check
 *   file_read.c      readers */
#ifndef DRIFTLINE_COMMON_POSTINGS_FILE_INTERNAL_H
#define DRIFTLINE_COMMON_POSTINGS_FILE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "algorithms/common/postings/directory_internal.h"
#include "algorithms/common/postings/extents_internal.h"
#include "algorithms/common/postings/posting_store.h"

/* ---- placements */

struct page_ref {
    uint32_t page, sum; /* sum: checksum of the whole page */
};

struct placement {
    struct epoch_item item; /* for retiring it */
    _Atomic(uint64_t) tail; /* length << 32 | checksum of the last page's used bytes */
    uint32_t n_pages;       /* >= 1, the number of pages that length needs */
    uint32_t kept; /* set on retirement, by the update: the first `kept` pages belong to its
                      successor too */
    struct page_ref pages[];
};

static inline uint64_t tail_make(size_t length, uint32_t sum)
{
    return (uint64_t)length << 32 | sum;
}
static inline size_t tail_length(uint64_t tail)
{
    return (size_t)(tail >> 32);
}
static inline uint64_t placement_tail(const struct placement *p)
{
    return atomic_load_explicit(&((struct placement *)(uintptr_t)p)->tail, memory_order_acquire);
}
static inline size_t pages_of(size_t bytes)
{
    return (bytes + POSTING_PAGE - 1) / POSTING_PAGE;
}

/* Used bytes of page i of a posting that is `length` long. */
static inline size_t page_used(size_t length, size_t i)
{
    return length - i * POSTING_PAGE < POSTING_PAGE ? length - i * POSTING_PAGE : POSTING_PAGE;
}
/* Checksum of these bytes. */
static inline uint32_t page_sum_of(const struct placement *p, uint64_t tail, size_t i)
{
    return i == p->n_pages - 1 ? (uint32_t)tail : p->pages[i].sum;
}
/* Length of the contiguous run of pages from i on, before `end`. */
static inline size_t run_length(const struct placement *p, size_t i, size_t end)
{
    size_t n = 1;

    while (i + n < end && p->pages[i + n].page == p->pages[i].page + n)
        n++;
    return n;
}

enum { PLACEMENT_POOLED = 16, PLACEMENT_CHUNK = 32 << 10 };

/* Placements of up to PLACEMENT_POOLED pages, cut from chunks and reused by size. Longer ones are
   single allocations. */
struct placement_pool {
    struct mem *mem;
    void *chunks; /* linked by their first word */
    unsigned char *at;
    size_t left;                      /* bytes in the newest chunk */
    void *free[PLACEMENT_POOLED + 1]; /* by number of pages, linked by the first word */
    size_t bytes;
};
void posting_placement_pool_init(struct placement_pool *, struct mem *);
void posting_placement_pool_free(struct placement_pool *); /* frees all but the long ones */
/* NULL: out of memory. */
struct placement *posting_placement_make(struct placement_pool *, size_t n_pages);
void posting_placement_release(struct placement_pool *, struct placement *);

/* ---- the store */

enum { SEGMENT_PAGES = 16384 }; /* of a mapping: 64 MiB */

struct file_store {
    struct posting_store base;
    char *path;
    int fd;        /* through the page cache: all writes, and reads for updates */
    int direct_fd; /* -1: none. Linux writes dirty pages of a range back before a direct read
                      of it */
    struct posting_directory directory; /* of struct placement */
    struct segmented segments;          /* mmap: of void *, by page / SEGMENT_PAGES */
    size_t n_segments;                  /* under lock */
    pthread_mutex_t lock;               /* of space and pool */
    struct posting_extents space;
    struct placement_pool pool;
    size_t retired_pages;         /* waiting for readers; under lock */
    bool unsure;                  /* the last sync failed: see posting_file_freeze() */
    struct read_threads *threads; /* for readers' queues; NULL: readers have no queues */
    bool uring;                   /* queues use io_uring ... */
    _Atomic(bool) ring_failed;    /* ... and one has failed */
    _Atomic(uint64_t) reader_bytes, pages_written, bytes_written;
};

static inline bool is_mapped(const struct file_store *s)
{
    return s->base.options.kind == POSTING_MMAP;
}

static inline struct file_store *file_of(const struct posting_store *store)
{
    return (struct file_store *)(uintptr_t)store;
}

/* Whether a test injects a fault into this call; errno is then set. */
bool posting_faulted(const struct file_store *, const char *call);

/* ---- file_access.c */

uint32_t posting_page_checksum(const void *bytes, size_t n);
/* Write and read a range of a posting's bytes, within its n_pages. `posting` is for error
   messages. */
int posting_file_write(struct file_store *, uint32_t posting, const struct placement *, size_t from,
                       const void *bytes, size_t n);
int posting_file_read(struct file_store *, uint32_t posting, const struct placement *, size_t from,
                      size_t n, void *out);
/* Checks the used bytes of page i against its checksum: ERR_CORRUPT. */
int posting_file_verify(const struct file_store *, uint32_t posting, const struct placement *,
                        uint64_t tail, size_t i, const void *bytes);
/* Reads the range, and verifies its pages. */
int posting_file_fetch(struct file_store *, uint32_t posting, const struct placement *, size_t from,
                       size_t n, void *out);
/* Grows extents and file to at least `total` pages, and maps them if the kind is mmap.
   Under lock. */
int posting_file_grow(struct file_store *, size_t total);
/* Address of `n` pages from `page` on in the mapping; NULL: not contiguous in memory. */
const unsigned char *posting_file_mapped(const struct file_store *, uint32_t page, size_t n);

/* ---- file_snapshot.c */

int posting_file_freeze(struct posting_store *, struct store_writer *);
int posting_file_sync(struct posting_store *);
void posting_file_ended(struct posting_store *, enum durable_outcome);
int posting_file_resume(struct file_store *, const struct store_reader *);
int posting_file_check(const struct posting_store *);

/* ---- file_read.c */

/* Chooses queues or plain reads, by the store's options and what the system
   supports. ERR_UNSUPPORTED. */
int posting_file_choose_io(struct file_store *);
bool posting_file_is_uring(const struct file_store *);
struct file_reader {
    struct posting_reader base;
    struct wanted *wanted; /* a requested posting each */
    struct read_request *requests;
    size_t n_requests, wanted_capacity, requests_capacity;
    unsigned char *arena_block, *arena; /* arena: page-aligned */
    size_t arena_bytes;
    size_t pages_read;        /* not yet added to the store's */
    struct read_queue *queue; /* NULL: each posting is read when it is waited for */
};
int posting_file_reader_open(struct posting_reader *);
void posting_file_reader_close(struct posting_reader *);
int posting_file_read_some(struct posting_reader *, const uint32_t *, size_t n);
int posting_file_next(struct posting_reader *, size_t i, const unsigned char **bytes, size_t *n);

#endif
