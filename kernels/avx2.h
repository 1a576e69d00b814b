/* avx2.h - what the avx2_*.c files hand to the table in avx2.c. Private to kernels/. */
#ifndef DRIFTLINE_AVX2_H
#define DRIFTLINE_AVX2_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

float avx2_l2sq_f32(const float *a, const float *b, size_t dim);
float avx2_ip_f32(const float *a, const float *b, size_t dim);
float avx2_cos_f32(const float *a, const float *b, size_t dim);
void avx2_l2sq_f32_1n(const float *query, const float *rows, size_t n, size_t dim, float *out);
void avx2_ip_f32_1n(const float *query, const float *rows, size_t n, size_t dim, float *out);
void avx2_cos_f32_1n(const float *query, const float *rows, size_t n, size_t dim, float *out);
void avx2_l2sq_f32_mn(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                      size_t ld);
void avx2_ip_f32_mn(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                    size_t ld);
void avx2_cos_f32_mn(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                     size_t ld);

uint32_t avx2_l2sq_u8(const uint8_t *a, const uint8_t *b, size_t dim);
uint32_t avx2_ip_u8(const uint8_t *a, const uint8_t *b, size_t dim);
float avx2_cos_u8(const uint8_t *a, const uint8_t *b, size_t dim);
void avx2_l2sq_u8_1n(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim,
                     uint32_t *out);
void avx2_ip_u8_1n(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim, uint32_t *out);
void avx2_cos_u8_1n(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim, float *out);
void avx2_cos_u8_each(const uint8_t *query, const uint8_t *const *rows, size_t n, size_t dim,
                      float *out);
void avx2_l2sq_u8_mn(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, size_t dim,
                     uint32_t *out, size_t ld);
void avx2_ip_u8_mn(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, size_t dim,
                   uint32_t *out, size_t ld);
void avx2_cos_u8_mn(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, size_t dim,
                    float *out, size_t ld);

float avx2_l2sq_bf16(const uint16_t *a, const uint16_t *b, size_t dim);
float avx2_ip_bf16(const uint16_t *a, const uint16_t *b, size_t dim);

void avx2_hamming_b64_1n(uint64_t query, const uint64_t *codes, size_t n, uint8_t *out);
size_t avx2_hamming_b64_within(uint64_t query, const uint64_t *codes, size_t n, unsigned radius,
                               uint32_t *out);
void avx2_hamming_b64_mn(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint8_t *out,
                         size_t ld);
void avx2_hamming_b32_lines(const uint32_t *queries, const uint32_t *cares,
                            const uint32_t *const *lines, const uint32_t *limits, size_t n,
                            uint16_t *masks);
struct line_run;
struct line_hit;
size_t avx2_hamming_b32_runs(const struct line_run *runs, size_t n, struct line_hit *hits);
void avx2_hamming_b64_lines(uint64_t query, const uint64_t *const *lines, size_t n, unsigned limit,
                            uint8_t *masks);
size_t avx2_at_most_f32(const float *value, size_t n, float limit, uint32_t *out);
size_t avx2_at_most_u32(const uint32_t *value, size_t n, uint32_t limit, uint32_t *out);
size_t avx2_at_most_u8(const uint8_t *value, size_t n, uint8_t limit, uint32_t *out);
size_t avx2_argmin_f32(const float *value, size_t n);

uint64_t avx2_scan_u8(const uint8_t *block, size_t groups, const struct code_weights *weights,
                      struct code_estimate form, float limit, float *estimate);

struct code_terms;
struct residual;
void avx2_fastscan_64(const uint8_t *codes, const uint8_t *lut, size_t lines, uint32_t *sums);
void avx2_nibbles_64(const uint8_t *codes, const int8_t *weights, size_t groups, uint32_t start,
                     uint32_t *sums);
uint64_t avx2_bound_64(const struct code_terms *terms, const uint32_t *sums, float limit,
                       float *estimate);
float avx2_ip_f32_u1(const float *query, const uint8_t *code, size_t dim);
float avx2_ip_f32_u4(const float *query, const uint8_t *code, size_t dim);
float avx2_ip_f32_u8(const float *query, const uint8_t *code, size_t dim);
float avx2_ip_f32_u1u4(const float *query, const uint8_t *lines, float top, const uint8_t *code,
                       size_t dim);
struct mixed_weights;
int32_t avx2_ip_mixed(const struct mixed_weights *weights, const uint8_t *code, size_t bytes,
                      size_t nibbles);
void avx2_ip_mixed_n(const struct mixed_weights *weights, const uint8_t *const *codes, size_t n,
                     size_t bytes, size_t nibbles, int32_t *out);
float avx2_l2sq_mixed(const float *scale, const uint8_t *a, const uint8_t *b, size_t bytes,
                      size_t nibbles);
float avx2_grid_f32(const float *a, size_t dim, float t, float most, float *norm_sq);
struct residual avx2_residual_f32(const float *row, const float *centroid, size_t dim,
                                  float *magnitudes, uint8_t *signs);
void avx2_code_s8(const float *row, const float *middle, size_t dim, int8_t *codes,
                  struct code_row *to);
void avx2_bounds_s8(const int8_t *codes, const struct code_row *rows, size_t n, size_t dim,
                    const uint8_t *panels, const float *columns, size_t n_panels, float *out,
                    size_t ld);

#endif
