/* tensor_tile.h - products of 64 queries with 128 rows by a block, on tensor cores.
 *
 * A component of a query has 16 bits, 256 high + low; one of a row has 8. The product of a query and a
 * row is that of the high bytes and that of the low bytes, both exact. */
#ifndef DRIFTLINE_TENSOR_TILE_H
#define DRIFTLINE_TENSOR_TILE_H

#include "kernels/cuda/tensor.h"

enum {
    TENSOR_THREADS = 256,
    QUERY_WARPS = 4, /* 16 queries each */
    TILE_QUERIES = 16 * QUERY_WARPS,
    WARP_TILES = 8, /* of 8 rows */
    ROW_WARPS = TENSOR_THREADS / WARP / QUERY_WARPS,
    TILE_ROWS = 8 * WARP_TILES * ROW_WARPS,
    STEP_WORDS = 8,               /* 32 components: those of one product */
    DEPTH_WORDS = 2 * STEP_WORDS, /* in shared memory at a time */
    PITCH_WORDS = DEPTH_WORDS + 4 /* rows 8 words apart start in different banks */
};

struct alignas(16) product_tile {
    uint32_t high[TILE_QUERIES][PITCH_WORDS], low[TILE_QUERIES][PITCH_WORDS];
    uint32_t rows[TILE_ROWS][PITCH_WORDS];
};

/* Loads components [at, at + 64) of COUNT rows, `dim` a multiple of 16. row(i): the bytes of row i, from
   a multiple of 16, or null for zeros. */
template <unsigned COUNT, class Row>
__device__ inline void load_part(uint32_t (*to)[PITCH_WORDS], Row row, size_t dim, size_t at)
{
    constexpr unsigned PIECES = DEPTH_WORDS / 4, ROWS = TENSOR_THREADS / PIECES;
    static_assert(COUNT % ROWS == 0, "a thread loads as many pieces as another");
    const unsigned piece = threadIdx.x % PIECES;
    const size_t component = at + 16 * piece;
#pragma unroll
    for (unsigned j = 0; j < COUNT / ROWS; j++) {
        const unsigned i = threadIdx.x / PIECES + j * ROWS;
        const auto *const source = row(i);
        *(reinterpret_cast<uint4 *>(to[i]) + piece) =
            source && component < dim ? *reinterpret_cast<const uint4 *>(source + component)
                                      : uint4{ 0, 0, 0, 0 };
    }
}

/* Of this thread, for tile i of its warp's rows: as tensor.h says. */
struct product_sums {
    int32_t high[WARP_TILES][4], low[WARP_TILES][4];
};

/* The thread's queries are `query` and query + 8 of the block's. Its products i < 2 * WARP_TILES with
   each are those of the rows row + i / 2 * 8 + i % 2. */
struct product_place {
    unsigned query, row;
};

__device__ inline product_place product_place_of()
{
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    return { 16 * (warp % QUERY_WARPS) + lane / 4,
             8 * WARP_TILES * (warp / QUERY_WARPS) + lane % 4 * 2 };
}

/* Product i with the first (half 0) or second query. */
__device__ inline int32_t product_of(const product_sums &sums, unsigned half, unsigned i)
{
    return static_cast<int32_t>(256u * static_cast<unsigned>(sums.high[i / 2][2 * half + i % 2]) +
                                static_cast<unsigned>(sums.low[i / 2][2 * half + i % 2]));
}

/* Adds the products of the components in shared memory; those from `left` on are zeros. */
__device__ inline void multiply_part(const product_tile &tile, product_place at, size_t left,
                                     product_sums &sums)
{
    const unsigned t = threadIdx.x % 4, g = threadIdx.x % WARP / 4, row = at.row - 2 * t;
#pragma unroll
    for (unsigned step = 0; step < DEPTH_WORDS; step += STEP_WORDS) {
        if (4 * step >= left)
            continue;
        const unsigned word = step + t;
        uint32_t high[4], low[4];
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
            high[i] = tile.high[at.query + i % 2 * 8][word + i / 2 * 4];
            low[i] = tile.low[at.query + i % 2 * 8][word + i / 2 * 4];
        }
#pragma unroll
        for (unsigned i = 0; i < WARP_TILES; i++) {
            const uint32_t *const code = tile.rows[row + 8 * i + g];
            const uint32_t words[2] = { code[word], code[word + 4] };
            tensor_multiply(sums.high[i], high, words);
            tensor_multiply(sums.low[i], low, words);
        }
    }
}

#endif
