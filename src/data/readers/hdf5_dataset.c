/* hdf5_dataset.c - see hdf5_dataset.h. */
#ifdef HAVE_HDF5

#include "src/data/readers/hdf5_dataset.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

hid_t hdf5_open_file(int fd)
{
    char path[64];
    hdf5_silence();
    H5PLset_loading_state(0);
    H5Lunregister(H5L_TYPE_EXTERNAL);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    struct stat st;
    /* The default driver asks for the real path behind the link, which an inflated file has not. */
    if (!fstat(fd, &st) && !st.st_nlink)
        H5Pset_fapl_stdio(access);
    else
        H5Pset_fapl_sec2(access);
    /* By the descriptor: the name may have become that of another file, and an inflated file has
       none. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    /* `access` stays open until the process ends: a later call would clear the reason of a failure. */
    return H5Fopen(path, H5F_ACC_RDONLY, access);
}

int hdf5_check_links(hid_t file, const char *path, const char *name, struct error *err)
{
    char part[SOURCE_NAME_BYTES];
    for (size_t end = 0; path[end];) {
        end += strspn(path + end, "/");
        end += strcspn(path + end, "/");
        H5L_info_t info;
        snprintf(part, sizeof part, "%.*s", (int)end, path);
        if (H5Lget_info(file, part, &info, H5P_DEFAULT) >= 0 && info.type != H5L_TYPE_HARD)
            return fail(err, ERR_UNSUPPORTED,
                        "%s: \"%s\" is %s link; links can lead to other files and are not followed",
                        name, part, info.type == H5L_TYPE_SOFT ? "a soft" : "an external");
    }
    return OK;
}

int hdf5_check_storage(hid_t dataset, const char *name, struct error *err)
{
    const hid_t properties = H5Dget_create_plist(dataset);
    const bool outside = properties >= 0 && H5Pget_external_count(properties) != 0;
    const H5D_layout_t layout = properties < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(properties);
    if (properties >= 0)
        H5Pclose(properties);
    if (outside || layout == H5D_VIRTUAL)
        return fail(err, ERR_UNSUPPORTED,
                    "%s: its rows lie in other files (%s), which are not read", name,
                    outside ? "external raw storage" : "a virtual dataset");
    if (layout == H5D_LAYOUT_ERROR)
        return fail(err, ERR_CORRUPT, "%s: does not state how its rows are stored", name);
    return OK;
}

bool hdf5_element_of(hid_t dataset, bool wide, enum element *element, hid_t *memory_type)
{
    const hid_t stored = H5Dget_type(dataset);
    const size_t bytes = H5Tget_size(stored);
    const H5T_class_t class = H5Tget_class(stored);
    const bool is_signed = class == H5T_INTEGER && H5Tget_sign(stored) == H5T_SGN_2;
    H5Tclose(stored);
    *memory_type = H5T_NATIVE_FLOAT;
    *element = INDEX_F32;
    if (class == H5T_FLOAT && wide && bytes >= sizeof(double))
        *element = ELEMENT_F64, *memory_type = H5T_NATIVE_DOUBLE;
    if (class == H5T_FLOAT)
        return true;
    if (class != H5T_INTEGER)
        return false;
    if (bytes == 1 && !is_signed)
        *element = INDEX_U8, *memory_type = H5T_NATIVE_UINT8;
    else if (bytes == 1)
        *element = ELEMENT_I8, *memory_type = H5T_NATIVE_INT8;
    else if (bytes == 4 && is_signed)
        *element = ELEMENT_I32, *memory_type = H5T_NATIVE_INT32;
    else if (bytes == 4 || (bytes == 8 && is_signed))
        *element = ELEMENT_I64, *memory_type = H5T_NATIVE_INT64;
    else if (bytes == 8)
        *element = ELEMENT_U64, *memory_type = H5T_NATIVE_UINT64;
    return *element != INDEX_F32 || bytes == 2;
}

int hdf5_shape_of(hid_t dataset, hsize_t extent[2])
{
    const hid_t space = H5Dget_space(dataset);
    const int rank = H5Sget_simple_extent_ndims(space);
    extent[0] = extent[1] = 1;
    if (rank == 1 || rank == 2)
        H5Sget_simple_extent_dims(space, extent, NULL);
    H5Sclose(space);
    return rank;
}

int hdf5_read_rows(hid_t dataset, hid_t memory_type, size_t first, size_t n, void *out,
                   const char *name, struct error *err)
{
    char text[HDF5_REASON_BYTES];
    hsize_t extent[2];
    const int rank = hdf5_shape_of(dataset, extent);
    const hsize_t start[2] = { first, 0 }, count[2] = { n, extent[1] };
    const hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(rank, count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    int rc = OK;
    if (H5Dread(dataset, memory_type, memory, space, H5P_DEFAULT, out) < 0)
        rc = fail(err, ERR_CORRUPT, "%s: rows %zu to %zu cannot be read: %s", name, first + 1,
                  first + n, hdf5_reason(text));
    H5Sclose(memory);
    H5Sclose(space);
    return rc;
}

#endif
