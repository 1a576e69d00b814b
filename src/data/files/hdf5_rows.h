/* hdf5_rows.h - some rows of HDF5 datasets, by hyperslabs, read by a child process that stays.
 *
 * The library is not hardened (readers/hdf5.c), so it does not run in the process that needs the rows.
 * A child for each call would take time that grows with that process's memory: 9 ms where it has
 * 500 MB, 1.5 ms for an empty one. A child that is started later would keep the memory that the
 * process has by then. For src/data only. */
#ifndef DRIFTLINE_DATA_FILES_HDF5_ROWS_H
#define DRIFTLINE_DATA_FILES_HDF5_ROWS_H

#include "src/core/ranks/ranks.h"

struct hdf5_rows;

/* Starts the child, early: while this process is small and has one thread. NULL: it cannot be started,
   or the build has no HDF5; reads are then ERR_UNSUPPORTED. */
struct hdf5_rows *hdf5_rows_begin(void);
/* The child keeps the last file open. ERR_NOT_FOUND, ERR_IO, ERR_NO_MEMORY; ERR_CORRUPT: the file is
   damaged or has no such rows; ERR_UNSUPPORTED: rows in other files, and all reads after one that
   ended the child. *read_bytes grows by the rows that were read, those between them included. */
int hdf5_rows_read(struct hdf5_rows *, const struct row_request *, void *out, uint64_t *read_bytes,
                   struct error *);
void hdf5_rows_end(struct hdf5_rows *); /* NULL is ignored */

#endif
