/* scan.h - the most expensive part of the ground truth: compares queries with rows exactly.
 *
 * For floats, one SGEMM per tile gives a proven lower bound of every distance. The rounding error
 * of a dot product is at most g times the sum of its terms' magnitudes. Two columns added to the
 * vectors subtract that bound in the same product. With len = |x| and c >= g:
 *
 *     L2   [-2q, 1, -2c|q|] . [x, (1 - c) len^2, len]   <=  |q - x|^2 - |q|^2
 *     IP   [-q,  0,  -c|q|] . [x, 0, len]               <=  -<q, x>
 *     COS  as IP of unit rows, doubled                  <=  -2 cos
 *
 * A row whose lower bound is above the m-th smallest upper bound cannot be among the m nearest. The
 * few remaining rows per query are measured in double precision (exact.h) and ordered by
 * (distance, id). */
#ifndef DRIFTLINE_TRUTH_SCAN_H
#define DRIFTLINE_TRUTH_SCAN_H

#include "src/workload/live_state.h"

struct cuda;
struct kernels;
struct pool;

struct neighbour {
    double distance;
    uint64_t id;
};

/* The known neighbours of one query. `items` is sorted by (distance, id) and has every live row up
   to the horizon; rows beyond it are not stored. Deletes do not move the horizon. */
struct neighbours {
    struct neighbour *items;
    size_t n, capacity;
    struct neighbour horizon;
};
#define HORIZON_NONE ((struct neighbour){ HUGE_VAL, UINT64_MAX })

/* Whether a precedes b in the order of (distance, id). */
bool scan_before(struct neighbour a, struct neighbour b);
/* The same order, for qsort(). */
int scan_order(const void *, const void *);

struct exact_scan {
    const struct live_state *at;
    const struct kernels *kernels;
    struct pool *pool;
    const struct cuda *cuda; /* scans many queries; NULL: the processor scans all */
    const void *queries;     /* in the list's element, contiguous */
    double flops;            /* floating-point operations so far; the caller sets it to 0 */
    size_t most;             /* range: limit of the candidates of all queries; 0: no limit */
    const volatile int *interrupted; /* once set, the scan ends with ERR_INTERRUPTED; or NULL */
};

/* Bytes of one candidate of a range during the scan: its pick and its entry in `known`, both in
   arrays with spare capacity, and the copy that the sort makes. */
enum { RANGE_ANSWER_BYTES = 64 };

/* Merges the rows ids[0 .. n-1], ascending and not yet in `known`, into known[which[i]] of the
   queries which[0 .. n_which-1]. Keeps at most `keep` per query and moves the horizon to the last
   of them. SIZE_MAX keeps all rows within the horizon; more than scan->most is ERR_NO_MEMORY. */
int scan_rows(struct exact_scan *, const uint64_t *ids, size_t n, const uint32_t *which,
              size_t n_which, struct neighbours *known, size_t keep, struct error *);

#endif
