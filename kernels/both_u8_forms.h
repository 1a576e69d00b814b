/* both_u8_forms.h - the kernels of many rows of avx2/u8.c and avx512/u8.c, which define
 * one_to_many() for rows from `rows` on or at the addresses in `each`, block_ip() for BLOCK_A x
 * BLOCK_B dot products, and norm(). */
#ifndef DRIFTLINE_KERNELS_BOTH_U8_FORMS_H
#define DRIFTLINE_KERNELS_BOTH_U8_FORMS_H

void NAME(l2sq_u8_1n)(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim,
                      uint32_t *out)
{
    one_to_many(L2SQ, query, rows, NULL, n, dim, out);
}

void NAME(ip_u8_1n)(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim, uint32_t *out)
{
    one_to_many(IP, query, rows, NULL, n, dim, out);
}

void NAME(cos_u8_1n)(const uint8_t *query, const uint8_t *rows, size_t n, size_t dim, float *out)
{
    one_to_many(COS, query, rows, NULL, n, dim, out);
}

void NAME(cos_u8_each)(const uint8_t *query, const uint8_t *const *rows, size_t n, size_t dim,
                       float *out)
{
    one_to_many(COS, query, NULL, rows, n, dim, out);
}

void NAME(l2sq_u8_mn)(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, size_t dim,
                      uint32_t *out, size_t ld)
{
    many_u8(L2SQ, a, na, b, nb, dim, out, ld, BLOCK_A, BLOCK_B, block_ip, NAME(ip_u8_1n), norm);
}

void NAME(ip_u8_mn)(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, size_t dim,
                    uint32_t *out, size_t ld)
{
    many_u8(IP, a, na, b, nb, dim, out, ld, BLOCK_A, BLOCK_B, block_ip, NAME(ip_u8_1n), norm);
}

void NAME(cos_u8_mn)(const uint8_t *a, size_t na, const uint8_t *b, size_t nb, size_t dim,
                     float *out, size_t ld)
{
    many_u8(COS, a, na, b, nb, dim, out, ld, BLOCK_A, BLOCK_B, block_ip, NAME(ip_u8_1n), norm);
}

#endif
