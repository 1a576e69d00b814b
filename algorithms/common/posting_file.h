/* posting_file.h - inside the block file: what its parts share.
 *
 * One file, env->dir/postings, of pages. A posting's *placement* says where its pages are; readers find
 * it through the directory. The first `length` bytes of a placement never change, in the file too:
 *
 *   - an append that stays within the last page writes past them and then publishes length and
 *     checksum of that page in one word; readers of the old length, and a snapshot that holds it, see
 *     the same bytes as ever
 *   - everything else goes to fresh pages (copy on write) in a fresh placement; the old one is retired
 *     with those of its pages that the new one does not have
 *
 * A posting's pages lie in a row. Where a page must go elsewhere, the whole posting is written anew once
 * it would be of more than one run for each eight pages begun: postings of a few pages are read at one
 * address, long ones are not copied for every page.
 *
 *   posting_pages.c          which pages are free
 *   posting_placement.c      placements, pooled
 *   posting_file.c           opening, updates
 *   posting_file_access.c    writing and reading byte ranges, checksums, growth, mapping
 *   posting_file_snapshot.c  freeze, sync, resume, check
 *   posting_file_read.c      readers
 *   posting_queue*.c         how a reader's reads are carried out
 */
#ifndef DRIFTLINE_POSTING_FILE_H
#define DRIFTLINE_POSTING_FILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "posting_directory.h"
#include "posting_pages.h"
#include "posting_store.h"

/* ---- placements */

struct page_ref {
    uint32_t page, sum; /* sum: of all its bytes */
};

struct placement {
    struct epoch_item item; /* for when it is retired */
    _Atomic(uint64_t) tail; /* length << 32 | checksum of the last page's used bytes */
    uint32_t n_pages;       /* >= 1, = pages that length needs */
    uint32_t kept; /* the updater's, on retirement: as many pages live on in its successor */
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

/* Bytes of page i of a posting `length` long. */
static inline size_t page_used(size_t length, size_t i)
{
    return length - i * POSTING_PAGE < POSTING_PAGE ? length - i * POSTING_PAGE : POSTING_PAGE;
}
/* And their checksum. */
static inline uint32_t page_sum_of(const struct placement *p, uint64_t tail, size_t i)
{
    return i == p->n_pages - 1 ? (uint32_t)tail : p->pages[i].sum;
}
/* Pages from i on, before `end`, that lie in a row. */
static inline size_t run_length(const struct placement *p, size_t i, size_t end)
{
    size_t n = 1;

    while (i + n < end && p->pages[i + n].page == p->pages[i].page + n)
        n++;
    return n;
}

enum { PLACEMENT_POOLED = 16, PLACEMENT_CHUNK = 32 << 10 };

/* Placements of up to PLACEMENT_POOLED pages, cut from chunks and used again by size; longer ones are
   blocks of their own. */
struct placement_pool {
    struct mem *mem;
    void *chunks; /* a list by their first word */
    unsigned char *at;
    size_t left;                      /* bytes in the newest chunk */
    void *free[PLACEMENT_POOLED + 1]; /* by pages, lists by the first word */
    size_t bytes;
};
void placement_pool_init(struct placement_pool *, struct mem *);
void placement_pool_free(struct placement_pool *);                         /* not the long ones */
struct placement *placement_make(struct placement_pool *, size_t n_pages); /* NULL: no memory */
void placement_release(struct placement_pool *, struct placement *);

/* ---- the store */

enum { SEGMENT_PAGES = 16384 }; /* of a mapping: 64 MiB */

struct file_store {
    struct posting_store base;
    char *path;
    int fd;        /* through the page cache: all writes, updaters' reads */
    int direct_fd; /* -1: none. Linux writes back what is dirty of a range before it reads it directly */
    struct directory directory; /* of struct placement */
    struct stable segments;     /* mmap: of void *, by page / SEGMENT_PAGES */
    size_t n_segments;          /* under lock */
    pthread_mutex_t lock;       /* of space and pool */
    struct page_space space;
    struct placement_pool pool;
    size_t retired_pages;          /* wait for readers; under lock */
    bool unsure;                   /* the last sync failed: see file_freeze() */
    const struct queue_ops *queue; /* readers': NULL for mmap */
    _Atomic(bool) ring_failed;     /* io_uring's: a reader reads without */
    struct pread_pool *preads;     /* of threads; NULL: none (yet) */
    _Atomic(uint64_t) reader_bytes;
    _Atomic(uint64_t) splices, drops, reads, pages_read, bytes_read, pages_written, bytes_written,
        bytes_given, late;
};

static inline struct file_store *file_of(const struct posting_store *store)
{
    return (struct file_store *)(uintptr_t)store;
}

#define COUNT_ADD(counter, by) atomic_fetch_add_explicit(&(counter), (by), memory_order_relaxed)
#define COUNT_GET(counter)     atomic_load_explicit(&(counter), memory_order_relaxed)

/* Whether a test has this call fail; then errno says how. */
bool file_faulted(const struct file_store *, const char *call);

/* ---- posting_file_access.c */

uint32_t page_checksum(const void *bytes, size_t n);
/* A range of a posting's bytes to and from its pages; the range lies within n_pages. `posting` is for
   the sentences of errors. */
#define POSTINGS_MANY UINT32_MAX
int file_write(struct file_store *, uint32_t posting, const struct placement *, size_t from,
               const void *bytes, size_t n);
int file_read(struct file_store *, uint32_t posting, const struct placement *, size_t from,
              size_t n, void *out);
/* ERR_CORRUPT where page i, whose used bytes these are, does not match. */
int file_verify(const struct file_store *, uint32_t posting, const struct placement *,
                uint64_t tail, size_t i, const void *bytes);
/* The same range, verified if options.verify. */
int file_fetch(struct file_store *, uint32_t posting, const struct placement *, size_t from,
               size_t n, void *out);
/* At least so many pages in space and file, mapped where mapped. Under lock. */
int file_grow(struct file_store *, size_t total);
/* Where `n` pages from `page` on lie in memory; NULL: not in one piece. */
const unsigned char *file_mapped(const struct file_store *, uint32_t page, size_t n);

/* ---- posting_file_snapshot.c */

int file_freeze(struct posting_store *, struct store_writer *);
int file_sync(struct posting_store *);
void file_durable(struct posting_store *);
void file_unfreeze(struct posting_store *);
void file_keep_both(struct posting_store *);
int file_resume(struct file_store *, const struct store_reader *);
int file_check(const struct posting_store *);

/* ---- posting_file_read.c */

int file_reader_create(struct posting_reader **, struct posting_store *);
void file_reader_destroy(struct posting_reader *);
int file_read_some(struct posting_reader *, const uint32_t *, size_t n,
                   const struct posting_read_options *);
int file_next(struct posting_reader *, const unsigned char **bytes, size_t *n);

#endif
