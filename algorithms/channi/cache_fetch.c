/* cache_fetch.c - a search's reads: what is in memory is pinned at once, the rest is read side by side and
 * handed out as it arrives.
 *
 * A cluster that two fetches ask for while it is not in memory may be read twice; it is installed once.
 */
#include "algorithms/channi/cache_state.h"

#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"

enum { NOT_ASKED = UINT32_MAX };

enum want_state { WANT_PINNED, WANT_READING, WANT_FAILED };

/* A read of a hot part. */
struct load {
    struct read_request request;
    struct load *next; /* waiting for a descriptor, failed, or unused */
    struct cache_block block;
    uint32_t want;
    /* Why it failed: said when it is handed out, for one read ahead of need may never be. */
    struct error error;
};

struct want {
    struct cache_slot *slot;
    uint32_t asked; /* which of those asked for, NOT_ASKED: only ahead of need */
    enum want_state state;
    bool was_read; /* for this fetch */
    struct load *failed;
};

struct fetch {
    struct cache *cache;
    struct want *wants;
    uint32_t *ready; /* wants to be handed out, in this order */
    size_t n, capacity, ready_capacity;
    size_t n_asked, n_ready, n_handed, n_ahead; /* ahead: not asked for yet */
    struct read_queue *queue;
    struct load *waiting, **last_waiting; /* for a descriptor, first come first */
    struct load *failed, *unused;
    void *room;
    size_t room_bytes;
    uint64_t hits, misses, prefetched, prefetch_used;
};

/* ---- making one */

struct fetch *fetch_create(struct cache *c)
{
    struct fetch *f = mem_zalloc(c->env.mem, sizeof *f);

    if (f) {
        f->cache = c;
        f->last_waiting = &f->waiting;
    }
    return f;
}

void fetch_destroy(struct fetch *f)
{
    struct mem *mem;

    if (!f)
        return;
    mem = f->cache->env.mem;
    fetch_done(f);
    while (f->unused) {
        struct load *next = f->unused->next;

        mem_free(mem, f->unused);
        f->unused = next;
    }
    read_queue_destroy(f->queue);
    mem_free(mem, f->room);
    mem_free(mem, f->ready);
    mem_free(mem, f->wants);
    mem_free(mem, f);
}

struct read_queue *fetch_queue(struct fetch *f)
{
    struct cache *c = f->cache;

    if (!f->queue)
        f->queue = read_queue_create(c->env.mem, c->threads, c->uring);
    return f->queue;
}

void *fetch_room(struct fetch *f, size_t bytes)
{
    if (bytes > f->room_bytes) {
        void *room = mem_alloc(f->cache->env.mem, bytes + bytes / 2);

        if (!room)
            return NULL;
        mem_free(f->cache->env.mem, f->room);
        f->room = room;
        f->room_bytes = bytes + bytes / 2;
    }
    return f->room;
}

/* ---- loads */

static struct load *load_take(struct fetch *f, const struct base *b)
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

static void load_drop(struct fetch *f, struct load *l)
{
    if (l->block.block)
        cache_block_drop(f->cache, &l->block);
    l->next = f->unused;
    f->unused = l;
}

static void is_ready(struct fetch *f, struct want *w)
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
        rc = image_open(image, &c->env, s->base, l->block.bytes, l->request.bytes, true);
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

