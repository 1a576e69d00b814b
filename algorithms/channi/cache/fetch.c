/* fetch.c - a search's reads: clusters in memory are pinned at once, the others are read in
 * parallel and returned as they arrive.
 *
 * Two fetches that need the same cluster may both read it; it is installed once. */
#include "algorithms/channi/cache/loads.h"
#include "src/core/mem.h"

/* ---- creating a fetch */

struct channi_fetch *channi_fetch_create(struct channi_cache *c)
{
    struct channi_fetch *f = mem_zalloc(c->env.mem, sizeof *f);

    if (f) {
        f->cache = c;
        f->last_waiting = &f->waiting;
    }
    return f;
}

void channi_fetch_destroy(struct channi_fetch *f)
{
    struct mem *mem;

    if (!f)
        return;
    mem = f->cache->env.mem;
    channi_fetch_done(f);
    while (f->unused) {
        struct channi_load *next = f->unused->next;

        mem_free(mem, f->unused);
        f->unused = next;
    }
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

void *channi_fetch_buffer(struct channi_fetch *f, size_t bytes)
{
    if (bytes > f->buffer_bytes) {
        void *buffer = mem_alloc(f->cache->env.mem, bytes + bytes / 2);

        if (!buffer)
            return NULL;
        mem_free(f->cache->env.mem, f->buffer);
        f->buffer = buffer;
        f->buffer_bytes = bytes + bytes / 2;
    }
    return f->buffer;
}

/* ---- requests */

static struct channi_want *find_ahead(struct channi_fetch *f, const struct channi_cache_slot *s)
{
    if (f->n_ahead == 0)
        return NULL;
    for (size_t i = f->n; i-- > 0;)
        if (f->wants[i].asked == NOT_ASKED && f->wants[i].slot == s)
            return f->wants + i;
    return NULL;
}

/* Pins the slot, or appends its prepared read to `loads`. false: out of memory,
   nothing is added. */
static bool want(struct channi_fetch *f, struct channi_cache_slot *s, struct channi_load ***loads)
{
    struct channi_want *w = f->wants + f->n;
    struct channi_load *l;

    *w = (struct channi_want){ .slot = s, .asked = NOT_ASKED };
    if (!channi_slot_pin(s)) {
        l = channi_fetch_queue(f) ? channi_load_take(f, s->base) : NULL;
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

/* Marks a want as requested: it is returned as soon as it is ready. */
static void ask(struct channi_fetch *f, struct channi_want *w, bool ahead)
{
    w->asked = (uint32_t)f->n_asked++;
    f->n_ahead -= ahead;
    f->hits += !w->was_read;
    f->misses += w->was_read;
    f->prefetch_used += w->was_read && ahead;
    if (w->state != WANT_READING)
        channi_want_ready(f, w);
}

static void begin(struct channi_fetch *f, struct channi_load *loads)
{
    *f->last_waiting = loads;
    while (*f->last_waiting)
        f->last_waiting = &(*f->last_waiting)->next;
    if (f->waiting)
        channi_loads_begin(f);
}

static int want_all(struct channi_fetch *f, struct channi_base *const *bases, size_t n, bool ahead)
{
    struct mem *mem = f->cache->env.mem;
    struct channi_load *loads = NULL, **last = &loads;
    bool ready = mem_grow(mem, &f->wants, &f->capacity, f->n + n, sizeof *f->wants) &&
                 mem_grow(mem, &f->ready, &f->ready_capacity, f->n + n, sizeof *f->ready);

    for (size_t i = 0; ready && i < n; i++) {
        struct channi_want *known = find_ahead(f, bases[i]->slot);

        ready = known || want(f, bases[i]->slot, &last);
        if (ready && !ahead) {
            ask(f, known ? known : f->wants + f->n - 1, known != NULL);
        } else if (ready && !known) {
            f->n_ahead++;
            f->prefetched += f->wants[f->n - 1].was_read;
        }
    }
    begin(f, loads);
    return ready ? OK
                 : fail(f->cache->env.error, ERR_NO_MEMORY,
                        "channi: out of memory, cannot read %zu clusters", n);
}

int channi_fetch_ask(struct channi_fetch *f, struct channi_base *const *bases, size_t n)
{
    return want_all(f, bases, n, false);
}

int channi_fetch_ahead(struct channi_fetch *f, struct channi_base *const *bases, size_t n)
{
    return want_all(f, bases, n, true);
}

/* ---- returning clusters */

/* Waits until a want is ready or nothing is under way. */
static void wait_for_ready(struct channi_fetch *f)
{
    while (f->n_handed == f->n_ready) {
        const bool came = channi_loads_reap(f);

        if (f->waiting)
            channi_loads_begin(f);
        else if (!came)
            return;
    }
}

bool channi_fetch_next(struct channi_fetch *f, size_t *i, const struct channi_image **image,
                       int *rc)
{
    struct channi_want *w;

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

bool channi_fetch_ready(const struct channi_fetch *f)
{
    return f->n_handed < f->n_ready;
}

static void report(struct channi_fetch *f)
{
    struct channi_cache *c = f->cache;

    channi_cache_count(&c->hits, f->hits);
    channi_cache_count(&c->misses, f->misses);
    channi_cache_count(&c->prefetched, f->prefetched);
    channi_cache_count(&c->prefetch_used, f->prefetch_used);
    f->hits = f->misses = f->prefetched = f->prefetch_used = 0;
}

void channi_fetch_done(struct channi_fetch *f)
{
    while (f->waiting) {
        struct channi_load *l = f->waiting;

        f->waiting = l->next;
        channi_load_drop(f, l);
    }
    f->last_waiting = &f->waiting;
    channi_fetch_drain(f);
    while (f->failed) {
        struct channi_load *l = f->failed;

        f->failed = l->next;
        channi_load_drop(f, l);
    }
    for (size_t i = 0; i < f->n; i++)
        if (f->wants[i].state == WANT_PINNED)
            channi_slot_unpin(f->wants[i].slot);
    f->n = f->n_asked = f->n_ready = f->n_handed = f->n_ahead = 0;
    report(f);
    channi_cache_trim(f->cache);
}
