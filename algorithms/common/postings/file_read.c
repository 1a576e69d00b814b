/* file_read.c - readers of the block file: requested postings become addresses in the mapping, or
 * reads into the reader's buffer, one posting's pages after another. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/io/files.h"
#include "algorithms/common/io/read_queue.h"
#include "algorithms/common/postings/file_internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

enum { ARENA_KEPT = 4 << 20 }; /* a buffer of this size or less is kept */

/* A requested posting. */
struct wanted {
    const struct placement *placement; /* NULL: empty */
    uint64_t tail;
    const unsigned char *bytes;
    size_t n; /* bytes to return */
    uint32_t number;
    uint32_t first, n_requests; /* of contiguous pages; their tag is the posting */
    uint32_t left;              /* requests that are not done; mmap: 1 until posting_next()
                                   returns it */
    bool in_pieces;             /* mmap: must be gathered */
};

static struct file_reader *reader_of(struct posting_reader *reader)
{
    return (struct file_reader *)reader;
}

/* ---- how postings are read */

int posting_file_choose_io(struct file_store *s)
{
    const enum posting_io io = s->base.options.io;
    const char *why = "";

    if (s->base.options.kind == POSTING_MMAP)
        return OK;
    /* For pages in the page cache, a ring costs about as much as preads; pages that are not there
       are read from the device concurrently. */
    if (io != POSTING_IO_PREAD)
        s->uring = read_queue_uring_usable(&why);
    if (io == POSTING_IO_URING && !s->uring)
        return fail(s->base.env.error, ERR_UNSUPPORTED,
                    "%s: io_uring cannot be used: %s; choose io = auto or pread", s->path, why);
    if (!s->uring && s->direct_fd < 0)
        return OK;
    s->threads = read_threads_create(s->base.env.mem);
    return s->threads ? OK
                      : fail(s->base.env.error, ERR_NO_MEMORY,
                             "postings: out of memory for reading threads");
}

bool posting_file_is_uring(const struct file_store *s)
{
    return s->uring && !COUNT_GET(((struct file_store *)(uintptr_t)s)->ring_failed);
}

/* The file descriptor for readers. */
static int read_fd(const struct file_store *s)
{
    return s->direct_fd >= 0 ? s->direct_fd : s->fd;
}

/* A failed ring is reported by stats(). Without a ring, pages in the page cache are read when they
   are waited for. */
static void note_ring(struct file_reader *r)
{
    struct file_store *s = file_of(r->base.store);

    if (!s->uring || read_queue_is_uring(r->queue))
        return;
    atomic_store_explicit(&s->ring_failed, true, memory_order_relaxed);
    if (s->direct_fd < 0 && read_queue_in_flight(r->queue) == 0) {
        read_queue_destroy(r->queue);
        r->queue = NULL;
    }
}

int posting_file_reader_open(struct posting_reader *reader)
{
    struct file_reader *r = reader_of(reader);
    struct file_store *s = file_of(reader->store);

    if (s->threads) {
        r->queue = read_queue_create(s->base.env.mem, s->threads, s->uring);
        if (!r->queue)
            return fail(s->base.env.error, ERR_NO_MEMORY, "postings: out of memory for a reader");
        read_queue_fix(r->queue, read_fd(s));
        note_ring(r);
    }
    COUNT_ADD(s->reader_bytes, sizeof *r);
    return OK;
}

static size_t buffers_of(const struct file_reader *r)
{
    return r->arena_bytes + r->wanted_capacity * sizeof *r->wanted +
           r->requests_capacity * sizeof *r->requests;
}

void posting_file_reader_close(struct posting_reader *reader)
{
    struct file_reader *r = reader_of(reader);
    struct file_store *s = file_of(reader->store);
    struct mem *mem = reader->store->env.mem;

    if (r->queue)
        read_queue_cancel(r->queue);
    read_queue_destroy(r->queue);
    atomic_fetch_sub_explicit(&s->reader_bytes, sizeof *r + buffers_of(r), memory_order_relaxed);
    mem_free(mem, r->arena_block);
    mem_free(mem, r->wanted);
    mem_free(mem, r->requests);
}

/* ---- requests */

