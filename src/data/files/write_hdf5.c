/* write_hdf5.c - writes a source's rows as one HDF5 dataset, a block of rows at a time.
 *
 * The library keeps global state, and Debian builds it without thread safety, so only one thread
 * may write HDF5.
 */
#include <stdlib.h>
#include <string.h>

#include "src/data/readers/formats.h"

#ifndef HAVE_HDF5

int hdf5_write(const struct source *s, const char *path, const struct data_progress *progress,
               struct error *err)
{
    (void)s, (void)progress;
    return fail(err, ERR_UNSUPPORTED,
                "%s: HDF5 is left out of this build; install libhdf5-dev and build again", path);
}

#else

#include "src/data/readers/hdf5_error.h"

/* In memory and in the file, whose numbers are little-endian as those of the machine. */
static hid_t native_type(enum element element)
{
    switch ((int)element) {
        case INDEX_F32: return H5T_NATIVE_FLOAT;
        case INDEX_U8: return H5T_NATIVE_UINT8;
        case INDEX_B64: return H5T_NATIVE_UINT64;
        case (int)ELEMENT_I8: return H5T_NATIVE_INT8;
        case (int)ELEMENT_I32: return H5T_NATIVE_INT32;
        case (int)ELEMENT_I64: return H5T_NATIVE_INT64;
        default: return H5T_NATIVE_DOUBLE;
    }
}

static void write_metric(hid_t file, const char *metric)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(metric));
    hid_t attribute = H5Acreate2(file, "distance", type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, metric);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static int write_rows(const struct source *s, const char *path, hid_t dataset, hid_t space,
                      const struct data_progress *progress, struct error *err)
{
    size_t row_bytes = source_row_bytes(s), block = ((size_t)1 << 20) / row_bytes + 1;
    hsize_t columns = s->element == INDEX_B64 ? s->dim / 64 : s->dim;
    void *buffer = malloc(block * row_bytes);
    int rc = buffer ? OK : fail(err, ERR_NO_MEMORY, "%s: out of memory", path);
    for (size_t first = 0; !rc && first < s->n; first += block) {
        size_t n = s->n - first < block ? s->n - first : block;
        hsize_t start[2] = { first, 0 }, count[2] = { n, columns };
        char text[200];
        rc = source_read(s, first, n, buffer, err);
        if (rc)
            break;
        hid_t memory = H5Screate_simple(2, count, NULL);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
        if (H5Dwrite(dataset, native_type(s->element), memory, space, H5P_DEFAULT, buffer) < 0)
            rc = fail(err, ERR_IO, "%s: cannot write rows from %zu: %s", path, first + 1,
                      hdf5_reason(text));
        H5Sclose(memory);
        if (!rc && progress && progress->step(progress->context, path, first + n, s->n))
            rc = fail(err, ERR_INTERRUPTED, "%s: interrupted", path);
    }
    free(buffer);
    return rc;
}

int hdf5_write(const struct source *s, const char *path, const struct data_progress *progress,
               struct error *err)
{
    char text[200];
    hsize_t extent[2] = { s->n, s->element == INDEX_B64 ? s->dim / 64 : s->dim };
    hdf5_silence();
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(2, extent, NULL);
    hid_t dataset = file < 0 ? -1
                             : H5Dcreate2(file, "train", native_type(s->element), space,
                                          H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int rc = dataset < 0
                 ? fail(err, ERR_IO, "%s: HDF5 cannot create it: %s", path, hdf5_reason(text))
                 : OK;
    if (!rc && s->metric[0])
        write_metric(file, s->metric);
    if (!rc)
        rc = write_rows(s, path, dataset, space, progress, err);
    if (dataset >= 0)
        H5Dclose(dataset);
    if (space >= 0)
        H5Sclose(space);
    if (file >= 0 && H5Fclose(file) < 0 && !rc)
        rc = fail(err, ERR_IO, "%s: HDF5 cannot finish it: %s", path, hdf5_reason(text));
    return rc;
}

#endif
