/* quantizer.h - short codes in place of vectors, scanned with error bounds: the bounds decide which
 * vectors need their exact distance.
 *
 * A *block* holds the codes of QUANTIZER_BLOCK vectors, dimension-major, so that one instruction
 * works on many vectors. The caller keeps the exact vectors: a scan returns which vectors of a
 * block may be within a limit, and the caller computes their exact distances. Distances are squared
 * L2, or -2 <query, vector> with `products`.
 *
 *     kind      code of                        bound
 *     sketch    projection on the first principal axes, and the norm of the remainder    certain
 *     sq8       every dimension in a byte                                                certain
 *     pq        product quantization of the residual, 4 or 8 bits per group              certain
 *     rabitq    rotated residual, 1 to 9 bits per dimension                       with probability
 *     planes    the same code, 1 to 4 bits, all of them scanned: least bytes      with probability
 *     anisotropic  pq of 4 bits, trained for the largest inner products                     none
 *
 * A certain bound follows from the triangle inequality and the code's own error, which the caller
 * keeps per list as `error`. A quantizer is immutable, so many threads may use it; a query or a
 * block belongs to one thread.
 *
 *   1 training and storing   2 encoding   3 scanning */
#ifndef DRIFTLINE_COMMON_QUANTIZER_QUANTIZER_H
#define DRIFTLINE_COMMON_QUANTIZER_QUANTIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

#define QUANTIZER_BLOCK 64

struct store_fields;

/* 1. Training and storing */

enum quantizer_kind {
    QUANTIZER_SKETCH,
    QUANTIZER_SQ8,
    QUANTIZER_PQ,
    QUANTIZER_RABITQ,
    QUANTIZER_PLANES,
    QUANTIZER_ANISOTROPIC
};

struct quantizer_options {
    enum quantizer_kind kind;
    uint64_t seed;
    size_t sketch_dims; /* sketch: numbers kept per vector, the norm of the remainder included. 0:
                           chosen on a sample of the training rows as the fastest within a tenth of
                           a vector's bytes; if none pays, *out is NULL */
    size_t bits;        /* per dimension; rabitq: 1 .. 9, planes: 1 .. 4 */
    size_t pq_bits;     /* pq: per group, 4 or 8; 0: 4 */
    size_t pq_groups;   /* pq, anisotropic: groups of dimensions; 0: dim / 2, rounded up, or with 8
                           bits min(8, dim) */
    double eta;         /* anisotropic: weight of a code's error along the vector, over that of the
                           error across it; 1: plain product quantization */
    bool products;      /* anisotropic: distances are -2 <query, vector> */
    /* pq, anisotropic: n_centroids x dim, borrowed: codewords are trained on the rows' residuals
       from these. NULL: from the centroids of a k-means of the rows. */
    const float *centroids;
    size_t n_centroids;
    double eps0; /* rabitq: width of the bound in standard deviations; a greater one fails less
                    often; usually 1.9 */
};

/* An interval around a distance, as certain as the kind's bound. A sketch and sq8 have no upper
   bound: INFINITY. */
struct quantizer_bounds {
    float lower, upper;
};

struct quantizer;

/* What a kind implements: each does what the call of the same name with "quantizer_" does. None is
   NULL unless noted. A kind's own struct begins with struct quantizer, whose fields train and load
   fill, but for `ops`, `kind` and `dim`, which are set after they return. A kind keeps what it
   needs of the env, above all the kernels, for the calls that get no env. */
struct quantizer_ops {
    /* *out may be NULL on OK: no quantizer of this kind pays. */
    int (*train)(struct quantizer **out, const struct index_env *, const struct quantizer_options *,
                 const float *rows, size_t n);
    void (*destroy)(const struct index_env *, struct quantizer *);
    uint64_t (*bytes)(const struct quantizer *);
    /* Without the head that quantizer.c writes before it: kind and dimension. `bytes` is at a
       multiple of 8 in both. load: any n, any contents. */
    size_t (*save)(const struct quantizer *, void *bytes);
    int (*load)(struct quantizer **out, const struct index_env *, const void *bytes, size_t n);

