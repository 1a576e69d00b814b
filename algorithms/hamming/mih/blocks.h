/* blocks.h - blocks of entries for buckets that grow and shrink: little spare capacity per bucket,
 * and all freed memory is given back.
 *
 * Blocks of one size are in slabs; a slab with no block in use is freed. When most buckets outgrow
 * a size, the remaining ones would each keep a slab alive: mih_blocks_compact() moves them
 * together. A block is identified by 32 bits (its slab and its position in it), so that references
 * are small; the slab stores the number of entries per block. A block larger than a slab gets its
 * own slab. */
#ifndef DRIFTLINE_HAMMING_MIH_BLOCKS_H
#define DRIFTLINE_HAMMING_MIH_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;
struct error;

#define BLOCK_CLASSES    24
#define BLOCK_UNIT       16U /* bytes; blocks begin at multiples of it */
#define BLOCK_SLAB_SHIFT 13U /* log2 of the most units in a slab */

struct slab {
    unsigned char *memory; /* NULL: the number is free */
    uint32_t capacity;     /* entries per block */
    uint32_t used, total;  /* blocks */
    uint32_t free_block;   /* first free block, in units; each free block stores the next */
    uint32_t fresh;        /* blocks from this one on were never used */
    /* links among the slabs of the class with a free block; `next` also links free numbers */
    uint32_t previous, next;
};

struct blocks {
    struct mem *mem;
    size_t entry_bytes;
    uint32_t largest; /* capacity in a shared slab */
    struct slab *slabs;
    size_t n_slabs, slabs_capacity;
    uint32_t free_slab;
    uint32_t partial[BLOCK_CLASSES];
    size_t total_of[BLOCK_CLASSES], used_of[BLOCK_CLASSES]; /* blocks, by class */
    uint32_t sparse;          /* a slab to compact, if it is still sparse then */
    size_t n_used;            /* blocks */
    size_t bytes, used_bytes; /* of all slabs; of blocks in use */
};

void mih_blocks_init(struct blocks *, struct mem *, size_t entry_bytes); /* allocates nothing */
void mih_blocks_free(struct blocks *);

/* Capacity of the block that mih_blocks_take() returns for n. */
uint32_t mih_blocks_capacity_for(const struct blocks *, uint32_t n);
/* Takes a block for at least n >= 1 entries. false: out of memory. */
bool mih_blocks_take(struct blocks *, uint32_t n, uint32_t *block);
void mih_blocks_give_back(struct blocks *, uint32_t block);

/* Empties a slab of which at most a quarter is in use: copies each block, and calls moved() with
   its old and new reference. Allocates nothing. To be called regularly. */
void mih_blocks_compact(struct blocks *, void (*moved)(void *owner, uint32_t from, uint32_t to),
                        void *owner);

static inline const struct slab *mih_blocks_slab(const struct blocks *b, uint32_t block)
{
    return &b->slabs[block >> BLOCK_SLAB_SHIFT];
}

static inline unsigned char *mih_blocks_at(const struct slab *slab, uint32_t block)
{
    return slab->memory + (size_t)(block & ((UINT32_C(1) << BLOCK_SLAB_SHIFT) - 1)) * BLOCK_UNIT;
}

size_t mih_blocks_bytes(const struct blocks *);
/* ERR_INVARIANT if counts, lists and bytes disagree. */
int mih_blocks_check(const struct blocks *, struct error *);

#endif