/* Begins what waits, as far as there are descriptors. */
static void pump(struct fetch *f)
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
        } else if (cluster_faulted(c->options.fault, "read")) {
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

/* ---- asking */

static int no_memory(const struct fetch *f, size_t n)
{
    return fail(f->cache->env.error, ERR_NO_MEMORY, "channi: no memory to read %zu clusters", n);
}

static struct want *find_ahead(struct fetch *f, const struct cache_slot *s)
{
    if (f->n_ahead == 0)
        return NULL;
    for (size_t i = f->n; i-- > 0;)
        if (f->wants[i].asked == NOT_ASKED && f->wants[i].slot == s)
            return f->wants + i;
    return NULL;
}

/* Pins it or prepares its read, in `loads`. false: out of memory, and it is not there. */
static bool want(struct fetch *f, struct cache_slot *s, struct load ***loads)
{
    struct want *w = f->wants + f->n;
    struct load *l;

    *w = (struct want){ .slot = s, .asked = NOT_ASKED };
    if (!slot_pin(s)) {
        l = fetch_queue(f) ? load_take(f, s->base) : NULL;
        if (!l)
            return false;
        w->state = WANT_READING;
        w->was_read = true;
        l->want = (uint32_t)f->n;
        l->next = NULL;
        **loads = l;
        *loads = &l->next;
    }
    f->n++;
    return true;
}

/* Now asked for: handed out as soon as it is there. */
static void ask(struct fetch *f, struct want *w, bool ahead)
{
    w->asked = (uint32_t)f->n_asked++;
    f->n_ahead -= ahead;
    f->hits += !w->was_read;
    f->misses += w->was_read;
    f->prefetch_used += w->was_read && ahead;
    if (w->state != WANT_READING)
        is_ready(f, w);
}

/* As it was before some were wanted. */
static void unwant(struct fetch *f, const struct fetch *before, struct load *loads)
{
    while (loads) {
        struct load *next = loads->next;

        load_drop(f, loads);
        loads = next;
    }
    for (size_t i = before->n; i < f->n; i++)
        if (f->wants[i].state == WANT_PINNED)
            slot_unpin(f->wants[i].slot);
    for (size_t i = 0; i < before->n; i++)
        if (f->wants[i].asked != NOT_ASKED && f->wants[i].asked >= before->n_asked)
            f->wants[i].asked = NOT_ASKED;
    f->n = before->n;
    f->n_asked = before->n_asked;
    f->n_ready = before->n_ready;
    f->n_ahead = before->n_ahead;
    f->hits = before->hits;
    f->misses = before->misses;
    f->prefetched = before->prefetched;
    f->prefetch_used = before->prefetch_used;
    cache_trim(f->cache);
}

static void begin(struct fetch *f, struct load *loads)
{
    *f->last_waiting = loads;
    while (*f->last_waiting)
        f->last_waiting = &(*f->last_waiting)->next;
    if (f->waiting)
        pump(f);
}

/* Wants n of them, or none. */
static int want_all(struct fetch *f, struct base *const *bases, size_t n, bool ahead)
{
    struct mem *mem = f->cache->env.mem;
    const struct fetch before = *f;
    struct load *loads = NULL, **last = &loads;

    if (!mem_grow(mem, &f->wants, &f->capacity, f->n + n, sizeof *f->wants) ||
        !mem_grow(mem, &f->ready, &f->ready_capacity, f->n + n, sizeof *f->ready))
        return no_memory(f, n);
    for (size_t i = 0; i < n; i++) {
        struct want *known = find_ahead(f, bases[i]->slot);

        if (!known && !want(f, bases[i]->slot, &last)) {
            unwant(f, &before, loads);
            return no_memory(f, n);
        }
        if (!ahead) {
            ask(f, known ? known : f->wants + f->n - 1, known != NULL);
        } else if (!known) {
            f->n_ahead++;
            f->prefetched += f->wants[f->n - 1].was_read;
        }
    }
    begin(f, loads);
    return OK;
}

int fetch_ask(struct fetch *f, struct base *const *bases, size_t n)
{
    return want_all(f, bases, n, false);
}

int fetch_ahead(struct fetch *f, struct base *const *bases, size_t n)
{
    return want_all(f, bases, n, true);
}

/* ---- handing out */

/* A hot part came. */
static void read_done(struct fetch *f, struct load *l)
{
    cache_file_give(f->cache, f->wants[l->want].slot);
    load_done(f, l);
}

/* Deals with the next that comes; false: nothing does. */
static bool reap(struct fetch *f, bool wait)
{
    struct read_request *r = f->queue ? read_queue_take(f->queue, wait) : NULL;

    if (!r)
        return false;
    read_done(f, r->tag);
    return true;
}

/* Until something is ready, or nothing is under way. */
static void wait_for_ready(struct fetch *f)
{
    while (f->n_handed == f->n_ready) {
        const bool came = reap(f, true);

        if (f->waiting)
            pump(f);
        else if (!came)
            return;
    }
}

bool fetch_next(struct fetch *f, size_t *i, const struct image **image, int *rc)
{
    struct want *w;

    *image = NULL;
    if (f->n_handed == f->n_asked)
        return false;
    wait_for_ready(f);
    w = f->wants + f->ready[f->n_handed++];
    *i = w->asked;
    *rc = OK;
    if (w->state == WANT_PINNED)
        *image = &w->slot->image;
    else
        *rc = fail(f->cache->env.error, w->failed->error.code, "%s", w->failed->error.text);
    return true;
}

static void report(struct fetch *f)
{
    struct cache *c = f->cache;

    cache_count(&c->hits, f->hits);
    cache_count(&c->misses, f->misses);
    cache_count(&c->prefetched, f->prefetched);
    cache_count(&c->prefetch_used, f->prefetch_used);
    f->hits = f->misses = f->prefetched = f->prefetch_used = 0;
}

void fetch_done(struct fetch *f)
{
    while (f->waiting) {
        struct load *l = f->waiting;

        f->waiting = l->next;
        load_drop(f, l);
    }
    f->last_waiting = &f->waiting;
    fetch_settle(f);
    while (f->failed) {
        struct load *l = f->failed;

        f->failed = l->next;
        load_drop(f, l);
    }
    for (size_t i = 0; i < f->n; i++)
        if (f->wants[i].state == WANT_PINNED)
            slot_unpin(f->wants[i].slot);
    f->n = f->n_asked = f->n_ready = f->n_handed = f->n_ahead = 0;
    report(f);
    cache_trim(f->cache);
}

void fetch_settle(struct fetch *f)
{
    while (reap(f, true))
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
