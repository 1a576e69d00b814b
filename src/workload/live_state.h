/* live_state.h - the live ids after an operation, with the newest row and attribute of each. Runs
 * outside the clock. */
#ifndef DRIFTLINE_WORKLOAD_LIVE_STATE_H
#define DRIFTLINE_WORKLOAD_LIVE_STATE_H

#include "src/workload/op.h"

/* The live ids as a bitmap. */
struct live_set {
    uint64_t *bits;
    size_t n_ids, n;
};
static inline bool live_has(const struct live_set *l, uint64_t id)
{
    return id < l->n_ids && (l->bits[id >> 6] >> (id & 63) & 1);
}

struct live_row {
    uint32_t dataset; /* index into list->datasets */
    uint32_t since;   /* the operation that stored it, plus one; 0: never */
    uint64_t row;
};
struct live_replaced {
    uint64_t id;
    struct live_row row;
};
struct live_state {
    const struct op_list *list;
    struct live_row *rows; /* by id */
    struct live_set live;
    int64_t *attributes; /* records of n_fields fields, by id; NULL if there are none */
    size_t n_fields; /* of the list; while one is recorded, those of the last live_state_grow() */
    /* rows that the last step of threads replaced, by id */
    struct live_replaced *replaced;
    size_t n_replaced, replaced_capacity;
    /* copies for the snapshots that are not released; their own `past` is NULL */
    struct live_state *past;
    size_t n_past, past_capacity;
    size_t snapshot; /* in a copy: number of the snapshot operation, plus one */
};

/* The state before the first operation. The caller calls live_state_free(), also on failure. */
int live_state_init(struct live_state *, const struct op_list *, struct error *);
void live_state_free(struct live_state *);
/* Applies operation `op`; called once for each operation, in order. */
int live_state_step(struct live_state *, size_t op, struct error *);
/* For a recorder, which changes `live` itself: gives `s` space for the ids and fields that the list has
   now; assigns the rows of operation `at` to its ids, and keeps or drops a snapshot; copies all but the
   snapshots; replaces all but the snapshots by a copy, which is then empty. */
int live_state_grow(struct live_state *s, struct error *);
int live_state_take(struct live_state *s, size_t at, struct error *);
int live_state_copy(const struct live_state *s, struct live_state *copy, struct error *);
void live_state_replace(struct live_state *s, struct live_state *copy);
/* The state that an operation searches: its snapshot's, or this one. */
const struct live_state *live_state_of(const struct live_state *, const struct op *);
/* Bytes of the copies. */
size_t live_state_past_bytes(const struct live_state *);
/* Writes the live ids that the filter allows (bits NULL: all), ascending; returns how many. `out`
   has space for live.n ids. */
size_t live_state_ids(const struct live_state *, const uint64_t *filter_bits, uint64_t filter_ids,
                      uint64_t *out);
/* One row with the list's element: a pointer into the data, or a copy in `scratch`, which has space
   for one row. NULL on failure. */
const void *live_state_row(const struct live_state *, uint64_t id, void *scratch, struct error *);
/* The same as it was before the last step, a concurrent or mixed one that removed or updated it. */
const void *live_state_row_before(const struct live_state *, uint64_t id, void *scratch,
                                  struct error *);
/* Whether all datasets are in memory with the list's element, so that live_state_row() does not use
   its scratch. */
bool live_state_mapped(const struct live_state *);
/* Copies the rows of n ids to out, contiguous, with element `want`. */
int live_state_read(const struct live_state *, const uint64_t *ids, size_t n, enum element want,
                    void *out, struct error *);

#endif
