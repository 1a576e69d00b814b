/* internal.h - the steps of adding a row to a bucket, for bucket.c and compact.c. */
#ifndef DRIFTLINE_ASTERIA_BUCKETS_INTERNAL_H
#define DRIFTLINE_ASTERIA_BUCKETS_INTERNAL_H

#include "algorithms/asteria/buckets/bucket.h"

struct index_env;

void asteria_bucket_widen_box(struct asteria_bucket *, size_t m, const float *p);
void asteria_bucket_widen_angles(const struct asteria_generation *, struct asteria_bucket *,
                                 const float *p);
/* Stores the code relative to the centre and widens the ball: what a new centre changes. */
void asteria_bucket_put_code(const struct asteria_model *, const struct index_env *,
                             struct asteria_bucket *, const float *unit, uint32_t position);
void asteria_bucket_put_place(struct asteria_bucket *, uint32_t position, uint32_t slot,
                              uint64_t word);
/* mean: dim floats, aligned to 4; unit: needs no alignment. */
void asteria_bucket_add_to_mean(float *mean, const float_anywhere *unit, size_t dim, float share);

#endif
