/* cache_rows.c - rows that are read one by one, and files that are read whole.
 *
 * A row is read to where it is wanted, and is held to its sum in the hot part. Past the page cache whole pages
 * are read: those that lie in a row with one read. All reads of a call are under way together.
 */
#define _GNU_SOURCE /* preadv2 */
#include "algorithms/channi/cache_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "src/core/error.h"
#include "src/core/mem.h"

/* ---- rows */

/* One read and the rows in it: picks[first .. first + n). */
struct run {
    struct read_request request;
    uint64_t at, bytes; /* of the rows' */
    size_t first, n;
};

struct pick {
    uint32_t row, at; /* at: its place in `out` */
};

struct row_work {
    struct cache *cache;
    struct fetch *fetch;
    struct cache_slot *slot;
    const struct image *image;
    size_t row_bytes, n, n_runs;
    bool paged; /* whole pages are read, to `pages` */
    struct pick *picks;
    struct run *runs;
    unsigned char *pages, *out;
};

static int by_row(const void *a, const void *b)
{
    const struct pick *x = a, *y = b;

    return x->row != y->row ? (x->row > y->row ? 1 : -1) : (x->at > y->at) - (x->at < y->at);
}

/* Which pages, ascending. */
static void plan_pages(struct row_work *w)
{
    qsort(w->picks, w->n, sizeof *w->picks, by_row);
    for (size_t i = 0; i < w->n; i++) {
        const uint64_t at = (uint64_t)w->picks[i].row * w->row_bytes;
        const uint64_t first = at / CLUSTER_PAGE * CLUSTER_PAGE,
                       end = cluster_round(at + w->row_bytes, CLUSTER_PAGE);
        struct run *r = w->n_runs > 0 ? w->runs + w->n_runs - 1 : NULL;

        if (!r || first > r->at + r->bytes) {
            r = w->runs + w->n_runs++;
            *r = (struct run){ .at = first, .first = i };
        }
        r->n++;
        if (end > r->at + r->bytes)
            r->bytes = end - r->at;
    }
}

static void plan_rows(struct row_work *w)
{
    for (size_t i = 0; i < w->n; i++)
        w->runs[i] = (struct run){ .at = (uint64_t)w->picks[i].row * w->row_bytes,
                                   .bytes = w->row_bytes,
                                   .first = i,
                                   .n = 1 };
    w->n_runs = w->n;
}

/* What the system has in memory comes with one call, a quarter of what a round through the queue takes. false: it
   has to be waited for. */
static bool read_at_once(struct read_request *r)
{
    const struct iovec to = { r->to, r->bytes };
    const ssize_t n = preadv2(r->fd, &to, 1, (off_t)r->at, RWF_NOWAIT);

    if (n != (ssize_t)r->bytes)
        return false;
    r->done = r->bytes;
    return true;
}

