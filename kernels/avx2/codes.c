/* codes.c - scans of coded vectors with AVX2.
 *
 * Flags: -mavx2 -mfma -ffp-contract=off
 *
 * vpmaddubsw would saturate, so the even and the odd bytes of a group are widened (by a mask and a
 * shift) and multiplied by 16-bit weights with vpmaddwd, which adds pairs: dimensions 0 and 2, 1
 * and 3. That is six operations for 8 vectors of a group, as many as two byte products and their
 * widening would take. Accumulators: 8, each for 8 vectors; together with two weights and two
 * temporaries they fit in the registers. */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

#include <string.h>

enum { LANES = 8, VECTORS = 64, PARTS = VECTORS / LANES, GROUP_BYTES = 256 };

INLINE __m256i two_words(const int16_t *words)
{
    int32_t both;
    memcpy(&both, words, sizeof both);
    return _mm256_set1_epi32(both);
}

/* vpmaddubsw does not saturate here: two products of 15 and 127 are below 2^15. */
void avx2_nibbles_64(const uint8_t *codes, const int8_t *weights, size_t groups, uint32_t start,
                     uint32_t *sums)
{
    const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i sum[PARTS];
    UNROLL
    for (size_t p = 0; p < PARTS; p++)
        sum[p] = _mm256_set1_epi32((int)start);
    for (size_t g = 0; g < groups; g++) {
        __m256i by_low = four_bytes(weights + 8 * g), by_high = four_bytes(weights + 8 * g + 4);
        UNROLL
        for (size_t p = 0; p < PARTS; p++) {
            const uint8_t *at = codes + g * GROUP_BYTES + p * 32;
            __m256i both = _mm256_load_si256((const __m256i *)(const void *)at);
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
            __m256i pairs =
                _mm256_add_epi16(_mm256_maddubs_epi16(_mm256_and_si256(both, nibble), by_low),
                                 _mm256_maddubs_epi16(high, by_high));
            sum[p] = _mm256_add_epi32(sum[p], _mm256_madd_epi16(pairs, ones));
        }
    }
    UNROLL
    for (size_t p = 0; p < PARTS; p++)
        _mm256_store_si256((__m256i *)(void *)(sums + p * LANES), sum[p]);
}

uint64_t avx2_scan_u8(const uint8_t *block, size_t groups, const struct code_weights *weights,
                      struct code_estimate form, float limit, float *estimate)
{
    const __m256i low_bytes = _mm256_set1_epi16(0xff);
    __m256i sum[PARTS];
    UNROLL
    for (size_t p = 0; p < PARTS; p++)
        sum[p] = _mm256_setzero_si256();
    for (size_t g = 0; g < groups; g++) {
        __m256i even = two_words(weights[g].even), odd = two_words(weights[g].odd);
        UNROLL
        for (size_t p = 0; p < PARTS; p++) {
            const uint8_t *at = block + g * GROUP_BYTES + p * 32;
            __m256i codes = _mm256_load_si256((const __m256i *)(const void *)at);
            __m256i products = _mm256_madd_epi16(_mm256_and_si256(codes, low_bytes), even);
            sum[p] = _mm256_add_epi32(sum[p], products);
            products = _mm256_madd_epi16(_mm256_srli_epi16(codes, 8), odd);
            sum[p] = _mm256_add_epi32(sum[p], products);
        }
    }
    const float *norms = (const float *)(const void *)(block + groups * GROUP_BYTES);
    __m256 scale = _mm256_set1_ps(form.scale), constant = _mm256_set1_ps(form.constant);
    __m256 most = _mm256_set1_ps(limit);
    uint64_t within = 0;
    UNROLL
    for (size_t p = 0; p < PARTS; p++) {
        __m256 known = _mm256_add_ps(_mm256_load_ps(norms + p * LANES), constant);
        __m256 e = _mm256_sub_ps(known, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(sum[p])));
        _mm256_storeu_ps(estimate + p * LANES, e);
        int bits = _mm256_movemask_ps(_mm256_cmp_ps(e, most, _CMP_NGT_UQ));
        within |= (uint64_t)(unsigned)bits << p * LANES;
    }
    return within;
}

#endif
