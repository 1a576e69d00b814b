/* avx512_mixed.c - dot products of integer weights with codes of bytes and nibbles, with AVX-512 VNNI.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -ffp-contract=off
 *
 * As avx512_codes.c has it, vpdpbusd takes unsigned codes and a weight's high and low byte, each with an
 * accumulator of its own; it does not saturate. 64 codes cost two products, 128 nibbles four and their
 * unpacking. Four codes at a time share the loads of the weights, which are a third of a lone code's, and
 * their last additions. Tails: masked loads; a masked code is 0, whatever its weight.
 */
#if defined(__x86_64__)

#include "avx512.h"

#include <immintrin.h>

#include "blocking.h"
#include "kernels.h"

enum { LANES = 64, TOGETHER = 4 };

struct sums {
    __m512i high, low;
};

INLINE __mmask64 first_lanes(size_t n)
{
    return n >= LANES ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

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

/* The nibbles of bytes from `at` on; those of the high halves are `half` weights later. */
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
        add_bytes(to, n, w, at, codes, first_lanes(bytes - at));
    for (at = bytes; at + LANES <= end; at += LANES)
        add_nibbles(to, n, w, at, half, codes, ~(__mmask64)0);
    if (at < end)
        add_nibbles(to, n, w, at, half, codes, first_lanes(end - at));
}

/* 256 high + low, in four parts. */
INLINE __m128i parts(struct sums s)
{
    const __m512i v = _mm512_add_epi32(_mm512_slli_epi32(s.high, 8), s.low);
    const __m256i y = _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
}

int32_t avx512_ip_mixed(const struct mixed_weights *w, const uint8_t *code, size_t bytes,
                        size_t nibbles)
{
    struct sums sums[1];
    sums_of(sums, 1, w, &code, bytes, nibbles);
    __m128i x = parts(sums[0]);
    x = _mm_add_epi32(x, _mm_unpackhi_epi64(x, x));
    return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0x55)));
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

#endif
