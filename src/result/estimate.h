/* estimate.h - the time and memory that a plan will take, by what earlier results measured on this
 * machine. For `check`. */
#ifndef DRIFTLINE_RESULT_ESTIMATE_H
#define DRIFTLINE_RESULT_ESTIMATE_H

#include "src/plan/plan.h"
#include "src/result/read.h"

/* The steps of earlier results from this processor model and number of threads. */
struct result_rates {
    struct result *results;
    size_t n_results, results_capacity;
    struct result_rate *rates;
    size_t n, capacity;
};

/* One measured step. The cell belongs to the results. */
struct result_rate {
    const char *result; /* name of the experiment */
    const struct result_cell *cell;
    enum op_kind op;
    enum element element;
    double dim, live;
    double seconds;     /* of a row; of a query: one at a time */
    double batch;       /* seconds of a query in a batch; NAN: not a search */
    double extra_bytes; /* index bytes per live row, less the row's own; NAN: not reported */
};

/* Reads FOLDER/NAME/result.json of all names, but no result that cannot be read. The caller calls
   result_rates_free(), also after ERR_NO_MEMORY. */
int result_rates_read(struct result_rates *, const char *folder, size_t threads, struct error *);
void result_rates_free(struct result_rates *);

/* A measured step counts for an operation of the same method and element if dimension and live rows
   are within this factor. Times are not scaled. */
#define RESULT_RATE_NEAR 4

struct result_estimate {
    size_t cells;
    double seconds;    /* of all cells, without operations that no result has measured */
    size_t unknown;    /* number of those */
    double bytes;      /* of a cell's index at the most live rows; NAN: not known */
    const char *first; /* a result that was used, NULL: none; the rates own it */
    size_t results;    /* number of results that were used, at most 64 */
};

/* Of all cells of a method. Without ground truth, starting processes and reading data. */
void result_estimate(const struct result_rates *, const struct plan *, const struct experiment *,
                     const struct method_spec *, struct result_estimate *);

#endif
