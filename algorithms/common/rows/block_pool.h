/* block_pool.h - many small blocks: a block of mem.h has a header of 64 bytes and a multiple of 64.
 *
 * Blocks of up to BLOCK_POOL_MOST bytes are cut from slabs and reused by size; slabs stay until the
 * pool is freed. Larger ones are blocks of mem.h. Not thread-safe. */
#ifndef DRIFTLINE_COMMON_ROWS_BLOCK_POOL_H
#define DRIFTLINE_COMMON_ROWS_BLOCK_POOL_H

#include <stddef.h>

enum { BLOCK_POOL_MOST = 512, BLOCK_POOL_STEP = 8 };

struct mem;

struct block_pool { /* starts as { .mem = mem } */
    struct mem *mem;
    void *slabs; /* linked by their first word */
    unsigned char *at;
    size_t left;                                       /* bytes in the newest slab */
    void *free[BLOCK_POOL_MOST / BLOCK_POOL_STEP + 1]; /* by size, linked by the first word */
    size_t bytes,
        used; /* of slabs and large blocks; of the blocks in use, as they were asked for */
};

/* A block aligned to 8 bytes, contents undefined; NULL: out of memory. bytes > 0. */
void *block_pool_take(struct block_pool *, size_t bytes);
void block_pool_give(struct block_pool *, void *block, size_t bytes); /* as when it was taken */
void block_pool_free(struct block_pool *); /* and all blocks but the large ones; can be used anew */

#endif
