/* oracle_scan.h - the heavy part of the truth: a set of queries against a set of rows, exactly.
 *
 * Floats: one SGEMM a tile gives a certified lower bound of every distance. The rounding error of a
 * dot product is at most g (sum of the terms' magnitudes), so two columns added to the vectors
 * subtract that bound inside the same product: with len = |x| and c >= g,
 *
 *     L2   [-2q, 1, -2c|q|] . [x, (1 - c) len^2, len]   <=  |q - x|^2 - |q|^2
 *     IP   [-q,  0,  -c|q|] . [x, 0, len]               <=  -<q, x>
 *     COS  as IP of unit rows, doubled                  <=  -2 cos
 *
 * A row whose lower bound is above the m-th smallest upper bound cannot be among the m nearest;
 * what is left, a handful a query, is measured again in double precision (exact.h) and ordered by
 * (distance, id).
 */
#ifndef DRIFTLINE_ORACLE_SCAN_H
#define DRIFTLINE_ORACLE_SCAN_H

#include "gather.h"

struct kernels;
struct pool;

struct neighbour {
    double distance;
    uint64_t id;
};

/* What is known of one query: every live row at or before the horizon, in the order of
   (distance, id), is in items, which is sorted. Inserts beyond the horizon need not be known;
   deletes leave it where it is. */
struct neighbours {
    struct neighbour *items;
    size_t n, capacity;
    struct neighbour horizon;
};
#define HORIZON_NONE ((struct neighbour){ HUGE_VAL, UINT64_MAX })

bool neighbour_before(struct neighbour a, struct neighbour b);

struct scan {
    const struct holding *at;
    const struct kernels *kernels;
    struct pool *pool;
    const void *queries; /* in the list's element, contiguous */
    double flops;        /* of the products done so far; the caller zeroes it */
    size_t most;         /* candidates of all queries that a range may come to; 0: no limit */
    const volatile int *interrupted; /* NULL: never; set, the scan ends with ERR_INTERRUPTED */
};

/* What a candidate of a range takes while the scan runs: its pick and its entry in `known`, both of
   growing arrays, and the sort's copy. */
enum { RANGE_ANSWER_BYTES = 64 };

/* Merges rows ids[0 .. n-1], ascending and not yet known, into known[which[i]] of queries
   which[0 .. n_which-1]. At most `keep` are kept a query, and the horizon drawn in to the last
   of them; SIZE_MAX keeps all within it, and more than scan->most
   of those is ERR_NO_MEMORY. */
int scan_rows(struct scan *, const uint64_t *ids, size_t n, const uint32_t *which, size_t n_which,
              struct neighbours *known, size_t keep, struct error *);

#endif
