/* scratch_pool.c - a stack of idle scratch under a mutex: two short critical sections
   per search. */
#include "algorithms/common/concurrency/scratch_pool.h"

#include "src/core/mem.h"

void scratch_pool_init(struct scratch_pool *pool, const struct scratch_kind *kind, struct mem *mem,
                       void *owner)
{
    pthread_mutex_init(&pool->lock, NULL);
    pool->idle = NULL;
    pool->kind = kind;
    pool->mem = mem;
    pool->owner = owner;
}

static struct scratch_item *take_idle(struct scratch_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct scratch_item *item = pool->idle;
    if (item)
        pool->idle = item->next;
    pthread_mutex_unlock(&pool->lock);
    return item;
}

static void destroy(struct scratch_pool *pool, void *scratch)
{
    pool->kind->close(pool->mem, scratch);
    mem_free(pool->mem, scratch);
}

void *scratch_pool_take(struct scratch_pool *pool)
{
    const struct scratch_kind *kind = pool->kind;
    void *scratch = take_idle(pool);

    if (scratch)
        return scratch;
    scratch = mem_zalloc(pool->mem, kind->struct_bytes);
    if (scratch && kind->open && !kind->open(pool->owner, scratch)) {
        destroy(pool, scratch);
        scratch = NULL;
    }
    return scratch;
}

void scratch_pool_give(struct scratch_pool *pool, void *scratch)
{
    struct scratch_item *item = scratch;

    if (!item)
        return;
    pthread_mutex_lock(&pool->lock);
    item->next = pool->idle;
    pool->idle = item;
    pthread_mutex_unlock(&pool->lock);
}

uint64_t scratch_pool_bytes(const struct scratch_pool *pool)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&pool->lock;
    uint64_t sum = 0;

    pthread_mutex_lock(lock);
    for (const struct scratch_item *item = pool->idle; item; item = item->next)
        sum += pool->kind->struct_bytes + pool->kind->bytes(pool->owner, item);
    pthread_mutex_unlock(lock);
    return sum;
}

void scratch_pool_free(struct scratch_pool *pool)
{
    for (void *item; (item = take_idle(pool));)
        destroy(pool, item);
    pthread_mutex_destroy(&pool->lock);
}
