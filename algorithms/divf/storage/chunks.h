/* chunks.h - the blocks of which lists consist: 64 codes of a quantizer, the slots of their
 * vectors, and which of them are live.
 *
 * A list's chunks need not be contiguous: a scan prefetches the next one while it reads one, so
 * contiguous chunks would gain nothing. Vector i of chunk c has the *place* c << 6 | i. Without a
 * quantizer chunks have slots only. */
#ifndef DRIFTLINE_DIVF_STORAGE_CHUNKS_H
#define DRIFTLINE_DIVF_STORAGE_CHUNKS_H

#include <stdatomic.h>

#include "algorithms/common/concurrency/latch.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "algorithms/divf/storage/segments.h"

#define CHUNK_VECTORS QUANTIZER_BLOCK
#define CHUNK_SHIFT   6
#define CHUNK_NONE    UINT32_MAX
#define PLACE_NONE    UINT32_MAX

/* The part that deletions and scans read first. It is separate from the chunks, so that all heads
   fit in a cache. Searches read `live` alone, while changes write it: a bit that is set says that
   the vector's slot and code are in their place. */
struct divf_chunk_head {
    _Atomic(uint64_t) live; /* bit i: vector i is stored; else deleted, or never used */
    uint32_t list;          /* CHUNK_NONE: the chunk is free */
    uint32_t next_free;
};

struct divf_chunk {
    uint32_t slots[CHUNK_VECTORS];
    unsigned char block[]; /* quantizer->block_bytes, from a multiple of 64 */
};

struct chunks {
    struct segments heads, store;
    size_t block_bytes;
    uint32_t n_used; /* chunks that are or were part of a list */
    uint32_t n_free; /* those of them that are now free */
    uint32_t first_free;
};

/* block_bytes: a multiple of 64; `expected` chunks are a hint. ERR_NO_MEMORY. */
int divf_chunks_open(struct chunks *, const struct index_env *, size_t block_bytes,
                     uint64_t expected);
void divf_chunks_close(struct chunks *);

/* Takes a chunk for `list`, with no live vector. ERR_NO_MEMORY, ERR_ARGUMENT (the maximum number
   is reached). */
int divf_chunk_take(struct chunks *, uint32_t list, uint32_t *chunk);
void divf_chunk_give(struct chunks *, uint32_t chunk);

static inline struct divf_chunk *divf_chunk_at(const struct chunks *c, uint32_t chunk)
{
    return (struct divf_chunk *)divf_segments_at(&c->store, chunk);
}

static inline struct divf_chunk_head *divf_chunk_head(const struct chunks *c, uint32_t chunk)
{
    return (struct divf_chunk_head *)divf_segments_at(&c->heads, chunk);
}

static inline struct divf_chunk *divf_place_chunk(const struct chunks *c, uint32_t place)
{
    return divf_chunk_at(c, place >> CHUNK_SHIFT);
}

static inline struct divf_chunk_head *divf_place_head(const struct chunks *c, uint32_t place)
{
    return divf_chunk_head(c, place >> CHUNK_SHIFT);
}

static inline unsigned divf_place_in_chunk(uint32_t place)
{
    return place & (CHUNK_VECTORS - 1);
}

static inline uint64_t divf_chunk_live(const struct chunks *c, uint32_t chunk)
{
    return atomic_load_explicit(&divf_chunk_head(c, chunk)->live, memory_order_acquire);
}

static inline bool divf_place_live(const struct chunks *c, uint32_t place)
{
    return divf_chunk_live(c, place >> CHUNK_SHIFT) >> divf_place_in_chunk(place) & 1;
}

/* For the one thread that changes the list. */
static inline void divf_place_set_live(const struct chunks *c, uint32_t place, bool live)
{
    uint64_t bit = UINT64_C(1) << divf_place_in_chunk(place);
    struct divf_chunk_head *head = divf_place_head(c, place);
    uint64_t old = atomic_load_explicit(&head->live, memory_order_relaxed);
    atomic_store_explicit(&head->live, live ? old | bit : old & ~bit, memory_order_release);
}

static inline uint32_t divf_place_slot(const struct chunks *c, uint32_t place)
{
    return divf_place_chunk(c, place)->slots[divf_place_in_chunk(place)];
}

uint64_t divf_chunks_bytes(const struct chunks *); /* without the blocks */

#endif
