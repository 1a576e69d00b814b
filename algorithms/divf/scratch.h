/* scratch.h - what one thread needs to search: taken from the index's idle ones, given back after. */
#ifndef DRIFTLINE_DIVF_SCRATCH_H
#define DRIFTLINE_DIVF_SCRATCH_H

#include "algorithms/divf/divf.h"

/* Rows of a piece at most: their distances stay in L1. A multiple of any chunk's rows. */
enum { PIECE_ROWS = 256 };

/* Large enough for the lists there are now. NULL: out of memory. Thread-safe. */
struct divf_scratch *divf_scratch_take(struct divf *);
void divf_scratch_give(struct divf *, struct divf_scratch *);
uint64_t divf_scratch_bytes(const struct divf *); /* of the idle ones */

/* Room for a group of n queries; with product > 0 also for nearest_rows() of that many lists a
   query, always the same number. false: out of memory. */
bool divf_scratch_fit_group(struct divf *, struct divf_scratch *, size_t n, size_t nprobe,
                            size_t product);

#endif
