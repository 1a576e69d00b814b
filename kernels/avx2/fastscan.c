/* fastscan.c - short codes of vectors, 64 at a time, with AVX2.
 *
 * Flags: -mavx2 -mfma
 *
 * As avx512/fastscan.c, but a line is two halves of 32 bytes: lookups by vpshufb, 16-bit
 * accumulators for all bytes and for the odd ones, moved to 32 bits after 256 lookups. Vectors
 * 16 m + 8 h .. 16 m + 8 h + 7 are in half h. Tail: none, blocks are whole.
 */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

#include <stdbool.h>

enum { LOOKUPS_IN_16_BITS = 256, LINES_IN_16_BITS = LOOKUPS_IN_16_BITS / 2 };

INLINE __m256i table(const uint8_t *lut)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)lut));
}

/* The sums of one half of the lines, for 32 vectors: total[m] has those of 8. */
struct half {
    __m256i all, odd, total[4];
};

INLINE void scan_half(struct half *h, const uint8_t *codes, __m256i low_table, __m256i high_table)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i code = _mm256_load_si256((const __m256i *)(const void *)codes);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(code, 4), nibble);
    __m256i a = _mm256_shuffle_epi8(low_table, _mm256_and_si256(code, nibble));
    __m256i b = _mm256_shuffle_epi8(high_table, high);
    h->all = _mm256_add_epi16(h->all, _mm256_add_epi16(a, b));
    h->odd = _mm256_add_epi16(h->odd, _mm256_srli_epi16(a, 8));
    h->odd = _mm256_add_epi16(h->odd, _mm256_srli_epi16(b, 8));
}

INLINE void widen_half(struct half *h)
{
    const __m256i low_16 = _mm256_set1_epi32(0xffff);
    __m256i even = _mm256_sub_epi16(h->all, _mm256_slli_epi16(h->odd, 8));
    h->total[0] = _mm256_add_epi32(h->total[0], _mm256_and_si256(even, low_16));
    h->total[1] = _mm256_add_epi32(h->total[1], _mm256_and_si256(h->odd, low_16));
    h->total[2] = _mm256_add_epi32(h->total[2], _mm256_srli_epi32(even, 16));
    h->total[3] = _mm256_add_epi32(h->total[3], _mm256_srli_epi32(h->odd, 16));
    h->all = h->odd = _mm256_setzero_si256();
}

INLINE void store_halves(const struct half *left, const struct half *right, uint32_t *sums)
{
    UNROLL
    for (size_t m = 0; m < 4; m++) {
        _mm256_store_si256((__m256i *)(void *)(sums + 16 * m), left->total[m]);
        _mm256_store_si256((__m256i *)(void *)(sums + 16 * m + 8), right->total[m]);
    }
}

void avx2_fastscan_64(const uint8_t *codes, const uint8_t *lut, size_t lines, uint32_t *sums)
{
    const __m256i zero = _mm256_setzero_si256();
    struct half left = { zero, zero, { zero, zero, zero, zero } }, right = left;
    for (size_t done = 0; done < lines; done += LINES_IN_16_BITS) {
        size_t end = done + least(lines - done, LINES_IN_16_BITS);
        for (size_t j = done; j < end; j++) {
            __m256i low = table(lut + 32 * j), high = table(lut + 32 * j + 16);
            scan_half(&left, codes + 64 * j, low, high);
            scan_half(&right, codes + 64 * j + 32, low, high);
        }
        widen_half(&left);
        widen_half(&right);
    }
    store_halves(&left, &right, sums);
}

/* Looks up 32 bytes in a table of 256, 16 entries at a time. From 16 t .. 16 t + 15 the index is
   0 .. 15; other bytes saturate above 127, where vpshufb gives 0. */
