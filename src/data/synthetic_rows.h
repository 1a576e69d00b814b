/* synthetic_rows.h - inside src/data: what a synthetic source keeps, and computing its rows. */
#ifndef DRIFTLINE_SYNTHETIC_ROWS_H
#define DRIFTLINE_SYNTHETIC_ROWS_H

#include "synthetic.h"

struct synthetic {
    enum synthetic_kind kind;
    struct synthetic_params params;
    uint64_t seed;
    size_t n;
    bool is_query;
    uint64_t query_seed;
    double at;

    void *tables;       /* the one block the pointers below point into */
    double *cumulative; /* mixture, drift: clusters; the last is 1 */
    double *phase;      /* drift: clusters, in [0,1) */
    float *centres;     /* mixture: clusters x dim; drift: clusters x generations x dim; sphere: the
                           mean, dim */
    float *ways;        /* drift: as centres, where each is going */
    float *deviations;  /* sphere: dim */
    size_t generations; /* drift: lives that any cluster can have begun */
    uint32_t bit_chance[64]; /* codes: of 65536 */
};

int synthetic_make_tables(struct synthetic *, struct error *);
int synthetic_read(const struct source *, size_t first, size_t n, void *out, struct error *);

#endif
