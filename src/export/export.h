/* export.h - results in the formats of other programs. */
#ifndef DRIFTLINE_EXPORT_EXPORT_H
#define DRIFTLINE_EXPORT_EXPORT_H

#include "src/base/json.h"
#include "src/result/read.h"

/* Writes a result to `path` as JSON Lines: a line for each entry of its summary, then a line for
   each cell and step with all metrics. All lines are flat objects. OK, ERR_IO or ERR_NO_MEMORY; on
   an error, an earlier file at path is kept. */
int export_json_lines(const struct result *, const char *path, struct error *);

/* What export_ann_benchmarks() wrote, and what it left out. */
struct export_counts {
    unsigned long written;      /* files */
    unsigned long not_stored;   /* searches whose answers are not stored */
    unsigned long no_distances; /* searches of an earlier version, which stored no distances */
    unsigned long calibrated;   /* searches of which half of the queries chose the point */
};

/* Writes a file for each cell, point and search of the result in folder `dir`, in the layout of
   ann-benchmarks' results: OUT/DATASET/K/LABEL/FILE.hdf5. An OUT that is new appears whole or not
   at all; in one that exists, files of the same name are replaced, each whole or not at all.
   ERR_NOT_FOUND: nothing to write. ERR_UNSUPPORTED: a build without HDF5. */
int export_ann_benchmarks(const struct result *, const char *dir, const char *out,
                          struct export_counts *, struct error *);

#endif
