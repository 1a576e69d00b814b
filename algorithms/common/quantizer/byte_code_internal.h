/* byte_code_internal.h - vectors in one byte per coordinate, and scans of them with a certain
 * bound.
 *
 * A *work vector* s has m coordinates, padded with zeros to a multiple of 16. It stands for a
 * point s* that is known up to a *rounding*: |s - s*| <= rounding.
 *
 * Each coordinate is coded by the nearest of 256 points of the interval [low, low + 255 step];
 * the intervals make a box. Clipping to a box moves no two points apart, so clipping the query
 * as well keeps the bound valid and only makes it weaker:
 *
 *     |clip x* - clip q*| <= |x* - q*|,
 *     |code(x) - clip q'| <= |x* - q*| + error(x) + error(q)
 *
 * error(x) is the code's distance from clip s plus the rounding. The query's weights k are
 * integers: q' is the point that they represent exactly, and its distance from clip s is part
 * of error(q). With codes u, z = step (u - 127.5) and c = q' measured from the middle of the
 * box, the estimate |z - c|^2 is |z|^2 + |c|^2 - 2 z.c with step c = unit k, so a scan of a
 * block computes sum k u.
 *
 * A vector whose error would be far above the usual one (rounding of coordinates far outside
 * the box) gets -INFINITY for |z|^2 and the error 0: its estimate is -INFINITY, so no limit
 * excludes it. */
#ifndef DRIFTLINE_COMMON_QUANTIZER_BYTE_CODE_INTERNAL_H
#define DRIFTLINE_COMMON_QUANTIZER_BYTE_CODE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

struct byte_code {
    const struct kernels *kernels;
    size_t m, groups, width;      /* groups of 4 coordinates; floats of a work vector */
    float *low, *step, *per_step; /* width each; per_step = 1 / step, or 0 where step is 0 */
    double norm_max;              /* of |z|^2 */
    double error_most;            /* of a code within the box, without the rounding */
    double limit_slack;           /* relative: exact distances are rounded too */
};

/* Loops over coordinates keep this many sums, so that compilers may use wide registers. */
enum { BYTE_CODE_LANES = 16 };

static inline size_t byte_code_width(size_t m) /* floats of a work vector */
{
    return (m + BYTE_CODE_LANES - 1) / BYTE_CODE_LANES * BYTE_CODE_LANES;
}

/* Allocates the arrays, all zero; env->dim is the dimension of the vectors that exact distances are
   computed from. ERR_NO_MEMORY. */
int byte_code_open(struct byte_code *, const struct index_env *, size_t m);
void byte_code_close(struct byte_code *, const struct index_env *);
uint64_t byte_code_bytes(const struct byte_code *);
/* Sets low and step to the range of n work vectors, slightly widened. byte_code_derive()
   must follow. */
void byte_code_fit(struct byte_code *, const float *work, size_t n);
/* Computes what follows from low and step. false: they are not finite or step is negative. */
bool byte_code_derive(struct byte_code *);

size_t byte_code_block_bytes(const struct byte_code *);
size_t byte_code_query_bytes(const struct byte_code *);

/* As the calls of quantizer.h with these names. */
float byte_code_put(const struct byte_code *, const float *work, double rounding, void *block,
                    unsigned i);
void byte_code_copy(const struct byte_code *, const void *from, unsigned i, void *to, unsigned j);
void byte_code_query(const struct byte_code *, const float *work, double rounding, void *query);
void byte_code_query_list(void *query, float error);
uint64_t byte_code_scan(const struct byte_code *, const void *query, const void *block, float limit,
                        float *estimate);

/* A lower bound of the distance of a vector with this estimate. */
float byte_code_lower(const struct byte_code *, const void *query, float estimate);

#endif
