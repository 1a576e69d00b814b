/* loads.c - a fetch's reads of hot parts: started as descriptors allow, verified on arrival. */
#include "algorithms/channi/cache/loads.h"

#include <errno.h>

#include "src/core/mem.h"

struct channi_load *channi_load_take(struct channi_fetch *f, const struct channi_base *b)
{
    struct channi_load *l = f->unused;

    if (l)
        f->unused = l->next;
    else
        l = mem_alloc(f->cache->env.mem, sizeof *l);
    if (!l)
        return NULL;
    if (!channi_cache_block_take(f->cache, b->hot_bytes, &l->block)) {
        l->next = f->unused;
        f->unused = l;
        return NULL;
    }
    l->request = (struct read_request){ .to = l->block.bytes, .bytes = b->hot_bytes, .tag = l };
    return l;
}

void channi_load_drop(struct channi_fetch *f, struct channi_load *l)
{
    if (l->block.block)
        channi_cache_block_drop(f->cache, &l->block);
    l->next = f->unused;
    f->unused = l;
}

void channi_want_ready(struct channi_fetch *f, struct channi_want *w)
{
    if (w->asked != NOT_ASKED)
        f->ready[f->n_ready++] = (uint32_t)(w - f->wants);
}

/* l->error has the reason. */
static void load_failed(struct channi_fetch *f, struct channi_load *l)
{
    struct channi_want *w = f->wants + l->want;

    channi_cache_block_drop(f->cache, &l->block);
    l->next = f->failed;
    f->failed = l;
    w->state = WANT_FAILED;
    w->failed = l;
    channi_want_ready(f, w);
}

/* The read has ended: opens the bytes as `image`, or sets the load's error. */
static int load_open(struct channi_fetch *f, struct channi_load *l, struct channi_image *image)
{
    struct channi_cache *c = f->cache;
    struct channi_cache_slot *s = f->wants[l->want].slot;
    struct error *outer;
    int rc;

    l->error.code = OK;
    outer = error_divert(&l->error);
    if (l->request.error) {
        rc = channi_cache_read_failed(c, s, l->request.at + l->request.done, l->request.error);
    } else {
        channi_cache_count(&c->reads, 1);
        channi_cache_count(&c->read_bytes, l->request.done);
        rc = channi_image_open(image, &c->env, s->base, l->block.bytes, l->request.bytes,
                               IMAGE_HASH);
        if (rc == ERR_CORRUPT)
            channi_cache_damage(c, s, l->error.text);
    }
    (void)error_divert(outer);
    return rc;
}

/* The read has ended: verifies the bytes and gives them to the slot. */
static void load_done(struct channi_fetch *f, struct channi_load *l)
{
    struct channi_want *w = f->wants + l->want;
    struct channi_image image;

    if (load_open(f, l, &image) != OK) {
        load_failed(f, l);
        return;
    }
    channi_cache_install(f->cache, w->slot, &l->block, &image);
    channi_load_drop(f, l);
    w->state = WANT_PINNED;
    channi_want_ready(f, w);
}

static enum channi_file_answer load_file(struct channi_fetch *f, struct channi_load *l)
{
    enum channi_file_answer answer;
    struct error *outer;
    int rc;

    l->error.code = OK;
    outer = error_divert(&l->error);
    answer = channi_cache_file_take(f->cache, f->wants[l->want].slot,
                                    read_queue_in_flight(f->queue) == 0, &rc);
    (void)error_divert(outer);
    return answer;
}

void channi_loads_begin(struct channi_fetch *f)
{
    struct channi_cache *c = f->cache;

    while (f->waiting) {
        struct channi_load *l = f->waiting;
        struct channi_cache_slot *s = f->wants[l->want].slot;
        const enum channi_file_answer answer = load_file(f, l);

        if (answer == FILE_LATER)
            break;
        f->waiting = l->next;
        if (!f->waiting)
            f->last_waiting = &f->waiting;
        if (answer == FILE_FAILED) {
            load_failed(f, l);
        } else if (file_faulted(c->options.fault, "read")) {
            l->request.error = errno;
            channi_cache_file_give(c, s);
            load_done(f, l);
        } else {
            l->request.fd = s->fd;
            read_queue_add(f->queue, &l->request, atomic_load(&c->direct));
        }
    }
    if (f->queue)
        read_queue_submit(f->queue);
}

/* Completes the read of a hot part. */
static void read_done(struct channi_fetch *f, struct channi_load *l)
{
    channi_cache_file_give(f->cache, f->wants[l->want].slot);
    load_done(f, l);
}

bool channi_loads_reap(struct channi_fetch *f)
{
    struct read_request *r = f->queue ? read_queue_take(f->queue, true) : NULL;

    if (!r)
        return false;
    read_done(f, r->tag);
    return true;
}

void channi_fetch_drain(struct channi_fetch *f)
{
    while (channi_loads_reap(f))
        ;
}

struct read_request *channi_fetch_await(struct channi_fetch *f, const void *tag)
{
    for (;;) {
        struct read_request *r = read_queue_take(f->queue, true);

        if (!r || r->tag == tag)
            return r;
        read_done(f, r->tag);
    }
}
