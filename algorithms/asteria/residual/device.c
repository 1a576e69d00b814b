/* device.c - codes and queries in the layout of a device's kernels (kernels/cuda/device.h). */
#include "kernels/cuda/device.h"
#include "algorithms/asteria/residual/internal.h"

enum { MULTIPLE = 16 };

/* Codes may have no coordinates; a device has at least one multiple of them. */
size_t asteria_lrsq_device_dim(const struct asteria_lrsq *l)
{
    const size_t width = lrsq_width(l);
    return width > 0 ? (width + MULTIPLE - 1) / MULTIPLE * MULTIPLE : MULTIPLE;
}

void asteria_lrsq_device_code(const struct asteria_lrsq *l, const void *code, uint8_t *bytes,
                              struct device_bound_row *row)
{
    const struct asteria_lrsq_head *head = code;
    const uint8_t *codes = lrsq_codes(code), *nibbles = codes + l->n_bytes;
    const size_t half = l->n_nibbles / 2, width = lrsq_width(l);
    memcpy(bytes, codes, l->n_bytes);
    for (size_t i = 0; i < half; i++) {
        bytes[l->n_bytes + i] = nibbles[i] & 15;
        bytes[l->n_bytes + half + i] = nibbles[i] >> 4;
    }
    memset(bytes + width, 0, asteria_lrsq_device_dim(l) - width);
    *row = (struct device_bound_row){ head->norm, lrsq_half(head->d), lrsq_half(head->e) };
}

void asteria_lrsq_device_query(const struct asteria_lrsq *l, const void *query, int8_t *high,
                               int8_t *low, struct device_bound_query *terms)
{
    const struct asteria_lrsq_query *q = query;
    const int8_t *weights = (const int8_t *)query + LRSQ_QUERY_HEAD;
    const size_t width = lrsq_width(l), padding = asteria_lrsq_device_dim(l) - width;
    memcpy(high, weights, width);
    memcpy(low, weights + lrsq_stride(l), width);
    memset(high + width, 0, padding);
    memset(low + width, 0, padding);
    *terms = (struct device_bound_query){ q->whole, q->unit, q->rest, q->slack, q->size };
}
