/* posting_file_read.c - readers of the block file: what is asked for becomes addresses in the mapping, or
 * reads into the reader's buffer, a posting's pages one after another.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "posting_queue.h"
#include "src/core/error.h"
#include "src/core/mem.h"

enum { ARENA_KEPT = 4 << 20 }; /* a buffer of this or less is not given up */

static struct file_reader *reader_of(struct posting_reader *reader)
{
    return (struct file_reader *)reader;
}

int file_reader_create(struct posting_reader **reader, struct posting_store *store)
{
    struct file_store *s = file_of(store);
    struct file_reader *r = mem_zalloc(store->env.mem, sizeof *r);
    int rc = OK;

    if (!r)
        return fail(store->env.error, ERR_NO_MEMORY, "postings: no memory for a reader");
    r->base.store = store;
    r->timer = -1;
    if (s->queue)
        rc = s->queue->create(r);
    if (rc != OK) {
        mem_free(store->env.mem, r);
        return rc;
    }
    COUNT_ADD(s->reader_bytes, sizeof *r);
    *reader = &r->base;
    return OK;
}

static size_t buffers_of(const struct file_reader *r)
{
    return r->arena_bytes + r->wanted_capacity * sizeof *r->wanted +
           r->ops_capacity * sizeof *r->ops;
}

void file_reader_destroy(struct posting_reader *reader)
{
    struct file_reader *r = reader_of(reader);
    struct file_store *s = file_of(reader->store);
    struct mem *mem = reader->store->env.mem;

    if (s->queue)
        s->queue->destroy(r);
    if (r->timer >= 0)
        (void)close(r->timer);
    atomic_fetch_sub_explicit(&s->reader_bytes, sizeof *r + buffers_of(r), memory_order_relaxed);
    mem_free(mem, r->arena_block);
    mem_free(mem, r->wanted);
    mem_free(mem, r->ops);
    mem_free(mem, r);
}

/* ---- what a query asks for */

/* A buffer of n bytes at a multiple of a page; what was in it is void. */
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

/* The translation of a mapped page's address arrives while the postings before it are worked on. */
static void touch(const unsigned char *bytes, size_t n_pages)
{
    for (size_t i = 0; i < n_pages; i++)
        __builtin_prefetch(bytes + i * POSTING_PAGE);
}

/* Resolves the numbers. *pages: to be read or gathered; *runs: of them. */
static void resolve(struct file_reader *r, const uint32_t *postings, size_t n, size_t at_most,
                    size_t *pages, size_t *runs)
{
    const struct file_store *s = file_of(r->base.store);

    *pages = *runs = 0;
    for (size_t i = 0; i < n; i++) {
        struct wanted *w = r->wanted + i;
        size_t n_pages;

        *w = (struct wanted){ .placement = directory_get(&s->directory, postings[i]),
                              .number = postings[i],
                              .bytes = r->nothing };
        if (!w->placement)
            continue;
        w->tail = placement_tail(w->placement);
        w->n = tail_length(w->tail);
        if (at_most && w->n > at_most)
            w->n = at_most;
        n_pages = pages_of(w->n);
        if (!s->queue && run_length(w->placement, 0, n_pages) == n_pages) {
            w->bytes = file_mapped(s, w->placement->pages[0].page, n_pages);
            if (w->bytes) {
                touch(w->bytes, n_pages);
                continue;
            }
        }
        w->bytes = NULL;
        *pages += n_pages;
        for (size_t k = 0; k < n_pages; k += run_length(w->placement, k, n_pages))
            ++*runs;
    }
}

/* The operations for what resolve() found, into the arena one after another. */
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
        w->first_op = (uint32_t)r->n_ops;
        for (size_t k = 0, run; k < n_pages; k += run) {
            const size_t length = tail_length(w->tail);
            size_t bytes;

            run = run_length(w->placement, k, n_pages);
            bytes = run * POSTING_PAGE;
            if (!whole && length - k * POSTING_PAGE < bytes)
                bytes = length - k * POSTING_PAGE;
            r->ops[r->n_ops++] =
                (struct read_op){ .reader = r,
                                  .to = to,
                                  .at = (uint64_t)w->placement->pages[k].page * POSTING_PAGE,
                                  .bytes = (uint32_t)bytes,
                                  .posting = (uint32_t)i };
            to += run * POSTING_PAGE;
            w->n_ops++;
        }
        atomic_init(&w->left, w->n_ops);
    }
}

static void report(struct file_reader *r)
{
    struct file_store *s = file_of(r->base.store);

    if (r->pages_read > 0)
        COUNT_ADD(s->pages_read, r->pages_read);
    if (r->bytes_read > 0)
        COUNT_ADD(s->bytes_read, r->bytes_read);
    if (r->n_late > 0)
        COUNT_ADD(s->late, r->n_late);
    r->pages_read = r->bytes_read = r->n_late = 0;
}

