/* rows.h - opens vectors that are named by text, as on the command line. */
#ifndef DRIFTLINE_CONFIG_ROWS_H
#define DRIFTLINE_CONFIG_ROWS_H

#include "src/config/run_options.h"
#include "src/data/files/file.h"

/* Opens FILE, with the options; FILE:DATASET, of an HDF5 file; or NAME:PART of the catalog,
   such as sift1m:query. The caller closes *out with source_close(). ERR_NOT_FOUND: neither a file nor a data
   set; errors of reading are passed on. */
int catalog_rows_open(const char *given, const struct file_options *, const struct run_options *,
                      struct source **out, struct error *);

/* Reads all rows as element `want`: n * data_row_bytes(want, dim) bytes, freed with mem_free().
   Rows of 8 bytes are codes of 64 bits. ERR_DIMENSION: a value does not fit; NULL is returned. */
void *catalog_rows_read(const struct source *, enum element want, struct error *);

#endif
