/* slot_table.c - many small hash tables, the parts; a bucket is one cache line.
 *
 * Parts. A hash of the id selects its part by linear hashing (Litwin, 1980). The number of parts
 * grows by one when the mean exceeds PART_MEAN ids: the ids of one part are divided between it and
 * the new part. The capacity of a part grows by a third, so the load is between .6 and .8. The 64
 * ids that differ only in their last six bits share a part, so ids inserted or deleted in order
 * stay within a few kilobytes for a while.
 *
 * Buckets. An id is anywhere in its home bucket or, if that is full, in the next one that is not.
 * One step compares all sixteen entries, so the usual call has no branch that is hard to predict.
 * When an id leaves a full bucket, an id that had overflowed to a later bucket moves back.
 *
 * Entries. From the top bit down, an entry holds some bits of the id's hash (the tag), the number
 * of buckets between its home and its place (the distance), and the slot. The slot has as many bits
 * as the slots of the part need. The tag makes it rare to read ids[slot] of another id, which would
 * be a cache miss. A distance has DISTANCE_BITS bits, or fewer if the slots need almost all 32; one
 * that does not fit is computed from the hash of the id instead.
 */
#include "src/core/slot_table.h"

#include <assert.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "src/core/mem.h"

enum { PART_MEAN = 2048, WALK_BLOCK = 64 };

#define EMPTY         UINT32_MAX
#define BUCKET        16 /* entries: a cache line */
#define DISTANCE_BITS 2
#define SLOT_BITS_MIN 8

struct slot_hash {
    size_t part;
    uint32_t home, tag; /* home: a fraction of the part, in units of 2^-32 */
};

/* How the 32 bits of an entry are divided. */
struct slot_layout {
    uint32_t slot_bits, far; /* far: stands for this distance and all longer ones */
    uint32_t slot_mask, tag_mask;
};

static inline struct slot_layout layout_of(uint32_t slot_bits)
{
    const uint32_t spare = 32 - slot_bits;
    const uint32_t bits = spare < DISTANCE_BITS ? spare : DISTANCE_BITS;
    const uint64_t low = slot_bits + bits;
    return (struct slot_layout){ slot_bits, (1U << bits) - 1,
                                 (uint32_t)((UINT64_C(1) << slot_bits) - 1),
                                 (uint32_t) ~((UINT64_C(1) << low) - 1) };
}

static inline uint32_t slot_bits_for(uint32_t slot)
{
    const uint32_t bits = slot + 1 == 0 ? 32 : 32 - (uint32_t)__builtin_clz(slot + 1);
    return bits < SLOT_BITS_MIN ? SLOT_BITS_MIN : bits;
}

static inline size_t part_of(size_t n_parts, uint64_t group)
{
    const size_t mask = SIZE_MAX >> (n_parts > 1 ? __builtin_clzll(n_parts - 1) : 63);
    const size_t part = (size_t)group & mask;
    return part < n_parts ? part : part & mask >> 1;
}

/* A group is 64 ids that differ only in their last six bits. A multiplication alone spreads the ids
   of a group over the part, more evenly than random hashing would. */
static inline struct slot_hash hash_of(size_t n_parts, uint64_t id)
{
    uint64_t group = id >> 6;
    group = (group ^ group >> 32) * UINT64_C(0xd6e8feb86659fd93);
    group = (group ^ group >> 32) * UINT64_C(0xd6e8feb86659fd93);
    group ^= group >> 32;
    const uint64_t spot = (id ^ group) * UINT64_C(0x9e3779b97f4a7c15);
    return (struct slot_hash){ part_of(n_parts, group), (uint32_t)(spot >> 32), (uint32_t)spot };
}

static inline uint32_t home(const struct slot_part *part, struct slot_hash h)
{
    return (uint32_t)((uint64_t)h.home * (part->capacity / BUCKET) >> 32) * BUCKET;
}

static inline uint32_t after(const struct slot_part *part, uint32_t bucket)
{
    return bucket + BUCKET < part->capacity ? bucket + BUCKET : 0;
}

