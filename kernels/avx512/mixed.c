/* mixed.c - dot products of integer weights with codes of bytes and nibbles, with AVX-512 VNNI.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -ffp-contract=off
 *
 * Processor: Ice Lake, Zen 4 or later, as this whole table (VBMI, VNNI, VPOPCNTDQ).
 *
 * As in codes.c, vpdpbusd multiplies unsigned codes by the high and the low byte of a weight, each
 * with its own accumulator; it does not saturate. 64 codes cost two products, 128 nibbles four and
 * their unpacking. Four codes at a time share the loads of the weights, which are a third of a
 * single code's cost, and the final additions. Tails: masked loads; a masked code is 0, whatever
 * its weight. */
#if defined(__x86_64__)

#include "kernels/avx512/avx512.h"

enum { LANES = 64, TOGETHER = 4 };

struct sums {
    __m512i high, low;
};

INLINE __m512i load(const void *from, __mmask64 mask)
{
    return _mm512_maskz_loadu_epi8(mask, from);
}

INLINE void add(struct sums *to, __m512i codes, __m512i high, __m512i low)
{
    to->high = _mm512_dpbusd_epi32(to->high, codes, high);
    to->low = _mm512_dpbusd_epi32(to->low, codes, low);
}

INLINE void add_bytes(struct sums *to, size_t n, const struct mixed_weights *w, size_t at,
                      const uint8_t *const *codes, __mmask64 mask)
{
    const __m512i high = load(w->high + at, mask), low = load(w->low + at, mask);
    UNROLL
    for (size_t i = 0; i < n; i++)
        add(&to[i], load(codes[i] + at, mask), high, low);
}

/* Adds the nibbles of the bytes from `at` on; the weights of the high nibbles are
   `half` further. */
INLINE void add_nibbles(struct sums *to, size_t n, const struct mixed_weights *w, size_t at,
                        size_t half, const uint8_t *const *codes, __mmask64 mask)
{
    const __m512i high_0 = load(w->high + at, mask), low_0 = load(w->low + at, mask);
    const __m512i high_1 = load(w->high + at + half, mask), low_1 = load(w->low + at + half, mask);
    const __m512i nibble = _mm512_set1_epi8(15);
    UNROLL
    for (size_t i = 0; i < n; i++) {
        const __m512i both = load(codes[i] + at, mask);
        add(&to[i], _mm512_and_si512(both, nibble), high_0, low_0);
        add(&to[i], _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble), high_1, low_1);
    }
}

INLINE void sums_of(struct sums *to, size_t n, const struct mixed_weights *w,
                    const uint8_t *const *codes, size_t bytes, size_t nibbles)
{
    const size_t half = nibbles / 2, end = bytes + half;
    size_t at = 0;
    UNROLL
    for (size_t i = 0; i < n; i++)
        to[i].high = to[i].low = _mm512_setzero_si512();
    for (; at + LANES <= bytes; at += LANES)
        add_bytes(to, n, w, at, codes, ~(__mmask64)0);
    if (at < bytes)
        add_bytes(to, n, w, at, codes, first_64(bytes - at));
    for (at = bytes; at + LANES <= end; at += LANES)
        add_nibbles(to, n, w, at, half, codes, ~(__mmask64)0);
    if (at < end)
        add_nibbles(to, n, w, at, half, codes, first_64(end - at));
}

/* 256 high + low, as four partial sums. */
INLINE __m128i parts(struct sums s)
{
    return quarters_i32(_mm512_add_epi32(_mm512_slli_epi32(s.high, 8), s.low));
}

int32_t avx512_ip_mixed(const struct mixed_weights *w, const uint8_t *code, size_t bytes,
                        size_t nibbles)
{
    struct sums sums[1];
    sums_of(sums, 1, w, &code, bytes, nibbles);
    return (int32_t)sum_of_4(parts(sums[0]));
}

void avx512_ip_mixed_n(const struct mixed_weights *w, const uint8_t *const *codes, size_t n,
                       size_t bytes, size_t nibbles, int32_t *out)
{
    size_t i = 0;
    for (; i + TOGETHER <= n; i += TOGETHER) {
        struct sums s[TOGETHER];
        sums_of(s, TOGETHER, w, codes + i, bytes, nibbles);
        const __m128i a = parts(s[0]), b = parts(s[1]), c = parts(s[2]), d = parts(s[3]);
        const __m128i ab = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
        const __m128i cd = _mm_add_epi32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
        const __m128i all = _mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd));
        _mm_storeu_si128((__m128i *)(void *)(out + i), all);
    }
    for (; i < n; i++)
        out[i] = avx512_ip_mixed(w, codes[i], bytes, nibbles);
}

/* sum + the squares of the scaled differences of sixteen codes. */
INLINE __m512 add_square(__m512 sum, __m128i a, __m128i b, const float *scale)
{
    const __m512i difference = _mm512_sub_epi32(_mm512_cvtepu8_epi32(a), _mm512_cvtepu8_epi32(b));
    const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(difference), _mm512_loadu_ps(scale));
    return _mm512_fmadd_ps(x, x, sum);
}

INLINE __m512 add_square_8(__m512 sum, __m128i a, __m128i b, const float *scale)
{
    const __m256i difference = _mm256_sub_epi32(_mm256_cvtepu8_epi32(a), _mm256_cvtepu8_epi32(b));
    const __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(difference), _mm256_loadu_ps(scale));
    return _mm512_add_ps(sum, _mm512_zextps256_ps512(_mm256_mul_ps(x, x)));
}

/* Two accumulators: a fused multiply-add takes 4 cycles, sixteen codes a little less. */
float avx512_l2sq_mixed(const float *scale, const uint8_t *a, const uint8_t *b, size_t bytes,
                        size_t nibbles)
{
    const size_t half = nibbles / 2, end = bytes + half;
    __m512 x = _mm512_setzero_ps(), y = x;
    size_t at = 0;
    for (; at + 32 <= bytes; at += 32) {
        x = add_square(x, bytes_16(a + at), bytes_16(b + at), scale + at);
        y = add_square(y, bytes_16(a + at + 16), bytes_16(b + at + 16), scale + at + 16);
    }
    for (; at + 16 <= bytes; at += 16)
        x = add_square(x, bytes_16(a + at), bytes_16(b + at), scale + at);
    if (at < bytes)
        y = add_square_8(y, bytes_8(a + at), bytes_8(b + at), scale + at);
    for (at = bytes; at + 16 <= end; at += 16) {
        const __m128i p = bytes_16(a + at), q = bytes_16(b + at);
        x = add_square(x, low_nibbles(p), low_nibbles(q), scale + at);
        y = add_square(y, high_nibbles(p), high_nibbles(q), scale + at + half);
    }
    if (at < end) {
        const __m128i p = bytes_8(a + at), q = bytes_8(b + at);
        x = add_square_8(x, low_nibbles(p), low_nibbles(q), scale + at);
        y = add_square_8(y, high_nibbles(p), high_nibbles(q), scale + at + half);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(x, y));
}

#endif
