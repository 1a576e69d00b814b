/* segments.h - a growing store of equal elements that never move: in memory, or mapped from one
 * file.
 *
 * Elements are numbered from 0 and allocated one segment of 2^shift elements at a time. In memory,
 * segments are cut from slabs with huge pages: elements are read at random, and with small pages a
 * reader waits for the page table as long as for the data. A segment starts at a multiple of 64.
 *
 * The first segments may be mapped from a saved index, read-only. One of these is copied to the
 * file before the first of its elements is written, so the saved index never changes.
 *
 * One thread at a time may grow the store or copy a segment, while others read elements whose
 * numbers they have from it by a release store. */
#ifndef DRIFTLINE_DIVF_STORAGE_SEGMENTS_H
#define DRIFTLINE_DIVF_STORAGE_SEGMENTS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

enum { SEGMENTS_OUTGROWN = 48 };

struct segments {
    const struct index_env *env;
    size_t element_bytes;
    unsigned shift; /* log2 of elements per segment */
    _Atomic(unsigned char **) base;
    size_t n, capacity; /* segments; pointers that fit in `base` */
    /* Arrays that `base` has outgrown. Searches may read them, so they stay until the end; together
       they are shorter than `base`. */
    unsigned char **outgrown[SEGMENTS_OUTGROWN];
    size_t n_outgrown;
    /* In memory only. */
    void **slabs;
    size_t n_slabs, slabs_capacity;
    unsigned char *slab_next;
    size_t slab_left; /* unused segments of the last slab */
    uint64_t expected;
    int fd; /* -1: in memory */
    char *path;
    size_t n_file;     /* segments of the file, in the order in which they were added */
    const void *saved; /* mapping of a saved index, released by divf_segments_close(); NULL: none */
    size_t saved_bytes;
};

/* path NULL: in memory; else the file to create (with a number appended if the name exists), which
   divf_segments_close() removes. `expected` elements are a hint, 0: none. ERR_NO_MEMORY, ERR_IO. */
int divf_segments_open(struct segments *, const struct index_env *, size_t element_bytes,
                       const char *path, uint64_t expected);
void divf_segments_close(struct segments *);

/* Makes elements 0 .. n - 1 usable, contents undefined. ERR_NO_MEMORY; ERR_IO if the disk
   is full. */
int divf_segments_reserve(struct segments *, uint64_t n);
uint64_t divf_segments_capacity(const struct segments *); /* elements there are */

/* Takes over the mapping of a saved index, in which elements 0 .. n - 1 are at `elements`, a
   multiple of 64. Those that make whole segments become readable; *first is the first of the
   others. The store must be a file, and empty. ERR_NO_MEMORY: the mapping is taken all the same. */
int divf_segments_map(struct segments *, const void *saved, size_t saved_bytes,
                      const void *elements, uint64_t n, uint64_t *first);
/* Makes an element writable, which may copy its segment. ERR_IO if the disk is full,
   ERR_NO_MEMORY. */
int divf_segments_own(struct segments *, uint32_t element);
/* Unmaps the pages of the saved index from memory until they are read. */
void divf_segments_drop_pages(const struct segments *);

int divf_segments_sync(const struct segments *); /* syncs the file, if any. ERR_IO */
/* In memory: bytes of the first n elements, because the pages of the others are untouched; else of
   the file. */
uint64_t divf_segments_bytes(const struct segments *, uint64_t n);
uint64_t divf_segments_table_bytes(const struct segments *); /* of the pointers to segments */

static inline void *divf_segments_at(const struct segments *s, uint32_t element)
{
    unsigned char *const *base =
        atomic_load_explicit(&((struct segments *)(uintptr_t)s)->base, memory_order_acquire);
    size_t in_segment = element & (((uint32_t)1 << s->shift) - 1);
    /* divf_segments_own() may replace the pointer. */
    unsigned char *segment =
        atomic_load_explicit((_Atomic(unsigned char *) *)(uintptr_t)(base + (element >> s->shift)),
                             memory_order_relaxed);
    return segment + in_segment * s->element_bytes;
}

#endif
