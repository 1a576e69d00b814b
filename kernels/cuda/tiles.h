/* tiles.h - a tile of distances, for assignment and for lists.
 *
 * A block of 16 x 16 threads computes 64 x 64 squared distances, 4 x 4 per thread, reading both
 * sides through shared memory 16 components at a time: each component loaded is used 64 times.
 * Differences are squared, as on the CPU: |a|^2 + |b|^2 - 2ab would cancel where a row is near its
 * centroid, which is where precision matters. */
#ifndef DRIFTLINE_TILES_H
#define DRIFTLINE_TILES_H

#include "kernels/cuda/runtime.h"

enum { TILE = 64, DEPTH = 16, SIDE = 16, EACH = TILE / SIDE, TILE_THREADS = SIDE * SIDE };

/* One column more than needed, so that rows start in different banks. */
struct tile_rows {
    float a[DEPTH][TILE + 1], b[DEPTH][TILE + 1];
};

/* row(i) is row i of the tile, or null past the end. These and components past the end read as 0 on
   both sides; the caller ignores results past the end. */
template <class Row>
__device__ inline void tile_load(float to[DEPTH][TILE + 1], Row row, size_t dim, size_t at)
{
    for (unsigned i = threadIdx.x; i < TILE * DEPTH; i += TILE_THREADS) {
        const float *const x = row(i / DEPTH);
        const size_t component = at + i % DEPTH;
        to[i % DEPTH][i / DEPTH] = x && component < dim ? x[component] : 0.0f;
    }
}

/* sum[i][j] = |a(y * EACH + i) - b(x + j * SIDE)|^2 */
template <class RowA, class RowB>
__device__ inline void tile_distances(RowA a, RowB b, size_t dim, tile_rows &shared,
                                      float sum[EACH][EACH])
{
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++)
            sum[i][j] = 0.0f;
    for (size_t at = 0; at < dim; at += DEPTH) {
        tile_load(shared.a, a, dim, at);
        tile_load(shared.b, b, dim, at);
        __syncthreads();
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
            float left[EACH], right[EACH];
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                left[i] = shared.a[d][y * EACH + i];
                right[i] = shared.b[d][x + i * SIDE];
            }
#pragma unroll
            for (int i = 0; i < EACH; i++)
#pragma unroll
                for (int j = 0; j < EACH; j++) {
                    const float difference = left[i] - right[j];
                    sum[i][j] = fmaf(difference, difference, sum[i][j]);
                }
        }
        __syncthreads();
    }
}

#endif
