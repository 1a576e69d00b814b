/* blocks.c - slabs of equal blocks, linked by class if they have a free one. */
#include "algorithms/hamming/blocks.h"

#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"

#define NONE UINT32_MAX
/* The first slabs are smaller than the others: those of a small index are little memory. */
#define SLAB_BYTES_MIN ((size_t)1 << 10)

void hamming_blocks_init(struct blocks *b, struct mem *mem, const struct block_kind *kind)
{
    *b = (struct blocks){ .mem = mem, .kind = kind, .free_slab = NONE, .sparse = NONE };
    for (size_t c = 0; c <= BLOCK_CLASSES; c++)
        b->classes[c].partial = NONE;
}

void hamming_blocks_free(struct blocks *b)
{
    for (size_t i = 0; i < b->n_slabs; i++)
        mem_free(b->mem, b->slabs[i].memory);
    mem_free(b->mem, b->slabs);
    hamming_blocks_init(b, b->mem, b->kind);
}

static size_t block_bytes(const struct blocks *b, size_t capacity)
{
    const size_t bytes = b->kind->head_bytes + capacity * b->kind->entry_bytes;
    return (bytes + BLOCK_UNIT - 1) / BLOCK_UNIT * BLOCK_UNIT;
}

/* Blocks have at least BLOCK_BYTES_MIN. */
static size_t class_of(const struct blocks *b, size_t n)
{
    const struct block_kind *k = b->kind;
    size_t c = 0;
    while (c < BLOCK_CLASSES &&
           (k->capacities[c] < n ||
            k->head_bytes + k->capacities[c] * k->entry_bytes < BLOCK_BYTES_MIN))
        c++;
    return c < BLOCK_CLASSES && block_bytes(b, k->capacities[c]) <= BLOCK_SLAB_BYTES
               ? c
               : BLOCK_CLASSES;
}

