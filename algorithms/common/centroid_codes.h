/* centroid_codes.h - centroids as bytes, which say of most of them that they cannot be among the
 * nearest of a row. Private to nearest.c, and for asteria's order of buckets.
 *
 * With middle m, x = row - m is scale codes + e, and c = centroid - m likewise; by Cauchy-Schwarz
 *     |x - c|^2 >= |x|^2 + |c|^2 - 2 <codes of x, codes of c> - 2 |e_x| |coded c| - 2 |x| |e_c|
 * All but |x|^2 is the bound that kernels->bounds_s8 computes of 16 centroids at once. The exact
 * distances of the rows' s smallest bounds give a limit, and only centroids whose bounds are not
 * above it need theirs: one or two in all where s is 1.
 */
#ifndef DRIFTLINE_CENTROID_CODES_H
#define DRIFTLINE_CENTROID_CODES_H

#include "algorithms/common/kmeans.h"

struct centroid_codes {
    uint8_t *panels; /* [n / 16, rounded up][code_dim / 4][16][4] */
    float *columns;  /* [n / 16, rounded up][4][16] */
    float *middle;   /* dim */
    size_t panels_capacity, columns_capacity, middle_capacity;
    size_t n, dim, code_dim; /* code_dim: dim rounded up to 4 */
    float norm_sq_max;       /* of a centroid less the middle */
    uint64_t version;        /* of the centroids they were made from; 0: none */
};

/* Rows a call at most, and beyond how many nearest, or components, codes do not serve. */
enum { CODE_ROWS = 96, CODE_NEAREST_MAX = 8, CODE_DIM_MAX = 32768 };

/* Scratch of one thread: the codes of a block of rows, and their bounds. */
struct code_scratch {
    int8_t *codes; /* CODE_ROWS x code_dim */
    float *bounds; /* CODE_ROWS x centroids, rounded up to 16 */
};

/* Whether codes serve for the s nearest. Those of scalar kernels are there to be tested against. */
bool centroid_codes_serve(const struct kernels *, const struct centroids *, size_t s);
/* false: out of memory; they are then of nothing. */
bool centroid_codes_make(struct centroid_codes *, struct mem *, const struct kernels *,
                         const struct centroids *);
void centroid_codes_free(struct centroid_codes *, struct mem *);
size_t centroid_codes_bytes(const struct centroid_codes *);

/* As nearest_rows() for n <= CODE_ROWS, sorted by distance, ties by index. With `guessed`, s = 1 and
   out holds for each row a centroid that is likely its nearest. */
void centroid_codes_nearest(const struct centroid_codes *, const struct kernels *,
                            const struct centroids *, const float *rows, size_t n, size_t s,
                            bool guessed, const struct code_scratch *, uint32_t *out);

#endif
