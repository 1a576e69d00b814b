/* select.h - candidates for the k nearest from a matrix of scores, in two passes.
 *
 * The scores of a query are dealt to groups: score i to group i % groups. The least of each group
 * is kept, over all tiles of rows. The k-th smallest of these minima are scores of k different
 * rows, so the k-th smallest score of all is not above it: a limit that needs no sorting of the
 * scores. With twice as many groups as k, some 1.4 k scores are within it. */
#ifndef DRIFTLINE_SELECT_H
#define DRIFTLINE_SELECT_H

#include "kernels/cuda/device.h"
#include "kernels/cuda/runtime.h"

enum { SELECT_THREADS = 256, SELECT_MAX_GROUPS = 2 * DEVICE_MAX_K };

/* The groups for k: a power of two. */
static inline unsigned select_groups(size_t k)
{
    unsigned groups = SELECT_THREADS;
    while (groups < 2 * k)
        groups *= 2;
    return groups;
}

/* Sorts n values in shared memory, n a power of two and at least SELECT_THREADS. (Batcher's bitonic
   sorting network.) */
__device__ inline void sort_shared(float *values, unsigned n)
{
    for (unsigned run = 2; run <= n; run *= 2)
        for (unsigned step = run / 2; step > 0; step /= 2) {
            __syncthreads();
            for (unsigned pair = threadIdx.x; pair < n / 2; pair += SELECT_THREADS) {
                const unsigned i = (pair & ~(step - 1)) * 2 + (pair & (step - 1));
                const float a = values[i], b = values[i + step];
                if ((a > b) == ((i & run) == 0)) {
                    values[i] = b;
                    values[i + step] = a;
                }
            }
        }
    __syncthreads();
}

/* What a block selects from: n scores of one query, that of row first + i at i. NaN is never
   selected. */
struct selection {
    size_t n, first, k;
    unsigned groups;
    float *minima;        /* [groups], over the tiles so far */
    float *limit;         /* in and out */
    float factor, margin; /* the limit is the k-th smallest minimum * factor + margin */
    size_t capacity;
    uint32_t *found;
    device_candidate *out;
};

[[maybe_unused]] __global__ static void __launch_bounds__(SELECT_THREADS)
    fill_floats(float *out, size_t n, float value)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * SELECT_THREADS + threadIdx.x;
    if (i < n)
        out[i] = value;
}

/* By a block of SELECT_THREADS threads. `first` must be a multiple of the groups. score(i) is asked for
   twice. */
template <class Score> __device__ inline void select_scores(const selection &s, Score score)
{
    __shared__ float sorted[SELECT_MAX_GROUPS];
    for (unsigned group = threadIdx.x; group < s.groups; group += SELECT_THREADS) {
        float least = s.minima[group];
        for (size_t i = group; i < s.n; i += s.groups)
            least = fminf(score(i), least);
        s.minima[group] = least;
        sorted[group] = least;
    }
    sort_shared(sorted, s.groups);
    const float bound = sorted[s.k - 1] * s.factor + s.margin;
    const float limit = bound < *s.limit ? bound : *s.limit;
    __syncthreads();
    if (threadIdx.x == 0)
        *s.limit = limit;
    for (size_t i = threadIdx.x; i < s.n; i += SELECT_THREADS) {
        const float its = score(i);
        if (!(its <= limit))
            continue;
        const uint32_t at = atomicAdd(s.found, 1u);
        if (at < s.capacity)
            s.out[at] = { static_cast<uint32_t>(s.first + i), its };
    }
    __syncthreads();
}

#endif
