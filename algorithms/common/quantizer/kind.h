/* kind.h - the functions that a kind of quantizer implements. Private to the kinds' files and
 * quantizer.c, which dispatches to them and checks only what is noted here.
 *
 * A kind's own struct begins with struct quantizer, whose fields train and load fill; quantizer.c
 * sets `ops`, `kind` and `dim` after they return. A kind keeps what it needs of the env, above all
 * the kernels, for the calls that get no env. */
#ifndef DRIFTLINE_COMMON_QUANTIZER_KIND_H
#define DRIFTLINE_COMMON_QUANTIZER_KIND_H

#include "algorithms/common/quantizer/quantizer.h"

/* Each does what the public call of the same name with "quantizer_" does. None is NULL
   unless noted. */
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

#endif
