/* chunks.h - rows in fixed chunks, in memory or in one mapped file; lists are made of them and give
 * them back.
 *
 * A chunk holds 2^row_shift rows contiguously, so a scan is one kernel call a chunk, and a list
 * grows without moving a row. Row r of chunk c has the number c << row_shift | r. Chunks are
 * allocated a segment at a time; segments never move, so addresses stay valid.
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

struct segment {
    float *rows;     /* chunks_per_segment x rows_per_chunk x dim */
    uint32_t *slots; /* one a row: the vector it is a copy of */
    uint32_t *lists; /* one a chunk: the list that owns it */
};

struct chunks {
    const struct index_env *env;
    size_t dim;
    unsigned row_shift, segment_shift; /* log2 of rows a chunk, chunks a segment */
    struct segment *segments;
    size_t n_segments, capacity;
    uint32_t n_used; /* chunks handed out so far, given back or not */
    uint32_t *free;  /* given back; room for every chunk, so that giving back cannot fail */
    size_t n_free;
    int fd; /* -1: in memory */
    char *path;
};

/* path NULL: in memory; else the file to create, removed again by chunks_close(). ERR_NO_MEMORY,
 * ERR_IO. */
int chunks_open(struct chunks *, const struct index_env *, const char *path);
void chunks_close(struct chunks *);

/* A chunk for `list`, all its slots SLOT_NONE. ERR_NO_MEMORY, ERR_IO where the disk is full. */
int chunk_take(struct chunks *, uint32_t list, uint32_t *chunk);
void chunk_give(struct chunks *, uint32_t chunk);

int chunks_sync(const struct chunks *); /* the file, if any, to the disk. ERR_IO */

size_t chunks_segment_bytes(const struct chunks *); /* of rows, in one segment */

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

static inline uint32_t *chunk_list(const struct chunks *c, uint32_t chunk)
{
    return chunk_segment(c, chunk)->lists + chunk_in_segment(c, chunk);
}

#endif
