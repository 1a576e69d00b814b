/* check.h - the walk of check.c and check_rows.c over an index. */
#ifndef DRIFTLINE_ASTERIA_CHECK_H
#define DRIFTLINE_ASTERIA_CHECK_H

#include "algorithms/asteria/asteria.h"

struct check_walk {
    struct asteria *a;
    void *read;        /* a row's bytes */
    float *unit, *z;   /* dim; out_dim of the generation that is looked at */
    double flips;      /* bits that decoding turned, of all live rows */
    double box, angle; /* sums, of buckets with rows: mean side of the box, width of the angles */
    size_t buckets;    /* with rows */
};

/* Says what is broken; ERR_INVARIANT. */
int asteria_broken(const struct check_walk *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The slots alone, no row is read: ids, places, who is free, and whom graph and tree know. */
int asteria_check_slots(struct asteria *);

/* check_rows.c. Each live row of the bucket is at its place, and is what the bucket and its codes say. */
int asteria_check_rows(struct check_walk *, unsigned generation, uint32_t bucket);

#endif