uint32_t hamming_blocks_capacity_for(const struct blocks *b, size_t n)
{
    const size_t c = class_of(b, n), most = n + n / 4;
    if (c < BLOCK_CLASSES)
        return b->kind->capacities[c];
    return (uint32_t)(most > UINT32_MAX - 15 ? n : (most + 15) / 16 * 16);
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

static size_t slab_bytes(const struct blocks *b, const struct slab *s)
{
    return s->total * block_bytes(b, s->capacity);
}

/* A new slab of blocks of this capacity, in the list of its class. false: out of memory. */
static bool slab_new(struct blocks *b, struct block_class *class, uint32_t capacity)
{
    const bool alone = class == &b->classes[BLOCK_CLASSES];
    const size_t each = block_bytes(b, capacity), slab = BLOCK_SLAB_BYTES;
    size_t most = b->bytes / 8;
    most = most < SLAB_BYTES_MIN ? SLAB_BYTES_MIN : most > slab ? slab : most;
    const size_t total = alone || most < each ? 1 : most / each;
    uint32_t number = b->free_slab;
    if (number == NONE) {
        if (b->n_slabs == (size_t)1 << (b->kind->bits - BLOCK_SLAB_SHIFT) ||
            !mem_grow(b->mem, &b->slabs, &b->slabs_capacity, b->n_slabs + 1, sizeof *b->slabs))
            return false;
        number = (uint32_t)b->n_slabs;
    }
    unsigned char *memory = mem_alloc(b->mem, total * each);
    if (!memory)
        return false;
    if (number == b->n_slabs)
        b->n_slabs++;
    else
        b->free_slab = b->slabs[number].next;
    b->slabs[number] = (struct slab){
        .memory = memory, .capacity = capacity, .total = (uint32_t)total, .free_block = NONE
    };
    b->bytes += total * each;
    class->total += total;
    chain(b, &class->partial, number);
    return true;
}

/* None of its blocks may be in use, and it must be in no list. */
static void slab_drop(struct blocks *b, struct block_class *class, uint32_t number)
{
    struct slab *s = &b->slabs[number];
    class->total -= s->total;
    b->bytes -= slab_bytes(b, s);
    mem_free(b->mem, s->memory);
    *s = (struct slab){ .next = b->free_slab };
    b->free_slab = number;
    if (b->bytes == 0)
        hamming_blocks_free(b);
}

/* The class must have a slab with a free block. */
static uint32_t take_of(struct blocks *b, struct block_class *class)
{
    const uint32_t number = class->partial;
    struct slab *s = &b->slabs[number];
    const size_t bytes = block_bytes(b, s->capacity);
    uint32_t at = s->free_block;
    if (at != NONE)
        memcpy(&s->free_block, hamming_blocks_at(s, at), sizeof s->free_block);
    else
        at = (uint32_t)(s->fresh++ * (bytes / BLOCK_UNIT));
    if (++s->used == s->total)
        unchain(b, &class->partial, number);
    class->used++;
    b->n_used++;
    b->used_bytes += bytes;
    return number << BLOCK_SLAB_SHIFT | at;
}

bool hamming_blocks_take(struct blocks *b, size_t n, uint32_t *block)
{
    struct block_class *class = &b->classes[class_of(b, n)];
    if (n > UINT32_MAX ||
        (class->partial == NONE && !slab_new(b, class, hamming_blocks_capacity_for(b, n))))
        return false;
    *block = take_of(b, class);
    return true;
}

/* Whether compacting the slab pays: at most a quarter is in use, so that one block is moved for
   three that were freed; the other slabs of the class have space for it; and there is much to gain,
   because as arrays grow, slabs become empty without help. */
static bool is_sparse(const struct blocks *b, const struct block_class *class, const struct slab *s)
{
    return s->used <= s->total / 4 && class->total - class->used >= s->total &&
           b->bytes - b->used_bytes > b->bytes / 8;
}

void hamming_blocks_give_back(struct blocks *b, uint32_t block)
{
    const uint32_t number = block >> BLOCK_SLAB_SHIFT;
    struct slab *s = &b->slabs[number];
    struct block_class *class = &b->classes[class_of(b, s->capacity)];
    b->n_used--;
    b->used_bytes -= block_bytes(b, s->capacity);
    class->used--;
    if (s->used-- == s->total)
        chain(b, &class->partial, number);
    if (s->used == 0) {
        unchain(b, &class->partial, number);
        slab_drop(b, class, number);
        return;
    }
    memcpy(hamming_blocks_at(s, block), &s->free_block, sizeof s->free_block);
    s->free_block = block & ((UINT32_C(1) << BLOCK_SLAB_SHIFT) - 1);
    if (is_sparse(b, class, s))
        b->sparse = number;
}

void hamming_blocks_compact(struct blocks *b,
                            void (*moved)(void *owner, uint32_t from, uint32_t to), void *owner)
{
    uint8_t is_free[(size_t)1 << BLOCK_SLAB_SHIFT];
    const uint32_t number = b->sparse;
    b->sparse = NONE;
    if (number == NONE || number >= b->n_slabs || !b->slabs[number].memory)
        return;
    struct slab *s = &b->slabs[number];
    struct block_class *class = &b->classes[class_of(b, s->capacity)];
    const size_t bytes = block_bytes(b, s->capacity), units = bytes / BLOCK_UNIT;
    if (!is_sparse(b, class, s))
        return;
    unchain(b, &class->partial, number);
    memset(is_free, 0, s->fresh * units);
    for (uint32_t at = s->free_block; at != NONE;) {
        is_free[at] = 1;
        memcpy(&at, hamming_blocks_at(s, at), sizeof at);
    }
    for (uint32_t i = 0, at = 0; i < s->fresh; i++, at += (uint32_t)units) {
        if (is_free[at])
            continue;
        const uint32_t to = take_of(b, class);
        memcpy(hamming_blocks_at(hamming_blocks_slab(b, to), to), hamming_blocks_at(s, at), bytes);
        class->used--;
        b->n_used--;
        b->used_bytes -= bytes;
        moved(owner, number << BLOCK_SLAB_SHIFT | at, to);
    }
    slab_drop(b, class, number);
}

size_t hamming_blocks_bytes(const struct blocks *b)
{
    return b->bytes + b->slabs_capacity * sizeof *b->slabs;
}

/* Counts the slabs in the list of a class, of which each has a free block. */
static size_t chained(const struct blocks *b, size_t c)
{
    size_t n = 0;
    for (uint32_t i = b->classes[c].partial; i != NONE && n <= b->n_slabs; i = b->slabs[i].next)
        n += class_of(b, b->slabs[i].capacity) == c && b->slabs[i].used < b->slabs[i].total
                 ? 1
                 : b->n_slabs + 1;
    return n;
}

static bool free_blocks_right(const struct slab *s)
{
    size_t n = 0;
    for (uint32_t at = s->free_block; at != NONE && n <= s->total; n++)
        memcpy(&at, hamming_blocks_at(s, at), sizeof at);
    return n == s->fresh - s->used;
}

int hamming_blocks_check(const struct blocks *b, const char *method, struct error *err)
{
    struct block_class found[BLOCK_CLASSES + 1] = { 0 };
    size_t used = 0, bytes = 0, used_bytes = 0, partial = 0, in_lists = 0;
    for (size_t i = 0; i < b->n_slabs; i++) {
        const struct slab *s = &b->slabs[i];
        if (!s->memory)
            continue;
        if (s->used == 0 || s->used > s->fresh || s->fresh > s->total || !free_blocks_right(s))
            return fail(err, ERR_INVARIANT,
                        "%s: slab %zu has %u of %u blocks in use, or a wrong list of free ones",
                        method, i, s->used, s->total);
        used += s->used;
        used_bytes += s->used * block_bytes(b, s->capacity);
        bytes += slab_bytes(b, s);
        partial += s->used < s->total;
        found[class_of(b, s->capacity)].used += s->used;
        found[class_of(b, s->capacity)].total += s->total;
    }
    for (size_t c = 0; c <= BLOCK_CLASSES; c++) {
        const struct block_class *k = &b->classes[c];
        in_lists += chained(b, c);
        if (found[c].used != k->used || found[c].total != k->total)
            return fail(err, ERR_INVARIANT,
                        "%s: %zu of %zu blocks of class %zu in use; expected %zu of %zu", method,
                        found[c].used, found[c].total, c, k->used, k->total);
    }
    if (used != b->n_used || bytes != b->bytes || used_bytes != b->used_bytes ||
        partial != in_lists)
        return fail(err, ERR_INVARIANT,
                    "%s: slabs of %zu bytes with %zu blocks, %zu with free ones; expected %zu, "
                    "%zu, %zu",
                    method, bytes, used, partial, b->bytes, b->n_used, in_lists);
    return OK;
}
