/* rows.c - reads single rows, and whole files.
 *
 * A row is read directly into the output and compared with its checksum in the hot part.
 * With O_DIRECT whole pages are read, adjacent ones with one read. All reads of a call are
 * in flight together. */
#define _GNU_SOURCE /* preadv2 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "algorithms/channi/cache/internal.h"
#include "algorithms/common/concurrency/throttle.h"
#include "src/core/error.h"

/* ---- rows */

/* One read, and the rows in it: picks[first .. first + n). */
struct run {
    struct read_request request;
    uint64_t at, bytes; /* within the rows section */
    size_t first, n;
};

struct pick {
    uint32_t row, at; /* at: its index in `out` */
};

struct row_work {
    struct channi_cache *cache;
    struct channi_fetch *fetch;
    struct channi_cache_slot *slot;
    const struct channi_image *image;
    size_t row_bytes, n, n_runs;
    bool paged; /* O_DIRECT: whole pages are read, to `pages` */
    struct pick *picks;
    struct run *runs;
    unsigned char *pages, *out;
};

static int by_row(const void *a, const void *b)
{
    const struct pick *x = a, *y = b;

    return x->row != y->row ? (x->row > y->row ? 1 : -1) : (x->at > y->at) - (x->at < y->at);
}

/* Plans a read for each row, or those of pages in ascending order. */
static void plan(struct row_work *w)
{
    const uint64_t grain = w->paged ? CLUSTER_PAGE : 1;

    if (w->paged)
        qsort(w->picks, w->n, sizeof *w->picks, by_row);
    for (size_t i = 0; i < w->n; i++) {
        const uint64_t at = (uint64_t)w->picks[i].row * w->row_bytes;
        const uint64_t first = at / grain * grain,
                       end = channi_cluster_round(at + w->row_bytes, grain);
        struct run *r = w->paged && w->n_runs > 0 ? w->runs + w->n_runs - 1 : NULL;

        if (!r || first > r->at + r->bytes) {
            r = w->runs + w->n_runs++;
            *r = (struct run){ .at = first, .first = i };
        }
        r->n++;
        if (end > r->at + r->bytes)
            r->bytes = end - r->at;
    }
}

/* Reads with one call if the row is in the page cache; that takes a quarter of the time of the
   queue. false: it must be read from the device. */
static bool read_at_once(struct read_request *r)
{
    const struct iovec to = { r->to, r->bytes };
    const ssize_t n = preadv2(r->fd, &to, 1, (off_t)r->at, RWF_NOWAIT);

    if (n != (ssize_t)r->bytes)
        return false;
    r->done = r->bytes;
    return true;
}

/* Returns the number of reads in flight. */
static size_t begin_runs(struct row_work *w)
{
    struct channi_cache *c = w->cache;
    struct read_queue *q = channi_fetch_queue(w->fetch);
    unsigned char *to = w->paged ? w->pages : w->out;
    size_t n = 0;

    for (size_t i = 0; i < w->n_runs; i++) {
        struct run *r = w->runs + i;

        r->request = (struct read_request){ .fd = w->slot->fd,
                                            .to = to,
                                            .at = w->slot->base->rows_at + r->at,
                                            .bytes = r->bytes,
                                            .tag = w };
        to += r->bytes;
        if (file_faulted(c->options.fault, "read")) {
            r->request.error = errno;
            continue;
        }
        if (!w->paged && read_at_once(&r->request))
            continue;
        read_queue_add(q, &r->request, w->paged);
        n++;
    }
    if (n > 0)
        read_queue_submit(q);
    return n;
}

static int finish_run(const struct row_work *w, const struct run *r)
{
    if (r->request.error)
        return channi_cache_read_failed(w->cache, w->slot, r->request.at + r->request.done,
                                        r->request.error);
    for (size_t i = r->first; i < r->first + r->n; i++) {
        const struct pick p = w->picks[i];
        const unsigned char *row = r->request.to + ((uint64_t)p.row * w->row_bytes - r->at);

        if (channi_cluster_row_sum(row, w->row_bytes) != w->image->row_sums[p.row]) {
            channi_cache_damage(w->cache, w->slot, "a checksum of its rows does not fit");
            return fail(w->cache->env.error, ERR_CORRUPT,
                        "channi: %s/%s: section \"rows\": row %" PRIu32
                        ": its checksum does not match; the file is damaged",
                        w->cache->env.dir, channi_base_name(w->slot->base).text, p.row);
        }
        if (w->paged)
            memcpy(w->out + p.at * w->row_bytes, row, w->row_bytes);
    }
    return OK;
}

/* Called with the slot's file open. */
static int read_runs(struct row_work *w)
{
    int rc = OK;
    size_t bytes = 0;

    for (size_t n = begin_runs(w); n > 0; n--)
        (void)channi_fetch_await(w->fetch, w);
    for (size_t i = 0; i < w->n_runs; i++) {
        const int one = finish_run(w, w->runs + i);

        rc = rc != OK ? rc : one;
        bytes += w->runs[i].request.done;
    }
    channi_cache_count(&w->cache->row_reads, w->n);
    channi_cache_count(&w->cache->row_read_bytes, bytes);
    return rc;
}

