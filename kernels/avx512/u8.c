/* u8.c - distances of unsigned bytes with AVX-512 VNNI.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -ffp-contract=off
 *
 * Processor: Ice Lake, Zen 4 or later, as this whole table (VBMI, VNNI, VPOPCNTDQ).
 *
 * vpdpbusd multiplies unsigned by signed bytes: four products and the sum fit an int32 without
 * saturating. With b' = b - 128, which is b ^ 0x80 read as signed, everything is exact modulo 2^32,
 * and every result is below 2^32 for dim up to 65535:
 *
 *     sum a b       = dp(a, b') + 128 sum a
 *     sum (q - r)^2 = sum (q - 128)^2 + [dp(r, r') + dp(128, r')] - 2 dp(q, r')
 *
 * so a row costs one exclusive-or and one to three dot products per 64 components, against nine
 * operations for differences widened to 16 bits. A single pair, with no query to prepare, uses d =
 * |a - b| and sum d^2 = dp(d, d') + 128 sum d. Accumulators: one per sum; 8 rows (16 pairs many to
 * many) are in flight and a dot product takes 4 cycles. Tail: masked loads; a masked byte is 0
 * unsigned, and multiplying by it cancels the other side's 0 ^ 0x80. */
#if defined(__x86_64__)

#include "kernels/avx512/avx512.h"

enum { LANES = 64, ROWS = 4, BLOCK_A = 4, BLOCK_B = 4 };

INLINE __m512i less_128(__m512i bytes)
{
    return _mm512_xor_si512(bytes, _mm512_set1_epi8(-128));
}

/* The sums of four vectors. */
INLINE __m128i sum_4(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i x = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    return quarters_i32(x);
}

/* Sums over the chunks of a row; with_self only where the form needs it. */
struct sums {
    __m512i with_query; /* dp(q, r') */
    __m512i with_self;  /* L2SQ: dp(r, r') + dp(128, r'); COS: dp(r, r') + 128 sum r = sum r^2 */
};

INLINE void chunk(enum distance_form form, __m512i q, __m512i r, __mmask64 mask, struct sums *to)
{
    __m512i signed_r = less_128(r);
    to->with_query = _mm512_dpbusd_epi32(to->with_query, q, signed_r);
    if (form == IP)
        return;
    to->with_self = _mm512_dpbusd_epi32(to->with_self, r, signed_r);
    if (form == L2SQ) {
        __m512i bias = _mm512_maskz_set1_epi8(mask, -128); /* 128 as unsigned */
        to->with_self = _mm512_dpbusd_epi32(to->with_self, bias, signed_r);
    } else {
        __m512i half_bias = _mm512_set1_epi8(64); /* 128 does not fit a signed byte */
        to->with_self = _mm512_dpbusd_epi32(to->with_self, r, half_bias);
        to->with_self = _mm512_dpbusd_epi32(to->with_self, r, half_bias);
    }
}

INLINE struct sums row_sums(enum distance_form form, const uint8_t *query, const uint8_t *row,
                            size_t dim)
{
    struct sums sums = { _mm512_setzero_si512(), _mm512_setzero_si512() };
    size_t at = 0;
    for (; at + LANES <= dim; at += LANES)
        chunk(form, _mm512_loadu_si512(query + at), _mm512_loadu_si512(row + at), ~(__mmask64)0,
              &sums);
    if (at < dim) {
        __mmask64 mask = first_64(dim - at);
        chunk(form, _mm512_maskz_loadu_epi8(mask, query + at),
              _mm512_maskz_loadu_epi8(mask, row + at), mask, &sums);
    }
    return sums;
}

INLINE uint32_t sum_of(const uint8_t *row, size_t dim)
{
    __m512i sum = _mm512_setzero_si512();
    for (size_t at = 0; at < dim; at += LANES) {
        __m512i x = _mm512_maskz_loadu_epi8(first_64(dim - at), row + at);
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(x, _mm512_setzero_si512()));
    }
    return (uint32_t)_mm512_reduce_add_epi64(sum);
}

static uint32_t norm(const uint8_t *row, size_t dim)
{
    return sum_of_4(quarters_i32(row_sums(COS, row, row, dim).with_self));
}

uint32_t avx512_l2sq_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    __m512i squares = _mm512_setzero_si512(), sum = _mm512_setzero_si512();
    for (size_t at = 0; at < dim; at += LANES) {
        __mmask64 mask = first_64(dim - at);
        __m512i x = _mm512_maskz_loadu_epi8(mask, a + at),
                y = _mm512_maskz_loadu_epi8(mask, b + at);
        __m512i d = _mm512_or_si512(_mm512_subs_epu8(x, y), _mm512_subs_epu8(y, x));
        squares = _mm512_dpbusd_epi32(squares, d, less_128(d));
        sum = _mm512_dpbusd_epi32(sum, d, _mm512_set1_epi8(1));
    }
    return sum_of_4(quarters_i32(_mm512_add_epi32(squares, _mm512_slli_epi32(sum, 7))));
}

uint32_t avx512_ip_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    return sum_of_4(quarters_i32(row_sums(IP, a, b, dim).with_query)) + 128 * sum_of(a, dim);
}

