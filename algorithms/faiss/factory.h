/* factory.h - state of faiss-factory, and what it does with codes its own way. */
#ifndef DRIFTLINE_FAISS_FACTORY_H
#define DRIFTLINE_FAISS_FACTORY_H

#include <faiss/c_api/AutoTune_c.h>

#include "algorithms/faiss/faiss.h"

struct factory_params {
    char factory[PARAM_TEXT_BYTES];
    int64_t ef_construction;
};

/* 0: FAISS's default. */
struct factory_knobs {
    int64_t nprobe, ef_search, k_factor_rf, quantizer_ef_search, nflip;
};

struct faiss_factory {
    struct faiss_method method;
    struct factory_params params;
    FaissParameterSpace *space;
    struct factory_knobs set; /* the values last passed to FAISS */
};

/* Operations of a factory of codes, as in index.h. */
int faiss_factory_binary_create(struct faiss_factory *);
int faiss_factory_binary_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int faiss_factory_binary_search(struct index *, const struct search_request *,
                                struct search_result *);
int faiss_factory_binary_range(struct index *, const struct range_request *, struct range_result *);
int faiss_factory_binary_read(struct faiss_factory *, const char *path, uint64_t rows);

#endif
