/* cache_loads.c - a fetch's reads of hot parts: begun as there are descriptors, verified as they come. */
#include "algorithms/channi/cache_loads.h"

#include <errno.h>

#include "src/core/mem.h"

struct load *load_take(struct fetch *f, const struct base *b)
{
    struct load *l = f->unused;

    if (l)
        f->unused = l->next;
    else
        l = mem_alloc(f->cache->env.mem, sizeof *l);
    if (!l)
        return NULL;
    if (!cache_block_take(f->cache, b->hot_bytes, &l->block)) {
        l->next = f->unused;
        f->unused = l;
        return NULL;
    }
    l->request = (struct read_request){ .to = l->block.bytes, .bytes = b->hot_bytes, .tag = l };
    return l;
}

void load_drop(struct fetch *f, struct load *l)
{
    if (l->block.block)
        cache_block_drop(f->cache, &l->block);
    l->next = f->unused;
    f->unused = l;
}

void is_ready(struct fetch *f, struct want *w)
{
    if (w->asked != NOT_ASKED)
        f->ready[f->n_ready++] = (uint32_t)(w - f->wants);
}

/* Its error says why. */
static void load_failed(struct fetch *f, struct load *l)
{
    struct want *w = f->wants + l->want;

    cache_block_drop(f->cache, &l->block);
    l->next = f->failed;
    f->failed = l;
    w->state = WANT_FAILED;
    w->failed = l;
    is_ready(f, w);
}

/* The read came to its end: the bytes as `image`, or the error is the load's. */
static int load_open(struct fetch *f, struct load *l, struct image *image)
{
    struct cache *c = f->cache;
    struct cache_slot *s = f->wants[l->want].slot;
    struct error *outer;
    int rc;

    l->error.code = OK;
    outer = error_divert(&l->error);
    if (l->request.error) {
        rc = cache_read_failed(c, s, l->request.at + l->request.done, l->request.error);
    } else {
        cache_count(&c->reads, 1);
        cache_count(&c->read_bytes, l->request.done);
        rc = image_open(image, &c->env, s->base, l->block.bytes, l->request.bytes, IMAGE_HASH);
        if (rc == ERR_CORRUPT)
            cache_damage(c, s, l->error.text);
    }
    (void)error_divert(outer);
    return rc;
}

/* The bytes are there: they are verified, and the slot's. */
static void load_done(struct fetch *f, struct load *l)
{
    struct want *w = f->wants + l->want;
    struct image image;

    if (load_open(f, l, &image) != OK) {
        load_failed(f, l);
        return;
    }
    cache_install(f->cache, w->slot, &l->block, &image);
    load_drop(f, l);
    w->state = WANT_PINNED;
    is_ready(f, w);
}

static enum file_answer load_file(struct fetch *f, struct load *l)
{
    enum file_answer answer;
    struct error *outer;
    int rc;

    l->error.code = OK;
    outer = error_divert(&l->error);
    answer =
        cache_file_take(f->cache, f->wants[l->want].slot, read_queue_in_flight(f->queue) == 0, &rc);
    (void)error_divert(outer);
    return answer;
}

void loads_begin(struct fetch *f)
{
    struct cache *c = f->cache;

    while (f->waiting) {
        struct load *l = f->waiting;
        struct cache_slot *s = f->wants[l->want].slot;
        const enum file_answer answer = load_file(f, l);

        if (answer == FILE_LATER)
            break;
        f->waiting = l->next;
        if (!f->waiting)
            f->last_waiting = &f->waiting;
        if (answer == FILE_FAILED) {
            load_failed(f, l);
        } else if (store_faulted(c->options.fault, "read")) {
            l->request.error = errno;
            cache_file_give(c, s);
            load_done(f, l);
        } else {
            l->request.fd = s->fd;
            read_queue_add(f->queue, &l->request, atomic_load(&c->direct));
        }
    }
    if (f->queue)
        read_queue_submit(f->queue);
}

/* A hot part came. */
static void read_done(struct fetch *f, struct load *l)
{
    cache_file_give(f->cache, f->wants[l->want].slot);
    load_done(f, l);
}

bool loads_reap(struct fetch *f)
{
    struct read_request *r = f->queue ? read_queue_take(f->queue, true) : NULL;

    if (!r)
        return false;
    read_done(f, r->tag);
    return true;
}

void fetch_settle(struct fetch *f)
{
    while (loads_reap(f))
        ;
}

struct read_request *fetch_await(struct fetch *f, const void *tag)
{
    for (;;) {
        struct read_request *r = read_queue_take(f->queue, true);

        if (!r || r->tag == tag)
            return r;
        read_done(f, r->tag);
    }
}
