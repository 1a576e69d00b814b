/* tensor.h - products of bytes on tensor cores.
 *
 * tensor_multiply() adds a product of 16 x 32 signed bytes with 32 x 8 unsigned ones to 16 x 8
 * integers. The 32 lanes of a warp share the matrices; of lane 4 g + t,
 *
 *     a[0], a[1]      row g, row g + 8, columns 4 t .. 4 t + 3      a[2], a[3]   the same, + 16
 *     b[0], b[1]      column g, rows 4 t .. 4 t + 3, the same + 16
 *     sum[0 .. 1]     row g, columns 2 t, 2 t + 1                   sum[2 .. 3]  row g + 8
 *
 * a word holds four bytes, the first in its lowest bits. (PTX ISA, mma.m16n8k32 and mma.m8n8k16,
 * which divide the matrices among lanes in the same way.) */
#ifndef DRIFTLINE_TENSOR_H
#define DRIFTLINE_TENSOR_H

#include "kernels/cuda/runtime.h"

#ifdef CUDA_EMULATED

struct tensor_words {
    uint32_t a[4], b[2];
};

/* Four products. */
static inline int32_t tensor_dot(uint32_t a, uint32_t b)
{
    int32_t sum = 0;
    for (int i = 0; i < 32; i += 8)
        sum += static_cast<int8_t>(a >> i & 255) * static_cast<int32_t>(b >> i & 255);
    return sum;
}

static inline void tensor_multiply(int32_t sum[4], const uint32_t a[4], const uint32_t b[2])
{
    const emulated_values<tensor_words> all =
        emulated_all(WHOLE_WARP, tensor_words{ { a[0], a[1], a[2], a[3] }, { b[0], b[1] } });
    const unsigned lane = emulated_lane(), row = lane / 4, column = lane % 4 * 2;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned t = 0; t < 4; t++) {
            const tensor_words left = all.of(4 * row + t), right = all.of(4 * (column + i % 2) + t);
            sum[i] +=
                tensor_dot(left.a[i / 2], right.b[0]) + tensor_dot(left.a[2 + i / 2], right.b[1]);
        }
}

#else

__device__ inline void tensor_multiply(int32_t sum[4], const uint32_t a[4], const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int i = 0; i < 4; i++)
        asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.u8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
            : "+r"(sum[i % 2 * 2]), "+r"(sum[i % 2 * 2 + 1])
            : "r"(a[i]), "r"(b[i / 2]));
#endif
}

#endif

#endif
