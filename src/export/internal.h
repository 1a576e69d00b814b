/* internal.h - a file of ann-benchmarks' layout. */
#ifndef DRIFTLINE_EXPORT_INTERNAL_H
#define DRIFTLINE_EXPORT_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/json.h"

/* The datasets `times` (seconds, NAN where not measured), `neighbors` (ids, -1 past the last) and
   `distances` (INFINITY past the last) of n queries, and the attributes: an object of strings,
   numbers and booleans. */
struct export_ann_file {
    size_t n, k;
    float *times, *distances;
    int32_t *neighbors;
    json_t *attributes;
};

/* Writes the file whole or not at all. ERR_IO, ERR_NO_MEMORY or ERR_UNSUPPORTED. */
int export_write_ann_file(const struct export_ann_file *, const char *path, struct error *);

#endif
