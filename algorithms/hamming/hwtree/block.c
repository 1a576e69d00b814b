/* block.c - slabs of blocks of one size. The numbers of freed slabs are reused, so references
 * stay small. */
#include "algorithms/hamming/hwtree/block.h"

#include <string.h>

#include "src/core/mem.h"

#define SLAB_BYTES     ((size_t)64 << 10)
#define SLAB_BYTES_MIN ((size_t)1 << 10) /* for the first slab of a size: small trees stay small */
#define BLOCKS_MAX     (1U << HW_BLOCK_BITS)
#define SLABS_MAX      ((HW_INNER >> HW_BLOCK_BITS) - 1)

/* 1 2 3, then 4 6, 8 12, 16 24, ... */
static size_t pairs_at(unsigned step)
{
    if (step < 3)
        return step + 1;
    const unsigned k = (step - 3) / 2;
    return (size_t)((step - 3) % 2 ? 6 : 4) << k;
}

static unsigned step_for(size_t pairs)
{
    if (pairs <= 3)
        return pairs > 0 ? (unsigned)pairs - 1 : 0;
    const unsigned log2 = 63 - (unsigned)__builtin_clzll(pairs);
    unsigned step = 3 + 2 * (log2 - 2);
    while (pairs_at(step) < pairs)
        step++;
    return step;
}

size_t hwtree_block_capacity(size_t pairs)
{
    return pairs_at(step_for(pairs));
}

static size_t bytes_for(size_t pairs)
{
    const size_t bytes =
        sizeof(struct hwtree_block) + pairs * (sizeof(uint64_t) + sizeof(uint32_t));
    return (bytes + 7) / 8 * 8;
}

void hwtree_blocks_init(struct hwtree_blocks *b, struct mem *mem)
{
    *b = (struct hwtree_blocks){ .mem = mem, .free_number = HW_NONE };
    for (unsigned i = 0; i < HW_STEPS; i++)
        b->with_free[i] = HW_NONE;
}

void hwtree_blocks_free(struct hwtree_blocks *b)
{
    for (size_t i = 0; i < b->n_slabs; i++)
        mem_free(b->mem, b->slabs[i].memory);
    mem_free(b->mem, b->slabs);
    hwtree_blocks_init(b, b->mem);
}

/* ------------------------------------------------------------ lists of slabs with free blocks */

static void link_slab(struct hwtree_blocks *b, uint32_t number)
{
    struct hwtree_slab *slab = &b->slabs[number];
    slab->previous = HW_NONE;
    slab->next = b->with_free[slab->step];
    if (slab->next != HW_NONE)
        b->slabs[slab->next].previous = number;
    b->with_free[slab->step] = number;
}

static void unlink_slab(struct hwtree_blocks *b, uint32_t number)
{
    const struct hwtree_slab *slab = &b->slabs[number];
    if (slab->previous != HW_NONE)
        b->slabs[slab->previous].next = slab->next;
    else
        b->with_free[slab->step] = slab->next;
    if (slab->next != HW_NONE)
        b->slabs[slab->next].previous = slab->previous;
}

/* A number for a new slab; HW_NONE: out of memory or of numbers. */
static uint32_t take_number(struct hwtree_blocks *b)
{
    const uint32_t freed = b->free_number;
    if (freed != HW_NONE) {
        b->free_number = b->slabs[freed].next;
        return freed;
    }
    if (b->n_slabs >= SLABS_MAX ||
        !mem_grow(b->mem, &b->slabs, &b->slabs_capacity, b->n_slabs + 1, sizeof *b->slabs))
        return HW_NONE;
    return (uint32_t)b->n_slabs++;
}

static void give_number(struct hwtree_blocks *b, uint32_t number)
{
    b->slabs[number] = (struct hwtree_slab){ .next = b->free_number };
    b->free_number = number;
}

/* The first slabs of a tree are small; later ones grow with the tree. */
static size_t blocks_of_slab(const struct hwtree_blocks *b, size_t block_bytes)
{
    size_t bytes = b->slab_bytes / 8;
    bytes = bytes < SLAB_BYTES_MIN ? SLAB_BYTES_MIN : bytes > SLAB_BYTES ? SLAB_BYTES : bytes;
    const size_t n = bytes / block_bytes;
    return n < 1 ? 1 : n > BLOCKS_MAX ? BLOCKS_MAX : n;
}

static uint32_t open_slab(struct hwtree_blocks *b, unsigned step)
{
    const size_t bytes = bytes_for(pairs_at(step)), n = blocks_of_slab(b, bytes);
    const uint32_t number = take_number(b);
    if (number == HW_NONE)
        return HW_NONE;
    unsigned char *memory = mem_array(b->mem, n, bytes);
    if (!memory) {
        give_number(b, number);
        return HW_NONE;
    }
    b->slabs[number] = (struct hwtree_slab){ .memory = memory,
                                             .block_bytes = bytes,
                                             .capacity = (uint32_t)pairs_at(step),
                                             .n_blocks = (uint32_t)n,
                                             .first_free = HW_NONE,
                                             .step = (uint8_t)step };
    b->slab_bytes += n * bytes;
    b->n_live++;
    link_slab(b, number);
    return number;
}

static void close_slab(struct hwtree_blocks *b, uint32_t number)
{
    struct hwtree_slab *slab = &b->slabs[number];
    unlink_slab(b, number);
    b->slab_bytes -= slab->n_blocks * slab->block_bytes;
    mem_free(b->mem, slab->memory);
    give_number(b, number);
    if (--b->n_live == 0)
        hwtree_blocks_free(b);
}

/* ------------------------------------------------------------------------ blocks */

uint32_t hwtree_block_alloc(struct hwtree_blocks *b, size_t pairs)
{
    if (pairs > UINT32_MAX)
        return HW_NONE;
    const unsigned step = step_for(pairs);
    uint32_t number = b->with_free[step];
    if (number == HW_NONE)
        number = open_slab(b, step);
    if (number == HW_NONE)
        return HW_NONE;
    struct hwtree_slab *slab = &b->slabs[number];
    uint32_t at = slab->first_free;
    if (at == HW_NONE)
        at = slab->fresh++;
    else
        memcpy(&slab->first_free, slab->memory + at * slab->block_bytes, sizeof slab->first_free);
    b->block_bytes += slab->block_bytes;
    if (++slab->used == slab->n_blocks)
        unlink_slab(b, number);
    const uint32_t ref = number << HW_BLOCK_BITS | at;
    struct hwtree_block *block = hwtree_view(b, ref).block;
    block->n = block->below = 0;
    return ref;
}

void hwtree_block_free(struct hwtree_blocks *b, uint32_t ref)
{
    const uint32_t at = ref & ~HW_INNER, number = at >> HW_BLOCK_BITS;
    const uint32_t of_slab = at & (BLOCKS_MAX - 1);
    struct hwtree_slab *slab = &b->slabs[number];
    memcpy(slab->memory + of_slab * slab->block_bytes, &slab->first_free, sizeof slab->first_free);
    slab->first_free = of_slab;
    b->block_bytes -= slab->block_bytes;
    if (slab->used-- == slab->n_blocks)
        link_slab(b, number);
    if (slab->used == 0)
        close_slab(b, number);
}