    void (*transform)(const struct quantizer *, const float *rows, size_t n, float *out);
    float (*put)(const struct quantizer *, const float *transformed, const float *centroid,
                 void *block, unsigned i);
    void (*copy)(const struct quantizer *, const void *from, unsigned i, void *to, unsigned j);

    void (*query)(const struct quantizer *, const float *transformed, void *query);
    void (*query_certain)(const struct quantizer *, void *query); /* NULL: the bounds never fail */
    void (*query_list)(const struct quantizer *, void *query, const float *centroid, float distance,
                       float error);
    uint64_t (*scan)(const struct quantizer *, const void *query, const void *block, float limit,
                     float *estimate);
    bool (*refine)(const struct quantizer *, const void *query, const void *block, unsigned i,
                   float limit, float *estimate); /* NULL unless `refines` */
    void (*refine_ahead)(const struct quantizer *, const void *block, unsigned i); /* likewise */
    float (*scanned)(const struct quantizer *, const void *query, const void *block, unsigned i,
                     float estimate); /* likewise */
    struct quantizer_bounds (*bounds)(const struct quantizer *, const void *query,
                                      const void *block, unsigned i, float estimate);
};

extern const struct quantizer_ops quantizer_sketch_ops, pq_ops, pq_anisotropic_ops, rabitq_ops,
    rabitq_planes_ops;

/* The kinds' own state follows. Read only. */
struct quantizer {
    const struct quantizer_ops *ops;
    enum quantizer_kind kind;
    size_t dim;         /* of vectors */
    size_t work_dim;    /* floats of a transformed vector */
    size_t block_bytes; /* of a block, a multiple of 64; blocks start at multiples of 64 */
    size_t query_bytes; /* of a prepared query, likewise */
    double code_bytes;  /* bytes per vector that a scan reads: for bytes_read */
    bool per_list;      /* codes depend on their list's centroid: a vector that moves is
                           encoded again */
    bool certain;       /* the bound never fails */
    bool refines;       /* quantizer_refine() improves on the scan's estimate */
};

/* rows: n x env->dim floats, n >= 1. Few rows that are far longer than the others do not count. The
   same seed and rows give the same quantizer. The caller
   frees *out with quantizer_destroy(). ERR_NO_MEMORY, ERR_ARGUMENT (an impossible combination of
   options), ERR_UNSUPPORTED (a kind that is not in this build). */
int quantizer_train(struct quantizer **out, const struct index_env *,
                    const struct quantizer_options *, const float *rows, size_t n);
static inline void quantizer_destroy(const struct index_env *env, struct quantizer *q)
{
    if (q)
        q->ops->destroy(env, q);
}
/* The rows that quantizer_train() counts: *near of them, `rows` itself if these are all, else
   *copy, which the caller frees. Few far rows would move the mean, and stretch the steps, of all.
   NULL: out of memory. */
const float *quantizer_near_rows(const struct index_env *, const float *rows, size_t n,
                                 size_t *near, float **copy);
static inline uint64_t quantizer_bytes(const struct quantizer *q)
{
    return q->ops->bytes(q);
}

/* Writes the quantizer as one flat array to `bytes`, at a multiple of 8, and returns its length in
   bytes. NULL: returns the length only. load: ERR_CORRUPT where the bytes are not such an array. */
size_t quantizer_save(const struct quantizer *, void *bytes);
int quantizer_load(struct quantizer **out, const struct index_env *, const void *bytes, size_t n);
/* The same as a section of a file. *q = NULL writes none, and without one reading leaves *q.
   Writing takes env's mem alone. Returns the fields' code. */
int quantizer_field(struct store_fields *, const char *tag, const struct index_env *,
                    struct quantizer **q);