/* Returns one bit for each entry of a bucket: set if it equals `like` in the bits of `mask`. */
#if defined(__SSE2__)
static inline __m128i alike_4(const uint32_t *entries, __m128i like, __m128i mask)
{
    const __m128i e = _mm_load_si128((const __m128i *)entries);
    return _mm_cmpeq_epi32(_mm_and_si128(_mm_xor_si128(e, like), mask), _mm_setzero_si128());
}

static inline uint32_t alike(const uint32_t *bucket, uint32_t like, uint32_t mask)
{
    const __m128i l = _mm_set1_epi32((int)like), m = _mm_set1_epi32((int)mask);
    const __m128i low = _mm_packs_epi32(alike_4(bucket, l, m), alike_4(bucket + 4, l, m));
    const __m128i high = _mm_packs_epi32(alike_4(bucket + 8, l, m), alike_4(bucket + 12, l, m));
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));
}
#else
static inline uint32_t alike(const uint32_t *bucket, uint32_t like, uint32_t mask)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < BUCKET; i++)
        bits |= (uint32_t)(((bucket[i] ^ like) & mask) == 0) << i;
    return bits;
}
#endif

static inline uint32_t empties(const uint32_t *bucket)
{
    return alike(bucket, EMPTY, UINT32_MAX);
}

static inline uint32_t entry_of(struct slot_layout l, struct slot_hash h, uint32_t distance,
                                uint32_t slot)
{
    const uint32_t d = distance < l.far ? distance : l.far;
    return (uint32_t)((h.tag & l.tag_mask) | (uint64_t)d << l.slot_bits | slot);
}

/* The number of ids that a part of this capacity holds before it grows. */
static inline uint32_t slots_allowed(uint32_t capacity)
{
    return capacity / BUCKET * (BUCKET * 13 / 16);
}

/* Returns the position of the id or, if ids is NULL, of the first entry whose stored tag and
   distance match. EMPTY: none. */
static uint32_t find(const struct slot_part *part, struct slot_hash h, const uint64_t *ids,
                     uint64_t id)
{
    if (part->n == 0)
        return EMPTY;
    const struct slot_layout l = layout_of(part->slot_bits);
    uint32_t at = home(part, h);
    for (uint32_t distance = 0;; distance++, at = after(part, at)) {
        const uint32_t *bucket = part->entries + at, empty = empties(bucket);
        uint32_t like = alike(bucket, entry_of(l, h, distance, 0), ~l.slot_mask) & ~empty;
        for (; like; like &= like - 1) {
            const uint32_t i = (uint32_t)__builtin_ctz(like);
            if (!ids || ids[bucket[i] & l.slot_mask] == id)
                return at + i;
        }
        if (empty)
            return EMPTY;
    }
}

static void place(struct slot_part *part, struct slot_hash h, uint32_t slot)
{
    const struct slot_layout l = layout_of(part->slot_bits);
    uint32_t at = home(part, h), distance = 0, empty;
    for (; (empty = empties(part->entries + at)) == 0; distance++)
        at = after(part, at);
    part->entries[at + (uint32_t)__builtin_ctz(empty)] = entry_of(l, h, distance, slot);
    part->n++;
}

/* Allocates an empty part with capacity for n ids. */
static bool part_open(struct slot_table *t, struct slot_part *part, size_t n, size_t at_least)
{
    size_t capacity = n / slots_allowed(BUCKET) * BUCKET + BUCKET;
    capacity = capacity < at_least ? at_least : capacity;
    capacity = (capacity + BUCKET - 1) / BUCKET * BUCKET;
    if (capacity >= UINT32_MAX)
        return false;
    *part = (struct slot_part){ .capacity = (uint32_t)capacity, .slot_bits = t->slot_bits };
    part->entries = mem_array(t->mem, capacity, sizeof *part->entries);
    if (!part->entries)
        return false;
    memset(part->entries, 0xff, capacity * sizeof *part->entries);
    t->entries += capacity;
    return true;
}

static void part_close(struct slot_table *t, struct slot_part *part)
{
    t->entries -= part->capacity;
    mem_free(t->mem, part->entries);
}

