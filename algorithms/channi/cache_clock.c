/* cache_clock.c - what is in memory: a clock goes round all that is resident, and takes what nobody used since
 * it came by last, until there is room. The protocol of pins is in cache_state.h.
 */
#include "algorithms/channi/cache_state.h"

#include "src/core/error.h"
#include "src/core/mem.h"

/* ---- rings */

static struct ring_place *place_of(struct cache_slot *s, size_t place_offset)
{
    return (struct ring_place *)(void *)((char *)s + place_offset);
}

void ring_put(struct cache_slot **ring, struct cache_slot *s, size_t place_offset)
{
    struct ring_place *p = place_of(s, place_offset);

    p->next = *ring ? *ring : s;
    p->before = *ring ? place_of(*ring, place_offset)->before : s;
    place_of(p->before, place_offset)->next = s;
    place_of(p->next, place_offset)->before = s;
    if (!*ring)
        *ring = s;
}

void ring_drop(struct cache_slot **ring, struct cache_slot *s, size_t place_offset)
{
    struct ring_place *p = place_of(s, place_offset);

    place_of(p->before, place_offset)->next = p->next;
    place_of(p->next, place_offset)->before = p->before;
    if (*ring == s)
        *ring = p->next != s ? p->next : NULL;
    *p = (struct ring_place){ 0 };
}

/* ---- the clock. The lock is held. */

/* Memory to be freed when the lock is given up, a list through its first bytes. */
struct spare {
    struct spare *next;
};

static void free_spare(struct cache *c, struct spare *spare)
{
    while (spare) {
        struct spare *next = spare->next;

        mem_free(c->env.mem, spare);
        spare = next;
    }
}

static size_t charged(const struct cache *c)
{
    return atomic_load_explicit(&((struct cache *)(uintptr_t)c)->charged, memory_order_relaxed);
}

static void charge(struct cache *c, size_t bytes)
{
    atomic_store_explicit(&c->charged, charged(c) + bytes, memory_order_relaxed);
    if (charged(c) > c->budget && charged(c) - c->budget > c->over)
        c->over = charged(c) - c->budget;
}

static void discharge(struct cache *c, size_t bytes)
{
    atomic_store_explicit(&c->charged, charged(c) - bytes, memory_order_relaxed);
}

unsigned char *cache_expel(struct cache *c, struct cache_slot *s)
{
    unsigned char *block = s->block;

    RING_DROP(&c->clock, s, clock);
    c->n_clock--;
    discharge(c, s->charge);
    s->block = NULL;
    s->image = (struct image){ 0 }; /* who still looked at it would not see it whole */
    return block;
}

/* Until `more` bytes fit, or the hand came by all twice: what is left then is pinned. */
static struct spare *sweep(struct cache *c, size_t more)
{
    struct spare *spare = NULL;

    for (size_t steps = 2 * c->n_clock; steps > 0 && c->clock && charged(c) + more > c->budget;
         steps--) {
        struct cache_slot *s = c->clock;
        uint32_t unpinned = SLOT_RESIDENT;

        c->clock = s->clock.next;
        if (atomic_exchange_explicit(&s->used, false, memory_order_relaxed))
            continue;
        if (!atomic_compare_exchange_strong_explicit(&s->state, &unpinned, 0, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        cache_count(&c->evictions, 1);
        cache_count(&c->evicted_bytes, s->charge);
        struct spare *block = (void *)cache_expel(c, s);
        block->next = spare;
        spare = block;
    }
    return spare;
}

/* Image and memory are in place: from here on it can be pinned. */
static void settle(struct cache *c, struct cache_slot *s, unsigned char *block, size_t bytes,
                   const struct image *image, uint32_t pins)
{
    s->image = *image;
    s->block = block;
    s->charge = bytes;
    atomic_store_explicit(&s->used, true, memory_order_relaxed);
    RING_PUT(&c->clock, s, clock);
    c->n_clock++;
    (void)atomic_fetch_add_explicit(&s->state, SLOT_RESIDENT + pins, memory_order_release);
}

/* ---- for the others */

void cache_trim(struct cache *c)
{
    struct spare *spare;

    if (charged(c) <= c->budget)
        return;
    (void)pthread_mutex_lock(&c->lock);
    spare = sweep(c, 0);
    (void)pthread_mutex_unlock(&c->lock);
    free_spare(c, spare);
}

bool cache_block_take(struct cache *c, size_t n, struct cache_block *b)
{
    struct spare *spare;

    b->charge = n + (c->options.direct ? CLUSTER_PAGE : 0);
    (void)pthread_mutex_lock(&c->lock);
    spare = sweep(c, b->charge);
    charge(c, b->charge);
    (void)pthread_mutex_unlock(&c->lock);
    free_spare(c, spare);
    b->block = mem_alloc(c->env.mem, b->charge);
    if (!b->block) {
        cache_block_drop(c, b);
        return false;
    }
    b->bytes = b->block + (c->options.direct ? -(uintptr_t)b->block & (CLUSTER_PAGE - 1) : 0);
    return true;
}

void cache_block_drop(struct cache *c, struct cache_block *b)
{
    (void)pthread_mutex_lock(&c->lock);
    discharge(c, b->charge);
    (void)pthread_mutex_unlock(&c->lock);
    mem_free(c->env.mem, b->block);
    *b = (struct cache_block){ 0 };
}

void cache_install(struct cache *c, struct cache_slot *s, struct cache_block *b,
                   const struct image *image)
{
    bool first;

    (void)pthread_mutex_lock(&c->lock);
    first = !slot_pin(s);
    if (first)
        settle(c, s, b->block, b->charge, image, 1);
    (void)pthread_mutex_unlock(&c->lock);
    if (first)
        *b = (struct cache_block){ 0 };
    else
        cache_block_drop(c, b);
}

void cache_keep(struct cache *c, struct cache_slot *s, unsigned char *block, size_t n,
                const struct image *image, bool *kept)
{
    struct spare *spare;

    (void)pthread_mutex_lock(&c->lock);
    spare = sweep(c, n);
    *kept = charged(c) + n <= c->budget;
    if (*kept) {
        charge(c, n);
        settle(c, s, block, n, image, 0);
    }
    (void)pthread_mutex_unlock(&c->lock);
    free_spare(c, spare);
}
