/* hwtree_block.h - blocks of (64-bit word, 32-bit reference) pairs, named by 32 bits: what the nodes
 * of a Hamming-weight tree are made of.
 *
 * Sizes are those of a ladder (1 2 3 4 6 8 12 16 24 ... pairs); blocks of a size share slabs, and a
 * slab without blocks is given back. A block never moves while it lives.
 */
#ifndef DRIFTLINE_HWTREE_BLOCK_H
#define DRIFTLINE_HWTREE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HW_NONE  UINT32_MAX
#define HW_INNER (UINT32_C(1) << 31) /* in a reference: the node has children */

#define HW_BLOCK_BITS 12 /* of a reference: number in its slab */
#define HW_STEPS      64 /* of the ladder */

struct mem;

struct hw_block {
    uint32_t n;       /* codes of a leaf, children of an inner node */
    uint32_t below;   /* inner: codes in all leaves under it */
    uint64_t words[]; /* capacity of them, then as many 32-bit references */
};

struct hw_slab {
    unsigned char *memory; /* NULL: the slab's number is free */
    size_t block_bytes;
    uint32_t capacity; /* of each block, in pairs */
    uint32_t n_blocks, used;
    uint32_t first_free;     /* a chain through the blocks' first words; HW_NONE ends it */
    uint32_t fresh;          /* blocks from here on were never used */
    uint32_t next, previous; /* slabs of this size with room; of free numbers: next alone */
    uint8_t step;
};

struct hw_blocks {
    struct mem *mem;
    struct hw_slab *slabs;
    size_t n_slabs, slabs_capacity, n_live; /* live: with memory */
    uint32_t free_number;
    uint32_t with_room[HW_STEPS];
    size_t slab_bytes, block_bytes; /* of all slabs, of the blocks in use */
};

struct hw_view {
    struct hw_block *block;
    uint64_t *words;
    uint32_t *refs;
    uint32_t capacity;
};

void hw_blocks_init(struct hw_blocks *, struct mem *); /* allocates nothing */
void hw_blocks_free(struct hw_blocks *);
/* An empty block of at least this many pairs, contents undefined; HW_NONE: out of memory. */
uint32_t hw_block_alloc(struct hw_blocks *, size_t pairs);
void hw_block_free(struct hw_blocks *, uint32_t ref);
/* Pairs of the block that hw_block_alloc() would give. */
size_t hw_block_capacity(size_t pairs);

/* HW_INNER in the reference is ignored. Valid while the block lives. */
static inline struct hw_view hw_view(const struct hw_blocks *b, uint32_t ref)
{
    const uint32_t at = ref & ~HW_INNER;
    const struct hw_slab *slab = &b->slabs[at >> HW_BLOCK_BITS];
    const uint32_t number = at & ((UINT32_C(1) << HW_BLOCK_BITS) - 1);
    struct hw_block *block = (struct hw_block *)(void *)(slab->memory + number * slab->block_bytes);
    return (struct hw_view){ block, block->words,
                             (uint32_t *)(void *)(block->words + slab->capacity), slab->capacity };
}

#endif
