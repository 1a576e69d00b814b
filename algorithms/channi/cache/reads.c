/* reads.c - a search's reads, single rows, and whole files.
 *
 * Clusters in memory are pinned at once; the others are read in parallel and returned as they
 * arrive. Two fetches that need the same cluster may both read it; it is installed once.
 *
 * A row is read directly into the output and compared with its checksum in the hot part. With
 * O_DIRECT its whole pages are read. All reads of a call are in flight together. */
#define _GNU_SOURCE /* preadv2 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>

#include "algorithms/channi/cache/internal.h"
#include "algorithms/common/concurrency/throttle.h"
#include "algorithms/common/io/read_queue.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* A read of one hot part. */
struct load {
    struct read_request request;
    struct channi_cache_block block;
    uint32_t want;
    struct error error; /* why it failed: reported when the cluster is returned */
};

/* A requested cluster. Neither pinned nor failed: it is being read. */
struct want {
    struct channi_cache_slot *slot;
    bool pinned;
    struct load *failed; /* owned */
};

struct channi_fetch {
    struct channi_cache *cache;
    struct want *wants;
    uint32_t *ready; /* wants to be returned, in this order */
    size_t n, capacity, ready_capacity;
    size_t n_ready, n_handed;
    struct read_queue *queue;
    unsigned char *buffer; /* for a list of rows */
    size_t buffer_bytes;
    uint64_t hits, misses;
};

/* Reports a failed read of the slot's file. error: as in struct read_request. Returns the code. */
static int read_failed(const struct channi_cache *c, const struct channi_cache_slot *s, uint64_t at,
                       int error)
{
    const struct channi_file_name name = channi_base_name(s->base);

    if (error == READ_SHORT)
        return fail(c->env.error, ERR_CORRUPT,
                    "channi: %s/%s: the file ends at %" PRIu64
                    ", within its %s, expected %zu bytes; it is damaged",
                    c->env.dir, name.text, at, at < s->base->rows_at ? "hot part" : "rows",
                    s->base->file_bytes);
    errno = error;
    return fail_errno(c->env.error, ERR_IO,
                      "channi: cannot read the cluster file %s/%s at %" PRIu64, c->env.dir,
                      name.text, at);
}

/* ---- creating a fetch */

struct channi_fetch *channi_fetch_create(struct channi_cache *c)
{
    struct channi_fetch *f = mem_zalloc(c->env.mem, sizeof *f);

    if (f)
        f->cache = c;
    return f;
}

void channi_fetch_destroy(struct channi_fetch *f)
{
    struct mem *mem;

    if (!f)
        return;
    mem = f->cache->env.mem;
    channi_fetch_done(f);
    read_queue_destroy(f->queue);
    mem_free(mem, f->buffer);
    mem_free(mem, f->ready);
    mem_free(mem, f->wants);
    mem_free(mem, f);
}

/* The fetch's queue, created at the first call. NULL: out of memory. */
static struct read_queue *queue_of(struct channi_fetch *f)
{
    struct channi_cache *c = f->cache;

    if (!f->queue)
        f->queue = read_queue_create(c->env.mem, c->threads, c->uring);
    return f->queue;
}

/* ---- reads under way: verified on arrival */

/* Prepares a read of the file's hot part. NULL: out of memory. */
static struct load *load_take(struct channi_fetch *f, const struct channi_base *b)
{
    struct load *l = mem_alloc(f->cache->env.mem, sizeof *l);

    if (!l)
        return NULL;
    if (!channi_cache_block_take(f->cache, b->hot_bytes, &l->block)) {
        mem_free(f->cache->env.mem, l);
        return NULL;
    }
    l->request = (struct read_request){ .to = l->block.bytes, .bytes = b->hot_bytes, .tag = l };
    return l;
}

/* l->error has the reason. */
static void load_failed(struct channi_fetch *f, struct load *l)
{
    channi_cache_block_drop(f->cache, &l->block);
    f->wants[l->want].failed = l;
    f->ready[f->n_ready++] = l->want;
}

