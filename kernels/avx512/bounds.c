/* bounds.c - lower bounds of many distances from products of byte codes, AVX-512 VNNI.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -ffp-contract=off
 *
 * Processor: Ice Lake, Zen 4 or later, as this whole table (VBMI, VNNI, VPOPCNTDQ).
 *
 * vpdpbusd adds the products of four unsigned bytes (of a column) and four signed ones (of a row)
 * to each of 16 sums. On Zen 4 one starts per cycle, twice the work of a bf16 product and four
 * times that of an FMA. Six rows times four panels of 16 columns are 24 sums, which together with
 * four loads and six broadcasts per step keep that pipe busy. With fewer than 4 sums it would wait
 * for its latency. */
#if defined(__x86_64__)

#include "kernels/avx512/avx512.h"

#include <string.h>

enum { LANES = 16, PANEL_FLOATS = 4 * LANES, ROWS = 6, PANELS = 4 };
/* Rows are mostly contiguous, and the hardware prefetcher does not cross a page. */
enum { AHEAD_BYTES = 4096 };

/* As _mm512_dpbusd_epi32(), for which gcc copies the sums between registers and to memory. */
INLINE __m512i add_products(__m512i sum, __m512i unsigned_bytes, __m512i signed_bytes)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
    return sum;
}

/* The formula of kernels.def, operation by operation. */
INLINE __m512 bound(__m512i sum, const struct code_row *row, const float *columns)
{
    __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(row->scale));
    __m512 b = _mm512_fmadd_ps(product, _mm512_loadu_ps(columns + LANES), _mm512_loadu_ps(columns));
    b = _mm512_fnmadd_ps(_mm512_set1_ps(row->error), _mm512_loadu_ps(columns + 2 * LANES), b);
    return _mm512_fnmadd_ps(_mm512_set1_ps(row->norm), _mm512_loadu_ps(columns + 3 * LANES), b);
}

INLINE void block(const int8_t *codes, const struct code_row *rows, size_t nr, size_t dim,
                  const uint8_t *panels, const float *columns, size_t np, float *out, size_t ld)
{
    __m512i sum[ROWS * PANELS];
    UNROLL
    for (size_t r = 0; r < nr; r++) {
        UNROLL
        for (size_t p = 0; p < np; p++)
            sum[r * np + p] = _mm512_set1_epi32(rows[r].start);
    }
    for (size_t at = 0; at < dim; at += 4) {
        __m512i column[PANELS];
        UNROLL
        for (size_t p = 0; p < np; p++)
            column[p] = _mm512_loadu_si512(panels + (p * dim + at) * LANES);
        UNROLL
        for (size_t r = 0; r < nr; r++) {
            __m512i four = four_bytes(codes + r * dim + at);
            UNROLL
            for (size_t p = 0; p < np; p++)
                sum[r * np + p] = add_products(sum[r * np + p], column[p], four);
        }
    }
    UNROLL
    for (size_t r = 0; r < nr; r++) {
        UNROLL
        for (size_t p = 0; p < np; p++)
            _mm512_storeu_ps(out + r * ld + p * LANES,
                             bound(sum[r * np + p], rows + r, columns + p * PANEL_FLOATS));
    }
}

INLINE void strip(const int8_t *codes, const struct code_row *rows, size_t n, size_t dim,
                  const uint8_t *panels, const float *columns, size_t np, float *out, size_t ld)
{
    size_t i = 0;
    for (; i + ROWS <= n; i += ROWS)
        block(codes + i * dim, rows + i, ROWS, dim, panels, columns, np, out + i * ld, ld);
    codes += i * dim;
    rows += i;
    out += i * ld;
    switch (n - i) {
        case 5: block(codes, rows, 5, dim, panels, columns, np, out, ld); break;
        case 4: block(codes, rows, 4, dim, panels, columns, np, out, ld); break;
        case 3: block(codes, rows, 3, dim, panels, columns, np, out, ld); break;
        case 2: block(codes, rows, 2, dim, panels, columns, np, out, ld); break;
        case 1: block(codes, rows, 1, dim, panels, columns, np, out, ld); break;
        default: break;
    }
}

void avx512_bounds_s8(const int8_t *codes, const struct code_row *rows, size_t n, size_t dim,
                      const uint8_t *panels, const float *columns, size_t n_panels, float *out,
                      size_t ld)
{
    size_t p = 0;
    for (; p + PANELS <= n_panels; p += PANELS)
        strip(codes, rows, n, dim, panels + p * dim * LANES, columns + p * PANEL_FLOATS, PANELS,
              out + p * LANES, ld);
    if (p + 2 <= n_panels) {
        strip(codes, rows, n, dim, panels + p * dim * LANES, columns + p * PANEL_FLOATS, 2,
              out + p * LANES, ld);
        p += 2;
    }
    if (p < n_panels)
        strip(codes, rows, n, dim, panels + p * dim * LANES, columns + p * PANEL_FLOATS, 1,
              out + p * LANES, ld);
}

/* 16 components less the middle; 0 where the mask is 0. */
INLINE __m512 component(const float *row, const float *middle, __mmask16 mask)
{
    return _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, row), _mm512_maskz_loadu_ps(mask, middle));
}

struct sums {
    __m512 most, norm, error;
    __m512i codes;
};

INLINE void size_up(__m512 x, struct sums *s)
{
    s->most = _mm512_max_ps(s->most, _mm512_abs_ps(x));
    s->norm = _mm512_fmadd_ps(x, x, s->norm);
}

INLINE void encode(__m512 x, __m512 scale, __m512 inverse, __mmask16 mask, int8_t *to,
                   struct sums *s)
{
    __m512i code = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
    x = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(code), scale, x);
    s->error = _mm512_fmadd_ps(x, x, s->error);
    s->codes = _mm512_add_epi32(s->codes, code);
    _mm512_mask_cvtepi32_storeu_epi8(to, mask, code);
}

void avx512_code_s8(const float *row, const float *middle, size_t dim, int8_t *codes,
                    struct code_row *to)
{
    struct sums s = { _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                      _mm512_setzero_si512() };
    const size_t whole = dim - dim % LANES;
    const __mmask16 left = first_16(dim - whole);
    for (size_t at = 0; at < whole; at += LANES) {
        _mm_prefetch((const char *)(row + at) + AHEAD_BYTES, _MM_HINT_T0);
        size_up(component(row + at, middle + at, 0xffff), &s);
    }
    if (left)
        size_up(component(row + whole, middle + whole, left), &s);
    code_row_begin(to, _mm512_reduce_max_ps(s.most), _mm512_reduce_add_ps(s.norm));
    const __m512 scale = _mm512_set1_ps(to->scale), inverse = _mm512_set1_ps(code_inverse(to));
    for (size_t at = 0; at < whole; at += LANES)
        encode(component(row + at, middle + at, 0xffff), scale, inverse, 0xffff, codes + at, &s);
    if (left)
        encode(component(row + whole, middle + whole, left), scale, inverse,
               first_16((dim + 3) / 4 * 4 - whole), codes + whole, &s);
    code_row_end(to, _mm512_reduce_add_epi32(s.codes), _mm512_reduce_add_ps(s.error));
}

#endif
