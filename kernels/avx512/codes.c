/* codes.c - scans of coded vectors with AVX-512 VNNI.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -ffp-contract=off
 *
 * Processor: Ice Lake, Zen 4 or later, as this whole table (VBMI, VNNI, VPOPCNTDQ).
 *
 * vpdpbusd multiplies unsigned codes by signed weights, four dimensions of 16 vectors at once. Its
 * weights are bytes, so a 16-bit weight takes two, high and low, with separate accumulators. The 64
 * vectors of a block have 8 accumulators: as many as hide the 4 cycles of a dot product when one
 * starts per cycle. Nothing saturates: sums wrap, as intended. A group costs its 8 products; the
 * loads run in parallel. */
#if defined(__x86_64__)

#include "kernels/avx512/avx512.h"

#include <string.h>

enum { LANES = 16, VECTORS = 64, PARTS = VECTORS / LANES, GROUP_BYTES = 256 };

/* High halves are not shifted: their sums are 16 times too large and divided once at the end. */
void avx512_nibbles_64(const uint8_t *codes, const int8_t *weights, size_t groups, uint32_t start,
                       uint32_t *sums)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i low[PARTS], high[PARTS];
    UNROLL
    for (size_t p = 0; p < PARTS; p++) {
        low[p] = _mm512_set1_epi32((int)start);
        high[p] = _mm512_setzero_si512();
    }
    for (size_t g = 0; g < groups; g++) {
        __m512i by_low = four_bytes(weights + 8 * g), by_high = four_bytes(weights + 8 * g + 4);
        UNROLL
        for (size_t p = 0; p < PARTS; p++) {
            __m512i both = _mm512_load_si512(codes + g * GROUP_BYTES + p * 64);
            low[p] = _mm512_dpbusd_epi32(low[p], _mm512_and_si512(both, nibble), by_low);
            high[p] = _mm512_dpbusd_epi32(high[p], _mm512_andnot_si512(nibble, both), by_high);
        }
    }
    UNROLL
    for (size_t p = 0; p < PARTS; p++) {
        __m512i sum = _mm512_add_epi32(low[p], _mm512_srai_epi32(high[p], 4));
        _mm512_store_si512(sums + p * LANES, sum);
    }
}

uint64_t avx512_scan_u8(const uint8_t *block, size_t groups, const struct code_weights *weights,
                        struct code_estimate form, float limit, float *estimate)
{
    __m512i high[PARTS], low[PARTS];
    UNROLL
    for (size_t p = 0; p < PARTS; p++)
        high[p] = low[p] = _mm512_setzero_si512();
    for (size_t g = 0; g < groups; g++) {
        __m512i by_high = four_bytes(weights[g].high), by_low = four_bytes(weights[g].low);
        UNROLL
        for (size_t p = 0; p < PARTS; p++) {
            __m512i codes = _mm512_load_si512(block + g * GROUP_BYTES + p * 64);
            high[p] = _mm512_dpbusd_epi32(high[p], codes, by_high);
            low[p] = _mm512_dpbusd_epi32(low[p], codes, by_low);
        }
    }
    const uint8_t *norms = block + groups * GROUP_BYTES;
    __m512 scale = _mm512_set1_ps(form.scale), constant = _mm512_set1_ps(form.constant);
    __m512 most = _mm512_set1_ps(limit);
    uint64_t within = 0;
    UNROLL
    for (size_t p = 0; p < PARTS; p++) {
        __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(high[p], 8), low[p]);
        __m512 known = _mm512_add_ps(_mm512_load_ps(norms + p * 64), constant);
        __m512 e = _mm512_sub_ps(known, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum)));
        _mm512_storeu_ps(estimate + p * LANES, e);
        within |= (uint64_t)_mm512_cmp_ps_mask(e, most, _CMP_NGT_UQ) << p * LANES;
    }
    return within;
}

#endif
