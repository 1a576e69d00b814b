/* hdf5_files.h - datasets of HDF5 files for the tests of src/data. Only where HAVE_HDF5 is defined. */
#ifndef DRIFTLINE_TESTS_UNIT_DATA_HDF5_FILES_H
#define DRIFTLINE_TESTS_UNIT_DATA_HDF5_FILES_H

#include "tests/support/testing.h"

#include <hdf5.h>

/* n x dim values, which are of type `held` in memory; dim 0: a list of n; values NULL: none are written. */
static inline void put_dataset(hid_t at, const char *name, hid_t type, hsize_t n, hsize_t dim,
                               hid_t properties, hid_t held, const void *values)
{
    hid_t space = H5Screate_simple(dim ? 2 : 1, (hsize_t[]){ n, dim }, NULL);
    hid_t dataset = H5Dcreate2(at, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(dataset >= 0);
    if (values)
        assert_true(H5Dwrite(dataset, held, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

/* The metric of a file, as ann-benchmarks states it. */
static inline void put_metric(hid_t file, const char *metric)
{
    hid_t text = H5Tcopy(H5T_C_S1), scalar = H5Screate(H5S_SCALAR);
    H5Tset_size(text, H5T_VARIABLE);
    hid_t attribute = H5Acreate2(file, "distance", text, scalar, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, text, &metric) >= 0);
    H5Aclose(attribute);
    H5Sclose(scalar);
    H5Tclose(text);
}

#endif
