/* hdf5_dataset.h - a dataset in an HDF5 file that is not trusted: refuses what is outside the file.
 * For src/data only, and there for child processes (child.h). */
#ifndef DRIFTLINE_DATA_READERS_HDF5_DATASET_H
#define DRIFTLINE_DATA_READERS_HDF5_DATASET_H

#include <stdbool.h>

#include "src/data/readers/hdf5_error.h"
#include "src/data/source/source.h"

/* Opens the file of a descriptor for reading; the library then loads no plugins and follows no
   links to other files. Below 0: it cannot be opened; hdf5_reason() says why. */
hid_t hdf5_open_file(int fd);

/* ERR_UNSUPPORTED unless each part of the path is a hard link. `name` is for messages. */
int hdf5_check_links(hid_t file, const char *path, const char *name, struct error *);
/* ERR_UNSUPPORTED if the rows are stored outside this file; ERR_CORRUPT. */
int hdf5_check_storage(hid_t dataset, const char *name, struct error *);
/* The element of the rows and its type in memory; false for other numbers than floats and integers
   of 1, 2, 4 or 8 bytes. wide: floats of 8 bytes and more are F64, else F32. */
bool hdf5_element_of(hid_t dataset, bool wide, enum element *, hid_t *memory_type);
/* Number of dimensions, and the rows and columns of 1 or 2 of them; extent[1] of 1 is 1. */
int hdf5_shape_of(hid_t dataset, hsize_t extent[2]);
/* Reads rows first .. first + n - 1 of a dataset of 1 or 2 dimensions, which has them, into out.
   ERR_CORRUPT. */
int hdf5_read_rows(hid_t dataset, hid_t memory_type, size_t first, size_t n, void *out,
                   const char *name, struct error *);

#endif
