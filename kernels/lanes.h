/* lanes.h - what the AVX2 and the AVX-512 kernels do alike, by the names of avx2.h and avx512.h:
 * sums over the lanes of a register, masks of the first lanes, and codes of 4 to 16 bytes. Private
 * to kernels/; compiled into each file with that file's flags. */
#ifndef DRIFTLINE_LANES_H
#define DRIFTLINE_LANES_H

#include <immintrin.h>
#include <string.h>

#include "kernels/blocking.h"

/* Keeps the compiler from interleaving the loads of neighbouring rows, which costs half the memory
 * bandwidth. */
#define IN_ORDER __asm__ volatile("" ::: "memory")

/* Sums: halves, then (0 + 2) + (1 + 3). */

INLINE __m128 halves_f32(__m256 v)
{
    return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

INLINE float sum_f32(__m256 v)
{
    __m128 x = halves_f32(v);
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

INLINE __m128i halves_i32(__m256i v)
{
    return _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

/* Modulo 2^32. */
INLINE uint32_t sum_of_4(__m128i x)
{
    x = _mm_add_epi32(x, _mm_unpackhi_epi64(x, x));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0x55)));
}

/* One more term of a distance, or of many side by side. */
INLINE v_floats step_f32(enum distance_form form, v_floats a, v_floats b, v_floats sum)
{
    v_floats d = form == L2SQ ? V(sub_ps)(a, b) : a;
    return V(fmadd_ps)(d, form == L2SQ ? d : b, sum);
}

/* Codes. */

INLINE __m128i bytes_16(const uint8_t *code)
{
    return _mm_loadu_si128((const __m128i *)(const void *)code);
}

INLINE __m128i bytes_8(const uint8_t *code)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)code);
}

INLINE __m128i low_nibbles(__m128i both)
{
    return _mm_and_si128(both, _mm_set1_epi8(15));
}

INLINE __m128i high_nibbles(__m128i both)
{
    return _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15));
}

/* Four bytes, again and again. */
INLINE v_ints four_bytes(const int8_t *bytes)
{
    int32_t four;
    memcpy(&four, bytes, sizeof four);
    return V(set1_epi32)(four);
}

#ifdef __AVX512BW__

INLINE __mmask16 first_16(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1);
}

INLINE __mmask64 first_64(size_t n)
{
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

/* Not _mm512_reduce_add_epi32: gcc implements it as signed addition, and these sums wrap. */
INLINE __m128i quarters_i32(__m512i v)
{
    return halves_i32(_mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1)));
}

#endif
#endif
