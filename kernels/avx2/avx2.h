/* avx2.h - the AVX2 kernels: their prototypes, and the names by which the files both_*.h are
 * compiled for registers of 256 bits. */
#ifndef DRIFTLINE_KERNELS_AVX2_AVX2_H
#define DRIFTLINE_KERNELS_AVX2_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#define KERNEL(result, kernel, arguments) result avx2_##kernel arguments;
#include "kernels/kernels.def"

#define NAME(kernel)     avx2_##kernel
#define V(operation)     _mm256_##operation
#define WHOLE(operation) _mm256_##operation##_si256
#define ALL_LANES        _mm256_set1_epi32(-1)
#define AS_FLOATS        _mm256_castsi256_ps
typedef __m256 v_floats;
typedef __m256i v_ints;
typedef __m256i v_lanes; /* which lanes */
enum { V_FLOATS = 8 };

#define V_MASK(a, b, how) (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, how))

#include "kernels/lanes.h"

INLINE float v_sum(__m256 v)
{
    return sum_f32(v);
}

#endif