/* Calls each(to, hash, slot) for every id of a part, with its hash for n_parts parts. It dominates
   the cost of growing, so it has no branch per entry and prefetches ids in blocks. It takes one
   entry of each bucket in turn, because reading a bucket just after a write to it is slow. */
static void part_walk(const struct slot_part *part, const uint64_t *ids, size_t n_parts,
                      void (*each)(void *to, struct slot_hash, uint32_t slot), void *to)
{
    const uint32_t mask = layout_of(part->slot_bits).slot_mask;
    uint32_t slots[WALK_BLOCK], n = 0, at = 0;
    for (uint32_t i = 0; i < part->capacity; i++) {
        const uint32_t e = part->entries[at];
        slots[n] = e & mask;
        n += e != EMPTY;
        at += BUCKET;
        if (at >= part->capacity)
            at -= part->capacity - 1;
        if (n < WALK_BLOCK && i + 1 < part->capacity)
            continue;
        for (uint32_t j = 0; j < n; j++)
            __builtin_prefetch(ids + slots[j]);
        for (uint32_t j = 0; j < n; j++)
            each(to, hash_of(n_parts, ids[slots[j]]), slots[j]);
        n = 0;
    }
}

static void want_in(void *to, struct slot_hash h, uint32_t slot)
{
    struct slot_table *t = to;
    (void)slot;
    t->parts[h.part].wanted++;
}

static void put_in(void *to, struct slot_hash h, uint32_t slot)
{
    struct slot_table *t = to;
    place(&t->parts[h.part], h, slot);
}

static bool part_reserve(struct slot_table *t, struct slot_part *part, const uint64_t *ids,
                         size_t n)
{
    struct slot_part old = *part;
    if (n <= slots_allowed(old.capacity))
        return true;
    if (!part_open(t, part, n, old.capacity + old.capacity / 3)) {
        *part = old;
        return false;
    }
    part->wanted = old.wanted;
    part_walk(&old, ids, t->n_parts, put_in, t);
    part_close(t, &old);
    return true;
}

/* Divides the ids of a part between it and the last one, which is new. No part has `wanted` ids. */
static bool part_divide(struct slot_table *t, struct slot_part *part, const uint64_t *ids)
{
    struct slot_part old = *part, *last = &t->parts[t->n_parts - 1];
    part_walk(&old, ids, t->n_parts, want_in, t);
    const bool opened = part_open(t, part, part->wanted, 0);
    if (opened && part_open(t, last, last->wanted, 0)) {
        part_walk(&old, ids, t->n_parts, put_in, t);
        part_close(t, &old);
        return true;
    }
    if (opened)
        part_close(t, part);
    *part = old;
    return false;
}

/* Adds a part: divides the next part in the order of linear hashing. */
static bool add_part(struct slot_table *t, const uint64_t *ids)
{
    if (!mem_grow(t->mem, &t->parts, &t->parts_capacity, t->n_parts + 1, sizeof *t->parts))
        return false;
    const size_t new = t->n_parts++;
    const size_t divided = new > 0 ? new ^ (size_t)1 << (63 - __builtin_clzll(new)) : 0;
    t->parts[new] = (struct slot_part){ 0 };
    if (t->parts[divided].n == 0 || part_divide(t, &t->parts[divided], ids))
        return true;
    t->n_parts--;
    return false;
}

/* Rewrites the entries of a part if this slot needs more bits than the others. */
static void widen(struct slot_table *t, struct slot_part *part, uint32_t slot)
{
    const uint32_t bits = slot_bits_for(slot);
    assert(slot != UINT32_MAX);
    t->slot_bits = bits > t->slot_bits ? bits : t->slot_bits;
    if (bits <= part->slot_bits)
        return;
    const struct slot_layout old = layout_of(part->slot_bits), new = layout_of(t->slot_bits);
    for (uint32_t i = 0; i < part->capacity; i++) {
        const uint32_t e = part->entries[i];
        if (e == EMPTY)
            continue;
        const uint32_t distance = (e & ~old.tag_mask) >> old.slot_bits;
        part->entries[i] =
            entry_of(new, (struct slot_hash){ .tag = e }, distance, e & old.slot_mask);
    }
    part->slot_bits = t->slot_bits;
}

