/* rows.c - reads single rows, and whole files.
 *
 * A row is read directly into the output and compared with its checksum in the hot part.
 * With O_DIRECT its whole pages are read. All reads of a call are in flight together. */
#define _GNU_SOURCE /* preadv2 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>

#include "algorithms/channi/cache/internal.h"
#include "algorithms/common/concurrency/throttle.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* ---- hot parts, and whole files */

/* Reads the file's first n bytes to b and opens them. */
static int read_verified(struct channi_cache *c, struct channi_cache_slot *s, size_t n,
                         struct channi_cache_block *b, struct channi_image *image,
                         enum channi_image_check check)
{
    int rc;

    if (!channi_cache_block_take(c, n, b))
        return CHANNI_NO_MEMORY(&c->env, ", cannot read a cluster of %" PRIu32 " rows (%zu bytes)",
                                s->base->n, n);
    if (channi_cache_file_take(c, s, true, &rc) == FILE_OPEN) {
        const size_t done = file_read_at(s->fd, b->bytes, n, 0, c->options.fault);
        const int error = done == n ? 0 : errno ? errno : READ_SHORT;

        channi_cache_file_give(c, s);
        rc = error ? channi_cache_read_failed(c, s, done, error) : OK;
    }
    throttle_charge(n);
    if (rc == OK)
        rc = channi_image_open(image, &c->env, s->base, b->bytes, n, check);
    if (rc != OK)
        channi_cache_block_drop(c, b);
    return rc;
}

/* Pins the slot; reads its hot part first if that is not in memory. */
static int pin(struct channi_cache *c, struct channi_cache_slot *s)
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

/* ---- rows */

struct row_read {
    struct read_request request;
    const unsigned char *row; /* within what is read */
};

struct row_work {
    struct channi_cache *cache;
    struct channi_fetch *fetch;
    struct channi_cache_slot *slot;
    const uint32_t *rows;
    size_t row_bytes, n;
    bool paged; /* O_DIRECT: whole pages are read, to a buffer */
    struct row_read *reads;
    unsigned char *out;
};

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

/* Begins to read row i. Returns whether the read is in flight. */
static bool begin_read(struct row_work *w, size_t i, unsigned char *to)
{
    const uint64_t grain = w->paged ? CLUSTER_PAGE : 1,
                   at = w->slot->base->rows_at + (uint64_t)w->rows[i] * w->row_bytes,
                   first = at / grain * grain;
    struct read_request *r = &w->reads[i].request;

    w->reads[i].row = to + (at - first);
    *r = (struct read_request){ .fd = w->slot->fd,
                                .to = to,
                                .at = first,
                                .bytes = channi_cluster_round(at + w->row_bytes, grain) - first,
                                .tag = w };
    if (file_faulted(w->cache->options.fault, "read")) {
        r->error = errno;
        return false;
    }
    if (!w->paged && read_at_once(r))
        return false;
    read_queue_add(w->fetch->queue, r, w->paged);
    return true;
}

static int finish_read(const struct row_work *w, size_t i)
{
    const struct row_read *r = &w->reads[i];

    if (r->request.error)
        return channi_cache_read_failed(w->cache, w->slot, r->request.at + r->request.done,
                                        r->request.error);
    if (channi_cluster_row_sum(r->row, w->row_bytes) != w->slot->image.row_sums[w->rows[i]])
        return fail(w->cache->env.error, ERR_CORRUPT,
                    "channi: %s/%s: section \"rows\": row %" PRIu32
                    ": its checksum does not match; the file is damaged",
                    w->cache->env.dir, channi_base_name(w->slot->base).text, w->rows[i]);
    if (w->paged)
        memcpy(w->out + i * w->row_bytes, r->row, w->row_bytes);
    return OK;
}

/* Called with the slot's file open. A row of b pages, rounded up, touches at most b + 1. */
static int read_open(struct row_work *w)
{
    const size_t most = (w->row_bytes + CLUSTER_PAGE - 1) / CLUSTER_PAGE + 1,
                 each = w->paged ? most * CLUSTER_PAGE : 0;
    struct channi_fetch *f = w->fetch;
    size_t in_flight = 0, bytes = 0;
    int rc = OK;

    if (!channi_fetch_queue(f) || !mem_grow(w->cache->env.mem, &f->buffer, &f->buffer_bytes,
                                            CLUSTER_PAGE + w->n * (each + sizeof *w->reads), 1))
        return CHANNI_NO_MEMORY(&w->cache->env, ", cannot read %zu rows", w->n);
    unsigned char *pages = f->buffer + (-(uintptr_t)f->buffer & (CLUSTER_PAGE - 1));
    w->reads = (struct row_read *)(void *)(w->paged ? pages + w->n * each : f->buffer);
    for (size_t i = 0; i < w->n; i++)
        in_flight += begin_read(w, i, w->paged ? pages + i * each : w->out + i * w->row_bytes);
    if (in_flight > 0)
        read_queue_submit(f->queue);
    for (; in_flight > 0; in_flight--)
        (void)channi_fetch_await(f, w);
    for (size_t i = 0; i < w->n; i++) {
        const int one = finish_read(w, i);

        rc = rc != OK ? rc : one;
        bytes += w->reads[i].request.done;
    }
    channi_cache_count(&w->cache->row_reads, w->n);
    channi_cache_count(&w->cache->row_read_bytes, bytes);
    return rc;
}

static int read_rows(struct row_work *w)
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
    rc = read_open(w);
    channi_cache_file_give(w->cache, w->slot);
    return rc;
}

int channi_cache_rows(struct channi_cache *c, struct channi_fetch *f, const struct channi_base *b,
                      const uint32_t *rows, size_t n, void *out)
{
    struct row_work w = { .cache = c,
                          .fetch = f,
                          .slot = b->slot,
                          .rows = rows,
                          .row_bytes = index_row_bytes(c->env.element, c->env.dim),
                          .n = n,
                          .out = out };
    int rc = OK;

    if (n == 0)
        return OK;
    if (!channi_slot_pin(w.slot)) {
        channi_fetch_drain(f);
        rc = pin(c, w.slot);
        if (rc != OK)
            return rc;
    }
    rc = read_rows(&w);
    channi_slot_unpin(w.slot);
    channi_cache_trim(c);
    return rc;
}

/* ---- whole files */

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
