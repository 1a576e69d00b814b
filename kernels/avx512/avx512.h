/* avx512.h - the AVX-512 kernels: their prototypes, and the names by which the files both_*.h are
 * compiled for registers of 512 bits. */
#ifndef DRIFTLINE_KERNELS_AVX512_AVX512_H
#define DRIFTLINE_KERNELS_AVX512_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#define KERNEL(result, kernel, arguments) result avx512_##kernel arguments;
#include "kernels/kernels.def"

#define NAME(kernel)     avx512_##kernel
#define V(operation)     _mm512_##operation
#define WHOLE(operation) _mm512_##operation##_si512
#define ALL_LANES        0xffff
#define AS_FLOATS        _mm512_castsi512_ps
typedef __m512 v_floats;
typedef __m512i v_ints;
typedef __mmask16 v_lanes; /* which lanes */
enum { V_FLOATS = 16 };

#define V_MASK(a, b, how) _mm512_cmp_ps_mask(a, b, how)

#include "kernels/lanes.h"

INLINE float v_sum(__m512 v)
{
    return _mm512_reduce_add_ps(v);
}

#endif
