/* quantizer.h - short codes that stand for vectors in a scan, with bounds that say which vectors
 * still need their exact distance.
 *
 * A *block* holds the codes of QUANTIZER_BLOCK vectors, dimension-major, so that one instruction
 * works on many vectors. The exact vectors are the caller's: a scan returns which of a block may be
 * within a limit, the caller looks at those. Distances are squared L2 throughout.
 *
 *     kind      code of                        bound
 *     sketch    projection on the first principal axes, and the length of what is left   certain
 *     sq8       every dimension in a byte                                                certain
 *     pq        product quantisation, 4 bits a group of dimensions, of the residual      certain
 *     rabitq    rotated residual, 1 to 9 bits a dimension                         with probability
 *     planes    the same code, 1 to 4 bits, all of them scanned: least bytes      with probability
 *
 * "Certain" is by the triangle inequality on the code's own error, kept per list as `error`. An
 * immutable quantizer may be used by many threads; queries and blocks are one thread's.
 *
 *   1 making one   2 filing codes   3 scanning
 */
#ifndef DRIFTLINE_QUANTIZER_H
#define DRIFTLINE_QUANTIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

#define QUANTIZER_BLOCK 64

/* 1. Making one */

enum quantizer_kind {
    QUANTIZER_SKETCH,
    QUANTIZER_SQ8,
    QUANTIZER_PQ,
    QUANTIZER_RABITQ,
    QUANTIZER_PLANES
};

struct quantizer_options {
    enum quantizer_kind kind;
    uint64_t seed;
    size_t sketch_dims; /* sketch: numbers kept a vector, the length left over counted; 0: what a
                           sample of the training rows shows to be fastest within a tenth of a
                           vector's bytes, which may be none (then *out is NULL) */
    size_t bits;        /* rabitq: a dimension, 1 .. 9; planes: 1 .. 4 */
    size_t pq_groups;   /* pq: groups of dimensions; 0: dim / 2, rounded up */
    double eps0;        /* rabitq: the bound holds but with a probability that falls with it; 1.9 */
};

struct quantizer_ops;

/* The kinds' own state follows. Read only. */
struct quantizer {
    const struct quantizer_ops *ops;
    enum quantizer_kind kind;
    size_t dim;         /* of vectors */
    size_t work_dim;    /* floats of a transformed vector */
    size_t block_bytes; /* of a block, a multiple of 64; blocks start at multiples of 64 */
    size_t query_bytes; /* of a prepared query, likewise */
    double code_bytes;  /* a vector's share that a scan reads: for bytes_read */
    bool per_list;      /* codes depend on their list's centroid: made anew when a vector moves */
    bool certain;       /* the bound never fails */
    bool refines;       /* quantizer_refine() has something to add */
};

/* n >= 1 rows of env->dim floats. Same seed, same rows: the same quantizer. ERR_NO_MEMORY,
   ERR_ARGUMENT (a combination of options that cannot be). */
int quantizer_train(struct quantizer **out, const struct index_env *,
                    const struct quantizer_options *, const float *rows, size_t n);
void quantizer_destroy(const struct index_env *, struct quantizer *);
uint64_t quantizer_bytes(const struct quantizer *);

/* As one flat array, for a file, at a multiple of 8: NULL: only its length is wanted. load:
   ERR_CORRUPT where the bytes are not such an array. */
size_t quantizer_save(const struct quantizer *, void *bytes);
int quantizer_load(struct quantizer **out, const struct index_env *, const void *bytes, size_t n);

/* 2. Filing codes */

/* out: n x work_dim. Centroids are transformed like rows. */
void quantizer_transform(const struct quantizer *, const float *rows, size_t n, float *out);

/* Writes vector i's code, 0 <= i < QUANTIZER_BLOCK. `centroid` (transformed) is used if per_list.
   Returns the code's error: the caller keeps the largest of a list and hands it to scans. */
float quantizer_put(const struct quantizer *, const float *transformed, const float *centroid,
                    void *block, unsigned i);
/* The same code again at another place; of another list only unless per_list. */
void quantizer_copy(const struct quantizer *, const void *from, unsigned i, void *to, unsigned j);

/* 3. Scanning */

/* Prepares a query; `query` has room for query_bytes, at a multiple of 64. */
void quantizer_query(const struct quantizer *, const float *transformed, void *query);
/* From now on the query's bounds never fail, whatever the kind: wider ones, for who must miss nothing. */
void quantizer_query_certain(const struct quantizer *, void *query);
/* Turns to another list: its transformed centroid and the exact squared distance of the query's
   vector from its centroid (used if per_list), and the list's largest error. Codes say enough of
   centroids for all kinds that there are: NULL will do for one. */
void quantizer_query_list(const struct quantizer *, void *query, const float *centroid,
                          float distance, float error);

/* Estimates the distances of all 64 vectors of a block, used or not, to estimate[64], and returns a
   bit for each whose distance may be at most `limit` (INFINITY: all bits). A sketch's estimate is
   too small in the mean, and -INFINITY for a vector that no bound excludes. */
uint64_t quantizer_scan(const struct quantizer *, const void *query, const void *block, float limit,
                        float *estimate);
/* A second look at vector i with all bits of its code: *estimate, and whether its distance may be
   at most `limit`. Only where `refines`. */
bool quantizer_refine(const struct quantizer *, const void *query, const void *block, unsigned i,
                      float limit, float *estimate);

/* Begins to bring from memory what that reads, where the scan was without a limit; with one it does so itself. */
void quantizer_refine_ahead(const struct quantizer *, const void *block, unsigned i);

/* The lower bound that the scan held to its limit, by the scan's estimate. Whoever keeps the greater of it and
   what follows, and a greater upper bound for a greater lower one, has the same candidates in whatever
   order vectors are scanned. Only where `refines`. */
float quantizer_scanned(const struct quantizer *, const void *query, const void *block, unsigned i,
                        float estimate);

/* Between what vector i's distance is, as surely as the kind's bound; `estimate` is what a scan, or
   where it refines a second look, gave. A sketch and sq8 have no upper one: INFINITY. */
struct quantizer_bounds {
    float lower, upper;
};
struct quantizer_bounds quantizer_bounds(const struct quantizer *, const void *query,
                                         const void *block, unsigned i, float estimate);

#endif