/* 2. Encoding */

/* rows: n x dim; out: n x work_dim. Centroids are transformed like rows. */
static inline void quantizer_transform(const struct quantizer *q, const float *rows, size_t n,
                                       float *out)
{
    q->ops->transform(q, rows, n, out);
}

/* Encodes a vector into place i of the block, 0 <= i < QUANTIZER_BLOCK. `centroid` (transformed) is
   used if per_list. Returns the code's error; the caller keeps the largest one per list and passes
   it to quantizer_query_list(). anisotropic: the root of the code's loss, which no call needs. */
static inline float quantizer_put(const struct quantizer *q, const float *transformed,
                                  const float *centroid, void *block, unsigned i)
{
    return q->ops->put(q, transformed, centroid, block, i);
}
/* Copies a code to another place. If per_list, both places must be of the same list. */
static inline void quantizer_copy(const struct quantizer *q, const void *from, unsigned i, void *to,
                                  unsigned j)
{
    q->ops->copy(q, from, i, to, j);
}

/* 3. Scanning */

/* Prepares a query; `query` has space for query_bytes, at a multiple of 64. */
static inline void quantizer_query(const struct quantizer *q, const float *transformed, void *query)
{
    q->ops->query(q, transformed, query);
}
/* Widens the query's bounds so that they never fail, whatever the kind: for searches that must
   miss nothing. */
static inline void quantizer_query_certain(const struct quantizer *q, void *query)
{
    if (q->ops->query_certain)
        q->ops->query_certain(q, query);
}
/* Prepares the query for a list. If per_list, `centroid` is the transformed centroid and `distance`
   the exact distance between it and the query's vector. `error` is the list's largest.
   `centroid` may be NULL: no kind that exists reads it. */
static inline void quantizer_query_list(const struct quantizer *q, void *query,
                                        const float *centroid, float distance, float error)
{
    q->ops->query_list(q, query, centroid, distance, error);
}

/* Estimates the distances of all 64 vectors of a block, used or not, to estimate[64], and returns a
   bit for each vector whose distance may be at most `limit` (INFINITY: all bits). A sketch
   underestimates on average; its estimate is -INFINITY for a vector that no bound excludes.
   anisotropic: a bit for each vector whose estimate is at most `limit`. */
static inline uint64_t quantizer_scan(const struct quantizer *q, const void *query,
                                      const void *block, float limit, float *estimate)
{
    return q->ops->scan(q, query, block, limit, estimate);
}
/* Estimates the distance of vector i again, with all bits of its code: returns whether it may be at
   most `limit`, and the estimate in *estimate. Only where `refines`. */
static inline bool quantizer_refine(const struct quantizer *q, const void *query, const void *block,
                                    unsigned i, float limit, float *estimate)
{
    return q->ops->refine(q, query, block, i, limit, estimate);
}

/* Prefetches what quantizer_refine() reads. A scan with a finite limit does so itself. */
static inline void quantizer_refine_ahead(const struct quantizer *q, const void *block, unsigned i)
{
    q->ops->refine_ahead(q, block, i);
}

/* The lower bound that the scan compared with its limit, from the scan's estimate. For candidates
   that do not depend on the order of the scan, keep the greater of this and the refined lower
   bound, and raise the upper bound to the lower one where it is below. Only where `refines`. */
static inline float quantizer_scanned(const struct quantizer *q, const void *query,
                                      const void *block, unsigned i, float estimate)
{
    return q->ops->scanned(q, query, block, i, estimate);
}

/* Of the distance of vector i. `estimate` is from the scan, or from quantizer_refine() where the
   kind refines. */
static inline struct quantizer_bounds quantizer_bounds(const struct quantizer *q, const void *query,
                                                       const void *block, unsigned i,
                                                       float estimate)
{
    return q->ops->bounds(q, query, block, i, estimate);
}

#endif
