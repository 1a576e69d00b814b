/* placement.c - the pool of placements: tens of thousands of allocations of less than a
   hundred bytes. */
#include <string.h>

#include "algorithms/common/postings/file_internal.h"
#include "src/core/mem.h"

static size_t bytes_for(size_t n_pages)
{
    return sizeof(struct placement) + n_pages * sizeof(struct page_ref);
}

void posting_placement_pool_init(struct placement_pool *pool, struct mem *mem)
{
    *pool = (struct placement_pool){ .mem = mem };
}

void posting_placement_pool_free(struct placement_pool *pool)
{
    while (pool->chunks) {
        void *next;

        memcpy(&next, pool->chunks, sizeof next);
        mem_free(pool->mem, pool->chunks);
        pool->chunks = next;
    }
}

static void *cut(struct placement_pool *pool, size_t bytes)
{
    unsigned char *chunk;

    if (pool->left < bytes) {
        chunk = mem_alloc(pool->mem, PLACEMENT_CHUNK);
        if (!chunk)
            return NULL;
        memcpy(chunk, &pool->chunks, sizeof pool->chunks);
        pool->chunks = chunk;
        pool->at = chunk + 16;
        pool->left = PLACEMENT_CHUNK - 16;
        pool->bytes += PLACEMENT_CHUNK;
    }
    chunk = pool->at;
    pool->at += bytes;
    pool->left -= bytes;
    return chunk;
}

struct placement *posting_placement_make(struct placement_pool *pool, size_t n_pages)
{
    const size_t bytes = bytes_for(n_pages);
    struct placement *p;

    if (n_pages > PLACEMENT_POOLED) {
        p = mem_alloc(pool->mem, bytes);
        pool->bytes += p ? bytes : 0;
    } else if (pool->free[n_pages]) {
        p = pool->free[n_pages];
        memcpy(&pool->free[n_pages], p, sizeof(void *));
    } else {
        p = cut(pool, bytes);
    }
    if (p) {
        atomic_init(&p->tail, 0);
        p->n_pages = (uint32_t)n_pages;
        p->kept = 0;
    }
    return p;
}

void posting_placement_release(struct placement_pool *pool, struct placement *p)
{
    const size_t n_pages = p->n_pages;

    if (n_pages > PLACEMENT_POOLED) {
        pool->bytes -= bytes_for(n_pages);
        mem_free(pool->mem, p);
    } else {
        memcpy((void *)p, &pool->free[n_pages], sizeof(void *));
        pool->free[n_pages] = p;
    }
}
