/* file_access.c - placements, and their pool: tens of thousands of allocations of less than a
 * hundred bytes; writing and reading a posting's bytes in the file's pages, and their checksums. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "algorithms/common/postings/file_internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* ---- placements */

static size_t bytes_for(size_t n_pages)
{
    return sizeof(struct placement) + n_pages * sizeof(struct page_ref);
}

void posting_placement_pool_init(struct placement_pool *pool, struct mem *mem)
{
    *pool = (struct placement_pool){ .mem = mem };
}

void posting_placement_pool_free(struct placement_pool *pool)
{
    while (pool->chunks) {
        void *next;

        memcpy(&next, pool->chunks, sizeof next);
        mem_free(pool->mem, pool->chunks);
        pool->chunks = next;
    }
}

static void *cut(struct placement_pool *pool, size_t bytes)
{
    unsigned char *chunk;

    if (pool->left < bytes) {
        chunk = mem_alloc(pool->mem, PLACEMENT_CHUNK);
        if (!chunk)
            return NULL;
        memcpy(chunk, &pool->chunks, sizeof pool->chunks);
        pool->chunks = chunk;
        pool->at = chunk + 16;
        pool->left = PLACEMENT_CHUNK - 16;
        pool->bytes += PLACEMENT_CHUNK;
    }
    chunk = pool->at;
    pool->at += bytes;
    pool->left -= bytes;
    return chunk;
}

struct placement *posting_placement_make(struct placement_pool *pool, size_t n_pages)
{
    const size_t bytes = bytes_for(n_pages);
    struct placement *p;

    if (n_pages > PLACEMENT_POOLED) {
        p = mem_alloc(pool->mem, bytes);
        pool->bytes += p ? bytes : 0;
    } else if (pool->free[n_pages]) {
        p = pool->free[n_pages];
        memcpy(&pool->free[n_pages], p, sizeof(void *));
    } else {
        p = cut(pool, bytes);
    }
    if (p) {
        atomic_init(&p->tail, 0);
        p->n_pages = (uint32_t)n_pages;
        p->kept = 0;
    }
    return p;
}

void posting_placement_release(struct placement_pool *pool, struct placement *p)
{
    const size_t n_pages = p->n_pages;

    if (n_pages > PLACEMENT_POOLED) {
        pool->bytes -= bytes_for(n_pages);
        mem_free(pool->mem, p);
    } else {
        memcpy((void *)p, &pool->free[n_pages], sizeof(void *));
        pool->free[n_pages] = p;
    }
}

/* ---- checksums, faults */

bool posting_faulted(const struct file_store *s, const char *call)
{
    return file_faulted(s->base.options.fault, call);
}

/* 32 of 64 bits: one damaged page in four billion passes. */
uint32_t posting_page_checksum(const void *bytes, size_t n)
{
    return (uint32_t)XXH3_64bits(bytes, n);
}

/* ---- ranges */

static int write_at(struct file_store *s, uint32_t posting, uint64_t at, const unsigned char *bytes,
                    size_t n)
{
    const size_t done = file_write_at(s->fd, bytes, n, at, s->base.options.fault);

    COUNT_ADD(s->bytes_written, done);
    return done == n ? OK
                     : fail_errno(s->base.env.error, ERR_IO,
                                  "%s: cannot write %zu bytes at %" PRIu64 ": posting %" PRIu32
                                  " is unchanged",
                                  s->path, n - done, at + done, posting);
}

static int read_at(struct file_store *s, uint32_t posting, uint64_t at, unsigned char *bytes,
                   size_t n)
{
    const size_t done = file_read_at(s->fd, bytes, n, at, s->base.options.fault);

    at += done;
    if (done == n)
        return OK;
    if (errno)
        return fail_errno(s->base.env.error, ERR_IO,
                          "%s: cannot read %zu bytes at %" PRIu64 " (posting %" PRIu32 ")", s->path,
                          n - done, at, posting);
    return fail(s->base.env.error, ERR_CORRUPT,
                "%s ends at %" PRIu64 ", before the end of page %" PRIu64 " of posting %" PRIu32,
                s->path, at, at / POSTING_PAGE, posting);
}

/* The first contiguous piece of the range: returns its address in the file, *n_piece its length. */
static uint64_t piece(const struct placement *p, size_t from, size_t n, size_t *n_piece)
{
    const size_t page = from / POSTING_PAGE, offset = from % POSTING_PAGE;
    const size_t run = run_length(p, page, pages_of(from + n)) * POSTING_PAGE - offset;

    *n_piece = run < n ? run : n;
    return (uint64_t)p->pages[page].page * POSTING_PAGE + offset;
}

int posting_file_write(struct file_store *s, uint32_t posting, const struct placement *p,
                       size_t from, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    int rc = OK;

    if (n > 0)
        COUNT_ADD(s->pages_written, pages_of(from + n) - from / POSTING_PAGE);
    while (n > 0 && rc == OK) {
        size_t k;
        const uint64_t offset = piece(p, from, n, &k);

        rc = write_at(s, posting, offset, at, k);
        from += k;
        at += k;
        n -= k;
    }
    return rc;
}

