/* block_pool.c - see block_pool.h. */
#include "algorithms/common/rows/block_pool.h"

#include <string.h>

#include "src/core/mem.h"

#define SLAB_BYTES     ((size_t)32 << 10)
#define SLAB_BYTES_MIN ((size_t)2 << 10) /* the first slabs are small; later ones grow */

static size_t size_class(size_t bytes)
{
    return (bytes + BLOCK_POOL_STEP - 1) / BLOCK_POOL_STEP;
}

static void *cut(struct block_pool *pool, size_t bytes)
{
    if (pool->left < bytes) {
        size_t n = pool->bytes / 8;
        n = n < SLAB_BYTES_MIN ? SLAB_BYTES_MIN : n > SLAB_BYTES ? SLAB_BYTES : n;
        unsigned char *slab = mem_alloc(pool->mem, n);
        if (!slab)
            return NULL;
        memcpy(slab, &pool->slabs, sizeof pool->slabs);
        pool->slabs = slab;
        pool->at = slab + BLOCK_POOL_STEP;
        pool->left = n - BLOCK_POOL_STEP;
        pool->bytes += n;
    }
    pool->at += bytes;
    pool->left -= bytes;
    return pool->at - bytes;
}

void *block_pool_take(struct block_pool *pool, size_t bytes)
{
    const size_t size = size_class(bytes);
    void *block;
    if (bytes > BLOCK_POOL_MOST) {
        block = mem_alloc(pool->mem, bytes);
        pool->bytes += block ? bytes : 0;
    } else if ((block = pool->free[size])) {
        memcpy(&pool->free[size], block, sizeof block);
    } else {
        block = cut(pool, size * BLOCK_POOL_STEP);
    }
    pool->used += block ? bytes : 0;
    return block;
}

void block_pool_give(struct block_pool *pool, void *block, size_t bytes)
{
    pool->used -= bytes;
    if (bytes > BLOCK_POOL_MOST) {
        pool->bytes -= bytes;
        mem_free(pool->mem, block);
    } else {
        memcpy(block, &pool->free[size_class(bytes)], sizeof block);
        pool->free[size_class(bytes)] = block;
    }
}

void block_pool_free(struct block_pool *pool)
{
    while (pool->slabs) {
        void *next;
        memcpy(&next, pool->slabs, sizeof next);
        mem_free(pool->mem, pool->slabs);
        pool->slabs = next;
    }
    *pool = (struct block_pool){ .mem = pool->mem };
}