/* The read has ended: verifies the bytes and gives them to the slot, or sets the load's error. */
static void load_done(struct channi_fetch *f, struct load *l)
{
    struct channi_cache *c = f->cache;
    struct channi_cache_slot *s = f->wants[l->want].slot;
    struct channi_image image;
    int rc;

    channi_cache_file_give(c, s);
    l->error.code = OK;
    struct error *outer = error_divert(&l->error);
    if (l->request.error) {
        rc = read_failed(c, s, l->request.at + l->request.done, l->request.error);
    } else {
        channi_cache_count(&c->reads, 1);
        channi_cache_count(&c->read_bytes, l->request.done);
        rc = channi_image_open(&image, &c->env, s->base, l->block.bytes, l->request.bytes,
                               IMAGE_HASH);
    }
    (void)error_divert(outer);
    if (rc != OK) {
        load_failed(f, l);
        return;
    }
    channi_cache_install(c, s, &l->block, &image);
    f->wants[l->want].pinned = true;
    f->ready[f->n_ready++] = l->want;
    mem_free(c->env.mem, l);
}

/* Completes the next load that arrives. false: nothing is in flight. */
static bool loads_reap(struct channi_fetch *f)
{
    struct read_request *r = f->queue ? read_queue_take(f->queue, NULL) : NULL;

    if (r)
        load_done(f, r->tag);
    return r;
}

/* Starts the read. As long as no descriptor is free, completes those that were started before. */
static void load_begin(struct channi_fetch *f, struct load *l)
{
    struct channi_cache *c = f->cache;
    struct channi_cache_slot *s = f->wants[l->want].slot;
    enum channi_file_answer answer;
    struct error *outer;
    int rc;

    l->error.code = OK;
    outer = error_divert(&l->error);
    while ((answer = channi_cache_file_take(c, s, read_queue_in_flight(f->queue) == 0, &rc)) ==
           FILE_LATER) {
        read_queue_submit(f->queue);
        (void)loads_reap(f);
    }
    (void)error_divert(outer);
    if (answer == FILE_FAILED) {
        load_failed(f, l);
    } else if (file_faulted(c->options.fault, "read")) {
        l->request.error = errno;
        load_done(f, l);
    } else {
        l->request.fd = s->fd;
        read_queue_add(f->queue, &l->request, atomic_load(&c->direct));
    }
}

/* Waits until the fetch has nothing in flight; then it uses no descriptor. */
static void drain(struct channi_fetch *f)
{
    while (loads_reap(f))
        ;
}

/* Waits for a request with `tag`, and completes hot parts that arrive meanwhile. NULL: nothing
   is in flight. */
static struct read_request *await(struct channi_fetch *f, const void *tag)
{
    for (;;) {
        struct read_request *r = read_queue_take(f->queue, NULL);

        if (!r || r->tag == tag)
            return r;
        load_done(f, r->tag);
    }
}

/* ---- requests */

/* Pins the slot, or starts to read it. false: out of memory, nothing is added. */
static bool want(struct channi_fetch *f, struct channi_cache_slot *s)
{
    const uint32_t i = (uint32_t)f->n;

    f->wants[i] = (struct want){ .slot = s, .pinned = channi_slot_pin(s) };
    if (f->wants[i].pinned) {
        f->n++;
        f->hits++;
        f->ready[f->n_ready++] = i;
        return true;
    }
    struct load *l = queue_of(f) ? load_take(f, s->base) : NULL;
    if (!l)
        return false;
    f->n++;
    f->misses++;
    l->want = i;
    load_begin(f, l);
    return true;
}

int channi_fetch_ask(struct channi_fetch *f, struct channi_base *const *bases, size_t n)
{
    struct mem *mem = f->cache->env.mem;
    bool fits = mem_grow(mem, &f->wants, &f->capacity, f->n + n, sizeof *f->wants) &&
                mem_grow(mem, &f->ready, &f->ready_capacity, f->n + n, sizeof *f->ready);

    for (size_t i = 0; fits && i < n; i++)
        fits = want(f, bases[i]->slot);
    if (f->queue)
        read_queue_submit(f->queue);
    return fits ? OK : CHANNI_NO_MEMORY(&f->cache->env, ", cannot read %zu clusters", n);
}

/* ---- returning clusters */

bool channi_fetch_next(struct channi_fetch *f, size_t *i, const struct channi_image **image,
                       int *rc)
{
    *image = NULL;
    if (f->n_handed == f->n)
        return false;
    while (f->n_handed == f->n_ready && loads_reap(f))
        ;
    *i = f->ready[f->n_handed++];
    *rc = OK;
    const struct want *w = f->wants + *i;
    if (w->pinned)
        *image = &w->slot->image;
    else
        *rc = fail(f->cache->env.error, w->failed->error.code, "%s", w->failed->error.text);
    return true;
}

