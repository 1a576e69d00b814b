/* centroid_codes.h - centroids as bytes, whose bounds exclude most of them from the nearest of a
 * row. Private to nearest.c, and for asteria's order of buckets.
 *
 * With middle m, x = row - m is scale codes + e, and c = centroid - m likewise; by Cauchy-Schwarz
 *
 *     |x - c|^2 >= |x|^2 + |c|^2 - 2 <codes of x, codes of c> - 2 |e_x| |coded c| - 2 |x| |e_c|
 *
 * kernels->bounds_s8 computes this bound, without |x|^2, for 16 centroids at once. The exact
 * distances of the s centroids with the smallest bounds give a limit. Only centroids whose bounds
 * do not exceed it need exact distances: one or two in all where s is 1. */
#ifndef DRIFTLINE_COMMON_CLUSTERING_CENTROID_CODES_H
#define DRIFTLINE_COMMON_CLUSTERING_CENTROID_CODES_H

#include "algorithms/common/clustering/kmeans.h"

struct centroid_codes {
    uint8_t *panels; /* [n / 16, rounded up][code_dim / 4][16][4] */
    float *columns;  /* [n / 16, rounded up][4][16] */
    float *middle;   /* dim */
    size_t panels_capacity, columns_capacity, middle_capacity;
    size_t n, dim, code_dim; /* code_dim: dim rounded up to 4 */
    float norm_sq_max;       /* of a centroid less the middle */
    uint64_t version;        /* of the centroids they were made from; 0: none */
};

/* Rows per call at most; codes do not serve more nearest centroids or more dimensions
   than these. */
enum { CODE_ROWS = 96, CODE_NEAREST_MAX = 8, CODE_DIM_MAX = 32768 };

/* Scratch of one thread: the codes of a block of rows, and their bounds. */
struct code_scratch {
    int8_t *codes; /* CODE_ROWS x code_dim */
    float *bounds; /* CODE_ROWS x centroids, rounded up to 16 */
};

/* Whether codes pay for the s nearest. Scalar kernels never do; their codes exist for tests. */
bool centroid_codes_serve(const struct kernels *, const struct centroids *, size_t s);
/* Makes the codes of the centroids; arrays are reused. false: out of memory, and the codes are of
   no centroids. */
bool centroid_codes_make(struct centroid_codes *, struct mem *, const struct kernels *,
                         const struct centroids *);
void centroid_codes_free(struct centroid_codes *, struct mem *);
size_t centroid_codes_bytes(const struct centroid_codes *);

/* As nearest_rows() for n <= CODE_ROWS, sorted by distance, ties by index. With `guessed`, s is 1
   and out holds for each row a centroid that is likely its nearest. rows: n x dim; out: n x s. */
void centroid_codes_nearest(const struct centroid_codes *, const struct kernels *,
                            const struct centroids *, const float *rows, size_t n, size_t s,
                            bool guessed, const struct code_scratch *, uint32_t *out);

#endif
