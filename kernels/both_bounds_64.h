/* both_bounds_64.h - estimates from sums of looked-up codes, for avx2/fastscan.c and
 * avx512/fastscan.c, which define lengthen() and TOWARD_0. */
#ifndef DRIFTLINE_KERNELS_BOTH_BOUNDS_64_H
#define DRIFTLINE_KERNELS_BOTH_BOUNDS_64_H

/* Products and sums are rounded separately, as in scalar.c, so that the mask is the same in
   all tables. */
INLINE uint64_t bound(const struct code_terms *t, bool shortened, const uint32_t *sums, float limit,
                      float *estimate)
{
    const v_floats base = V(set1_ps)(t->base), slope = V(set1_ps)(t->slope);
    const v_floats offset = V(set1_ps)(t->offset), slack = V(set1_ps)(t->slack);
    const v_floats linear = V(set1_ps)(t->linear), square = V(set1_ps)(t->square);
    const v_floats one = V(set1_ps)(1), most = V(set1_ps)(limit), sign = V(set1_ps)(-0.f);
    uint64_t within = 0;
    UNROLL
    for (size_t v = 0; v < 64; v += V_FLOATS) {
        v_floats scale = shortened  ? V(xor_ps)(lengthen(t->shortened + v), sign)
                         : t->scale ? V(load_ps)(t->scale + v)
                                    : one;
        v_floats error = shortened ? lengthen(t->shortened + 64 + v) : V(load_ps)(t->error + v);
        v_floats sum = V(cvtepi32_ps)(WHOLE(load)((const v_ints *)(const void *)(sums + v)));
        v_floats product = V(add_ps)(V(mul_ps)(slope, sum), offset);
        v_floats add = V(add_ps)(V(load_ps)(t->add + v), base);
        v_floats middle = V(add_ps)(add, V(mul_ps)(scale, product));
        v_floats margin = V(mul_ps)(error, V(add_ps)(linear, V(mul_ps)(square, error)));
        v_floats lower = V(sub_ps)(V(add_ps)(middle, V(mul_ps)(scale, slack)), margin);
        V(storeu_ps)(estimate + v, middle);
        within |= (uint64_t)V_MASK(lower, most, _CMP_NGT_UQ) << v;
    }
    return within;
}

uint64_t NAME(bound_64)(const struct code_terms *t, const uint32_t *sums, float limit,
                        float *estimate)
{
    return t->shortened ? bound(t, true, sums, limit, estimate)
                        : bound(t, false, sums, limit, estimate);
}

/* Two accumulators for each sum, because the latency of an addition is the limit. */
float NAME(grid_f32)(const float *a, size_t dim, float t, float most, float *norm_sq)
{
    const v_floats scale = V(set1_ps)(t), top = V(set1_ps)(most), half = V(set1_ps)(0.5f);
    v_floats product[2] = { V(setzero_ps)(), V(setzero_ps)() }, sum[2] = { product[0], product[0] };
    for (size_t d = 0; d < dim; d += 2 * V_FLOATS) {
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            v_floats x = V(loadu_ps)(a + d + V_FLOATS * h);
            v_floats v = V(min_ps)(V(mul_ps)(scale, x), top);
            v = V(add_ps)(TOWARD_0(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC), half);
            product[h] = V(fmadd_ps)(x, v, product[h]);
            sum[h] = V(fmadd_ps)(v, v, sum[h]);
        }
    }
    *norm_sq = v_sum(V(add_ps)(sum[0], sum[1]));
    return v_sum(V(add_ps)(product[0], product[1]));
}

#endif
