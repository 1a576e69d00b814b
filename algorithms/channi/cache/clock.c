/* clock.c - memory: a clock hand goes round the resident slots and evicts those not used since it
 * last passed, until the rest fits. internal.h describes pins. */
#include "algorithms/channi/cache/internal.h"
#include "src/core/mem.h"

/* ---- the clock. The lock is held. */

static size_t charged(const struct channi_cache *c)
{
    return atomic_load_explicit(&((struct channi_cache *)(uintptr_t)c)->charged,
                                memory_order_relaxed);
}

static void charge(struct channi_cache *c, size_t bytes)
{
    atomic_store_explicit(&c->charged, charged(c) + bytes, memory_order_relaxed);
    if (charged(c) > c->budget && charged(c) - c->budget > c->over)
        c->over = charged(c) - c->budget;
}

static void discharge(struct channi_cache *c, size_t bytes)
{
    atomic_store_explicit(&c->charged, charged(c) - bytes, memory_order_relaxed);
}

unsigned char *channi_cache_expel(struct channi_cache *c, struct channi_cache_slot *s)
{
    unsigned char *block = s->block;

    TAILQ_REMOVE(&c->clock, s, clock);
    c->n_clock--;
    discharge(c, s->charge);
    s->block = NULL;
    s->image = (struct channi_image){ 0 }; /* makes use without a pin visible */
    return block;
}

/* Evicts until `more` bytes fit or the hand has gone round twice: all remaining slots
   are pinned. */
static void sweep(struct channi_cache *c, size_t more)
{
    for (size_t steps = 2 * c->n_clock;
         steps > 0 && c->n_clock > 0 && charged(c) + more > c->budget; steps--) {
        struct channi_cache_slot *s = TAILQ_FIRST(&c->clock);
        uint32_t unpinned = SLOT_RESIDENT;

        TAILQ_REMOVE(&c->clock, s, clock); /* the hand passes it */
        TAILQ_INSERT_TAIL(&c->clock, s, clock);
        if (atomic_exchange_explicit(&s->used, false, memory_order_relaxed))
            continue;
        if (!atomic_compare_exchange_strong_explicit(&s->state, &unpinned, 0, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        channi_cache_count(&c->evictions, 1);
        channi_cache_count(&c->evicted_bytes, s->charge);
        mem_free(c->env.mem, channi_cache_expel(c, s));
    }
}

/* Image and block are set before the bit: from then on the slot can be pinned. */
static void make_resident(struct channi_cache *c, struct channi_cache_slot *s, unsigned char *block,
                          size_t bytes, const struct channi_image *image, uint32_t pins)
{
    s->image = *image;
    s->block = block;
    s->charge = bytes;
    atomic_store_explicit(&s->used, true, memory_order_relaxed);
    TAILQ_INSERT_TAIL(&c->clock, s, clock);
    c->n_clock++;
    (void)atomic_fetch_add_explicit(&s->state, SLOT_RESIDENT + pins, memory_order_release);
}

/* ---- called by other files, without the lock */

void channi_cache_trim(struct channi_cache *c)
{
    if (charged(c) <= c->budget)
        return;
    (void)pthread_mutex_lock(&c->lock);
    sweep(c, 0);
    (void)pthread_mutex_unlock(&c->lock);
}

void channi_cache_resize(struct channi_cache *c, size_t budget_bytes)
{
    (void)pthread_mutex_lock(&c->lock);
    c->budget = budget_bytes;
    (void)pthread_mutex_unlock(&c->lock);
    channi_cache_trim(c);
}

bool channi_cache_block_take(struct channi_cache *c, size_t n, struct channi_cache_block *b)
{
    b->charge = n + (c->options.direct ? CLUSTER_PAGE : 0);
    (void)pthread_mutex_lock(&c->lock);
    sweep(c, b->charge);
    charge(c, b->charge);
    (void)pthread_mutex_unlock(&c->lock);
    b->block = mem_alloc(c->env.mem, b->charge);
    if (!b->block) {
        channi_cache_block_drop(c, b);
        return false;
    }
    b->bytes = b->block + (c->options.direct ? -(uintptr_t)b->block & (CLUSTER_PAGE - 1) : 0);
    return true;
}

void channi_cache_block_drop(struct channi_cache *c, struct channi_cache_block *b)
{
    (void)pthread_mutex_lock(&c->lock);
    discharge(c, b->charge);
    (void)pthread_mutex_unlock(&c->lock);
    mem_free(c->env.mem, b->block);
    *b = (struct channi_cache_block){ 0 };
}

void channi_cache_install(struct channi_cache *c, struct channi_cache_slot *s,
                          struct channi_cache_block *b, const struct channi_image *image)
{
    bool first;

    (void)pthread_mutex_lock(&c->lock);
    first = !channi_slot_pin(s);
    if (first)
        make_resident(c, s, b->block, b->charge, image, 1);
    (void)pthread_mutex_unlock(&c->lock);
    if (first)
        *b = (struct channi_cache_block){ 0 };
    else
        channi_cache_block_drop(c, b);
}

bool channi_cache_keep(struct channi_cache *c, struct channi_cache_slot *s, unsigned char *block,
                       size_t n, const struct channi_image *image)
{
    (void)pthread_mutex_lock(&c->lock);
    sweep(c, n);
    const bool fits = charged(c) + n <= c->budget;
    if (fits) {
        charge(c, n);
        make_resident(c, s, block, n, image, 0);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return fits;
}