/* Returns how many are in flight. */
static size_t begin_runs(struct row_work *w)
{
    struct cache *c = w->cache;
    struct read_queue *q = fetch_queue(w->fetch);
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
        if (store_faulted(c->options.fault, "read")) {
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

static int wrong_row(const struct row_work *w, uint32_t row)
{
    char name[CLUSTER_NAME_MAX];

    cluster_file_name(w->slot->base->phash, w->slot->base->version, name);
    cache_damage(w->cache, w->slot, "a checksum of its rows does not fit");
    return fail(w->cache->env.error, ERR_CORRUPT,
                "channi: %s/%s: section \"rows\": row %" PRIu32
                ": its checksum does not fit it; the file is damaged",
                w->cache->env.dir, name, row);
}

static int finish_run(const struct row_work *w, const struct run *r)
{
    if (r->request.error)
        return cache_read_failed(w->cache, w->slot, r->request.at + r->request.done,
                                 r->request.error);
    for (size_t i = r->first; i < r->first + r->n; i++) {
        const struct pick p = w->picks[i];
        const unsigned char *row = r->request.to + ((uint64_t)p.row * w->row_bytes - r->at);

        if (cluster_row_sum(row, w->row_bytes) != w->image->row_sums[p.row])
            return wrong_row(w, p.row);
        if (w->paged)
            memcpy(w->out + p.at * w->row_bytes, row, w->row_bytes);
    }
    return OK;
}

/* The slot's file is open. */
static int read_runs(struct row_work *w)
{
    int rc = OK;
    size_t bytes = 0;

    for (size_t n = begin_runs(w); n > 0; n--)
        (void)fetch_await(w->fetch, w);
    for (size_t i = 0; i < w->n_runs; i++) {
        const int one = finish_run(w, w->runs + i);

        rc = rc != OK ? rc : one;
        bytes += w->runs[i].request.done;
    }
    cache_count(&w->cache->row_reads, w->n);
    cache_count(&w->cache->row_read_bytes, bytes);
    return rc;
}

/* Two pages at most for a short row; so much memory, and no more is needed. */
static int lay_out(struct row_work *w, const uint32_t *rows)
{
    const size_t each = (w->row_bytes + CLUSTER_PAGE - 1) / CLUSTER_PAGE + 1;
    const size_t pages = w->paged ? w->n * each * CLUSTER_PAGE : 0;
    unsigned char *room = fetch_queue(w->fetch)
                              ? fetch_room(w->fetch, pages + CLUSTER_PAGE + w->n * sizeof *w->runs +
                                                         w->n * sizeof *w->picks)
                              : NULL;

    if (!room)
        return fail(w->cache->env.error, ERR_NO_MEMORY, "channi: no memory to read %zu rows", w->n);
    w->pages = room + (w->paged ? -(uintptr_t)room & (CLUSTER_PAGE - 1) : 0);
    w->runs = (struct run *)(void *)(w->pages + pages);
    w->picks = (struct pick *)(void *)(w->runs + w->n);
    for (size_t i = 0; i < w->n; i++)
        w->picks[i] = (struct pick){ rows[i], (uint32_t)i };
    return OK;
}

/* The slot's file is open, so it is known whether reads are past the page cache. */
static int read_open(struct row_work *w, const uint32_t *rows)
{
    w->paged = atomic_load(&w->cache->direct);
    const int rc = lay_out(w, rows);

    if (rc != OK)
        return rc;
    if (w->paged)
        plan_pages(w);
    else
        plan_rows(w);
    return read_runs(w);
}

static int read_rows(struct row_work *w, const uint32_t *rows)
{
    int rc = OK;
    enum file_answer answer = cache_file_take(w->cache, w->slot, false, &rc);

    if (answer == FILE_LATER) {
        fetch_settle(w->fetch);
        answer = cache_file_take(w->cache, w->slot, true, &rc);
    }
    if (answer != FILE_OPEN)
        return rc;
    rc = read_open(w, rows);
    cache_file_give(w->cache, w->slot);
    return rc;
}

static int past_end(const struct cache *c, const struct base *b, uint32_t row)
{
    char name[CLUSTER_NAME_MAX];

    cluster_file_name(b->phash, b->version, name);
    return fail(c->env.error, ERR_CORRUPT,
                "channi: %s/%s: section \"rows\": row %" PRIu32 " asked for, there are %" PRIu32,
                c->env.dir, name, row, b->n);
}

int cache_rows(struct cache *c, struct fetch *f, const struct base *b, const uint32_t *rows,
               size_t n, void *out)
{
    struct row_work w = { .cache = c,
                          .fetch = f,
                          .slot = b->slot,
                          .row_bytes = element_row_bytes(c->env.element, c->env.dim),
                          .n = n,
                          .out = out };
    int rc = OK;

    for (size_t i = 0; i < n; i++)
        if (rows[i] >= b->n)
            return past_end(c, b, rows[i]);
    if (n == 0)
        return OK;
    if (!slot_pin(w.slot)) {
        fetch_settle(f);
        rc = cache_pin(c, w.slot);
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
    slot_unpin(w.slot);
    cache_trim(c);
    return rc;
}

/* ---- whole files */

/* The file's first n bytes to b, opened. */
static int read_verified(struct cache *c, struct cache_slot *s, size_t n, struct cache_block *b,
                         struct image *image, enum image_check check)
{
    int rc;

    if (!cache_block_take(c, n, b))
        return fail(c->env.error, ERR_NO_MEMORY,
                    "channi: no memory to read a cluster of %" PRIu32 " rows (%zu bytes)",
                    s->base->n, n);
    rc = cache_read(c, s, 0, b->bytes, n);
    if (rc == OK) {
        rc = image_open(image, &c->env, s->base, b->bytes, n, check);
        if (rc == ERR_CORRUPT)
            cache_damage(c, s, "it is not as it was written");
    }
    if (rc != OK)
        cache_block_drop(c, b);
    return rc;
}

int cache_pin(struct cache *c, struct cache_slot *s)
{
    struct cache_block b;
    struct image image;
    int rc;

    if (slot_pin(s))
        return OK;
    rc = read_verified(c, s, s->base->hot_bytes, &b, &image, IMAGE_HASH);
    if (rc == OK) {
        cache_count(&c->reads, 1);
        cache_count(&c->read_bytes, s->base->hot_bytes);
        cache_install(c, s, &b, &image);
    }
    return rc;
}

int cache_whole(struct cache *c, struct base *b, struct whole *w)
{
    struct cache_block block;
    int rc;

    *w = (struct whole){ .base = b };
    if (!b->cold_rows && slot_pin(b->slot)) {
        w->image = b->slot->image;
        return OK;
    }
    rc = read_verified(c, b->slot, b->file_bytes, &block, &w->image, IMAGE_WHOLLY);
    if (rc == OK) {
        w->block = block.block;
        w->charge = block.charge;
    }
    return rc;
}

void cache_whole_done(struct cache *c, struct whole *w)
{
    if (w->block) {
        struct cache_block block = { .block = w->block, .charge = w->charge };

        cache_block_drop(c, &block);
    } else if (w->base) {
        slot_unpin(w->base->slot);
    }
    *w = (struct whole){ 0 };
    cache_trim(c);
}
