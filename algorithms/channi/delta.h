/* delta.h - a cluster's rows since its file was written: appended by the one writer, read by all. A row
 * stays where it was put; it is seen at a version if it was born by then and not dead yet.
 */
#ifndef DRIFTLINE_CHANNI_DELTA_H
#define DRIFTLINE_CHANNI_DELTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/mem.h"

#define ROW_VOID UINT64_MAX /* born: was never committed */

enum { DELTA_FIRST = 16, DELTA_CHUNKS = 28 };

/* Row i is in chunk c = floor(log2(i / 16 + 1)), whose first is 16 (2^c - 1). */
struct delta_chunk {
    _Atomic(uint64_t) *born, *dead; /* dead 0: alive */
    uint64_t *ids;
    uint32_t *attributes;
    unsigned char *rows;
};

struct delta {
    _Atomic(struct delta_chunk *) chunks[DELTA_CHUNKS];
    _Atomic(uint32_t) n;
    atomic_size_t bytes;
    size_t row_bytes;
    struct mem *mem;
};

struct delta_row {
    const unsigned char *row;
    uint64_t id;
    uint32_t attribute;
    _Atomic(uint64_t) *born, *dead;
};

void delta_init(struct delta *, struct mem *, size_t row_bytes);
void delta_free(struct delta *);
bool delta_reserve(struct delta *, size_t more); /* false: out of memory */
/* Room was reserved. Returns its number. */
uint32_t delta_append(struct delta *, const void *row, uint64_t id, uint32_t attribute,
                      uint64_t born, uint64_t dead);
static inline uint32_t delta_count(const struct delta *d)
{
    return atomic_load_explicit(&((struct delta *)(uintptr_t)d)->n, memory_order_acquire);
}
struct delta_row delta_at(const struct delta *, uint32_t i);
/* The rows of one chunk in a row, for scans: rows [first, first + *n) from number i on. */
const struct delta_chunk *delta_run(const struct delta *, uint32_t i, uint32_t *offset,
                                    uint32_t *n);

static inline bool channi_sees(uint64_t version, uint64_t born, uint64_t dead)
{
    return born <= version && (dead == 0 || dead > version);
}

#endif
