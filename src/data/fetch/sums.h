/* sums.h - where delivered files lie, and their sha256: held to the catalog's, or recorded. For src/data/fetch only. */
#ifndef DRIFTLINE_DATA_FETCH_SUMS_H
#define DRIFTLINE_DATA_FETCH_SUMS_H

#include "src/data/fetch/origins.h"

/* The path in the cache that the part's file is delivered to; false: it is too long, with 16 bytes for an ending. */
bool fetch_target(const struct dataset_entry *, const struct dataset_part *,
                  const struct fetch_env *, char out[PATH_MAX]);

/* hex gets the file's sha256. ERR_CORRUPT unless the file, or its inflated data, has the catalog's sha256. */
int fetch_check_sha256(const struct delivery *, const char *path, char hex[SHA256_HEX_BYTES],
                       struct error *);

/* The hash that was recorded when the file was first delivered; false if there is none. */
bool fetch_read_record(const struct dataset_entry *, const struct dataset_part *,
                       const struct fetch_env *, char recorded[SHA256_HEX_BYTES]);
int fetch_record(const struct delivery *, const char *hex, struct error *);
/* Before a recipe makes all files of the data set anew. */
void fetch_forget_records(const struct delivery *);

#endif
