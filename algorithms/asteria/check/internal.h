/* internal.h - the pass of check.c, rows.c and slots.c over an index. */
#ifndef DRIFTLINE_ASTERIA_CHECK_INTERNAL_H
#define DRIFTLINE_ASTERIA_CHECK_INTERNAL_H

#include "algorithms/asteria/asteria.h"

struct asteria_check_walk {
    struct asteria *a;
    void *read;        /* a row's bytes */
    float *unit, *z;   /* dim; out_dim of the generation being checked */
    double flips;      /* bits that decoding changed, over all live rows */
    double box, angle; /* sums over buckets: mean side of the box, angle range */
    size_t buckets;    /* with rows */
};

/* Reports a broken invariant; the format must be a literal. ERR_INVARIANT. */
#define asteria_broken(c, ...) fail((c)->a->base.env.error, ERR_INVARIANT, "asteria: " __VA_ARGS__)

/* slots.c. The checks of asteria_check_slots(). */
int asteria_check_all_slots(const struct asteria_check_walk *);

/* rows.c. Each live row of the bucket is at its place and fits the bucket and its codes. */
int asteria_check_rows(struct asteria_check_walk *, unsigned generation, uint32_t bucket);

#endif
