/* structure.h - for inspect(): ids that a method finds one at a time, and rows of any element. */
#ifndef DRIFTLINE_COMMON_STRUCTURE_H
#define DRIFTLINE_COMMON_STRUCTURE_H

#include <string.h>

#include "src/core/index.h"

/* The list "ids" of the node that is open. structure_ids_end() passes on the last of them. */
struct structure_ids {
    const struct structure_sink *sink;
    size_t n;
    uint64_t ids[256];
};

static inline void structure_ids_end(struct structure_ids *list)
{
    if (list->n > 0)
        list->sink->ids(list->sink->to, "ids", list->ids, list->n);
    list->n = 0;
}

static inline void structure_ids_add(struct structure_ids *list, uint64_t id)
{
    if (list->n == sizeof list->ids / sizeof *list->ids)
        structure_ids_end(list);
    list->ids[list->n++] = id;
}

/* Shows a row of F32 or U8; of a longer row, the first STRUCTURE_DIM_MAX components of U8. */
enum { STRUCTURE_DIM_MAX = 4096 };

static inline void structure_row(const struct structure_sink *sink, const char *name,
                                 const struct index_env *env, const void *row)
{
    const unsigned char *bytes = row;
    float components[STRUCTURE_DIM_MAX];
    const size_t dim = env->dim < STRUCTURE_DIM_MAX ? env->dim : STRUCTURE_DIM_MAX;

    if (env->element == INDEX_F32) {
        sink->vector(sink->to, name, row, env->dim);
        return;
    }
    for (size_t i = 0; i < dim; i++)
        components[i] = bytes[i];
    sink->vector(sink->to, name, components, dim);
}

#endif
