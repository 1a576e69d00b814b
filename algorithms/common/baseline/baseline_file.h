/* baseline_file.h - a saved index of a baseline library: the library's own file, and a small file
 * that describes and verifies it.
 *
 * A folder holds `baseline-HASH.bin`, written by the library, and `baseline.index`, a file of
 * sections (store_file.h): "file" has the other's size and xxh3 and the numbers of struct
 * baseline_meta, "params" the method's options. baseline.index is renamed into place last, so the
 * folder always holds either the old state or the new one. A damaged byte in either file is
 * ERR_CORRUPT, another dimension or metric ERR_DIMENSION. */
#ifndef DRIFTLINE_COMMON_BASELINE_BASELINE_FILE_H
#define DRIFTLINE_COMMON_BASELINE_BASELINE_FILE_H

#include <limits.h>

#include "src/core/index.h"

struct baseline_meta {
    uint64_t rows;     /* vectors in the index */
    uint64_t words[6]; /* for the method, such as a "trained" flag */
};

/* Allocates the zeroed state of an index, of `bytes`, with its table and a copy of env. ERR_NO_MEMORY. */
int baseline_new(struct index **, size_t bytes, const struct index_ops *, const struct index_env *);

/* Saves the index to dir; params: its options. `write` lets the library write its file to `path`; it
 * returns an error code with the message set. has_file: false if there is no library file to write.
 * ERR_IO, ERR_ARGUMENT, ERR_NO_MEMORY, or write()'s error. */
int baseline_file_save(const struct index *, const char *dir, const struct baseline_meta *,
                       const void *params, int (*write)(const struct index *, const char *path),
                       bool has_file);

/* Verifies both files and fills *meta and the options at `params`. path: set to the library's file,
   or to "" if the index was saved without one. Errors of store_file.h. */
int baseline_file_open(const struct index_ops *, const struct index_env *, const char *dir,
                       struct baseline_meta *meta, void *params, char path[PATH_MAX]);

#endif
