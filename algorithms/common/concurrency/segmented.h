/* segmented.h - an array that grows without moving, so that readers need no lock.
 *
 * Elements are in chunks of 1024; when the table of chunks is full, a longer one replaces it.
 * Replaced tables are kept until the end (together they are shorter than the last one), so that
 * threads that hold a lock of the owner's may read outside the epoch. Element types are the owner's
 * choice: plain if readers never read during a write, atomic otherwise. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_SEGMENTED_H
#define DRIFTLINE_COMMON_CONCURRENCY_SEGMENTED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEGMENTED_CHUNK = 1024, SEGMENTED_TABLES = 48 };

struct mem;

struct segmented {
    _Atomic(unsigned char **) table;
    size_t element_bytes;
    size_t capacity, table_size; /* elements; chunks that fit in the table: the writer's */
    unsigned char **outgrown[SEGMENTED_TABLES];
    size_t n_outgrown;
    struct mem *mem;
};

void segmented_init(struct segmented *, struct mem *, size_t element_bytes);
void segmented_free(struct segmented *);
/* Grows to elements 0 .. n-1, new ones zero. One thread at a time. false: out of
   memory, unchanged. */
bool segmented_grow(struct segmented *, size_t n);
size_t segmented_bytes(const struct segmented *);

/* i < capacity, a number obtained through the owner's own release store. */
static inline void *segmented_at(const struct segmented *s, size_t i)
{
    unsigned char *const *table =
        atomic_load_explicit(&((struct segmented *)(uintptr_t)s)->table, memory_order_acquire);

    return table[i / SEGMENTED_CHUNK] + i % SEGMENTED_CHUNK * s->element_bytes;
}

#endif
