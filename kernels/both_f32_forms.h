/* both_f32_forms.h - the kernels of avx2/f32.c and avx512/f32.c, which define one_to_many(), and
 * block() for BLOCK_A x BLOCK_B pairs. */
#ifndef DRIFTLINE_KERNELS_BOTH_F32_FORMS_H
#define DRIFTLINE_KERNELS_BOTH_F32_FORMS_H

static void block_l2sq(const float *a, const float *b, size_t dim, float *out, size_t ld)
{
    block(L2SQ, a, b, dim, out, ld);
}

static void block_ip(const float *a, const float *b, size_t dim, float *out, size_t ld)
{
    block(IP, a, b, dim, out, ld);
}

float NAME(l2sq_f32)(const float *a, const float *b, size_t dim)
{
    return one_to_one(L2SQ, a, b, dim);
}

float NAME(ip_f32)(const float *a, const float *b, size_t dim)
{
    return one_to_one(IP, a, b, dim);
}

void NAME(l2sq_f32_1n)(const float *query, const float *rows, size_t n, size_t dim, float *out)
{
    one_to_many(L2SQ, query, rows, n, dim, out);
}

void NAME(ip_f32_1n)(const float *query, const float *rows, size_t n, size_t dim, float *out)
{
    one_to_many(IP, query, rows, n, dim, out);
}

void NAME(l2sq_f32_mn)(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                       size_t ld)
{
    many_f32(a, na, b, nb, dim, out, ld, BLOCK_A, BLOCK_B, block_l2sq, NAME(l2sq_f32_1n));
}

void NAME(ip_f32_mn)(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                     size_t ld)
{
    many_f32(a, na, b, nb, dim, out, ld, BLOCK_A, BLOCK_B, block_ip, NAME(ip_f32_1n));
}

#endif
