/* block.h - blocks of (64-bit word, 32-bit reference) pairs, identified by 32 bits: the nodes of a
 * Hamming-weight tree.
 *
 * Blocks have certain sizes (1 2 3 4 6 8 12 16 24 ... pairs). Blocks of a size share slabs; a slab
 * without blocks is freed. A block never moves. */
#ifndef DRIFTLINE_HAMMING_HWTREE_BLOCK_H
#define DRIFTLINE_HAMMING_HWTREE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#define HW_NONE  UINT32_MAX
#define HW_INNER (UINT32_C(1) << 31) /* bit of a reference: the node has children */

#define HW_BLOCK_BITS 12 /* bits of a reference: block number in its slab */
#define HW_STEPS      64 /* number of sizes */

struct mem;

struct hwtree_block {
    uint32_t n;       /* codes of a leaf, children of an inner node */
    uint32_t below;   /* inner: codes in all leaves under it */
    uint64_t words[]; /* `capacity` words, then as many 32-bit references */
};

struct hwtree_slab {
    unsigned char *memory; /* NULL: the slab's number is free */
    size_t block_bytes;
    uint32_t capacity; /* of each block, in pairs */
    uint32_t n_blocks, used;
    uint32_t first_free;     /* linked through the blocks' first words; HW_NONE: none */
    uint32_t fresh;          /* blocks from this one on were never used */
    uint32_t next, previous; /* slabs of this size with free blocks; for a free number: next only */
    uint8_t step;
};

struct hwtree_blocks {
    struct mem *mem;
    struct hwtree_slab *slabs;
    size_t n_slabs, slabs_capacity, n_live; /* n_live: slabs with memory */
    uint32_t free_number;
    uint32_t with_free[HW_STEPS];
    size_t slab_bytes, block_bytes; /* bytes of all slabs; of the blocks in use */
};

struct hwtree_view {
    struct hwtree_block *block;
    uint64_t *words;
    uint32_t *refs;
    uint32_t capacity;
};

void hwtree_blocks_init(struct hwtree_blocks *, struct mem *); /* allocates nothing */
void hwtree_blocks_free(struct hwtree_blocks *);
/* Returns an empty block of at least this many pairs, contents undefined; HW_NONE: out
   of memory. */
uint32_t hwtree_block_alloc(struct hwtree_blocks *, size_t pairs);
void hwtree_block_free(struct hwtree_blocks *, uint32_t ref);
/* The capacity in pairs of the block that hwtree_block_alloc() returns. */
size_t hwtree_block_capacity(size_t pairs);

/* Ignores HW_INNER in the reference. Valid until the block is freed. */
static inline struct hwtree_view hwtree_view(const struct hwtree_blocks *b, uint32_t ref)
{
    const uint32_t at = ref & ~HW_INNER;
    const struct hwtree_slab *slab = &b->slabs[at >> HW_BLOCK_BITS];
    const uint32_t number = at & ((UINT32_C(1) << HW_BLOCK_BITS) - 1);
    struct hwtree_block *block =
        (struct hwtree_block *)(void *)(slab->memory + number * slab->block_bytes);
    return (struct hwtree_view){ block, block->words,
                                 (uint32_t *)(void *)(block->words + slab->capacity),
                                 slab->capacity };
}

#endif
