/* rows.h - the state of a synthetic source, and computing its rows. For src/data/synthetic only. */
#ifndef DRIFTLINE_DATA_SYNTHETIC_ROWS_H
#define DRIFTLINE_DATA_SYNTHETIC_ROWS_H

#include "src/data/synthetic/synthetic.h"

struct synthetic {
    enum synthetic_kind kind;
    struct synthetic_params params;
    uint64_t seed;
    size_t n;
    bool is_query;
    uint64_t query_seed;
    double at;

    void *tables; /* the block that the pointers below point into */
    /* mixture, drift: one cumulative probability per cluster; the last is 1 */
    double *cumulative;
    double *phase; /* drift: one birth time in [0,1) per cluster */
    /* mixture: clusters x dim; drift: clusters x generations x dim; sphere: dim, the mean */
    float *centres;
    float *ways;        /* drift: shape of centres, the directions they move in */
    float *deviations;  /* sphere: dim standard deviations */
    size_t generations; /* drift: the most generations that a cluster can have */
    uint32_t bit_chance[INDEX_CODE_BITS_MAX]; /* codes: probability of each bit, in 1/65536 */
};

/* Allocates and fills the tables that the kind needs; the caller frees `tables`. ERR_NO_MEMORY. */
int synthetic_make_tables(struct synthetic *, struct error *);
/* The read function of synthetic sources; see struct source. ERR_NO_MEMORY. */
int synthetic_read(const struct source *, size_t first, size_t n, void *out, struct error *);

#endif
