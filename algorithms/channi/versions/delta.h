/* delta.h - the rows of a cluster that are not in its file: appended by the one writer, read by
 * all. A row never moves. It is visible at versions from its birth until its death.
 *
 * Where files have codes, deltas of some rows have them too. The writer copies the codes of a delta into a new
 * block, adds those of its new rows, and publishes the block whole: it never changes afterwards. */
#ifndef DRIFTLINE_CHANNI_VERSIONS_DELTA_H
#define DRIFTLINE_CHANNI_VERSIONS_DELTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/channi/files/columns.h"
#include "algorithms/common/concurrency/epoch.h"
#include "src/core/mem.h"

#define ROW_VOID UINT64_MAX /* value of born: never committed */

enum { DELTA_FIRST = 16, DELTA_CHUNKS = 28 };

/* Row i is in chunk c = floor(log2(i / 16 + 1)), whose first row is 16 (2^c - 1). */
struct channi_delta_chunk {
    _Atomic(uint64_t) *born, *dead; /* dead 0: alive */
    uint64_t *ids;
    int64_t *attributes; /* records of the delta's n_fields */
    unsigned char *rows;
};

/* A delta of fewer rows has no codes: a scan of codes takes as long as their distances. */
enum { DELTA_CODED_LEAST = 8 };

/* The codes of the first n rows, relative to the site; one block of memory. */
struct channi_delta_codes {
    struct epoch_item item; /* first: the address of the block */
    uint32_t n;
    float error;
    size_t bytes; /* of the block */
    float *centre;
    unsigned char *codes; /* as in a file */
};

struct channi_delta {
    _Atomic(struct channi_delta_chunk *) chunks[DELTA_CHUNKS];
    _Atomic(struct channi_delta_codes *) codes; /* NULL: none */
    _Atomic(uint32_t) n;
    atomic_size_t bytes, code_bytes; /* of memory: rows with what belongs to them, codes */
    size_t row_bytes, n_fields;
    struct mem *mem;
};

struct channi_delta_row {
    const unsigned char *row;
    uint64_t id;
    struct channi_record record;
    _Atomic(uint64_t) *born, *dead;
};

void channi_delta_init(struct channi_delta *, struct mem *, size_t row_bytes, size_t n_fields);
void channi_delta_free(struct channi_delta *);
bool channi_delta_reserve(struct channi_delta *, size_t more); /* false: out of memory */
/* Appends a row; capacity must be reserved. Returns its number. */
uint32_t channi_delta_append(struct channi_delta *, const void *row, uint64_t id,
                             struct channi_record, uint64_t born, uint64_t dead);
static inline uint32_t channi_delta_count(const struct channi_delta *d)
{
    return atomic_load_explicit(&((struct channi_delta *)(uintptr_t)d)->n, memory_order_acquire);
}
static inline const struct channi_delta_codes *channi_delta_codes(const struct channi_delta *d)
{
    return atomic_load_explicit(&((struct channi_delta *)(uintptr_t)d)->codes,
                                memory_order_acquire);
}
struct channi_delta_row channi_delta_at(const struct channi_delta *, uint32_t i);
/* For scans: the chunk with row i. Rows [offset, offset + *n) of the chunk are the rows
   from i on. */
const struct channi_delta_chunk *channi_delta_run(const struct channi_delta *, uint32_t i,
                                                  uint32_t *offset, uint32_t *n);

static inline bool channi_sees(uint64_t version, uint64_t born, uint64_t dead)
{
    return born <= version && (dead == 0 || dead > version);
}

#endif
