/* kmeans.h - Lloyd's k-means, and the s nearest of many centroids for blocks of rows.
 *
 * Both exclude centroids by bounds and decide between the remaining ones by exact distances, so a
 * result does not depend on how rows were batched. Ties go to the smaller index. The same seed and
 * rows give the same centroids at any thread count.
 *
 *   1 nearest centroids   2 k-means */
#ifndef DRIFTLINE_COMMON_CLUSTERING_KMEANS_H
#define DRIFTLINE_COMMON_CLUSTERING_KMEANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"
#include "src/core/rng.h"

/* 1. Nearest centroids */

/* Centroids, borrowed: rows n x dim, norm_sq[i] = |centroid i|^2. */
struct centroids {
    const float *rows, *norm_sq;
    float norm_sq_max;
    size_t n, dim;
    uint64_t version; /* changes whenever the centroids do, so that a struct nearest can reuse what
                         it derived from them; 0: unknown */
};

/* Writes |row|^2 of each row and returns the largest (0 for no rows). */
float nearest_centroid_norms(const struct kernels *, const float *rows, size_t n, size_t dim,
                             float *norm_sq);

/* Rows per call at most: their scores and a tile of centroids stay in L2. */
enum { NEAREST_ROWS = 256 };

/* Scratch of one thread, for up to s_max nearest. create: NULL: out of memory. */
struct nearest;
struct nearest *nearest_create(struct mem *, size_t s_max);
void nearest_destroy(struct mem *, struct nearest *);
size_t nearest_bytes(const struct nearest *);

/* out[i * s ..]: the s centroids nearest to row i, n <= NEAREST_ROWS, 1 <= s <= min(s_max,
   centroids). The set is exact up to the rounding of one l2sq_f32_1n; within it, pairs that differ
   by rounding only may be swapped. For few rows this is fast only if the centroids' version is that
   of the last call with this scratch. */
void nearest_rows(struct nearest *, const struct kernels *, const struct centroids *,
                  const float *rows, size_t n, size_t s, uint32_t *out);

/* The same for one row, without BLAS: one pass over the centroids. distances: space for one float
 * per centroid. */
void nearest_one(const struct kernels *, const struct centroids *, const float *row, size_t s,
                 float *distances, uint32_t *out);

/* The same for any n, on env's pool. ERR_NO_MEMORY. */
int nearest_all(const struct index_env *, const struct centroids *, const float *rows, size_t n,
                size_t s, uint32_t *out);
/* The same for s = 1, of centroids of env's dimension without their norms. */
int nearest_among(const struct index_env *, const float *centroids, size_t n_centroids,
                  const float *rows, size_t n, uint32_t *out);
/* The same for s = 1, faster if out holds for each row a centroid that is likely its nearest. */
int nearest_again(const struct index_env *, const struct centroids *, const float *rows, size_t n,
                  uint32_t *out);

/* Sorts 0 .. n - 1 by their list, list_of[i] < lists, each list's in ascending order: those of list
   l are order[start[l] .. start[l + 1]). start: lists + 2 entries. */
void nearest_sort_by_list(const uint32_t *list_of, size_t n, size_t lists, uint32_t *start,
                          uint32_t *order);

/* 2. k-means */

enum kmeans_init { KMEANS_RANDOM, KMEANS_PLUS_PLUS };

struct kmeans_options {
    size_t k; /* clusters wanted, >= 1 */
    size_t iterations;
    enum kmeans_init init;
    uint64_t seed;
    /* Does what nearest_all() does for s = 1, instead of it; NULL: none. */
    int (*nearest)(void *to, const struct centroids *, const float *rows, size_t n, uint32_t *out);
    void *to;
};

/* m of n rows (env->dim floats each), drawn without repetition, in their order, m <= n. The caller
   frees the array with mem_free(). NULL: out of memory. */
float *kmeans_sample(const struct index_env *, struct rng *, const float *rows, size_t n, size_t m);

/* Clusters n x env->dim rows, n >= 1, at most 2^32 - 1. `centroids` has space for k; the first
   *made are written: fewer than k only if the rows have fewer distinct vectors (or, rarely, if
   re-seeding did not converge). An empty cluster is re-seeded with the row farthest from its
   centroid. ERR_NO_MEMORY. */
int kmeans_train(const struct index_env *, const struct kmeans_options *, const float *rows,
                 size_t n, float *centroids, size_t *made);

#endif