float avx512_cos_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    struct sums sums = row_sums(COS, a, b, dim);
    uint32_t ip = sum_of_4(quarters_i32(sums.with_query)) + 128 * sum_of(a, dim);
    return cosine_of_sums((double)ip, (double)norm(a, dim),
                          (double)sum_of_4(quarters_i32(sums.with_self)));
}

/* The query's constant part of every row's result. */
INLINE uint32_t query_share(enum distance_form form, const uint8_t *query, size_t dim)
{
    uint32_t sum = sum_of(query, dim);
    if (form != L2SQ)
        return 128 * sum;
    return norm(query, dim) - 256 * sum + 16384 * (uint32_t)dim;
}

/* n rows: contiguous from `rows` on, or at the addresses in `each`. */
INLINE void one_to_many(enum distance_form form, const uint8_t *query, const uint8_t *rows,
                        const uint8_t *const *each, size_t n, size_t dim, void *out)
{
    uint32_t share = query_share(form, query, dim);
    double inverse_query = form == COS ? inverse_norm((double)norm(query, dim)) : 0.0;
    for (size_t i = 0; i < n; i += ROWS) {
        size_t count = least(ROWS, n - i);
        __m512i total[ROWS], self[ROWS];
        UNROLL
        for (size_t r = 0; r < ROWS; r++) {
            /* Past the last row, its sums are repeated and not stored. */
            size_t at = i + least(r, count - 1);
            const uint8_t *row = each ? each[at] : rows + at * dim;
            struct sums sums = row_sums(form, query, row, dim);
            total[r] = sums.with_query;
            self[r] = sums.with_self;
            if (form == L2SQ)
                total[r] = _mm512_sub_epi32(self[r], _mm512_slli_epi32(sums.with_query, 1));
            IN_ORDER;
        }
        __m128i sums = sum_4(total[0], total[1], total[2], total[3]);
        sums = _mm_add_epi32(sums, _mm_set1_epi32((int)share));
        __mmask8 stored = (__mmask8)((1u << count) - 1);
        if (form != COS) {
            _mm_mask_storeu_epi32((uint32_t *)out + i, stored, sums);
            continue;
        }
        uint32_t ip[ROWS], norm_sq[ROWS];
        _mm_storeu_si128((__m128i *)ip, sums);
        _mm_storeu_si128((__m128i *)norm_sq, sum_4(self[0], self[1], self[2], self[3]));
        for (size_t r = 0; r < count; r++)
            ((float *)out)[i + r] =
                cosine_distance((double)ip[r], inverse_query, inverse_norm((double)norm_sq[r]));
    }
}

/* Dot products of 4 x 4 rows: dp(a, b') for each pair and 128 sum a for each row of a. */
INLINE void block_chunk(const uint8_t *a, const uint8_t *b, size_t dim, size_t at, __mmask64 mask,
                        __m512i sum[BLOCK_A][BLOCK_B], __m512i sum_a[BLOCK_A])
{
    __m512i rows[BLOCK_B];
    UNROLL
    for (size_t j = 0; j < BLOCK_B; j++)
        rows[j] = less_128(_mm512_maskz_loadu_epi8(mask, b + j * dim + at));
    UNROLL
    for (size_t i = 0; i < BLOCK_A; i++) {
        __m512i x = _mm512_maskz_loadu_epi8(mask, a + i * dim + at);
        UNROLL
        for (size_t j = 0; j < BLOCK_B; j++)
            sum[i][j] = _mm512_dpbusd_epi32(sum[i][j], x, rows[j]);
        sum_a[i] = _mm512_dpbusd_epi32(sum_a[i], x, _mm512_set1_epi8(1));
    }
}

static void block_ip(const uint8_t *a, const uint8_t *b, size_t dim, uint32_t *out, size_t ld)
{
    __m512i sum[BLOCK_A][BLOCK_B], sum_a[BLOCK_A];
    UNROLL
    for (size_t i = 0; i < BLOCK_A; i++) {
        sum_a[i] = _mm512_setzero_si512();
        UNROLL
        for (size_t j = 0; j < BLOCK_B; j++)
            sum[i][j] = _mm512_setzero_si512();
    }
    size_t at = 0;
    for (; at + LANES <= dim; at += LANES)
        block_chunk(a, b, dim, at, ~(__mmask64)0, sum, sum_a);
    if (at < dim)
        block_chunk(a, b, dim, at, first_64(dim - at), sum, sum_a);
    __m128i bias = _mm_slli_epi32(sum_4(sum_a[0], sum_a[1], sum_a[2], sum_a[3]), 7);
    uint32_t biases[BLOCK_A];
    _mm_storeu_si128((__m128i *)biases, bias);
    UNROLL
    for (size_t i = 0; i < BLOCK_A; i++) {
        __m128i ip = sum_4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
        _mm_storeu_si128((__m128i *)(out + i * ld),
                         _mm_add_epi32(ip, _mm_set1_epi32((int)biases[i])));
    }
}

#include "kernels/both_u8_forms.h"

#endif
