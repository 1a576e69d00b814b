/* fastscan.c - short codes of vectors, 64 at a time, with AVX-512.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi
 *
 * Processor: Ice Lake, Zen 4 or later, as this whole table (VBMI, VNNI, VPOPCNTDQ).
 *
 * A line of 64 bytes holds two nibbles of each vector; vpshufb looks up both in tables of 16 bytes.
 * Accumulators have 16 bits: whole words, which hold an even and an odd byte, are added to `all`,
 * and words shifted down by a byte to `odd`. At the end the carry of the odd bytes into `all` is
 * subtracted, modulo 2^16. A lookup then costs two additions and a shift, fewer than separating the
 * bytes first. 257 lookups fit into 16 bits; after 256 the sums move to 32 bits. The order of
 * vectors in a line is chosen so that a shift and a mask give the sums in order. Tail: none, blocks
 * are whole. */
#if defined(__x86_64__)

#include "kernels/avx512/avx512.h"

#include <stdbool.h>

enum {
    LOOKUPS_IN_16_BITS = 256,
    LINES_IN_16_BITS = LOOKUPS_IN_16_BITS / 2,
    LINES_OF_32 = LOOKUPS_IN_16_BITS / 4 /* four lookups of each of 32 vectors */
};

INLINE __m512i table(const uint8_t *lut)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)lut));
}

/* Adds the 16-bit sums of vectors 16 m .. 16 m + 15 to total[m]. */
INLINE void widen(__m512i all, __m512i odd, __m512i total[4])
{
    const __m512i low_16 = _mm512_set1_epi32(0xffff);
    __m512i even = _mm512_sub_epi16(all, _mm512_slli_epi16(odd, 8));
    total[0] = _mm512_add_epi32(total[0], _mm512_and_si512(even, low_16));
    total[1] = _mm512_add_epi32(total[1], _mm512_and_si512(odd, low_16));
    total[2] = _mm512_add_epi32(total[2], _mm512_srli_epi32(even, 16));
    total[3] = _mm512_add_epi32(total[3], _mm512_srli_epi32(odd, 16));
}

INLINE void scan_lines(const uint8_t *codes, const uint8_t *lut, size_t lines, __m512i total[4])
{
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i all = _mm512_setzero_si512(), odd = all, all2 = all, odd2 = all;
    for (size_t j = 0; j < lines; j++) {
        __m512i code = _mm512_load_si512(codes + 64 * j);
        __m512i high = _mm512_and_si512(_mm512_srli_epi16(code, 4), nibble);
        __m512i a = _mm512_shuffle_epi8(table(lut + 32 * j), _mm512_and_si512(code, nibble));
        __m512i b = _mm512_shuffle_epi8(table(lut + 32 * j + 16), high);
        all = _mm512_add_epi16(all, a);
        all2 = _mm512_add_epi16(all2, b);
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16(a, 8));
        odd2 = _mm512_add_epi16(odd2, _mm512_srli_epi16(b, 8));
    }
    widen(_mm512_add_epi16(all, all2), _mm512_add_epi16(odd, odd2), total);
}

void avx512_fastscan_64(const uint8_t *codes, const uint8_t *lut, size_t lines, uint32_t *sums)
{
    __m512i total[4] = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                         _mm512_setzero_si512() };
    for (size_t done = 0; done < lines; done += LINES_IN_16_BITS)
        scan_lines(codes + 64 * done, lut + 32 * done, least(lines - done, LINES_IN_16_BITS),
                   total);
    UNROLL
    for (size_t m = 0; m < 4; m++)
        _mm512_store_si512(sums + 16 * m, total[m]);
}

/* The 256 bytes of a table are two pairs of registers: vpermi2b looks up the lower seven bits in
   each pair, the highest bit selects the pair. */
INLINE void look_up_lines(const uint8_t *codes, const uint8_t *lut, size_t lines, __m512i total[4])
{
    __m512i all = _mm512_setzero_si512(), odd = all;
    for (size_t j = 0; j < lines; j++) {
        const uint8_t *table = lut + 256 * j;
        __m512i code = _mm512_load_si512(codes + 64 * j);
        __m512i low = _mm512_permutex2var_epi8(_mm512_loadu_si512(table), code,
                                               _mm512_loadu_si512(table + 64));
        __m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), code,
                                                _mm512_loadu_si512(table + 192));
        __m512i found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), low, high);
        all = _mm512_add_epi16(all, found);
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16(found, 8));
    }
    widen(all, odd, total);
}

