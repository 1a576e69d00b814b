/* ann_file.c - writes an HDF5 file as h5py does for ann-benchmarks' store_results(). The file is
   made in memory, so that the disk gets it whole or not at all. */
#include <stdlib.h>

#include "src/export/internal.h"

#ifndef HAVE_HDF5

int export_write_ann_file(const struct export_ann_file *f, const char *path, struct error *err)
{
    (void)f;
    return fail(err, ERR_UNSUPPORTED,
                "%s: HDF5 is left out of this build; install libhdf5-dev and build again", path);
}

#else

#include <hdf5.h>

#include "src/base/atomic_file.h"

/* h5py's boolean: an enumeration of FALSE and TRUE over a byte. */
static hid_t boolean_type(void)
{
    const hid_t type = H5Tenum_create(H5T_STD_I8LE);
    int8_t value = 0;

    (void)H5Tenum_insert(type, "FALSE", &value);
    value = 1;
    (void)H5Tenum_insert(type, "TRUE", &value);
    return type;
}

/* A string of variable length in UTF-8, which h5py reads as str. */
static hid_t string_type(void)
{
    const hid_t type = H5Tcopy(H5T_C_S1);

    (void)H5Tset_size(type, H5T_VARIABLE);
    (void)H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static bool write_attribute(hid_t file, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    const double real = json_number_value(value);
    const int64_t integer = json_integer_value(value);
    const int8_t boolean = json_is_true(value);
    const void *from = text                     ? (const void *)&text
                       : json_is_integer(value) ? (const void *)&integer
                       : json_is_real(value)    ? (const void *)&real
                                                : (const void *)&boolean;
    const hid_t type = text                     ? string_type()
                       : json_is_integer(value) ? H5Tcopy(H5T_NATIVE_INT64)
                       : json_is_real(value)    ? H5Tcopy(H5T_NATIVE_DOUBLE)
                                                : boolean_type();
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool good = attribute >= 0 && H5Awrite(attribute, type, from) >= 0;

    if (attribute >= 0)
        (void)H5Aclose(attribute);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    return good;
}

/* columns 0: one-dimensional. */
static bool write_dataset(hid_t file, const char *name, hid_t stored, hid_t native, size_t rows,
                          size_t columns, const void *values)
{
    const hsize_t extent[2] = { rows, columns };
    const hid_t space = H5Screate_simple(columns ? 2 : 1, extent, NULL);
    const hid_t set = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    const bool good = set >= 0 && H5Dwrite(set, native, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;

    if (set >= 0)
        (void)H5Dclose(set);
    (void)H5Sclose(space);
    return good;
}

static bool fill(hid_t file, const struct export_ann_file *f)
{
    const char *name;
    json_t *value;
    bool good = write_dataset(file, "times", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, f->n, 0, f->times) &&
                write_dataset(file, "neighbors", H5T_STD_I32LE, H5T_NATIVE_INT32, f->n, f->k,
                              f->neighbors) &&
                write_dataset(file, "distances", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, f->n, f->k,
                              f->distances);

    json_object_foreach((json_t *)(uintptr_t)f->attributes, name, value) {
        good = good && write_attribute(file, name, value);
    }
    return good && H5Fflush(file, H5F_SCOPE_LOCAL) >= 0;
}

int export_write_ann_file(const struct export_ann_file *f, const char *path, struct error *err)
{
    enum { GROWS_BY = 1 << 20 };
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* no error stack on stderr */
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    (void)H5Pset_fapl_core(access, GROWS_BY, 0);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    const ssize_t n = file >= 0 && fill(file, f) ? H5Fget_file_image(file, NULL, 0) : -1;
    void *bytes = n > 0 ? malloc((size_t)n) : NULL;
    int rc = bytes && H5Fget_file_image(file, bytes, (size_t)n) == n
                 ? OK
                 : fail(err, ERR_NO_MEMORY, "%s: HDF5 cannot make it in memory", path);

    if (file >= 0)
        (void)H5Fclose(file);
    (void)H5Pclose(access);
    rc = rc == OK ? atomic_file_write(path, bytes, (size_t)n, err) : rc;
    free(bytes);
    return rc;
}

#endif
