/* bf16.c - distances of half-precision rows (bf16: the upper half of a float) with AVX2:
 * both_bf16.h.
 *
 * Flags: -mavx2 -mfma -ffp-contract=off
 *
 * Tail: the last components are copied to a zeroed vector, because there are no masked loads of
 * 16-bit elements. */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

#include <string.h>

#include "kernels/both_bf16.h"

INLINE __m256i load_first(const uint16_t *from, size_t n)
{
    uint16_t words[LANES] = { 0 };
    memcpy(words, from, n * sizeof *words);
    return load(words);
}

#endif
