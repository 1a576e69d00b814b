/* batch.h - adding many rows to buckets, for insertion and for re-encoding to a newer model.
 *
 *     asteria_batch_begin(&b, a, most); b.rows = ..; b.n = ..; asteria_batch_encode(&b);
 *     b.slots[i] = ..; asteria_batch_reserve(&b, n_slots); asteria_batch_put(&b);
 *     mem_group_free(&b.memory);
 *
 * Rows are added in the order of their addresses.
 */
#ifndef DRIFTLINE_ASTERIA_BUCKETS_BATCH_H
#define DRIFTLINE_ASTERIA_BUCKETS_BATCH_H

#include "algorithms/asteria/asteria.h"
#include "src/core/mem.h"

/* Rows of one bucket: places first .. first + n - 1 of the order. */
struct asteria_batch_group {
    uint32_t first, n, bucket;
};

struct asteria_batch {
    struct asteria *a;
    struct mem_group memory;
    const unsigned char *rows; /* n, as inserted */
    size_t n, row_bytes;
    uint32_t *slots, *next; /* by row; ascending, for insertion */
    float *units, *z, *p;
    struct asteria_encoding *encodings;
    uint64_t *order; /* address << 32 | row, ascending */
    struct asteria_batch_group *groups;
    size_t n_groups;
};

/* Suitable number of rows of a batch. */
size_t asteria_batch_rows(const struct asteria *);
/* Allocates space for `most` rows. ERR_NO_MEMORY. Call mem_group_free(&b.memory) in any case. */
int asteria_batch_begin(struct asteria_batch *, struct asteria *, size_t most);
/* Encodes the rows by the newest model. ERR_NO_MEMORY. */
int asteria_batch_encode(struct asteria_batch *);
/* The row at place i of the order. */
static inline uint32_t batch_row(const struct asteria_batch *b, size_t i)
{
    return (uint32_t)b->order[i];
}
/* Reserves memory in the newest model's buckets for rows with slots below
   n_slots. ERR_NO_MEMORY. */
int asteria_batch_reserve(struct asteria_batch *, size_t n_slots);
/* Adds the rows to their buckets, sets their places, and adds them to the tree, which must have
   space reserved. Cannot fail. */
void asteria_batch_put(struct asteria_batch *);

#endif
