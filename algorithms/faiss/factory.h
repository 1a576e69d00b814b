/* factory.h - state of faiss-factory, and its binary half. One of `method.peer` and `binary` is
 * set, by the element. */
#ifndef DRIFTLINE_FAISS_FACTORY_H
#define DRIFTLINE_FAISS_FACTORY_H

#include <faiss/c_api/AutoTune_c.h>

#include "algorithms/faiss/faiss.h"

struct factory_params {
    char factory[PARAM_TEXT_BYTES];
    int64_t seed, ef_construction;
};

/* 0: what FAISS has by itself. */
struct factory_knobs {
    int64_t nprobe, ef_search, k_factor_rf, quantizer_ef_search, nflip;
};

struct faiss_factory {
    struct faiss_method method;
    FaissIndexBinary *binary;
    struct factory_params params;
    struct faissx_shape shape;
    FaissParameterSpace *space;
    struct factory_knobs set; /* what FAISS was last told */
    bool has_map;             /* an IDMap of ours is in front */
    bool trained_by_us; /* train() was called; FAISS would keep its first centroids and say nothing
                         */
};

/* Operations of a factory whose `binary` is set, as in index.h. */
int factory_binary_create(struct faiss_factory *);
int factory_binary_train(struct faiss_factory *, struct vectors sample);
int factory_binary_insert(struct faiss_factory *, struct vectors, const uint64_t *ids);
int factory_binary_remove(struct faiss_factory *, const uint64_t *ids, size_t n, size_t *removed);
int factory_binary_search(struct faiss_factory *, const struct search_request *,
                          struct search_result *);
int factory_binary_range(struct faiss_factory *, const struct range_request *,
                         struct range_result *);
int factory_binary_write(const struct index *, const char *path);
int factory_binary_read(struct faiss_factory *, const char *path, uint64_t rows);
int factory_binary_stats(const struct faiss_factory *, struct stat_sink *);
int factory_binary_check(const struct faiss_factory *);

#endif
