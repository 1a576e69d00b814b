/* blocks.h - blocks of entries for arrays that grow and shrink (buckets of mih, nodes of hwtree):
 * little spare capacity per block, and all freed memory is given back.
 *
 * Blocks of one size are in slabs; a slab with no block in use is freed. When most arrays outgrow
 * a size, the remaining ones would each keep a slab alive: hamming_blocks_compact() moves them
 * together. A block is identified by 32 bits (its slab and its position in it), so that references
 * are small; the slab stores the number of entries per block. A block larger than a slab gets its
 * own slab. */
#ifndef DRIFTLINE_HAMMING_BLOCKS_H
#define DRIFTLINE_HAMMING_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;
struct error;

#define BLOCK_CLASSES    24
#define BLOCK_UNIT       8U  /* bytes; blocks begin at multiples of it */
#define BLOCK_BYTES_MIN  16U /* of a block */
#define BLOCK_SLAB_SHIFT 13U /* log2 of the most units in a slab */
/* Less than the size from which malloc() maps separately. */
#define BLOCK_SLAB_BYTES ((BLOCK_UNIT << BLOCK_SLAB_SHIFT) - 1024)

/* What the blocks of an owner are. */
struct block_kind {
    uint32_t head_bytes, entry_bytes;   /* a head, then entries */
    unsigned bits;                      /* of a reference; the owner may use the higher ones */
    uint32_t capacities[BLOCK_CLASSES]; /* ascending; above the last one: a quarter to spare */
};

struct slab {
    unsigned char *memory; /* NULL: the number is free */
    uint32_t capacity;     /* entries per block */
    uint32_t used, total;  /* blocks */
    uint32_t free_block;   /* first free block, in units; each free block stores the next */
    uint32_t fresh;        /* blocks from this one on were never used */
    /* links among the slabs of the class with a free block; `next` also links free numbers */
    uint32_t previous, next;
};

/* By class; the last one is that of slabs with a single block. */
struct block_class {
    uint32_t partial;   /* slabs with a free block */
    size_t total, used; /* blocks */
};

struct blocks {
    struct mem *mem;
    const struct block_kind *kind;
    struct slab *slabs;
    size_t n_slabs, slabs_capacity;
    uint32_t free_slab;
    struct block_class classes[BLOCK_CLASSES + 1];
    uint32_t sparse;          /* a slab to compact, if it is still sparse then */
    size_t n_used;            /* blocks */
    size_t bytes, used_bytes; /* of all slabs; of blocks in use */
};

/* The kind is borrowed. */
void hamming_blocks_init(struct blocks *, struct mem *,
                         const struct block_kind *); /* allocates nothing */
void hamming_blocks_free(struct blocks *);

/* Capacity of the block that hamming_blocks_take() returns for n. */
uint32_t hamming_blocks_capacity_for(const struct blocks *, size_t n);
/* Takes a block for at least n >= 1 entries. false: out of memory. */
bool hamming_blocks_take(struct blocks *, size_t n, uint32_t *block);
void hamming_blocks_give_back(struct blocks *, uint32_t block);

/* Empties a slab of which at most a quarter is in use: copies each block, and calls moved() with
   its old and new reference. Allocates nothing. To be called regularly. */
void hamming_blocks_compact(struct blocks *, void (*moved)(void *owner, uint32_t from, uint32_t to),
                            void *owner);

static inline const struct slab *hamming_blocks_slab(const struct blocks *b, uint32_t block)
{
    return &b->slabs[block >> BLOCK_SLAB_SHIFT];
}

static inline unsigned char *hamming_blocks_at(const struct slab *slab, uint32_t block)
{
    return slab->memory + (size_t)(block & ((UINT32_C(1) << BLOCK_SLAB_SHIFT) - 1)) * BLOCK_UNIT;
}

size_t hamming_blocks_bytes(const struct blocks *);
/* ERR_INVARIANT if counts, lists and bytes disagree. `method` begins the message. */
int hamming_blocks_check(const struct blocks *, const char *method, struct error *);

#endif
