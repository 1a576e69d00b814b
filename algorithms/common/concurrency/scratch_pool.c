/* scratch_pool.c - a stack of idle scratch under a mutex: two short critical sections
   per search. */
#include "algorithms/common/concurrency/scratch_pool.h"

void scratch_pool_init(struct scratch_pool *pool)
{
    pthread_mutex_init(&pool->lock, NULL);
    pool->idle = NULL;
}

void *scratch_pool_take(struct scratch_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct scratch_item *item = pool->idle;
    if (item)
        pool->idle = item->next;
    pthread_mutex_unlock(&pool->lock);
    return item;
}

void scratch_pool_give(struct scratch_pool *pool, void *scratch)
{
    struct scratch_item *item = scratch;

    pthread_mutex_lock(&pool->lock);
    item->next = pool->idle;
    pool->idle = item;
    pthread_mutex_unlock(&pool->lock);
}

uint64_t scratch_pool_bytes(struct scratch_pool *pool,
                            uint64_t (*bytes)(const void *owner, const void *scratch),
                            const void *owner)
{
    uint64_t sum = 0;

    pthread_mutex_lock(&pool->lock);
    for (const struct scratch_item *item = pool->idle; item; item = item->next)
        sum += bytes(owner, item);
    pthread_mutex_unlock(&pool->lock);
    return sum;
}

void scratch_pool_free(struct scratch_pool *pool, void (*destroy)(void *owner, void *scratch),
                       void *owner)
{
    for (void *item; (item = scratch_pool_take(pool));)
        destroy(owner, item);
    pthread_mutex_destroy(&pool->lock);
}
