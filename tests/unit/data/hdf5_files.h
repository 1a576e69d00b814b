/* hdf5_files.h - HDF5 files for the tests of src/data. Only where HAVE_HDF5 is defined. */
#ifndef DRIFTLINE_TESTS_UNIT_DATA_HDF5_FILES_H
#define DRIFTLINE_TESTS_UNIT_DATA_HDF5_FILES_H

#include "tests/unit/data/data_files.h"

#include <hdf5.h>

enum { ROWS = 20, COLUMNS = 3 };

/* Creates a file in which `make` puts a dataset, usually "train". */
static inline const char *make_file(struct scratch *s, const char *name,
                                    void (*make)(struct scratch *, hid_t))
{
    char path[PATH_MAX + 256];
    snprintf(path, sizeof path, "%s", scratch_path(s, name));
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    make(s, file);
    assert_true(H5Fclose(file) >= 0);
    return scratch_path(s, name);
}

static inline void put_rows(hid_t at, const char *name, hid_t properties)
{
    float rows[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        rows[i] = (float)i;
    hid_t space = H5Screate_simple(2, (hsize_t[]){ ROWS, COLUMNS }, NULL);
    hid_t dataset =
        H5Dcreate2(at, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(dataset >= 0);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

/* Rows under "train" and "more/rows", and the metric angular. */
static inline void plain(struct scratch *s, hid_t file)
{
    hid_t text = H5Tcopy(H5T_C_S1), scalar = H5Screate(H5S_SCALAR);
    H5Tset_size(text, H5T_VARIABLE);
    hid_t attribute = H5Acreate2(file, "distance", text, scalar, H5P_DEFAULT, H5P_DEFAULT);
    const char *metric = "angular";
    assert_true(H5Awrite(attribute, text, &metric) >= 0);
    H5Aclose(attribute);
    H5Sclose(scalar);
    H5Tclose(text);
    hid_t packed = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(packed, 2, (hsize_t[]){ 7, COLUMNS });
    H5Pset_deflate(packed, 6);
    put_rows(file, "train", packed);
    H5Pclose(packed);
    hid_t group = H5Gcreate2(file, "more", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_rows(group, "rows", H5P_DEFAULT);
    H5Gclose(group);
}

static inline void put_column(hid_t at, const char *name, hid_t type)
{
    hid_t space = H5Screate_simple(1, (hsize_t[]){ ROWS }, NULL);
    hid_t dataset = H5Dcreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

#endif