INLINE void look_up_half(struct half *h, const uint8_t *codes, const uint8_t *lut)
{
    const __m256i step = _mm256_set1_epi8(16), beyond = _mm256_set1_epi8(0x70);
    __m256i index = _mm256_load_si256((const __m256i *)(const void *)codes);
    __m256i found = _mm256_setzero_si256();
    UNROLL
    for (size_t t = 0; t < 16; t++) {
        __m256i some = _mm256_shuffle_epi8(table(lut + 16 * t), _mm256_adds_epu8(index, beyond));
        found = _mm256_or_si256(found, some);
        index = _mm256_sub_epi8(index, step);
    }
    h->all = _mm256_add_epi16(h->all, found);
    h->odd = _mm256_add_epi16(h->odd, _mm256_srli_epi16(found, 8));
}

void avx2_lookup_64(const uint8_t *codes, const uint8_t *lut, size_t lines, uint32_t *sums)
{
    const __m256i zero = _mm256_setzero_si256();
    struct half left = { zero, zero, { zero, zero, zero, zero } }, right = left;
    for (size_t done = 0; done < lines; done += LOOKUPS_IN_16_BITS) {
        size_t end = done + least(lines - done, LOOKUPS_IN_16_BITS);
        for (size_t j = done; j < end; j++) {
            look_up_half(&left, codes + 64 * j, lut + 256 * j);
            look_up_half(&right, codes + 64 * j + 32, lut + 256 * j);
        }
        widen_half(&left);
        widen_half(&right);
    }
    store_halves(&left, &right, sums);
}

INLINE __m256 lengthen(const uint16_t *shortened)
{
    __m128i x = _mm_load_si128((const __m128i *)(const void *)shortened);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), CODE_TERM_SHIFT));
}

#define TOWARD_0 _mm256_round_ps
#include "kernels/both_bounds_64.h"

uint32_t avx2_estimate_32(const uint8_t *codes, const uint8_t *lut, size_t lines,
                          const struct code_terms *t, float limit, float *estimate)
{
    const __m256 base = _mm256_set1_ps(t->base), slope = _mm256_set1_ps(t->slope);
    const __m256 offset = _mm256_set1_ps(t->offset), most = _mm256_set1_ps(limit);
    const __m256i zero = _mm256_setzero_si256();
    struct half h = { zero, zero, { zero, zero, zero, zero } };
    uint32_t below = 0;
    for (size_t done = 0; done < 2 * lines; done += LINES_IN_16_BITS) {
        size_t end = done + least(2 * lines - done, LINES_IN_16_BITS);
        for (size_t j = done; j < end; j++)
            scan_half(&h, codes + 32 * j, table(lut + 32 * j), table(lut + 32 * j + 16));
        widen_half(&h);
    }
    UNROLL
    for (size_t m = 0; m < 4; m++) {
        __m256 product =
            _mm256_add_ps(_mm256_mul_ps(slope, _mm256_cvtepi32_ps(h.total[m])), offset);
        __m256 add = _mm256_add_ps(_mm256_load_ps(t->add + 8 * m), base);
        __m256 middle =
            _mm256_add_ps(add, _mm256_mul_ps(_mm256_load_ps(t->scale + 8 * m), product));
        _mm256_store_ps(estimate + 8 * m, middle);
        below |= (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(middle, most, _CMP_LT_OQ)) << 8 * m;
    }
    return below;
}

float avx2_ip_f32_u1(const float *query, const uint8_t *code, size_t dim)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256 sum[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    for (size_t d = 0; d < dim; d += 16) {
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            __m256i set = _mm256_and_si256(_mm256_set1_epi32(code[d / 8 + h]), bit);
            __m256 keep = _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bit));
            sum[h] = _mm256_add_ps(sum[h], _mm256_and_ps(keep, _mm256_loadu_ps(query + d + 8 * h)));
        }
    }
    return sum_f32(_mm256_add_ps(sum[0], sum[1]));
}

