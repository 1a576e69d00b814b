/* blocks.c - slabs of equal blocks, linked by class if they have a free one. */
#include "algorithms/hamming/mih/blocks.h"

#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"

#define NONE UINT32_MAX
/* Less than the size from which malloc() maps separately. */
#define SLAB_BYTES (((size_t)BLOCK_UNIT << BLOCK_SLAB_SHIFT) - 1024)
#define SLABS_MAX  ((size_t)1 << (32 - BLOCK_SLAB_SHIFT))

/* Steps of at most a quarter from 64 on; a cache line of codes from 16 on, so that blocks are
   whole lines. */
static const uint32_t capacities[BLOCK_CLASSES] = { 1,   2,   4,   8,   16,  32,  48,  64,
                                                    80,  96,  112, 128, 160, 192, 224, 256,
                                                    320, 384, 448, 512, 640, 768, 896, 1024 };

void mih_blocks_init(struct blocks *b, struct mem *mem, size_t entry_bytes)
{
    *b = (struct blocks){
        .mem = mem, .entry_bytes = entry_bytes, .free_slab = NONE, .sparse = NONE
    };
    for (size_t c = 0; c < BLOCK_CLASSES; c++) {
        b->partial[c] = NONE;
        if (capacities[c] * entry_bytes <= SLAB_BYTES)
            b->largest = capacities[c];
    }
}

void mih_blocks_free(struct blocks *b)
{
    for (size_t i = 0; i < b->n_slabs; i++)
        mem_free(b->mem, b->slabs[i].memory);
    mem_free(b->mem, b->slabs);
    mih_blocks_init(b, b->mem, b->entry_bytes);
}

/* n <= b->largest. The rest of a unit is wasted for smaller blocks. */
static size_t class_of(const struct blocks *b, uint32_t n)
{
    size_t c = 0;
    while (capacities[c] < n || capacities[c] * b->entry_bytes < BLOCK_UNIT)
        c++;
    return c;
}

uint32_t mih_blocks_capacity_for(const struct blocks *b, uint32_t n)
{
    if (n <= b->largest)
        return capacities[class_of(b, n)];
    const uint64_t most = (uint64_t)n + n / 4;
    return most > UINT32_MAX - 15 ? n : (uint32_t)((most + 15) / 16 * 16);
}

static size_t units_of(const struct blocks *b, uint32_t capacity)
{
    return (capacity * b->entry_bytes + BLOCK_UNIT - 1) / BLOCK_UNIT;
}

static void unchain(struct blocks *b, uint32_t *list, uint32_t number)
{
    const struct slab *s = &b->slabs[number];
    if (s->previous != NONE)
        b->slabs[s->previous].next = s->next;
    else
        *list = s->next;
    if (s->next != NONE)
        b->slabs[s->next].previous = s->previous;
}

static void chain(struct blocks *b, uint32_t *list, uint32_t number)
{
    struct slab *s = &b->slabs[number];
    s->previous = NONE;
    s->next = *list;
    if (*list != NONE)
        b->slabs[*list].previous = number;
    *list = number;
}

/* A new slab of blocks of this capacity, in no list; NONE: out of memory. */
static uint32_t slab_new(struct blocks *b, uint32_t capacity, size_t bytes)
{
    uint32_t number = b->free_slab;
    if (number == NONE) {
        if (b->n_slabs == SLABS_MAX ||
            !mem_grow(b->mem, &b->slabs, &b->slabs_capacity, b->n_slabs + 1, sizeof *b->slabs))
            return NONE;
        number = (uint32_t)b->n_slabs;
    }
    unsigned char *memory = mem_alloc(b->mem, bytes);
    if (!memory)
        return NONE;
    if (number == b->n_slabs)
        b->n_slabs++;
    else
        b->free_slab = b->slabs[number].next;
    const size_t block_bytes = units_of(b, capacity) * BLOCK_UNIT;
    b->slabs[number] = (struct slab){ .memory = memory,
                                      .capacity = capacity,
                                      .total = (uint32_t)(bytes / block_bytes),
                                      .free_block = NONE };
    b->bytes += bytes;
    return number;
}

