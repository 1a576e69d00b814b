/* rotation.h - a random rotation of vectors about their mean, fast enough for the insert path.
 *
 * Rounds of random signs and a Hadamard transform (Ailon and Chazelle 2006; three rounds: Andoni et
 * al. 2015): d log d additions where a dense matrix takes d^2 products. Where d is not a power of
 * two, rounds transform the first and the last 2^k coordinates alternately and rotate each pair of
 * halves by 45 degrees in between (Kac's walk). In few dimensions signs give too few different
 * rotations: up to 32 dimensions use a dense matrix, which costs no more there. Distances are
 * preserved; a row is first padded with zeros to a multiple of 8. The mean is subtracted first only
 * because smaller numbers round better. */
#ifndef DRIFTLINE_COMMON_ROTATION_ROTATION_H
#define DRIFTLINE_COMMON_ROTATION_ROTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

enum { ROTATION_DIM_MAX = 8192, ROTATION_DENSE_MAX = 32 };

/* Read only. */
struct rotation {
    uint64_t seed;
    size_t dim;     /* of rows */
    size_t out_dim; /* of rotated rows */
    size_t span;    /* the largest power of two in out_dim */
    size_t rounds;  /* 0: dense */
    float *mean;    /* dim */
    float *factors; /* rounds x out_dim: signs, times the transform's scale; dense: dim matrix
                       columns of out_dim */
};

/* mean: dim floats, copied. dim at most ROTATION_DIM_MAX. false: out of memory. */
bool rotation_init(struct rotation *, struct mem *, const float *mean, size_t dim, uint64_t seed);
void rotation_free(struct rotation *, struct mem *);
size_t rotation_bytes(const struct rotation *);

/* out: out_dim floats, which must not overlap the row. */
void rotation_apply(const struct rotation *, const float *row, float *out);

#endif
