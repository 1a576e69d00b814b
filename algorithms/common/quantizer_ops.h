/* quantizer_ops.h - what a kind of quantizer implements. Private to the kinds' files and
 * quantizer.c, which checks nothing but what is said here and hands calls on.
 *
 * A kind's own struct begins with struct quantizer, whose fields train and load fill (but for `ops`,
 * `kind` and `dim`, which quantizer.c sets after they return). What calls without an env need of one,
 * kernels above all, the kind keeps.
 */
#ifndef DRIFTLINE_QUANTIZER_OPS_H
#define DRIFTLINE_QUANTIZER_OPS_H

#include "algorithms/common/quantizer.h"

/* Each as the public call without "quantizer_"; those may be NULL of which it says so. */
struct quantizer_ops {
    /* *out may be NULL on OK where no quantizer of this kind pays. */
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
    void (*query_certain)(const struct quantizer *, void *query); /* NULL: it is already */
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

extern const struct quantizer_ops pq_ops, rabitq_ops, rabitq_planes_ops;

#endif
