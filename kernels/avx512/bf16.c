/* bf16.c - distances of half-precision rows (bf16: the upper half of a float) with AVX-512:
 * both_bf16.h.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -ffp-contract=off
 *
 * Processor: Ice Lake, Zen 4 or later, as this whole table (VBMI, VNNI, VPOPCNTDQ).
 *
 * vdpbf16ps is not used: it rounds differently, flushes denormals, has no differences for L2, and
 * is missing on some processors that run this table. Tail: masked loads, which touch no byte past
 * the row. */
#if defined(__x86_64__)

#include "kernels/avx512/avx512.h"
#include "kernels/both_bf16.h"

INLINE __m512i load_first(const uint16_t *from, size_t n)
{
    return _mm512_maskz_loadu_epi16((__mmask32)((UINT64_C(1) << n) - 1), from);
}

#endif