void slot_table_init(struct slot_table *t, struct mem *mem)
{
    *t = (struct slot_table){ .mem = mem, .slot_bits = SLOT_BITS_MIN };
}

void slot_table_free(struct slot_table *t)
{
    for (size_t i = 0; i < t->n_parts; i++)
        mem_free(t->mem, t->parts[i].entries);
    mem_free(t->mem, t->parts);
    slot_table_init(t, t->mem);
}

bool slot_table_reserve(struct slot_table *t, const uint64_t *ids, const uint64_t *more, size_t n)
{
    if (n > SIZE_MAX / 4 - t->n)
        return false;
    while (t->n_parts < (t->n + n + PART_MEAN - 1) / PART_MEAN)
        if (!add_part(t, ids))
            return false;
    bool fits = true;
    for (size_t i = 0; i < n; i++)
        t->parts[hash_of(t->n_parts, more[i]).part].wanted++;
    for (size_t i = 0; i < n; i++) {
        struct slot_part *part = &t->parts[hash_of(t->n_parts, more[i]).part];
        if (fits && part->wanted > 0)
            fits = part_reserve(t, part, ids, (size_t)part->n + part->wanted);
        part->wanted = 0;
    }
    return fits;
}

/* Allocates parts for a copy of `t` in an empty table, without its entries. */
static bool open_packed(const struct slot_table *t, const uint64_t *ids, struct slot_table *packed)
{
    const size_t n_parts = (t->n + PART_MEAN - 1) / PART_MEAN;
    packed->slot_bits = t->slot_bits;
    if (!mem_grow(t->mem, &packed->parts, &packed->parts_capacity, n_parts, sizeof *packed->parts))
        return false;
    memset(packed->parts, 0, n_parts * sizeof *packed->parts);
    packed->n_parts = n_parts;
    for (size_t i = 0; i < t->n_parts; i++)
        if (t->parts[i].n > 0)
            part_walk(&t->parts[i], ids, n_parts, want_in, packed);
    for (size_t i = 0; i < n_parts; i++)
        if (!part_open(packed, &packed->parts[i], packed->parts[i].wanted, 0))
            return false;
    return true;
}

bool slot_table_pack(struct slot_table *t, const uint64_t *ids)
{
    struct slot_table packed;
    slot_table_init(&packed, t->mem);
    if (t->n > 0 && !open_packed(t, ids, &packed)) {
        slot_table_free(&packed);
        return false;
    }
    for (size_t i = 0; i < t->n_parts; i++)
        if (t->parts[i].n > 0)
            part_walk(&t->parts[i], ids, packed.n_parts, put_in, &packed);
    packed.n = t->n;
    slot_table_free(t);
    *t = packed;
    return true;
}

void slot_table_put(struct slot_table *t, uint64_t id, uint32_t slot)
{
    const struct slot_hash h = hash_of(t->n_parts, id);
    struct slot_part *part = &t->parts[h.part];
    assert(part->n < slots_allowed(part->capacity));
    widen(t, part, slot);
    place(part, h, slot);
    t->n++;
}

bool slot_table_get(const struct slot_table *t, const uint64_t *ids, uint64_t id, uint32_t *slot)
{
    if (t->n == 0)
        return false;
    const struct slot_hash h = hash_of(t->n_parts, id);
    const struct slot_part *part = &t->parts[h.part];
    const uint32_t at = find(part, h, ids, id);
    if (at != EMPTY && slot)
        *slot = part->entries[at] & layout_of(part->slot_bits).slot_mask;
    return at != EMPTY;
}

/* Returns the distance in buckets between an entry at `at` in `bucket` and its home. */
static uint32_t distance_of(const struct slot_part *part, struct slot_layout l, size_t n_parts,
                            const uint64_t *ids, uint32_t bucket, uint32_t at)
{
    const uint32_t e = part->entries[at];
    const uint64_t distance = (uint64_t)(e & ~l.tag_mask) >> l.slot_bits;
    if (distance < l.far)
        return (uint32_t)distance;
    const uint32_t from = home(part, hash_of(n_parts, ids[e & l.slot_mask]));
    return (bucket >= from ? bucket - from : bucket + part->capacity - from) / BUCKET;
}