static size_t slab_bytes(const struct blocks *b, const struct slab *s)
{
    return s->capacity <= b->largest ? SLAB_BYTES : units_of(b, s->capacity) * BLOCK_UNIT;
}

static void slab_drop(struct blocks *b, uint32_t number)
{
    struct slab *s = &b->slabs[number];
    b->bytes -= slab_bytes(b, s);
    mem_free(b->mem, s->memory);
    *s = (struct slab){ .next = b->free_slab };
    b->free_slab = number;
    if (b->bytes == 0)
        mih_blocks_free(b);
}

static bool take_own_slab(struct blocks *b, uint32_t n, uint32_t *block)
{
    const uint32_t capacity = mih_blocks_capacity_for(b, n);
    const uint32_t number = slab_new(b, capacity, units_of(b, capacity) * BLOCK_UNIT);
    if (number == NONE)
        return false;
    b->slabs[number].used = b->slabs[number].fresh = 1;
    b->n_used++;
    b->used_bytes += slab_bytes(b, &b->slabs[number]);
    *block = number << BLOCK_SLAB_SHIFT;
    return true;
}

static bool slab_for(struct blocks *b, size_t kind)
{
    const uint32_t number = slab_new(b, capacities[kind], SLAB_BYTES);
    if (number == NONE)
        return false;
    b->total_of[kind] += b->slabs[number].total;
    chain(b, &b->partial[kind], number);
    return true;
}

/* The class must have a slab with a free block. */
static uint32_t take_of(struct blocks *b, size_t kind)
{
    const uint32_t number = b->partial[kind];
    struct slab *s = &b->slabs[number];
    uint32_t at = s->free_block;
    if (at != NONE)
        memcpy(&s->free_block, mih_blocks_at(s, at), sizeof s->free_block);
    else
        at = (uint32_t)(s->fresh++ * units_of(b, s->capacity));
    if (++s->used == s->total)
        unchain(b, &b->partial[kind], number);
    b->used_of[kind]++;
    b->n_used++;
    b->used_bytes += units_of(b, s->capacity) * BLOCK_UNIT;
    return number << BLOCK_SLAB_SHIFT | at;
}

bool mih_blocks_take(struct blocks *b, uint32_t n, uint32_t *block)
{
    if (n > b->largest)
        return take_own_slab(b, n, block);
    const size_t kind = class_of(b, n);
    if (b->partial[kind] == NONE && !slab_for(b, kind))
        return false;
    *block = take_of(b, kind);
    return true;
}

/* Whether compacting the slab pays: at most a quarter is in use, so that one block is moved for
   three that were freed; the other slabs of the class have space for it; and there is much to gain,
   because as buckets grow, slabs become empty without help. */
static bool is_sparse(const struct blocks *b, size_t kind, const struct slab *s)
{
    return s->used <= s->total / 4 && b->total_of[kind] - b->used_of[kind] >= s->total &&
           b->bytes - b->used_bytes > b->bytes / 8;
}

/* None of its blocks may be in use, and it must be in no list. */
static void drop_of(struct blocks *b, size_t kind, uint32_t number)
{
    b->total_of[kind] -= b->slabs[number].total;
    slab_drop(b, number);
}

void mih_blocks_give_back(struct blocks *b, uint32_t block)
{
    const uint32_t number = block >> BLOCK_SLAB_SHIFT;
    struct slab *s = &b->slabs[number];
    b->n_used--;
    b->used_bytes -= units_of(b, s->capacity) * BLOCK_UNIT;
    s->used--;
    if (s->capacity > b->largest) {
        slab_drop(b, number);
        return;
    }
    const size_t kind = class_of(b, s->capacity);
    b->used_of[kind]--;
    if (s->used + 1 == s->total)
        chain(b, &b->partial[kind], number);
    if (s->used == 0) {
        unchain(b, &b->partial[kind], number);
        drop_of(b, kind, number);
        return;
    }
    memcpy(mih_blocks_at(s, block), &s->free_block, sizeof s->free_block);
    s->free_block = block & ((UINT32_C(1) << BLOCK_SLAB_SHIFT) - 1);
    if (is_sparse(b, kind, s))
        b->sparse = number;
}