void avx512_lookup_64(const uint8_t *codes, const uint8_t *lut, size_t lines, uint32_t *sums)
{
    __m512i total[4] = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                         _mm512_setzero_si512() };
    for (size_t done = 0; done < lines; done += LOOKUPS_IN_16_BITS)
        look_up_lines(codes + 64 * done, lut + 256 * done, least(lines - done, LOOKUPS_IN_16_BITS),
                      total);
    UNROLL
    for (size_t m = 0; m < 4; m++)
        _mm512_store_si512(sums + 16 * m, total[m]);
}

INLINE __m512 lengthen(const uint16_t *shortened)
{
    __m256i x = _mm256_load_si256((const __m256i *)(const void *)shortened);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), CODE_TERM_SHIFT));
}

#define TOWARD_0 _mm512_roundscale_ps
#include "kernels/both_bounds_64.h"

/* The sums of 32 vectors from the halves of lines: 8 m .. 8 m + 7 in total[m]. */
INLINE void add_halves(__m512i all, __m512i odd, __m256i total[4])
{
    const __m256i low_16 = _mm256_set1_epi32(0xffff);
    __m256i whole =
        _mm256_add_epi16(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    __m256i odds = _mm256_add_epi16(_mm512_castsi512_si256(odd), _mm512_extracti64x4_epi64(odd, 1));
    __m256i even = _mm256_sub_epi16(whole, _mm256_slli_epi16(odds, 8));
    total[0] = _mm256_add_epi32(total[0], _mm256_and_si256(even, low_16));
    total[1] = _mm256_add_epi32(total[1], _mm256_and_si256(odds, low_16));
    total[2] = _mm256_add_epi32(total[2], _mm256_srli_epi32(even, 16));
    total[3] = _mm256_add_epi32(total[3], _mm256_srli_epi32(odds, 16));
}

/* One load has the four tables of a line; each half of the line needs two of them, in both of
   its lanes. */
INLINE void scan_32(const uint8_t *codes, const uint8_t *lut, size_t lines, __m256i total[4])
{
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i all = _mm512_setzero_si512(), odd = all, all2 = all, odd2 = all;
    for (size_t j = 0; j < lines; j++) {
        __m512i code = _mm512_load_si512(codes + 64 * j), tables = _mm512_loadu_si512(lut + 64 * j);
        __m512i high = _mm512_and_si512(_mm512_srli_epi16(code, 4), nibble);
        __m512i a = _mm512_shuffle_epi8(_mm512_shuffle_i64x2(tables, tables, 0xa0),
                                        _mm512_and_si512(code, nibble));
        __m512i b = _mm512_shuffle_epi8(_mm512_shuffle_i64x2(tables, tables, 0xf5), high);
        all = _mm512_add_epi16(all, a);
        all2 = _mm512_add_epi16(all2, b);
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16(a, 8));
        odd2 = _mm512_add_epi16(odd2, _mm512_srli_epi16(b, 8));
    }
    add_halves(_mm512_add_epi16(all, all2), _mm512_add_epi16(odd, odd2), total);
}

uint32_t avx512_estimate_32(const uint8_t *codes, const uint8_t *lut, size_t lines,
                            const struct code_terms *t, float limit, float *estimate)
{
    const __m512 base = _mm512_set1_ps(t->base), slope = _mm512_set1_ps(t->slope);
    const __m512 offset = _mm512_set1_ps(t->offset), most = _mm512_set1_ps(limit);
    const __m256i zero = _mm256_setzero_si256();
    __m256i total[4] = { zero, zero, zero, zero };
    uint32_t below = 0;
    for (size_t done = 0; done < lines; done += LINES_OF_32)
        scan_32(codes + 64 * done, lut + 64 * done, least(lines - done, LINES_OF_32), total);
    UNROLL
    for (size_t m = 0; m < 2; m++) {
        __m512i sums =
            _mm512_inserti64x4(_mm512_castsi256_si512(total[2 * m]), total[2 * m + 1], 1);
        __m512 product = _mm512_add_ps(_mm512_mul_ps(slope, _mm512_cvtepi32_ps(sums)), offset);
        __m512 add = _mm512_add_ps(_mm512_load_ps(t->add + 16 * m), base);
        __m512 middle =
            _mm512_add_ps(add, _mm512_mul_ps(_mm512_load_ps(t->scale + 16 * m), product));
        _mm512_store_ps(estimate + 16 * m, middle);
        below |= (uint32_t)_mm512_cmp_ps_mask(middle, most, _CMP_LT_OQ) << 16 * m;
    }
    return below;
}

