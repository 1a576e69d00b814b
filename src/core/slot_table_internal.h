/* slot_table_internal.h - the layout of a slot table's entries, and the search of a bucket. */
#ifndef DRIFTLINE_CORE_SLOT_TABLE_INTERNAL_H
#define DRIFTLINE_CORE_SLOT_TABLE_INTERNAL_H

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "src/core/slot_table.h"

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

#endif
