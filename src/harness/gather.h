/* gather.h - rows as methods want them: contiguous, of the right element, of unit length under
 * cosine.
 *
 *   1 buffers   2 the rows of a view   3 the rows that ids stand for at an operation
 *
 * All of it runs outside the clock. Where the data lie in memory as they are wanted, nothing is
 * copied.
 */
#ifndef DRIFTLINE_GATHER_H
#define DRIFTLINE_GATHER_H

#include "record.h"

/* 1. Buffers: pages of their own, so that freeing them gives the memory back and the measured
   growth of the process is the method's. Zero-initialised is empty. */
struct buffer {
    void *bytes; /* page-aligned */
    size_t capacity;
};
int buffer_reserve(struct buffer *, size_t bytes,
                   struct error *); /* contents are lost when it grows */
void buffer_free(struct buffer *);

/* 2. Positions [first, first + n) of a view as `want`; scaled to unit length if `unit` (F32
   only). Points into the data where it can, else into the buffer: valid while both are. */
int gather_view(const struct view *, size_t first, size_t n, enum element want, bool unit,
                struct buffer *, struct vectors *out, struct error *);
/* The same for positions[0 .. n-1]; always copies. */
int gather_positions(const struct view *, const uint64_t *positions, size_t n, enum element want,
                     bool unit, struct buffer *, struct vectors *out, struct error *);
void scale_to_unit(float *rows, size_t n, size_t dim);

/* 3. The live set, and the newest row of every id, moved forward one operation at a time. */
struct holding_row {
    uint32_t dataset; /* index into list->datasets */
    uint32_t since;   /* the operation that stored it, plus one; 0: never */
    uint64_t row;
};
struct holding {
    const struct op_list *list;
    struct holding_row *rows; /* by id */
    struct live_set live;
    uint32_t *attributes; /* by id; NULL where the list has none */
    struct holding *past; /* copies that snapshots made, not yet released; their own past is NULL */
    size_t n_past, past_capacity;
    size_t snapshot; /* of a copy: number of its operation, plus one */
};

int holding_init(struct holding *, const struct op_list *, struct error *);
void holding_free(struct holding *);
/* Operations must be taken in order, each once. */
int holding_step(struct holding *, size_t op, struct error *);
/* What an operation is asked of: its snapshot, or the holding itself. */
const struct holding *holding_of(const struct holding *, const struct op *);
/* Bytes of the copies. */
size_t holding_past_bytes(const struct holding *);
/* Live ids in ascending order, those allowed by the filter (bits NULL: all); out has room for
   live.n. */
size_t holding_ids(const struct holding *, const uint64_t *filter_bits, uint64_t filter_ids,
                   uint64_t *out);
/* One row in the list's own element: where it lies, or read into scratch (room for a row). NULL
   having failed. */
const void *holding_row(const struct holding *, uint64_t id, void *scratch, struct error *);
/* Whether holding_row() never needs its scratch: every dataset lies in memory in the list's
   element. */
bool holding_mapped(const struct holding *);
/* The rows of n ids as `want`, contiguous in out. */
int holding_read(const struct holding *, const uint64_t *ids, size_t n, enum element want,
                 void *out, struct error *);

#endif