/* Makes the buffer hold n bytes, page-aligned; its old contents are lost. */
static bool arena_reserve(struct file_reader *r, size_t n)
{
    struct mem *mem = r->base.store->env.mem;
    const bool spare = r->arena_bytes > ARENA_KEPT && n < r->arena_bytes / 8;

    if (n <= r->arena_bytes && !spare)
        return true;
    mem_free(mem, r->arena_block);
    r->arena_bytes = 0;
    r->arena_block = mem_alloc(mem, n + n / 4 + POSTING_PAGE);
    if (!r->arena_block)
        return false;
    r->arena = r->arena_block + (-(uintptr_t)r->arena_block & (POSTING_PAGE - 1));
    r->arena_bytes = n + n / 4;
    return true;
}

/* Loads the address translation of mapped pages while earlier postings are worked on. */
static void touch(const unsigned char *bytes, size_t n_pages)
{
    for (size_t i = 0; i < n_pages; i++)
        __builtin_prefetch(bytes + i * POSTING_PAGE);
}

/* Resolves the numbers. *pages: pages to read or gather; *runs: their contiguous runs. */
static void resolve(struct file_reader *r, const uint32_t *postings, size_t n, size_t *pages,
                    size_t *runs)
{
    const struct file_store *s = file_of(r->base.store);

    *pages = *runs = 0;
    for (size_t i = 0; i < n; i++) {
        struct wanted *w = r->wanted + i;
        size_t n_pages;

        *w = (struct wanted){ .placement = directory_get(&s->directory, postings[i]),
                              .number = postings[i] };
        if (!w->placement)
            continue;
        w->tail = placement_tail(w->placement);
        w->n = tail_length(w->tail);
        if (w->n > r->base.at_most)
            w->n = r->base.at_most;
        n_pages = pages_of(w->n);
        if (is_mapped(s) && run_length(w->placement, 0, n_pages) == n_pages) {
            w->bytes = posting_file_mapped(s, w->placement->pages[0].page, n_pages);
            if (w->bytes) {
                touch(w->bytes, n_pages);
                continue;
            }
        }
        *pages += n_pages;
        for (size_t k = 0; k < n_pages; k += run_length(w->placement, k, n_pages))
            ++*runs;
    }
}

/* Makes the read requests, with consecutive places in the buffer. */
static void plan(struct file_reader *r, size_t n)
{
    const bool whole = file_of(r->base.store)->direct_fd >= 0;
    unsigned char *to = r->arena;

    for (size_t i = 0; i < n; i++) {
        struct wanted *w = r->wanted + i;
        const size_t n_pages = pages_of(w->n);

        if (w->bytes)
            continue;
        w->bytes = to;
        w->first = (uint32_t)r->n_requests;
        for (size_t k = 0, run; k < n_pages; k += run) {
            const size_t length = tail_length(w->tail);
            size_t bytes;

            run = run_length(w->placement, k, n_pages);
            bytes = run * POSTING_PAGE;
            if (!whole && length - k * POSTING_PAGE < bytes)
                bytes = length - k * POSTING_PAGE;
            r->requests[r->n_requests++] =
                (struct read_request){ .fd = read_fd(file_of(r->base.store)),
                                       .to = to,
                                       .at = (uint64_t)w->placement->pages[k].page * POSTING_PAGE,
                                       .bytes = bytes,
                                       .tag = w };
            to += run * POSTING_PAGE;
            w->n_requests++;
        }
        w->left = w->n_requests;
    }
}

/* mmap: postings that are not contiguous are gathered when they are waited for. */
static void plan_gathering(struct file_reader *r, size_t n)
{
    unsigned char *to = r->arena;

    for (size_t i = 0; i < n; i++) {
        struct wanted *w = r->wanted + i;

        w->left = 1;
        w->in_pieces = !w->bytes && w->n > 0;
        if (w->in_pieces) {
            w->bytes = to;
            to += pages_of(w->n) * POSTING_PAGE;
        }
    }
}

/* Gives all requests to the queue. A test may make one fail here. */
static void begin(struct file_reader *r)
{
    const struct file_store *s = file_of(r->base.store);

    for (size_t i = 0; i < r->n_requests; i++) {
        struct read_request *x = r->requests + i;

        if (posting_faulted(s, "read")) {
            x->error = errno;
            ((struct wanted *)x->tag)->left--;
        } else {
            read_queue_add(r->queue, x, s->direct_fd >= 0);
        }
    }
    read_queue_submit(r->queue);
    note_ring(r);
}

