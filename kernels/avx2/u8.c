/* u8.c - distances of unsigned bytes with AVX2.
 *
 * Flags: -mavx2 -ffp-contract=off
 *
 * vpmaddubsw would saturate (255 * 127 * 2 exceeds 16 bits), so bytes (|a - b| or the bytes
 * themselves) are widened to 16 bits by interleaving with zeros, then multiplied by vpmaddwd, which
 * is exact: two products below 2^16 each. Sums are modulo 2^32, and below it for dim up to 65535.
 * The order inside a vector does not matter. Many to many computes dot products only (blocking.h):
 * a row is widened once for all its partners. Accumulators: two per sum, for the low and the high
 * half of each chunk, because vpaddd has a latency of 1. Tail: the last bytes are copied to a
 * zeroed vector, because masked loads of bytes exist only in AVX-512. */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

#include <string.h>

enum { LANES = 32, BLOCK_A = 2, BLOCK_B = 3 };

/* 32 bytes as two vectors of 16 words. */
struct words {
    __m256i low, high;
};

INLINE struct words widen(__m256i bytes)
{
    __m256i zero = _mm256_setzero_si256();
    return (struct words){ _mm256_unpacklo_epi8(bytes, zero), _mm256_unpackhi_epi8(bytes, zero) };
}

INLINE __m256i load(const uint8_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

INLINE __m256i load_first(const uint8_t *from, size_t n)
{
    uint8_t bytes[LANES] = { 0 };
    memcpy(bytes, from, n);
    return load(bytes);
}

INLINE __m256i add_products(struct words a, struct words b, __m256i sum)
{
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a.low, b.low));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a.high, b.high));
}

INLINE __m256i step(enum distance_form form, __m256i a, __m256i b, __m256i sum)
{
    if (form != L2SQ)
        return add_products(widen(a), widen(b), sum);
    struct words d = widen(_mm256_or_si256(_mm256_subs_epu8(a, b), _mm256_subs_epu8(b, a)));
    return add_products(d, d, sum);
}

INLINE uint32_t one_to_one(enum distance_form form, const uint8_t *a, const uint8_t *b, size_t dim)
{
    __m256i sum = _mm256_setzero_si256(), odd = sum;
    size_t at = 0;
    for (; at + 2 * LANES <= dim; at += 2 * LANES) {
        sum = step(form, load(a + at), load(b + at), sum);
        odd = step(form, load(a + at + LANES), load(b + at + LANES), odd);
    }
    if (at + LANES <= dim) {
        sum = step(form, load(a + at), load(b + at), sum);
        at += LANES;
    }
    if (at < dim)
        odd = step(form, load_first(a + at, dim - at), load_first(b + at, dim - at), odd);
    return sum_of_4(halves_i32(_mm256_add_epi32(sum, odd)));
}

static uint32_t norm(const uint8_t *row, size_t dim)
{
    return one_to_one(IP, row, row, dim);
}

uint32_t avx2_l2sq_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    return one_to_one(L2SQ, a, b, dim);
}

uint32_t avx2_ip_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    return one_to_one(IP, a, b, dim);
}

float avx2_cos_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    return cosine_of_sums((double)one_to_one(IP, a, b, dim), (double)norm(a, dim),
                          (double)norm(b, dim));
}

/* n rows: contiguous from `rows` on, or at the addresses in `each`. */
INLINE void one_to_many(enum distance_form form, const uint8_t *query, const uint8_t *rows,
                        const uint8_t *const *each, size_t n, size_t dim, void *out)
{
    double inverse_query = form == COS ? inverse_norm((double)norm(query, dim)) : 0.0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *row = each ? each[i] : rows + i * dim;
        uint32_t sum = one_to_one(form == L2SQ ? L2SQ : IP, query, row, dim);
        if (form == COS)
            ((float *)out)[i] =
                cosine_distance((double)sum, inverse_query, inverse_norm((double)norm(row, dim)));
        else
            ((uint32_t *)out)[i] = sum;
    }
}

INLINE void block_chunk(const uint8_t *a, const uint8_t *b, size_t dim, size_t at, size_t n,
                        __m256i sum[BLOCK_A][BLOCK_B])
{
    struct words x[BLOCK_A];
    UNROLL
    for (size_t i = 0; i < BLOCK_A; i++) {
        const uint8_t *from = a + i * dim + at;
        x[i] = widen(n == LANES ? load(from) : load_first(from, n));
    }
    UNROLL
    for (size_t j = 0; j < BLOCK_B; j++) {
        const uint8_t *from = b + j * dim + at;
        struct words y = widen(n == LANES ? load(from) : load_first(from, n));
        UNROLL
        for (size_t i = 0; i < BLOCK_A; i++)
            sum[i][j] = add_products(x[i], y, sum[i][j]);
    }
}

static void block_ip(const uint8_t *a, const uint8_t *b, size_t dim, uint32_t *out, size_t ld)
{
    __m256i sum[BLOCK_A][BLOCK_B];
    UNROLL
    for (size_t i = 0; i < BLOCK_A; i++) {
        UNROLL
        for (size_t j = 0; j < BLOCK_B; j++)
            sum[i][j] = _mm256_setzero_si256();
    }
    size_t at = 0;
    for (; at + LANES <= dim; at += LANES)
        block_chunk(a, b, dim, at, LANES, sum);
    if (at < dim)
        block_chunk(a, b, dim, at, dim - at, sum);
    UNROLL
    for (size_t i = 0; i < BLOCK_A; i++) {
        UNROLL
        for (size_t j = 0; j < BLOCK_B; j++)
            out[i * ld + j] = sum_of_4(halves_i32(sum[i][j]));
    }
}

#include "kernels/both_u8_forms.h"

#endif
