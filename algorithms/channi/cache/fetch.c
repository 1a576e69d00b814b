/* fetch.c - a search's reads: clusters in memory are pinned at once, the others are read in
 * parallel and returned as they arrive.
 *
 * Two fetches that need the same cluster may both read it; it is installed once. */
#include <errno.h>

#include "algorithms/channi/cache/internal.h"
#include "src/core/mem.h"

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

struct read_queue *channi_fetch_queue(struct channi_fetch *f)
{
    struct channi_cache *c = f->cache;

    if (!f->queue)
        f->queue = read_queue_create(c->env.mem, c->threads, c->uring);
    return f->queue;
}

/* ---- reads under way: verified on arrival */

/* Prepares a read of the file's hot part. NULL: out of memory. */
static struct channi_load *load_take(struct channi_fetch *f, const struct channi_base *b)
{
    struct channi_load *l = mem_alloc(f->cache->env.mem, sizeof *l);

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
static void load_failed(struct channi_fetch *f, struct channi_load *l)
{
    channi_cache_block_drop(f->cache, &l->block);
    f->wants[l->want].failed = l;
    f->ready[f->n_ready++] = l->want;
}

/* The read has ended: verifies the bytes and gives them to the slot, or sets the load's error. */
static void load_done(struct channi_fetch *f, struct channi_load *l)
{
    struct channi_cache *c = f->cache;
    struct channi_cache_slot *s = f->wants[l->want].slot;
    struct channi_image image;
    int rc;

    channi_cache_file_give(c, s);
    l->error.code = OK;
    struct error *outer = error_divert(&l->error);
    if (l->request.error) {
        rc = channi_cache_read_failed(c, s, l->request.at + l->request.done, l->request.error);
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
static void load_begin(struct channi_fetch *f, struct channi_load *l)
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

void channi_fetch_drain(struct channi_fetch *f)
{
    while (loads_reap(f))
        ;
}

struct read_request *channi_fetch_await(struct channi_fetch *f, const void *tag)
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

    f->wants[i] = (struct channi_want){ .slot = s, .pinned = channi_slot_pin(s) };
    if (f->wants[i].pinned) {
        f->n++;
        f->hits++;
        f->ready[f->n_ready++] = i;
        return true;
    }
    struct channi_load *l = channi_fetch_queue(f) ? load_take(f, s->base) : NULL;
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
    const struct channi_want *w = f->wants + *i;
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

    channi_fetch_drain(f);
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