float avx512_ip_f32_u1(const float *query, const uint8_t *code, size_t dim)
{
    __m512 sum = _mm512_setzero_ps(), sum2 = sum;
    for (size_t d = 0; d < dim; d += 32) {
        __mmask16 low = (__mmask16)(code[d / 8] | code[d / 8 + 1] << 8);
        __mmask16 high = (__mmask16)(code[d / 8 + 2] | code[d / 8 + 3] << 8);
        sum = _mm512_mask_add_ps(sum, low, sum, _mm512_loadu_ps(query + d));
        sum2 = _mm512_mask_add_ps(sum2, high, sum2, _mm512_loadu_ps(query + d + 16));
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum, sum2));
}

INLINE __m512 floats(__m128i bytes)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

float avx512_ip_f32_u4(const float *query, const uint8_t *code, size_t dim)
{
    __m512 sum = _mm512_setzero_ps(), sum2 = sum;
    for (size_t d = 0; d < dim; d += 32) {
        __m128i both = bytes_16(code + d / 2);
        __m512 low = floats(low_nibbles(both));
        __m512 high = floats(high_nibbles(both));
        sum = _mm512_fmadd_ps(_mm512_loadu_ps(query + d), low, sum);
        sum2 = _mm512_fmadd_ps(_mm512_loadu_ps(query + d + 16), high, sum2);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum, sum2));
}

float avx512_ip_f32_u8(const float *query, const uint8_t *code, size_t dim)
{
    __m512 sum = _mm512_setzero_ps(), sum2 = sum;
    for (size_t d = 0; d < dim; d += 32) {
        __m512 low = floats(bytes_16(code + d)), high = floats(bytes_16(code + d + 16));
        sum = _mm512_fmadd_ps(_mm512_loadu_ps(query + d), low, sum);
        sum2 = _mm512_fmadd_ps(_mm512_loadu_ps(query + d + 16), high, sum2);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum, sum2));
}

/* sum + the dot product of 16 numbers, of which those selected by `which` are increased
   by `top`. */
INLINE __m512 add_split(__m512 sum, const float *query, __m128i numbers, unsigned which, __m512 top)
{
    __m512 x = floats(numbers);
    x = _mm512_mask_add_ps(x, (__mmask16)which, x, top);
    return _mm512_fmadd_ps(_mm512_loadu_ps(query), x, sum);
}

float avx512_ip_f32_u1u4(const float *query, const uint8_t *lines, float top, const uint8_t *code,
                         size_t dim)
{
    const __m512 tops = _mm512_set1_ps(top);
    __m512 sum = _mm512_setzero_ps(), sum2 = sum;
    for (size_t d = 0; d < dim; d += 32) {
        __m128i both = bytes_16(code + d / 2);
        __m128i high = high_nibbles(both);
        const uint8_t *line = lines + 8 * d;
        unsigned which = line[0], which2 = 0;
        which |= d + 8 < dim ? (unsigned)line[64] << 8 : 0;
        which2 |= d + 16 < dim ? line[128] : 0;
        which2 |= d + 24 < dim ? (unsigned)line[192] << 8 : 0;
        sum = add_split(sum, query + d, low_nibbles(both), which, tops);
        sum2 = add_split(sum2, query + d + 16, high, which2, tops);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum, sum2));
}

struct residual avx512_residual_f32(const float *row, const float *centroid, size_t dim,
                                    float *magnitudes, uint8_t *signs)
{
    __m512 norm_sq = _mm512_setzero_ps(), size = norm_sq, along = norm_sq;
    for (size_t d = 0; d < dim; d += 16) {
        const bool whole = dim - d >= 16;
        const __mmask16 lanes = (__mmask16)(whole ? 0xffff : 0xff);
        __m512 c = _mm512_maskz_loadu_ps(lanes, centroid + d);
        __m512 r = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, row + d), c);
        __m512 magnitude = _mm512_abs_ps(r);
        __mmask16 positive = _mm512_cmp_ps_mask(r, _mm512_setzero_ps(), _CMP_GT_OQ);
        norm_sq = _mm512_fmadd_ps(r, r, norm_sq);
        size = _mm512_add_ps(size, magnitude);
        along = _mm512_add_ps(along,
                              _mm512_mask_sub_ps(c, (__mmask16)~positive, _mm512_setzero_ps(), c));
        _mm512_mask_storeu_ps(magnitudes + d, lanes, magnitude);
        signs[d / 8] = (uint8_t)positive;
        if (whole)
            signs[d / 8 + 1] = (uint8_t)(positive >> 8);
    }
    return (struct residual){ _mm512_reduce_add_ps(norm_sq), _mm512_reduce_add_ps(size),
                              _mm512_reduce_add_ps(along) };
}

#endif
