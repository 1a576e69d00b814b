/* parquet.h - the numbers of a Parquet file as an NPY file, for `convert`. */
#ifndef DRIFTLINE_CLI_SUPPORT_PARQUET_H
#define DRIFTLINE_CLI_SUPPORT_PARQUET_H

#include <limits.h>

#include "src/cli/support/app.h"

struct app_parquet_rows {
    char folder[PATH_MAX], npy[PATH_MAX]; /* a folder of its own, and the file in it */
};

/* Whether the name or the first bytes say that it is one. */
bool app_parquet_is(const char *path);

/* Runs the recipe `parquet` on the columns that --dataset names, and writes into a new folder in app->in.scratch_dir. The
   caller calls app_parquet_remove(), also after an error. ERR_FETCH: the recipe failed, with its reason; ERR_INTERRUPTED, ERR_IO. */
int app_parquet_read(struct app *, const char *path, struct app_parquet_rows *, struct error *);
void app_parquet_remove(const struct app_parquet_rows *);

#endif
