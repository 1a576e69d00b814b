/* bounds.c - lower bounds of many distances from products of byte codes, AVX2.
 *
 * Flags: -mavx2 -mfma -ffp-contract=off
 *
 * vpmaddubsw would saturate, so bytes are widened to 16 bits and vpmaddwd adds pairs of
 * products: 16 per instruction, twice as many as an FMA. The widened bytes of a column are used
 * for four rows. */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

#include <string.h>

enum { LANES = 8, COLUMNS = 16, PANEL_FLOATS = 4 * COLUMNS, HALF = 2, ROWS = 4 };

/* Widened to 16 bits. */
INLINE __m256i four_words(const int8_t *bytes)
{
    int32_t four;
    memcpy(&four, bytes, sizeof four);
    return _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
}

/* The formula of kernels.def, operation by operation. */
INLINE __m256 bound(__m256i sum, const struct code_row *row, const float *columns)
{
    __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(row->scale));
    __m256 b =
        _mm256_fmadd_ps(product, _mm256_loadu_ps(columns + COLUMNS), _mm256_loadu_ps(columns));
    b = _mm256_fnmadd_ps(_mm256_set1_ps(row->error), _mm256_loadu_ps(columns + 2 * COLUMNS), b);
    return _mm256_fnmadd_ps(_mm256_set1_ps(row->norm), _mm256_loadu_ps(columns + 3 * COLUMNS), b);
}

/* Half a panel, 8 columns: the sums of each four columns are in two partial sums per column. */
INLINE void block(const int8_t *codes, const struct code_row *rows, size_t nr, size_t dim,
                  const uint8_t *half, const float *columns, float *out, size_t ld)
{
    __m256i sum[ROWS][HALF];
    UNROLL
    for (size_t r = 0; r < nr; r++)
        sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    for (size_t at = 0; at < dim; at += 4) {
        const uint8_t *bytes = half + at * COLUMNS;
        __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)bytes));
        __m256i b =
            _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(bytes + 16)));
        UNROLL
        for (size_t r = 0; r < nr; r++) {
            __m256i four = four_words(codes + r * dim + at);
            sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(a, four));
            sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(b, four));
        }
    }
    UNROLL
    for (size_t r = 0; r < nr; r++) {
        __m256i both = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[r][0], sum[r][1]), 0xd8);
        both = _mm256_add_epi32(both, _mm256_set1_epi32(rows[r].start));
        _mm256_storeu_ps(out + r * ld, bound(both, rows + r, columns));
    }
}

void avx2_bounds_s8(const int8_t *codes, const struct code_row *rows, size_t n, size_t dim,
                    const uint8_t *panels, const float *columns, size_t n_panels, float *out,
                    size_t ld)
{
    for (size_t h = 0; h < HALF * n_panels; h++) {
        const uint8_t *half = panels + h / HALF * COLUMNS * dim + h % HALF * LANES * 4;
        const float *of_half = columns + h / HALF * PANEL_FLOATS + h % HALF * LANES;
        size_t i = 0;
        for (; i + ROWS <= n; i += ROWS)
            block(codes + i * dim, rows + i, ROWS, dim, half, of_half, out + i * ld + h * LANES,
                  ld);
        for (; i < n; i++)
            block(codes + i * dim, rows + i, 1, dim, half, of_half, out + i * ld + h * LANES, ld);
    }
}

/* 8 components less the middle; 0 past the end. */
INLINE __m256 component(const float *row, const float *middle, size_t dim, size_t at)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const int left = dim - at < LANES ? (int)(dim - at) : LANES;
    __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(left), lanes);
    return _mm256_sub_ps(_mm256_maskload_ps(row + at, mask), _mm256_maskload_ps(middle + at, mask));
}

void avx2_code_s8(const float *row, const float *middle, size_t dim, int8_t *codes,
                  struct code_row *to)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 most = _mm256_setzero_ps(), norm = most, error = most;
    for (size_t at = 0; at < dim; at += LANES) {
        __m256 x = component(row, middle, dim, at);
        most = _mm256_max_ps(most, _mm256_andnot_ps(sign, x));
        norm = _mm256_fmadd_ps(x, x, norm);
    }
    float lane[LANES];
    _mm256_storeu_ps(lane, most);
    for (size_t i = 1; i < LANES; i++)
        lane[0] = lane[i] > lane[0] ? lane[i] : lane[0];
    code_row_begin(to, lane[0], sum_f32(norm));
    const __m256 scale = _mm256_set1_ps(to->scale), inverse = _mm256_set1_ps(code_inverse(to));
    const size_t end = (dim + 3) / 4 * 4;
    int32_t sum = 0;
    for (size_t at = 0; at < dim; at += LANES) {
        __m256 x = component(row, middle, dim, at);
        __m256i code = _mm256_cvtps_epi32(_mm256_mul_ps(x, inverse));
        x = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(code), scale, x);
        error = _mm256_fmadd_ps(x, x, error);
        int32_t whole[LANES];
        _mm256_storeu_si256((__m256i *)(void *)whole, code);
        for (size_t i = 0; i < LANES && at + i < end; i++) {
            codes[at + i] = (int8_t)whole[i];
            sum += whole[i];
        }
    }
    code_row_end(to, sum, sum_f32(error));
}

#endif