void mih_blocks_compact(struct blocks *b, void (*moved)(void *owner, uint32_t from, uint32_t to),
                        void *owner)
{
    uint8_t is_free[(size_t)1 << BLOCK_SLAB_SHIFT];
    const uint32_t number = b->sparse;
    b->sparse = NONE;
    if (number == NONE || number >= b->n_slabs || !b->slabs[number].memory ||
        b->slabs[number].capacity > b->largest)
        return;
    struct slab *s = &b->slabs[number];
    const size_t kind = class_of(b, s->capacity), units = units_of(b, s->capacity);
    if (!is_sparse(b, kind, s))
        return;
    unchain(b, &b->partial[kind], number);
    memset(is_free, 0, s->fresh * units);
    for (uint32_t at = s->free_block; at != NONE;) {
        is_free[at] = 1;
        memcpy(&at, mih_blocks_at(s, at), sizeof at);
    }
    for (uint32_t i = 0, at = 0; i < s->fresh; i++, at += (uint32_t)units) {
        if (is_free[at])
            continue;
        const uint32_t to = take_of(b, kind);
        memcpy(mih_blocks_at(mih_blocks_slab(b, to), to), mih_blocks_at(s, at), units * BLOCK_UNIT);
        b->used_of[kind]--;
        b->n_used--;
        b->used_bytes -= units * BLOCK_UNIT;
        moved(owner, number << BLOCK_SLAB_SHIFT | at, to);
    }
    drop_of(b, kind, number);
}

size_t mih_blocks_bytes(const struct blocks *b)
{
    return b->bytes + b->slabs_capacity * sizeof *b->slabs;
}

/* Counts the slabs in lists, and the free blocks of a slab. */
static size_t chained(const struct blocks *b, size_t kind)
{
    size_t n = 0;
    for (uint32_t i = b->partial[kind]; i != NONE && n <= b->n_slabs; i = b->slabs[i].next)
        n += b->slabs[i].capacity == capacities[kind] && b->slabs[i].used < b->slabs[i].total
                 ? 1
                 : b->n_slabs + 1;
    return n;
}

static bool free_blocks_right(const struct slab *s)
{
    size_t n = 0;
    for (uint32_t at = s->free_block; at != NONE && n <= s->total; n++)
        memcpy(&at, mih_blocks_at(s, at), sizeof at);
    return n == s->fresh - s->used;
}

int mih_blocks_check(const struct blocks *b, struct error *err)
{
    size_t used = 0, bytes = 0, used_bytes = 0, partial = 0, in_lists = 0;
    for (size_t i = 0; i < b->n_slabs; i++) {
        const struct slab *s = &b->slabs[i];
        if (!s->memory)
            continue;
        if (s->used == 0 || s->used > s->fresh || s->fresh > s->total || !free_blocks_right(s))
            return fail(err, ERR_INVARIANT,
                        "mih: slab %zu has %u of %u blocks in use, or a wrong list of free ones", i,
                        s->used, s->total);
        used += s->used;
        used_bytes += s->used * units_of(b, s->capacity) * BLOCK_UNIT;
        bytes += slab_bytes(b, s);
        partial += s->used < s->total;
    }
    for (size_t c = 0; c < BLOCK_CLASSES; c++)
        in_lists += chained(b, c);
    for (size_t c = 0; c < BLOCK_CLASSES; c++) {
        size_t used_of = 0, total_of = 0;
        for (size_t i = 0; i < b->n_slabs; i++)
            if (b->slabs[i].memory && b->slabs[i].capacity == capacities[c]) {
                used_of += b->slabs[i].used;
                total_of += b->slabs[i].total;
            }
        if (used_of != b->used_of[c] || total_of != b->total_of[c])
            return fail(err, ERR_INVARIANT,
                        "mih: %zu of %zu blocks of size %u in use; expected %zu of %zu", used_of,
                        total_of, capacities[c], b->used_of[c], b->total_of[c]);
    }
    if (used != b->n_used || bytes != b->bytes || used_bytes != b->used_bytes ||
        partial != in_lists)
        return fail(err, ERR_INVARIANT,
                    "mih: slabs of %zu bytes with %zu blocks, %zu with free ones; expected %zu, "
                    "%zu, %zu",
                    bytes, used, partial, b->bytes, b->n_used, in_lists);
    return OK;
}
