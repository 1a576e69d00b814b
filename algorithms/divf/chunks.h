/* chunks.h - rows in fixed chunks, in memory or in one mapped file; lists are made of them and give
 * them back.
 *
 * A chunk holds 2^row_shift rows. Four chunks in a row, at a multiple of four, can be had as one
 * extent of class 1, four of those as one of class 2, and so on up to class_max (a buddy system):
 * a long list lies in long runs, which a scan reads at the speed of memory, and a short one wastes
 * less than a chunk. Row r of chunk c has the number c << row_shift | r. Chunks are allocated a
 * segment at a time; segments never move, so addresses stay valid.
 */
#ifndef DRIFTLINE_DIVF_CHUNKS_H
#define DRIFTLINE_DIVF_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

/* In a row's slot: the row is deleted, or was never used. */
#define SLOT_NONE UINT32_MAX
#define ROW_NONE  UINT32_MAX

#define CHUNK_CLASSES 8
#define CHUNK_NONE    UINT32_MAX

/* Of a chunk: its list, or that it is the first of a free extent, or in one. */
struct chunk_state {
    uint32_t list;       /* CHUNK_NONE: free */
    uint32_t class;      /* free, the first of its extent: the extent's class; else CHUNK_NONE */
    uint32_t next, last; /* such a first: neighbours on its class's free list, or CHUNK_NONE */
};

struct segment {
    float *rows;     /* chunks_per_segment x rows_per_chunk x dim */
    uint32_t *slots; /* one a row: the vector it is a copy of */
    struct chunk_state *state;
};

struct chunks {
    const struct index_env *env;
    size_t dim;
    unsigned row_shift, segment_shift; /* log2 of rows a chunk, chunks a segment */
    unsigned class_max;
    struct segment *segments;
    size_t n_segments, capacity;
    uint32_t n_used;              /* chunks in the segments that are or were of some list */
    uint32_t n_free;              /* of these, now free */
    uint32_t free[CHUNK_CLASSES]; /* first free extent of each class, or CHUNK_NONE */
    /* In memory, segments are cut from slabs. */
    void **slabs;
    size_t n_slabs, slabs_capacity;
    float *slab_next;
    size_t slab_left; /* segments in the last slab not yet taken */
    uint64_t expected_rows;
    int fd; /* -1: in memory */
    char *path;
};

/* path NULL: in memory; else the file to create, removed again by chunks_close(). expected_rows is
   a hint, 0: none. ERR_NO_MEMORY, ERR_IO. */
int chunks_open(struct chunks *, const struct index_env *, const char *path,
                uint64_t expected_rows);
void chunks_close(struct chunks *);

/* An extent of 4^class chunks for `list`, all slots SLOT_NONE; *chunk is its first. ERR_NO_MEMORY,
   ERR_IO where the disk is full. */
int chunk_take(struct chunks *, uint32_t list, unsigned class, uint32_t *chunk);
/* One chunk, whatever extent it came in. */
void chunk_give(struct chunks *, uint32_t chunk);

int chunks_sync(const struct chunks *); /* the file, if any, to the disk. ERR_IO */

size_t chunks_segment_bytes(const struct chunks *); /* of rows, in one segment */
uint64_t chunks_row_bytes(const struct chunks *);   /* resident, or of the file */

static inline struct segment *chunk_segment(const struct chunks *c, uint32_t chunk)
{
    return &c->segments[chunk >> c->segment_shift];
}

static inline size_t chunk_in_segment(const struct chunks *c, uint32_t chunk)
{
    return chunk & (((size_t)1 << c->segment_shift) - 1);
}

static inline float *chunk_rows(const struct chunks *c, uint32_t chunk)
{
    return chunk_segment(c, chunk)->rows + (chunk_in_segment(c, chunk) << c->row_shift) * c->dim;
}

static inline uint32_t *row_slot(const struct chunks *c, uint32_t row)
{
    uint32_t in_segment = row & (((uint32_t)1 << (c->row_shift + c->segment_shift)) - 1);
    return chunk_segment(c, row >> c->row_shift)->slots + in_segment;
}

static inline float *row_vector(const struct chunks *c, uint32_t row)
{
    return chunk_rows(c, row >> c->row_shift) +
           (row & (((uint32_t)1 << c->row_shift) - 1)) * c->dim;
}

static inline struct chunk_state *chunk_state(const struct chunks *c, uint32_t chunk)
{
    return chunk_segment(c, chunk)->state + chunk_in_segment(c, chunk);
}

/* Whether b's rows follow a's in memory. */
static inline bool chunk_follows(const struct chunks *c, uint32_t a, uint32_t b)
{
    return b == a + 1 && chunk_in_segment(c, b) != 0;
}

#endif
