/* store_internal.h - sections kept in memory until they are written (store_held.c). */
#ifndef DRIFTLINE_COMMON_DURABLE_STORE_INTERNAL_H
#define DRIFTLINE_COMMON_DURABLE_STORE_INTERNAL_H

#include "algorithms/common/durable/store_file.h"

struct store_held *store_held_create(struct mem *); /* NULL: out of memory */
void store_held_free(struct store_held *);          /* NULL is allowed */
/* Begins a section. At most STORE_SECTIONS_MAX; the tag is at most 15 bytes. */
void store_held_section(struct store_held *, const char *tag);
/* Copies bytes to the section. Returns how many: less than n_bytes if memory has run out. */
size_t store_held_write(struct store_held *, const void *bytes, size_t n_bytes);

/* The beginning of a section, or n bytes of the one before, as they were given. */
struct store_piece {
    const char *tag; /* NULL: bytes */
    const void *bytes;
    size_t n;
};
/* Takes the next piece, which is valid until the next call. false: there is none. */
bool store_held_next(struct store_held *, struct store_piece *);

#endif
