/* vamana.h - the options of `vamana`. */
#ifndef DRIFTLINE_VAMANA_H
#define DRIFTLINE_VAMANA_H

#include "src/core/index.h"

enum vamana_deletes { VAMANA_LAZY, VAMANA_IN_PLACE };
enum vamana_maintenance { VAMANA_INLINE, VAMANA_EXPLICIT };

struct vamana_params {
    int64_t degree, build_list;
    double alpha;
    int64_t deletes;     /* enum vamana_deletes */
    int64_t maintenance; /* enum vamana_maintenance */
    double consolidate_share;
    int64_t wal, checkpoint_mb;
};

struct vamana_knobs {
    int64_t search_list;
};

extern const struct index_ops vamana_ops;

#endif
