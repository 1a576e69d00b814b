/* stable.h - an array that grows without moving, so that readers need no lock.
 *
 * Elements lie in chunks of 1024; the table of chunks is replaced by a longer one when it is full.
 * Outgrown tables stay to the end (all of them are shorter than the last one), so that who holds a
 * lock of the owner's need not be inside the epoch. What is in an element is the owner's: plain where
 * readers cannot meet its writer, atomic otherwise.
 */
#ifndef DRIFTLINE_STABLE_H
#define DRIFTLINE_STABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STABLE_CHUNK = 1024, STABLE_TABLES = 48 };

struct mem;

struct stable {
    _Atomic(unsigned char **) table;
    size_t element_bytes;
    size_t capacity, table_size; /* elements; chunks the table has room for: the writer's */
    unsigned char **outgrown[STABLE_TABLES];
    size_t n_outgrown;
    struct mem *mem;
};

void stable_init(struct stable *, struct mem *, size_t element_bytes);
void stable_free(struct stable *);
/* So that elements 0 .. n-1 are there, new ones zero. One thread at a time. false: out of memory,
   unchanged. */
bool stable_grow(struct stable *, size_t n);
size_t stable_bytes(const struct stable *);

/* i < capacity, known through the owner's own release store. */
static inline void *stable_at(const struct stable *s, size_t i)
{
    unsigned char *const *table =
        atomic_load_explicit(&((struct stable *)(uintptr_t)s)->table, memory_order_acquire);

    return table[i / STABLE_CHUNK] + i % STABLE_CHUNK * s->element_bytes;
}

#endif