bool channi_fetch_ready(const struct channi_fetch *f)
{
    return f->n_handed < f->n_ready;
}

void channi_fetch_done(struct channi_fetch *f)
{
    struct channi_cache *c = f->cache;

    drain(f);
    for (size_t i = 0; i < f->n; i++) {
        if (f->wants[i].pinned)
            channi_slot_unpin(f->wants[i].slot);
        mem_free(c->env.mem, f->wants[i].failed);
    }
    f->n = f->n_ready = f->n_handed = 0;
    channi_cache_count(&c->hits, f->hits);
    channi_cache_count(&c->misses, f->misses);
    f->hits = f->misses = 0;
    channi_cache_trim(c);
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
    const uint32_t *rows, *sums;
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
        return read_failed(w->cache, w->slot, r->request.at + r->request.done, r->request.error);
    if (channi_cluster_row_sum(r->row, w->row_bytes) != w->sums[i])
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

    if (!queue_of(f) || !mem_grow(w->cache->env.mem, &f->buffer, &f->buffer_bytes,
                                  CLUSTER_PAGE + w->n * (each + sizeof *w->reads), 1))
        return CHANNI_NO_MEMORY(&w->cache->env, ", cannot read %zu rows", w->n);
    unsigned char *pages = f->buffer + (-(uintptr_t)f->buffer & (CLUSTER_PAGE - 1));
    w->reads = (struct row_read *)(void *)(w->paged ? pages + w->n * each : f->buffer);
    for (size_t i = 0; i < w->n; i++)
        in_flight += begin_read(w, i, w->paged ? pages + i * each : w->out + i * w->row_bytes);
    if (in_flight > 0)
        read_queue_submit(f->queue);
    for (; in_flight > 0; in_flight--)
        (void)await(f, w);
    for (size_t i = 0; i < w->n; i++) {
        const int one = finish_read(w, i);

        rc = rc != OK ? rc : one;
        bytes += w->reads[i].request.done;
    }
    channi_cache_count(&w->cache->row_reads, w->n);
    channi_cache_count(&w->cache->row_read_bytes, bytes);
    return rc;
}

int channi_cache_rows(struct channi_cache *c, struct channi_fetch *f, const struct channi_base *b,
                      const uint32_t *rows, const uint32_t *sums, size_t n, void *out)
{
    struct row_work w = { .cache = c,
                          .fetch = f,
                          .slot = b->slot,
                          .rows = rows,
                          .sums = sums,
                          .row_bytes = index_row_bytes(c->env.element, c->env.dim),
                          .n = n,
                          .out = out };
    int rc = OK;

    if (n == 0)
        return OK;
    enum channi_file_answer answer = channi_cache_file_take(c, w.slot, false, &rc);
    if (answer == FILE_LATER) {
        drain(f);
        answer = channi_cache_file_take(c, w.slot, true, &rc);
    }
    if (answer != FILE_OPEN)
        return rc;
    w.paged = atomic_load(&c->direct); /* known once a file is open */
    rc = read_open(&w);
    channi_cache_file_give(c, w.slot);
    return rc;
}

/* ---- whole files */

int channi_cache_whole(struct channi_cache *c, struct channi_base *b, struct channi_whole_file *w)
{
    struct channi_cache_slot *s = b->slot;
    const size_t n = b->file_bytes;
    int rc;

    *w = (struct channi_whole_file){ 0 };
    if (!b->cold_rows && channi_slot_pin(s)) {
        *w = (struct channi_whole_file){ .image = s->image, .base = b };
        return OK;
    }
    if (!channi_cache_block_take(c, n, &w->own))
        return CHANNI_NO_MEMORY(&c->env, ", cannot read a cluster of %" PRIu32 " rows (%zu bytes)",
                                b->n, n);
    if (channi_cache_file_take(c, s, true, &rc) == FILE_OPEN) {
        const size_t done = file_read_at(s->fd, w->own.bytes, n, 0, c->options.fault);
        const int error = done == n ? 0 : errno ? errno : READ_SHORT;

        channi_cache_file_give(c, s);
        rc = error ? read_failed(c, s, done, error) : OK;
    }
    throttle_charge(n);
    if (rc == OK)
        rc = channi_image_open(&w->image, &c->env, b, w->own.bytes, n, IMAGE_WHOLLY);
    if (rc == OK)
        w->base = b;
    else
        channi_cache_block_drop(c, &w->own);
    return rc;
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
