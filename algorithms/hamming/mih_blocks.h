/* mih_blocks.h - blocks of entries for buckets that grow and shrink: a few bytes of slack each, all
 * of it given back.
 *
 * Blocks of one size lie in slabs; a slab none of whose blocks is in use is freed. As buckets grow
 * out of a size, those that do not would each hold a slab: blocks_compact() moves them together. A
 * block is named by 32 bits (its slab and where in it), so that what refers to it is small, and its
 * slab knows how many entries it holds. More than a slab's worth gets a slab of its own.
 */
#ifndef DRIFTLINE_MIH_BLOCKS_H
#define DRIFTLINE_MIH_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;
struct error;

#define BLOCK_CLASSES    24
#define BLOCK_UNIT       16U /* bytes; blocks begin at multiples of it */
#define BLOCK_SLAB_SHIFT 13U /* units of a slab, at most, as a power of two */

struct slab {
    unsigned char *memory; /* NULL: this number is free */
    uint32_t capacity;     /* entries a block holds */
    uint32_t used, total;  /* blocks */
    uint32_t free_block;   /* the first of those given back, in units; each names the next */
    uint32_t fresh;        /* blocks from here on were never used */
    uint32_t previous,
        next; /* among the slabs of the class with a free block; next of free numbers */
};

struct blocks {
    struct mem *mem;
    size_t entry_bytes;
    struct slab *slabs;
    size_t n_slabs, slabs_capacity;
    uint32_t free_slab;
    uint32_t partial[BLOCK_CLASSES];
    size_t total_of[BLOCK_CLASSES], used_of[BLOCK_CLASSES]; /* blocks, by class */
    uint32_t sparse;          /* a slab to empty, if it is still sparse then */
    size_t n_used;            /* blocks */
    size_t bytes, used_bytes; /* of slabs, and of blocks in use */
};

void blocks_init(struct blocks *, struct mem *, size_t entry_bytes); /* allocates nothing */
void blocks_free(struct blocks *);

/* Entries that the block holds which blocks_take() gives for n. */
uint32_t blocks_capacity_for(const struct blocks *, uint32_t n);
/* A block for at least n >= 1 entries. false: out of memory. */
bool blocks_take(struct blocks *, uint32_t n, uint32_t *block);
void blocks_give_back(struct blocks *, uint32_t block);

/* Empties a slab of which a quarter is in use: moved() is told of each block that has
   another name now, and has been copied there. Allocates nothing. To be called now and then. */
void blocks_compact(struct blocks *, void (*moved)(void *owner, uint32_t from, uint32_t to),
                    void *owner);

static inline const struct slab *blocks_slab(const struct blocks *b, uint32_t block)
{
    return &b->slabs[block >> BLOCK_SLAB_SHIFT];
}

static inline unsigned char *blocks_at(const struct slab *slab, uint32_t block)
{
    return slab->memory + (size_t)(block & ((UINT32_C(1) << BLOCK_SLAB_SHIFT) - 1)) * BLOCK_UNIT;
}

size_t blocks_bytes(const struct blocks *);
/* ERR_INVARIANT where counts, lists and bytes disagree. */
int blocks_check(const struct blocks *, struct error *);

#endif