/* Fills the hole in a bucket that was full with an entry that had overflowed past it. If the bucket
   of that entry was also full, the hole there is filled likewise. */
static void close_hole(struct slot_part *part, size_t n_parts, const uint64_t *ids, uint32_t bucket,
                       uint32_t hole)
{
    const struct slot_layout l = layout_of(part->slot_bits);
    bool full = true;
    uint32_t from_hole = 1;
    for (uint32_t next = after(part, bucket); full && next != bucket; from_hole++) {
        const uint32_t *entries = part->entries + next;
        const uint32_t empty = empties(entries);
        /* Entries in their home bucket cannot move. A stored distance of 0 identifies them. */
        uint32_t away = ~empty & 0xffff;
        if (l.far > 0)
            away &= ~alike(entries, 0, ~l.tag_mask & ~l.slot_mask);
        full = empty == 0;
        for (; away; away &= away - 1) {
            const uint32_t at = next + (uint32_t)__builtin_ctz(away);
            const uint32_t distance = distance_of(part, l, n_parts, ids, next, at);
            if (distance < from_hole)
                continue;
            const uint32_t e = part->entries[at];
            part->entries[hole] =
                entry_of(l, (struct slot_hash){ .tag = e }, distance - from_hole, e & l.slot_mask);
            part->entries[at] = EMPTY;
            bucket = next;
            hole = at;
            from_hole = 0;
            break;
        }
        next = after(part, next);
    }
}

bool slot_table_remove(struct slot_table *t, const uint64_t *ids, uint64_t id, uint32_t *slot)
{
    if (t->n == 0)
        return false;
    const struct slot_hash h = hash_of(t->n_parts, id);
    struct slot_part *part = &t->parts[h.part];
    const uint32_t at = find(part, h, ids, id);
    if (at == EMPTY)
        return false;
    *slot = part->entries[at] & layout_of(part->slot_bits).slot_mask;
    const uint32_t bucket = at / BUCKET * BUCKET;
    const bool full = empties(part->entries + bucket) == 0;
    part->entries[at] = EMPTY;
    if (full)
        close_hole(part, t->n_parts, ids, bucket, at);
    part->n--;
    t->n--;
    return true;
}

void slot_table_move(struct slot_table *t, uint64_t id, uint32_t from, uint32_t to)
{
    const struct slot_hash h = hash_of(t->n_parts, id);
    struct slot_part *part = &t->parts[h.part];
    widen(t, part, to);
    const uint32_t mask = layout_of(part->slot_bits).slot_mask;
    for (uint32_t bucket = home(part, h);; bucket = after(part, bucket)) {
        const uint32_t same = alike(part->entries + bucket, from, mask);
        if (same) {
            uint32_t *e = part->entries + bucket + __builtin_ctz(same);
            *e = (*e & ~mask) | to;
            return;
        }
        assert(empties(part->entries + bucket) == 0);
    }
}

void slot_table_prefetch(const struct slot_table *t, uint64_t id)
{
    if (t->n == 0)
        return;
    const struct slot_hash h = hash_of(t->n_parts, id);
    const struct slot_part *part = &t->parts[h.part];
    if (part->n > 0)
        __builtin_prefetch(part->entries + home(part, h));
}

uint32_t slot_table_guess(const struct slot_table *t, uint64_t id)
{
    if (t->n == 0)
        return UINT32_MAX;
    const struct slot_hash h = hash_of(t->n_parts, id);
    const struct slot_part *part = &t->parts[h.part];
    const uint32_t at = find(part, h, NULL, id);
    return at == EMPTY ? UINT32_MAX : part->entries[at] & layout_of(part->slot_bits).slot_mask;
}

size_t slot_table_bytes(const struct slot_table *t)
{
    return t->entries * sizeof(uint32_t) + t->parts_capacity * sizeof *t->parts;
}
