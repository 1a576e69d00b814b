/* usearch.h - shared by the files of the method: its options, an open index, and the
 * functions of each file. The library's own names begin with usearch_ too, so functions here
 * begin with usearch_method_. */
#ifndef DRIFTLINE_USEARCH_METHOD_H
#define DRIFTLINE_USEARCH_METHOD_H

#include "algorithms/usearch/shim.h"
#include "kernels/kernels.h"

struct usearch_params {
    int64_t connectivity, expansion_add, scalar, metric_impl;
};
enum { SCALAR_F32, SCALAR_BF16, SCALAR_I8, SCALAR_U8 };
enum { IMPL_DRIFTLINE, IMPL_USEARCH };

struct usearch_knobs {
    int64_t expansion_search;
};

/* The state passed to metrics that need more than the dimension. */
struct usearch_metric_state {
    const struct kernels *kernels;
    size_t dim;
};

struct usearch {
    struct index base;
    usearch_index_t graph;
    size_t live, capacity; /* capacity: reserved places */
    struct usearch_params params;
    struct usearch_metric_state metric;
    float scale, offset; /* distance = scale * usearch's + offset */
    uint8_t *bytes;      /* u8: one row per thread of the pool */
};

/* index.c. Opens with the graph in the file at `path`, or an empty one if path is NULL. ERR_CONFIG,
   ERR_NO_MEMORY, ERR_BASELINE. */
int usearch_method_open(struct index **, const struct index_ops *, const struct index_env *,
                        const struct usearch_params *, const char *path);
void usearch_method_destroy(struct index *);
/* The code for an error of the library in `what`, with the library's message. */
int usearch_method_failed(const struct index_env *, const char *what, usearch_error_t words);

/* operations.c */
int usearch_method_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int usearch_method_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int usearch_method_search(struct index *, const struct search_request *, struct search_result *);

/* store.c */
int usearch_method_save(struct index *, const char *dir);
int usearch_method_load(struct index **, const struct index_ops *, const struct index_env *,
                        const char *dir);

extern const struct index_ops usearch_ops;

#endif
