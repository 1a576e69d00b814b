/* segments.h - a growing store of equal elements that never move: allocated, or mapped from one
 * file.
 *
 * Elements are numbered from 0 and come a segment at a time, 2^shift of them. In memory, segments
 * are cut from slabs that ask for huge pages: elements are read at random, and with small pages a
 * reader waits for the page table as much as for them. A segment starts at a multiple of 64.
 */
#ifndef DRIFTLINE_DIVF_SEGMENTS_H
#define DRIFTLINE_DIVF_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

struct segments {
    const struct index_env *env;
    size_t element_bytes;
    unsigned shift; /* log2 of elements a segment */
    unsigned char **base;
    size_t n, capacity;
    /* In memory. */
    void **slabs;
    size_t n_slabs, slabs_capacity;
    unsigned char *slab_next;
    size_t slab_left; /* segments in the last slab not yet taken */
    uint64_t expected;
    int fd; /* -1: in memory */
    char *path;
};

/* path NULL: in memory; else the file to create (with a number behind it where there is one of that
   name already), removed again by segments_close(). `expected`
   elements are a hint, 0: none. ERR_NO_MEMORY, ERR_IO. */
int segments_open(struct segments *, const struct index_env *, size_t element_bytes,
                  const char *path, uint64_t expected);
void segments_close(struct segments *);

/* So that elements 0 .. n - 1 are there; their contents are undefined. ERR_NO_MEMORY, ERR_IO where
   the disk is full. */
int segments_reserve(struct segments *, uint64_t n);
uint64_t segments_room(const struct segments *); /* elements there are */

int segments_sync(const struct segments *); /* the file, if any, to the disk. ERR_IO */
/* In memory: of the first n elements, as pages of the others are untouched; else of the file. */
uint64_t segments_bytes(const struct segments *, uint64_t n);

static inline void *segments_at(const struct segments *s, uint32_t element)
{
    size_t in_segment = element & (((uint32_t)1 << s->shift) - 1);
    return s->base[element >> s->shift] + in_segment * s->element_bytes;
}

#endif
