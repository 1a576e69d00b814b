/* both_bf16.h - the text of avx2/bf16.c and avx512/bf16.c, which define load_first().
 *
 * A load reads two components to a word of 32 bits: the odd ones are floats once their lower half
 * is cleared, the even ones once shifted up. So nothing is shuffled, and the sum is of the same
 * floats as if both rows had been widened first. Accumulators: even and odd components of two
 * chunks. */
#ifndef DRIFTLINE_KERNELS_BOTH_BF16_H
#define DRIFTLINE_KERNELS_BOTH_BF16_H

enum { LANES = 2 * V_FLOATS };

INLINE v_ints load_first(const uint16_t *from, size_t n);

INLINE v_ints load(const uint16_t *from)
{
    return WHOLE(loadu)((const v_ints *)(const void *)from);
}

INLINE v_floats even(v_ints x)
{
    return AS_FLOATS(V(slli_epi32)(x, 16));
}

INLINE v_floats odd(v_ints x)
{
    return AS_FLOATS(WHOLE(and)(x, V(set1_epi32)((int)0xffff0000)));
}

INLINE void chunk(enum distance_form form, v_ints a, v_ints b, v_floats sum[2])
{
    sum[0] = step_f32(form, even(a), even(b), sum[0]);
    sum[1] = step_f32(form, odd(a), odd(b), sum[1]);
}

INLINE float pair(enum distance_form form, const uint16_t *a, const uint16_t *b, size_t dim)
{
    v_floats x[2] = { V(setzero_ps)(), V(setzero_ps)() };
    v_floats y[2] = { V(setzero_ps)(), V(setzero_ps)() };
    size_t d = 0;
    for (; d + 2 * LANES <= dim; d += 2 * LANES) {
        chunk(form, load(a + d), load(b + d), x);
        chunk(form, load(a + d + LANES), load(b + d + LANES), y);
    }
    if (d + LANES <= dim) {
        chunk(form, load(a + d), load(b + d), x);
        d += LANES;
    }
    if (d < dim)
        chunk(form, load_first(a + d, dim - d), load_first(b + d, dim - d), y);
    return v_sum(V(add_ps)(V(add_ps)(x[0], x[1]), V(add_ps)(y[0], y[1])));
}

float NAME(l2sq_bf16)(const uint16_t *a, const uint16_t *b, size_t dim)
{
    return pair(L2SQ, a, b, dim);
}

float NAME(ip_bf16)(const uint16_t *a, const uint16_t *b, size_t dim)
{
    return pair(IP, a, b, dim);
}

#endif
