/* drift_data.h - the papers' drift data for the recall tests: 20 000 MNIST digits, then 10 000
 * Fashion-MNIST images; the first 500 test images of each as queries; exact ground truth. Fetched
 * by the catalog, as in an experiment. */
#ifndef DRIFTLINE_TESTS_DRIFT_DATA_H
#define DRIFTLINE_TESTS_DRIFT_DATA_H

#include "tests/support/testing.h"

enum {
    DIM = 784,
    MNIST_ROWS = 20000,
    FASHION_ROWS = 10000,
    ROWS = MNIST_ROWS + FASHION_ROWS,
    QUERIES = 500,
    K = 10
};

struct drift {
    float *rows, *queries[2]; /* rows: MNIST, then Fashion-MNIST; queries: Fashion-MNIST, MNIST */
    float *kth[2];            /* of each query, the distance of its K-th neighbour among all rows */
    uint64_t *ids;            /* 0 .. ROWS - 1 */
    bool is_there;            /* false: fetching failed, the reason was printed; tests skip */
};

/* cmocka's group set-up and tear-down; *state is a struct drift. */
int drift_set_up(void **state);
int drift_tear_down(void **state);

#endif
