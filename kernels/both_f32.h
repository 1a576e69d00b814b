/* both_f32.h - the sums of pairs of rows in avx2/f32.c and avx512/f32.c, which define
 * first_lanes(), chunk(), for the pairs over one chunk, and total_of(), the sum of a vector. */
#ifndef DRIFTLINE_KERNELS_BOTH_F32_H
#define DRIFTLINE_KERNELS_BOTH_F32_H

/* The sums of na x nb pairs of rows, each still a vector. */
INLINE void accumulate(enum distance_form form, const float *a, size_t na, const float *b,
                       size_t nb, size_t dim, v_floats *total)
{
    v_floats sum[BLOCK_A * BLOCK_B][2];
    UNROLL
    for (size_t p = 0; p < na * nb; p++)
        sum[p][0] = sum[p][1] = V(setzero_ps)();
    const v_lanes all = ALL_LANES;
    size_t at = 0;
    for (; at + 2 * V_FLOATS <= dim; at += 2 * V_FLOATS) {
        chunk(form, a, na, b, nb, dim, at, true, all, sum, 0);
        chunk(form, a, na, b, nb, dim, at + V_FLOATS, true, all, sum, 1);
    }
    size_t left = dim - at;
    if (left >= V_FLOATS) {
        chunk(form, a, na, b, nb, dim, at, true, all, sum, 0);
        if (left > V_FLOATS)
            chunk(form, a, na, b, nb, dim, at + V_FLOATS, false, first_lanes(left - V_FLOATS), sum,
                  1);
    } else if (left > 0) {
        chunk(form, a, na, b, nb, dim, at, false, first_lanes(left), sum, 0);
    }
    UNROLL
    for (size_t p = 0; p < na * nb; p++)
        total[p] = V(add_ps)(sum[p][0], sum[p][1]);
}

INLINE float one_to_one(enum distance_form form, const float *a, const float *b, size_t dim)
{
    v_floats total;
    accumulate(form, a, 1, b, 1, dim, &total);
    return total_of(total);
}

#endif