int file_read_some(struct posting_reader *reader, const uint32_t *postings, size_t n,
                   const struct posting_read_options *options)
{
    struct file_reader *r = reader_of(reader);
    struct file_store *s = file_of(reader->store);
    struct mem *mem = reader->store->env.mem;
    const size_t before = buffers_of(r);
    size_t pages, runs = 0;
    bool there;

    report(r);
    if (s->queue)
        s->queue->settle(r);
    r->n = r->at = r->n_ops = 0;
    there = mem_grow(mem, &r->wanted, &r->wanted_capacity, n, sizeof *r->wanted);
    if (there) {
        resolve(r, postings, n, options->bytes_at_most, &pages, &runs);
        there = arena_reserve(r, pages * POSTING_PAGE) &&
                mem_grow(mem, &r->ops, &r->ops_capacity, s->queue ? runs : 0, sizeof *r->ops);
    }
    atomic_fetch_add_explicit(&s->reader_bytes, buffers_of(r) - before, memory_order_relaxed);
    if (!there)
        return fail(s->base.env.error, ERR_NO_MEMORY, "postings: no memory to read %zu of them", n);
    COUNT_ADD(s->reads, n);
    r->n = n;
    if (s->queue) {
        plan(r, n);
        return s->queue->start(r, options->deadline_us);
    }
    /* mmap: what lies in pieces is gathered when it is asked for */
    unsigned char *to = r->arena;
    for (size_t i = 0; runs > 0 && i < n; i++)
        if (!r->wanted[i].bytes) {
            r->wanted[i].bytes = to;
            r->wanted[i].n_ops = 1;
            to += pages_of(r->wanted[i].n) * POSTING_PAGE;
        }
    return timer_set(r, options->deadline_us);
}

/* ---- handing out */

static int trouble(const struct file_reader *r, const struct wanted *w, const struct read_op *op)
{
    const struct file_store *s = file_of(r->base.store);

    if (op->error < 0)
        return fail(s->base.env.error, ERR_CORRUPT,
                    "%s ends before page %" PRIu64 " of posting %" PRIu32, s->path,
                    (op->at + op->done) / POSTING_PAGE, w->number);
    errno = op->error;
    return fail_errno(s->base.env.error, ERR_IO,
                      "%s: cannot read page %" PRIu64 " of posting %" PRIu32, s->path,
                      (op->at + op->done) / POSTING_PAGE, w->number);
}

/* The posting's bytes are there once this is OK; *late: they are not, and will not be. */
static int await(struct file_reader *r, struct wanted *w, bool *late)
{
    struct file_store *s = file_of(r->base.store);
    const size_t i = (size_t)(w - r->wanted);
    int rc;

    *late = false;
    if (!s->queue) {
        *late = r->timed && timer_expired(r);
        return w->n_ops > 0 && !*late
                   ? file_read(s, w->number, w->placement, 0, pages_of(w->n) * POSTING_PAGE,
                               (void *)(uintptr_t)w->bytes)
                   : OK;
    }
    if (w->n_ops == 0)
        return OK;
    rc = s->queue->await(r, i);
    if (rc != OK)
        return rc;
    if (!wanted_is_there(r, i)) {
        *late = true;
        return OK;
    }
    for (uint32_t k = 0; k < w->n_ops; k++)
        if (r->ops[w->first_op + k].error)
            return trouble(r, w, r->ops + w->first_op + k);
    return OK;
}

int file_next(struct posting_reader *reader, const unsigned char **bytes, size_t *n)
{
    struct file_reader *r = reader_of(reader);
    struct file_store *s = file_of(reader->store);
    struct wanted *w = r->wanted + r->at;
    bool late = false;
    size_t n_pages;
    int rc = OK;

    if (r->at == r->n)
        return fail(s->base.env.error, ERR_ARGUMENT, "postings: all %zu have been read", r->n);
    r->at++;
    if (!s->queue && r->at < r->n)
        directory_prefetch(w[1].bytes, w[1].n);
    n_pages = pages_of(w->n);
    *bytes = NULL;
    *n = 0;
    if (w->placement)
        rc = await(r, w, &late);
    for (size_t i = 0; rc == OK && !late && s->base.options.verify && i < n_pages; i++)
        rc = file_verify(s, w->number, w->placement, w->tail, i, w->bytes + i * POSTING_PAGE);
    if (rc == OK && late) {
        r->n_late++;
    } else if (rc == OK) {
        *bytes = w->bytes;
        *n = w->n;
        r->pages_read += n_pages;
        r->bytes_read += n_pages * POSTING_PAGE;
    }
    if (r->at == r->n)
        report(r);
    return rc;
}