int posting_file_read(struct file_store *s, uint32_t posting, const struct placement *p,
                      size_t from, size_t n, void *out)
{
    unsigned char *to = out;
    int rc = OK;

    while (n > 0 && rc == OK) {
        size_t k;
        const uint64_t offset = piece(p, from, n, &k);

        if (s->base.options.kind == POSTING_MMAP) {
            /* Page by page: a run may cross a segment's end. */
            k = k < POSTING_PAGE - from % POSTING_PAGE ? k : POSTING_PAGE - from % POSTING_PAGE;
            memcpy(to,
                   posting_file_mapped(s, p->pages[from / POSTING_PAGE].page, 1) +
                       from % POSTING_PAGE,
                   k);
        } else {
            rc = read_at(s, posting, offset, to, k);
        }
        from += k;
        to += k;
        n -= k;
    }
    return rc;
}

/* ---- verified reads */

int posting_file_verify(const struct file_store *s, uint32_t posting, const struct placement *p,
                        uint64_t tail, size_t i, const void *bytes)
{
    const uint32_t sum = posting_page_checksum(bytes, page_used(tail_length(tail), i));
    const uint32_t expected = page_sum_of(p, tail, i);

    if (__builtin_expect(sum == expected, 1))
        return OK;
    return fail(s->base.env.error, ERR_CORRUPT,
                "%s: page %" PRIu32 " (the %zu. of posting %" PRIu32 "): checksum %08" PRIx32
                ", expected %08" PRIx32,
                s->path, p->pages[i].page, i + 1, posting, sum, expected);
}

/* Reads bytes [from, from + n) of page i, which must be verified as a whole. */
static int fetch_part(struct file_store *s, uint32_t posting, const struct placement *p,
                      uint64_t tail, size_t i, size_t from, size_t n, unsigned char *out)
{
    unsigned char page[POSTING_PAGE];
    int rc =
        posting_file_read(s, posting, p, i * POSTING_PAGE, page_used(tail_length(tail), i), page);

    if (rc == OK)
        rc = posting_file_verify(s, posting, p, tail, i, page);
    if (rc == OK)
        memcpy(out, page + from, n);
    return rc;
}

int posting_file_fetch(struct file_store *s, uint32_t posting, const struct placement *p,
                       size_t from, size_t n, void *out)
{
    const uint64_t tail = placement_tail(p);
    unsigned char *to = out;
    int rc = OK;

    while (n > 0 && rc == OK) {
        const size_t i = from / POSTING_PAGE, used = page_used(tail_length(tail), i);
        const size_t offset = from % POSTING_PAGE;
        size_t k = used - offset < n ? used - offset : n;

        if (offset > 0 || k < used) {
            rc = fetch_part(s, posting, p, tail, i, offset, k, to);
        } else {
            /* All whole pages at once, directly to `out`. */
            const size_t last = from + n;

            k = last == tail_length(tail) ? n : last / POSTING_PAGE * POSTING_PAGE - from;
            rc = posting_file_read(s, posting, p, from, k, to);
            for (size_t j = i; rc == OK && j * POSTING_PAGE < from + k; j++)
                rc = posting_file_verify(s, posting, p, tail, j, to + (j - i) * POSTING_PAGE);
        }
        from += k;
        to += k;
        n -= k;
    }
    return rc;
}

/* ---- growth */

/* Maps whole segments, also past the end of the file: only pages before it are accessed, and the
   mapping need not move as the file grows. */
static int map_segments(struct file_store *s, size_t total)
{
    const size_t n = (total + SEGMENT_PAGES - 1) / SEGMENT_PAGES;

    if (!segmented_grow(&s->segments, n))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory, cannot map %zu pages",
                    s->path, total);
    for (; s->n_segments < n; s->n_segments++) {
        const size_t bytes = (size_t)SEGMENT_PAGES * POSTING_PAGE;
        void *at = MAP_FAILED;

        if (!posting_faulted(s, "mmap"))
            at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, s->fd, (off_t)(s->n_segments * bytes));
        if (at == MAP_FAILED)
            return fail_errno(s->base.env.error, ERR_IO, "cannot map %s", s->path);
        *(void **)segmented_at(&s->segments, s->n_segments) = at;
    }
    return OK;
}

int posting_file_grow(struct file_store *s, size_t total)
{
    const size_t rounded = (total + 63) / 64 * 64;
    int rc = OK;

    if (rounded >= PAGE_NONE)
        return fail(s->base.env.error, ERR_IO, "%s: %zu pages, and it may have %" PRIu32, s->path,
                    rounded, PAGE_NONE - 64);
    if (s->base.options.kind == POSTING_MMAP)
        rc = map_segments(s, rounded);
    if (rc != OK)
        return rc;
    if (posting_faulted(s, "truncate") || ftruncate(s->fd, (off_t)rounded * POSTING_PAGE) != 0)
        return fail_errno(s->base.env.error, ERR_IO, "%s: cannot be extended to %zu pages", s->path,
                          rounded);
    if (!posting_extents_grow(&s->space, rounded))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory for a map of %zu pages",
                    s->path, rounded);
    return OK;
}

const unsigned char *posting_file_mapped(const struct file_store *s, uint32_t page, size_t n)
{
    const unsigned char *segment;

    if (page % SEGMENT_PAGES + n > SEGMENT_PAGES)
        return NULL;
    segment = *(unsigned char *const *)segmented_at(&s->segments, page / SEGMENT_PAGES);
    return segment + (size_t)(page % SEGMENT_PAGES) * POSTING_PAGE;
}
