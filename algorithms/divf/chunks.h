/* chunks.h - what lists are made of: 64 codes of a quantizer, whose vectors they are, and which of
 * them live.
 *
 * A list's codes lie in chunks anywhere; a scan fetches the next while it reads one, so runs of them
 * would gain nothing. Vector i of chunk c has the *place* c << 6 | i. Without a quantizer chunks
 * have no block and name slots only.
 */
#ifndef DRIFTLINE_DIVF_CHUNKS_H
#define DRIFTLINE_DIVF_CHUNKS_H

#include "algorithms/common/quantizer.h"
#include "algorithms/divf/segments.h"

#define CHUNK_VECTORS QUANTIZER_BLOCK
#define CHUNK_SHIFT   6
#define CHUNK_NONE    UINT32_MAX
#define PLACE_NONE    UINT32_MAX

/* What deletions and scans look at first: apart from the chunks, so that all of it is in a cache. */
struct chunk_head {
    uint64_t live; /* bit i: vector i is a stored one's; else deleted, or never there */
    uint32_t list; /* CHUNK_NONE: the chunk is free */
    uint32_t next_free;
};

struct chunk {
    uint32_t slots[CHUNK_VECTORS];
    unsigned char block[]; /* quantizer->block_bytes, from a multiple of 64 */
};

struct chunks {
    struct segments heads, store;
    size_t block_bytes;
    uint32_t n_used; /* chunks that are or were of some list */
    uint32_t n_free; /* of these, now free */
    uint32_t first_free;
};

/* block_bytes: a multiple of 64; expected chunks are a hint. */
int chunks_open(struct chunks *, const struct index_env *, size_t block_bytes, uint64_t expected);
void chunks_close(struct chunks *);

/* A chunk for `list`, none of it live. ERR_NO_MEMORY, ERR_ARGUMENT (as many as an index can hold). */
int chunk_take(struct chunks *, uint32_t list, uint32_t *chunk);
void chunk_give(struct chunks *, uint32_t chunk);

static inline struct chunk *chunk_at(const struct chunks *c, uint32_t chunk)
{
    return (struct chunk *)segments_at(&c->store, chunk);
}

static inline struct chunk_head *chunk_head(const struct chunks *c, uint32_t chunk)
{
    return (struct chunk_head *)segments_at(&c->heads, chunk);
}

static inline struct chunk *place_chunk(const struct chunks *c, uint32_t place)
{
    return chunk_at(c, place >> CHUNK_SHIFT);
}

static inline struct chunk_head *place_head(const struct chunks *c, uint32_t place)
{
    return chunk_head(c, place >> CHUNK_SHIFT);
}

static inline unsigned place_in_chunk(uint32_t place)
{
    return place & (CHUNK_VECTORS - 1);
}

static inline bool place_live(const struct chunks *c, uint32_t place)
{
    return place_head(c, place)->live >> place_in_chunk(place) & 1;
}

static inline void place_set_live(const struct chunks *c, uint32_t place, bool live)
{
    uint64_t bit = UINT64_C(1) << place_in_chunk(place);
    struct chunk_head *head = place_head(c, place);
    head->live = live ? head->live | bit : head->live & ~bit;
}

static inline uint32_t place_slot(const struct chunks *c, uint32_t place)
{
    return place_chunk(c, place)->slots[place_in_chunk(place)];
}

uint64_t chunks_bytes(const struct chunks *); /* but for the blocks */

#endif