int posting_file_read_some(struct posting_reader *reader, const uint32_t *postings, size_t n)
{
    struct file_reader *r = reader_of(reader);
    struct file_store *s = file_of(reader->store);
    struct mem *mem = reader->store->env.mem;
    const size_t before = buffers_of(r);
    size_t pages, runs = 0;
    bool there;

    if (r->queue) {
        read_queue_cancel(r->queue);
        note_ring(r);
    }
    r->n_requests = 0;
    there = mem_grow(mem, &r->wanted, &r->wanted_capacity, n, sizeof *r->wanted);
    if (there) {
        resolve(r, postings, n, &pages, &runs);
        there = arena_reserve(r, pages * POSTING_PAGE) &&
                mem_grow(mem, &r->requests, &r->requests_capacity, is_mapped(s) ? 0 : runs,
                         sizeof *r->requests);
    }
    atomic_fetch_add_explicit(&s->reader_bytes, buffers_of(r) - before, memory_order_relaxed);
    if (!there)
        return fail(s->base.env.error, ERR_NO_MEMORY,
                    "postings: out of memory, cannot read %zu of them", n);
    if (is_mapped(s))
        plan_gathering(r, n);
    else
        plan(r, n);
    if (r->queue)
        begin(r);
    return OK;
}

/* ---- results */

static int trouble(const struct file_reader *r, const struct wanted *w,
                   const struct read_request *x)
{
    const struct file_store *s = file_of(r->base.store);

    if (x->error < 0)
        return fail(s->base.env.error, ERR_CORRUPT,
                    "%s ends before page %" PRIu64 " of posting %" PRIu32, s->path,
                    (x->at + x->done) / POSTING_PAGE, w->number);
    errno = x->error;
    return fail_errno(s->base.env.error, ERR_IO,
                      "%s: cannot read page %" PRIu64 " of posting %" PRIu32, s->path,
                      (x->at + x->done) / POSTING_PAGE, w->number);
}

/* Reads in this thread, unless the deadline has passed. */
static int read_now(struct file_reader *r, struct wanted *w)
{
    struct file_store *s = file_of(r->base.store);

    if (deadline_passed(&r->base.deadline))
        return OK;
    w->left = 0;
    if (w->in_pieces)
        return posting_file_read(s, w->number, w->placement, 0, pages_of(w->n) * POSTING_PAGE,
                                 (void *)(uintptr_t)w->bytes);
    for (uint32_t k = 0; k < w->n_requests; k++) {
        struct read_request *x = r->requests + w->first + k;

        x->done = file_read_at(x->fd, x->to, x->bytes, x->at, s->base.options.fault);
        if (x->done < x->bytes)
            x->error = errno ? errno : READ_SHORT;
    }
    return OK;
}

static void wait_for(struct file_reader *r, const struct wanted *w)
{
    while (w->left > 0) {
        const struct read_request *x = read_queue_take(r->queue, &r->base.deadline);

        if (!x)
            break;
        ((struct wanted *)x->tag)->left--;
    }
    note_ring(r);
}

/* Waits for the posting's bytes. If the deadline passes first, returns OK with requests left. */
static int await(struct file_reader *r, struct wanted *w)
{
    int rc = OK;

    if (w->left > 0 && r->queue)
        wait_for(r, w);
    else if (w->left > 0)
        rc = read_now(r, w);
    for (uint32_t k = 0; k < w->n_requests && w->left == 0 && rc == OK; k++)
        if (r->requests[w->first + k].error)
            rc = trouble(r, w, r->requests + w->first + k);
    return rc;
}

int posting_file_next(struct posting_reader *reader, size_t i, const unsigned char **bytes,
                      size_t *n)
{
    struct file_reader *r = reader_of(reader);
    struct file_store *s = file_of(reader->store);
    struct wanted *w = r->wanted + i;
    const size_t n_pages = pages_of(w->n);
    int rc = OK;

    if (is_mapped(s) && i + 1 < reader->n)
        directory_prefetch(w[1].bytes, w[1].n);
    if (w->placement)
        rc = await(r, w);
    const bool late = w->placement && w->left > 0;
    if (late)
        *bytes = NULL;
    for (size_t k = 0; rc == OK && !late && k < n_pages; k++)
        rc = posting_file_verify(s, w->number, w->placement, w->tail, k,
                                 w->bytes + k * POSTING_PAGE);
    if (rc == OK && !late && w->placement) {
        *bytes = w->bytes;
        *n = w->n;
        r->pages_read += n_pages;
    }
    if (i + 1 == reader->n) { /* once for all, as threads share the store's count */
        COUNT_ADD(s->base.pages_read, r->pages_read);
        r->pages_read = 0;
    }
    return rc;
}
