/* cache_fetch.c - a search's reads: what is in memory is pinned at once, the rest is read side by side and
 * handed out as it arrives.
 *
 * A cluster that two fetches ask for while it is not in memory may be read twice; it is installed once.
 */
#include "algorithms/channi/cache_loads.h"

#include "src/core/mem.h"

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
        loads_begin(f);
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

/* Until something is ready, or nothing is under way. */
static void wait_for_ready(struct fetch *f)
{
    while (f->n_handed == f->n_ready) {
        const bool came = loads_reap(f);

        if (f->waiting)
            loads_begin(f);
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

bool fetch_ready(const struct fetch *f)
{
    return f->n_handed < f->n_ready;
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