/* sum + the dot product of 16 numbers. */
INLINE __m256 add_16(__m256 sum, const float *query, __m128i numbers)
{
    __m256 low = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(numbers));
    __m256 high = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(numbers, 8)));
    sum = _mm256_fmadd_ps(_mm256_loadu_ps(query), low, sum);
    return _mm256_fmadd_ps(_mm256_loadu_ps(query + 8), high, sum);
}

float avx2_ip_f32_u4(const float *query, const uint8_t *code, size_t dim)
{
    __m256 sum = _mm256_setzero_ps(), sum2 = sum;
    for (size_t d = 0; d < dim; d += 32) {
        __m128i both = bytes_16(code + d / 2);
        sum = add_16(sum, query + d, low_nibbles(both));
        sum2 = add_16(sum2, query + d + 16, high_nibbles(both));
    }
    return sum_f32(_mm256_add_ps(sum, sum2));
}

float avx2_ip_f32_u8(const float *query, const uint8_t *code, size_t dim)
{
    __m256 sum = _mm256_setzero_ps(), sum2 = sum;
    for (size_t d = 0; d < dim; d += 32) {
        sum = add_16(sum, query + d, bytes_16(code + d));
        sum2 = add_16(sum2, query + d + 16, bytes_16(code + d + 16));
    }
    return sum_f32(_mm256_add_ps(sum, sum2));
}

/* sum + the dot product of 8 numbers, of which those selected by `which` are increased by `top`. */
INLINE __m256 add_split(__m256 sum, const float *query, __m128i numbers, unsigned which, __m256 top)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256i set = _mm256_and_si256(_mm256_set1_epi32((int)which), bit);
    __m256 more = _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bit)), top);
    __m256 x = _mm256_add_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(numbers)), more);
    return _mm256_fmadd_ps(_mm256_loadu_ps(query), x, sum);
}

float avx2_ip_f32_u1u4(const float *query, const uint8_t *lines, float top, const uint8_t *code,
                       size_t dim)
{
    const __m256 tops = _mm256_set1_ps(top);
    __m256 sum = _mm256_setzero_ps(), sum2 = sum;
    for (size_t d = 0; d < dim; d += 32) {
        __m128i both = bytes_16(code + d / 2), low = low_nibbles(both);
        __m128i high = high_nibbles(both);
        const uint8_t *line = lines + 8 * d;
        sum = add_split(sum, query + d, low, line[0], tops);
        if (d + 8 < dim)
            sum2 = add_split(sum2, query + d + 8, _mm_srli_si128(low, 8), line[64], tops);
        if (d + 16 < dim)
            sum = add_split(sum, query + d + 16, high, line[128], tops);
        if (d + 24 < dim)
            sum2 = add_split(sum2, query + d + 24, _mm_srli_si128(high, 8), line[192], tops);
    }
    return sum_f32(_mm256_add_ps(sum, sum2));
}

struct residual avx2_residual_f32(const float *row, const float *centroid, size_t dim,
                                  float *magnitudes, uint8_t *signs)
{
    const __m256 minus = _mm256_set1_ps(-0.0f);
    __m256 norm_sq = _mm256_setzero_ps(), size = norm_sq, along = norm_sq;
    for (size_t d = 0; d < dim; d += 8) {
        __m256 c = _mm256_loadu_ps(centroid + d);
        __m256 r = _mm256_sub_ps(_mm256_loadu_ps(row + d), c);
        __m256 magnitude = _mm256_andnot_ps(minus, r);
        __m256 positive = _mm256_cmp_ps(r, _mm256_setzero_ps(), _CMP_GT_OQ);
        norm_sq = _mm256_fmadd_ps(r, r, norm_sq);
        size = _mm256_add_ps(size, magnitude);
        along = _mm256_add_ps(along, _mm256_xor_ps(c, _mm256_andnot_ps(positive, minus)));
        _mm256_storeu_ps(magnitudes + d, magnitude);
        signs[d / 8] = (uint8_t)_mm256_movemask_ps(positive);
    }
    return (struct residual){ sum_f32(norm_sq), sum_f32(size), sum_f32(along) };
}

#endif
