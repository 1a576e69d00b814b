/* scan_internal.h - the state of a scan. scan.c computes bounds for blocks of rows, scan_query.c
 * maintains the candidates of each query. */
#ifndef DRIFTLINE_TRUTH_SCAN_INTERNAL_H
#define DRIFTLINE_TRUTH_SCAN_INTERNAL_H

#include <stdatomic.h>

#include "src/core/mem.h"
#include "src/truth/scan.h"

struct scan_pick {
    float low; /* lower bound of distance - base */
    uint32_t row;
};

/* One query's progress through the rows. */
struct scan_query {
    struct scan_pick *picks;
    size_t n, capacity;
    double limit;  /* rows with low > limit are not needed; a bound of distance - base */
    double base;   /* the term that the product omits: |q|^2, 0 or 2 */
    double length; /* |q| */
    uint32_t query;
};

/* Scratch space of one worker. */
struct scan_worker {
    float *tile;      /* CHUNK_QUERIES x TILE_ROWS */
    uint32_t *chosen; /* TILE_ROWS */
    double *bounds;   /* bounds_capacity */
    size_t bounds_capacity;
    void *row; /* one row, aligned */
    void *run; /* LOAD_ROWS rows; used unless all rows are mapped */
    struct error error;
};

struct scan_run {
    struct exact_scan *scan;
    const struct op_list *list;
    const uint64_t *ids;
    size_t n, keep;
    struct neighbours *known;
    struct mem_group memory; /* of the following arrays, and of the workers' */
    struct scan_query *queries;
    size_t n_queries;
    struct scan_worker *workers;
    double c;                   /* the relative error bound; 0 if low is the exact distance */
    size_t columns;             /* dim + EXTRA */
    float *query_columns;       /* n_queries x columns */
    float *row_columns;         /* block x columns */
    float *lengths;             /* of n rows, each rounded up */
    size_t block, first, count; /* rows per block; the present block, on the device or here */
    _Atomic size_t found;       /* range: candidates found by all workers */
    bool long_query;            /* a query is too long for single precision */
    bool mapped;                /* every row is in memory or mapped */
};

/* scan_device.c. fits: whether the scan is one for the device, where there is one. Then
   scan_device() scans all rows; else scan.c does. */
bool scan_device_fits(const struct scan_run *);
int scan_device(struct scan_run *, struct error *);

/* Copies a vector as floats; returns its length. */
double scan_widen(const struct op_list *, const void *from, float *to);
/* distance(q, x) = squares (<q, q> + <x, x>) + product <q, x> + constant; of_unit: of q and x scaled to
   length 1. */
struct scan_form {
    double squares, product, constant;
    bool of_unit;
};
struct scan_form scan_form_of(enum metric metric);
/* The query's row, in the list's element. */
const void *scan_query_row(const struct scan_run *, uint32_t query);
/* The limit for a horizon, with a margin: rounding in the difference and underflow in the product
   must not exclude a row at the horizon. */
double scan_query_limit(const struct scan_run *, const struct scan_query *,
                        struct neighbour horizon);
/* Adds the rows first + chosen[0 .. n-1] with lower bounds low[chosen[i]] to the picks. */
int scan_query_take(struct scan_run *, struct scan_query *, struct scan_worker *,
                    const uint32_t *chosen, size_t n, const float *low, size_t first);
/* Lowers the limit to the keep-th smallest upper bound and removes the picks beyond it. */
int scan_query_narrow(struct scan_run *, struct scan_query *, struct scan_worker *);
/* Measures all picks exactly and merges them into `known`. Then no picks remain, and the limit is
   that of the horizon. */
int scan_query_measure(struct scan_run *, struct scan_query *, struct scan_worker *);
/* Measures every row of the present block exactly. */
int scan_query_plainly(struct scan_run *, struct scan_query *, struct scan_worker *);

#endif
