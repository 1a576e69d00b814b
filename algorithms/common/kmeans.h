/* kmeans.h - Lloyd's k-means, and the s nearest of many centroids for blocks of rows.
 *
 * Both leave out centroids by bounds and decide between the rest by exact distances, so an answer
 * does not depend on how rows were batched. Ties go to the smaller index. Same seed, same rows: same
 * centroids, at any thread count.
 *
 *   1 nearest centroids   2 k-means
 */
#ifndef DRIFTLINE_KMEANS_H
#define DRIFTLINE_KMEANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"
#include "src/core/rng.h"

/* 1. Nearest centroids */

/* n x dim centroids. norm_sq[i] = |centroid i|^2. Borrowed. */
struct centroids {
    const float *rows, *norm_sq;
    float norm_sq_max;
    size_t n, dim;
    uint64_t version; /* another number whenever they have changed: what a struct nearest has worked
                         out of them then serves again. 0: nothing is known of them */
};

/* Writes |row|^2 of each row and returns the largest (0 for no rows). */
float centroid_norms(const struct kernels *, const float *rows, size_t n, size_t dim,
                     float *norm_sq);

/* At most so many rows a call: their scores and a tile of centroids stay in L2. */
enum { NEAREST_ROWS = 256 };

/* Scratch of one thread, for up to s_max nearest. NULL: out of memory. */
struct nearest;
struct nearest *nearest_create(struct mem *, size_t s_max);
void nearest_destroy(struct mem *, struct nearest *);
size_t nearest_bytes(const struct nearest *);

/* out[i * s ..]: the s centroids nearest to row i, n <= NEAREST_ROWS, 1 <= s <= min(s_max,
   centroids). The set is exact up to the rounding of one l2sq_f32_1n; inside it the order may swap
   pairs that differ by rounding only. For few rows cheap only where the centroids' version is that
   of the last call with this scratch. */
void nearest_rows(struct nearest *, const struct kernels *, const struct centroids *,
                  const float *rows, size_t n, size_t s, uint32_t *out);

/* The same for one row, without BLAS: one pass over the centroids. distances: room for all
 * centroids. */
void nearest_one(const struct kernels *, const struct centroids *, const float *row, size_t s,
                 float *distances, uint32_t *out);

/* Any n, over env's pool; calls nearest_rows() block by block. ERR_NO_MEMORY. */
int nearest_all(const struct index_env *, const struct centroids *, const float *rows, size_t n,
                size_t s, uint32_t *out);
/* The same for s = 1, faster where out holds for each row a centroid that is likely its nearest. */
int nearest_again(const struct index_env *, const struct centroids *, const float *rows, size_t n,
                  uint32_t *out);

/* 2. k-means */

enum kmeans_init { KMEANS_RANDOM, KMEANS_PLUS_PLUS };

struct kmeans_options {
    size_t k; /* clusters wanted, >= 1 */
    size_t iterations;
    enum kmeans_init init;
    uint64_t seed;
};

/* m of n rows, drawn without repetition, in their order, m <= n: an array to be freed with mem_free().
   NULL: out of memory. */
float *kmeans_sample(const struct index_env *, struct rng *, const float *rows, size_t n, size_t m);

/* Centroids of n x env->dim rows, n >= 1, at most 2^32 - 1. `centroids` has room for k; *made of
   them are written: fewer than k only where the rows have fewer distinct vectors (or, rarely, where
   re-seeding did not settle). A cluster that runs empty is re-seeded with the row farthest from its
   centroid. ERR_NO_MEMORY. */
int kmeans_train(const struct index_env *, const struct kmeans_options *, const float *rows,
                 size_t n, float *centroids, size_t *made);

#endif