/* Allocates the buffers. A row of b pages, rounded up, touches at most b + 1. */
static int lay_out(struct row_work *w, const uint32_t *rows)
{
    const size_t each = (w->row_bytes + CLUSTER_PAGE - 1) / CLUSTER_PAGE + 1;
    const size_t pages = w->paged ? w->n * each * CLUSTER_PAGE : 0;
    unsigned char *buffer =
        channi_fetch_queue(w->fetch)
            ? channi_fetch_buffer(w->fetch, pages + CLUSTER_PAGE + w->n * sizeof *w->runs +
                                                w->n * sizeof *w->picks)
            : NULL;

    if (!buffer)
        return CHANNI_NO_MEMORY(&w->cache->env, ", cannot read %zu rows", w->n);
    w->pages = buffer + (w->paged ? -(uintptr_t)buffer & (CLUSTER_PAGE - 1) : 0);
    w->runs = (struct run *)(void *)(w->pages + pages);
    w->picks = (struct pick *)(void *)(w->runs + w->n);
    for (size_t i = 0; i < w->n; i++)
        w->picks[i] = (struct pick){ rows[i], (uint32_t)i };
    return OK;
}

static int read_rows(struct row_work *w, const uint32_t *rows)
{
    int rc = OK;
    enum channi_file_answer answer = channi_cache_file_take(w->cache, w->slot, false, &rc);

    if (answer == FILE_LATER) {
        channi_fetch_drain(w->fetch);
        answer = channi_cache_file_take(w->cache, w->slot, true, &rc);
    }
    if (answer != FILE_OPEN)
        return rc;
    w->paged = atomic_load(&w->cache->direct); /* known once a file is open */
    rc = lay_out(w, rows);
    if (rc == OK) {
        plan(w);
        rc = read_runs(w);
    }
    channi_cache_file_give(w->cache, w->slot);
    return rc;
}

int channi_cache_rows(struct channi_cache *c, struct channi_fetch *f, const struct channi_base *b,
                      const uint32_t *rows, size_t n, void *out)
{
    struct row_work w = { .cache = c,
                          .fetch = f,
                          .slot = b->slot,
                          .row_bytes = index_row_bytes(c->env.element, c->env.dim),
                          .n = n,
                          .out = out };
    int rc = OK;

    for (size_t i = 0; i < n; i++)
        if (rows[i] >= b->n)
            return fail(c->env.error, ERR_CORRUPT,
                        "channi: %s/%s: section \"rows\": row %" PRIu32
                        " was requested, the section has %" PRIu32,
                        c->env.dir, channi_base_name(b).text, rows[i], b->n);
    if (n == 0)
        return OK;
    if (!channi_slot_pin(w.slot)) {
        channi_fetch_drain(f);
        rc = channi_cache_pin(c, w.slot);
        if (rc != OK)
            return rc;
    }
    w.image = &w.slot->image;
    if (w.image->rows)
        for (size_t i = 0; i < n; i++)
            memcpy((unsigned char *)out + i * w.row_bytes, w.image->rows + rows[i] * w.row_bytes,
                   w.row_bytes);
    else
        rc = read_rows(&w, rows);
    channi_slot_unpin(w.slot);
    channi_cache_trim(c);
    return rc;
}

/* ---- whole files */

/* Reads the file's first n bytes to b and opens them. */
static int read_verified(struct channi_cache *c, struct channi_cache_slot *s, size_t n,
                         struct channi_cache_block *b, struct channi_image *image,
                         enum channi_image_check check)
{
    int rc;

    if (!channi_cache_block_take(c, n, b))
        return CHANNI_NO_MEMORY(&c->env, ", cannot read a cluster of %" PRIu32 " rows (%zu bytes)",
                                s->base->n, n);
    rc = channi_cache_read(c, s, 0, b->bytes, n);
    throttle_charge(n);
    if (rc == OK) {
        rc = channi_image_open(image, &c->env, s->base, b->bytes, n, check);
        if (rc == ERR_CORRUPT)
            channi_cache_damage(c, s, "it is not as it was written");
    }
    if (rc != OK)
        channi_cache_block_drop(c, b);
    return rc;
}

int channi_cache_pin(struct channi_cache *c, struct channi_cache_slot *s)
{
    struct channi_cache_block b;
    struct channi_image image;
    int rc;

    if (channi_slot_pin(s))
        return OK;
    rc = read_verified(c, s, s->base->hot_bytes, &b, &image, IMAGE_HASH);
    if (rc == OK) {
        channi_cache_count(&c->reads, 1);
        channi_cache_count(&c->read_bytes, s->base->hot_bytes);
        channi_cache_install(c, s, &b, &image);
    }
    return rc;
}

int channi_cache_whole(struct channi_cache *c, struct channi_base *b, struct channi_whole_file *w)
{
    *w = (struct channi_whole_file){ .base = b };
    if (!b->cold_rows && channi_slot_pin(b->slot)) {
        w->image = b->slot->image;
        return OK;
    }
    return read_verified(c, b->slot, b->file_bytes, &w->own, &w->image, IMAGE_WHOLLY);
}

void channi_cache_whole_done(struct channi_cache *c, struct channi_whole_file *w)
{
    if (w->own.block)
        channi_cache_block_drop(c, &w->own);
    else if (w->base)
        channi_slot_unpin(w->base->slot);
    *w = (struct channi_whole_file){ 0 };
    channi_cache_trim(c);
}
