/* hnsw.h - the options of `hnsw`. */
#ifndef DRIFTLINE_HNSW_H
#define DRIFTLINE_HNSW_H

#include "src/core/index.h"

struct hnsw_params {
    int64_t M, ef_construction;
    int64_t wal, checkpoint_mb;
};

struct hnsw_knobs {
    int64_t ef_search;
};

extern const struct index_ops hnsw_ops;

#endif
