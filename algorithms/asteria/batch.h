/* batch.h - many rows on their way into buckets: of insert.c, and of maintain.c, which moves rows to a newer model's.
 *
 *     batch_begin(&b, a, most); b.rows = ..; b.n = ..; batch_encode(&b); b.slots[i] = ..;
 *     batch_reserve(&b); batch_put(&b); batch_free(&b);
 *
 * Rows go in in the order of their addresses.
 */
#ifndef DRIFTLINE_ASTERIA_BATCH_H
#define DRIFTLINE_ASTERIA_BATCH_H

#include "algorithms/asteria/asteria.h"

/* Rows of one bucket: of_bucket[first .. first + n - 1]. */
struct group {
    uint32_t first, n, bucket;
};

struct batch {
    struct asteria *a;
    uint32_t version;          /* of the model that rows were encoded by */
    const unsigned char *rows; /* n, as they came */
    size_t n, row_bytes;
    uint32_t *slots; /* by row */
    float *units, *z, *p;
    struct encoding *encodings;
    const struct encoding **of_bucket; /* by order */
    uint64_t *order;                   /* address << 32 | row, ascending */
    struct group *groups;
    size_t n_groups;
};

/* Rows that are best put at once. */
size_t batch_rows(const struct asteria *);
/* Room for `most` rows. ERR_NO_MEMORY. */
int batch_begin(struct batch *, struct asteria *, size_t most);
void batch_free(struct batch *);
/* By the model of now. */
int batch_encode(struct batch *);
/* Row of place i of the order. */
static inline uint32_t batch_row(const struct batch *b, size_t i)
{
    return (uint32_t)b->order[i];
}
/* Room in the buckets of now for rows that have slots below n_slots. */
int batch_reserve(struct batch *, size_t n_slots);
/* Puts rows into buckets, sets their places, and tells the tree, which has room. */
void batch_put(struct batch *);

#endif
