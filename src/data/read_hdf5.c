/* read_hdf5.c - datasets in HDF5 files, read and written a block of rows at a time.
 *
 * The library keeps global state and Debian builds it without thread safety, so every call into it
 * holds one lock. It is also not hardened against hostile files: it is not fuzzed here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats.h"

#ifndef HAVE_HDF5

int hdf5_open(const struct bytes *b, const struct file_options *options, struct source **out,
              struct error *err)
{
    (void)options, (void)out;
    return fail(err, ERR_UNSUPPORTED,
                "%s: HDF5 is left out of this build; install libhdf5-dev and build again", b->name);
}

int hdf5_write(const struct source *s, const char *path, const char *dataset,
               const struct data_progress *progress, struct error *err)
{
    (void)s, (void)dataset, (void)progress;
    return fail(err, ERR_UNSUPPORTED,
                "%s: HDF5 is left out of this build; install libhdf5-dev and build again", path);
}

#else

#include <hdf5.h>
#include <pthread.h>

static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

struct hdf5_state {
    hid_t file, dataset, memory_type;
    struct bytes bytes; /* of an inflated file, kept while the library reads it */
};

/* Without this the library prints its stack on stderr at every failed call. */
static void silence(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static herr_t innermost(unsigned depth, const H5E_error2_t *e, void *out)
{
    (void)depth;
    if (!e->desc || !*e->desc)
        return 0;
    snprintf(out, 200, "%s", e->desc);
    return 1; /* stops the walk at the first cause */
}

/* The library's own words for what just failed. */
static const char *reason(char text[200])
{
    snprintf(text, 200, "no reason given");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, text);
    return text;
}

static int hdf5_read(const struct source *s, size_t first, size_t n, void *out, struct error *err)
{
    const struct hdf5_state *h = s->state;
    char text[200];
    pthread_mutex_lock(&library_lock);
    silence();
    hid_t space = H5Dget_space(h->dataset);
    int rank = H5Sget_simple_extent_ndims(space);
    hsize_t columns = s->element == ELEMENT_B64 ? s->dim / 64 : s->dim;
    hsize_t start[2] = { first, 0 }, count[2] = { n, columns };
    hid_t memory = H5Screate_simple(rank, count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    herr_t status = H5Dread(h->dataset, h->memory_type, memory, space, H5P_DEFAULT, out);
    int rc = status < 0 ? fail(err, ERR_CORRUPT, "%s: rows %zu to %zu cannot be read: %s", s->name,
                               first + 1, first + n, reason(text))
                        : OK;
    H5Sclose(memory);
    H5Sclose(space);
    pthread_mutex_unlock(&library_lock);
    return rc;
}

static void hdf5_close(struct source *s)
{
    struct hdf5_state *h = s->state;
    pthread_mutex_lock(&library_lock);
    if (h->dataset >= 0)
        H5Dclose(h->dataset);
    if (h->file >= 0)
        H5Fclose(h->file);
    pthread_mutex_unlock(&library_lock);
    bytes_close(&h->bytes);
    free(h);
}

struct name_list {
    char text[400];
    char only[256];
    size_t n;
};

static herr_t collect(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    struct name_list *list = context;
    (void)info;
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (object >= 0 && H5Iget_type(object) == H5I_DATASET) {
        size_t used = strlen(list->text);
        snprintf(list->text + used, sizeof list->text - used, "%s%s", list->n ? ", " : "", name);
        snprintf(list->only, sizeof list->only, "%s", name);
        list->n++;
    }
    if (object >= 0)
        H5Oclose(object);
    return 0;
}

/* The dataset asked for, else "train", else the only one. */
static int choose_dataset(struct source *s, const struct file_options *options, struct error *err)
{
    struct hdf5_state *h = s->state;
    struct name_list list = { .n = 0 };
    H5Literate(h->file, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, collect, &list);
    const char *name = options->dataset ? options->dataset : "train";
    h->dataset = H5Dopen2(h->file, name, H5P_DEFAULT);
    if (h->dataset < 0 && !options->dataset && list.n == 1) {
        name = list.only;
        h->dataset = H5Dopen2(h->file, name, H5P_DEFAULT);
    }
    if (h->dataset < 0)
        return fail(err, ERR_NOT_FOUND, "%s: no dataset \"%s\"; the file has %s", s->name, name,
                    list.n ? list.text : "none");
    size_t used = strlen(s->name);
    snprintf(s->name + used, sizeof s->name - used, "[%.64s]", name);
    return OK;
}

static bool settle_type(struct source *s, hid_t stored)
{
    struct hdf5_state *h = s->state;
    size_t bytes = H5Tget_size(stored);
    H5T_class_t class = H5Tget_class(stored);
    bool is_signed = class == H5T_INTEGER && H5Tget_sign(stored) == H5T_SGN_2;
    h->memory_type = H5T_NATIVE_FLOAT;
    s->element = ELEMENT_F32;
    if (class == H5T_FLOAT)
        return true;
    if (class != H5T_INTEGER)
        return false;
    if (bytes == 1 && !is_signed)
        s->element = ELEMENT_U8, h->memory_type = H5T_NATIVE_UINT8;
    else if (bytes == 1)
        s->element = ELEMENT_I8, h->memory_type = H5T_NATIVE_INT8;
    else if (bytes == 4 && is_signed)
        s->element = ELEMENT_I32, h->memory_type = H5T_NATIVE_INT32;
    else if (bytes == 8 && is_signed)
        s->element = ELEMENT_I64, h->memory_type = H5T_NATIVE_INT64;
    else if (bytes == 4)
        s->element = ELEMENT_I64, h->memory_type = H5T_NATIVE_INT64;
    else if (bytes == 8)
        s->element = ELEMENT_B64, h->memory_type = H5T_NATIVE_UINT64;
    return s->element != ELEMENT_F32 || bytes == 2;
}

static int settle_shape(struct source *s, const struct file_options *options, struct error *err)
{
    struct hdf5_state *h = s->state;
    hid_t space = H5Dget_space(h->dataset), type = H5Dget_type(h->dataset);
    int rank = H5Sget_simple_extent_ndims(space);
    hsize_t extent[2] = { 0, 1 };
    bool fits = rank == 1 || rank == 2;
    if (fits)
        H5Sget_simple_extent_dims(space, extent, NULL);
    bool known = settle_type(s, type);
    H5Sclose(space);
    H5Tclose(type);
    if (!fits)
        return fail(err, ERR_DIMENSION, "%s: has %d dimensions, rows and columns were expected",
                    s->name, rank);
    if (!known)
        return fail(err, ERR_UNSUPPORTED,
                    "%s: holds neither floats nor integers of 1, 4 or 8 bytes", s->name);
    size_t unit = s->element == ELEMENT_B64 ? 64 : 1;
    s->n = extent[0];
    if (!s->n || !extent[1] || __builtin_mul_overflow((size_t)extent[1], unit, &s->dim) ||
        s->n > SIZE_MAX / 8 / s->dim)
        return fail(err, ERR_CORRUPT,
                    "%s: %zu rows of %zu columns; both must be at least 1 and fit memory addresses",
                    s->name, s->n, (size_t)extent[1]);
    /* No filter of the library packs better than deflate's 1032 to 1. */
    if (s->n * source_row_bytes(s) / 1100 > h->bytes.size)
        return fail(err, ERR_CORRUPT,
                    "%s: %zu rows of %zu columns are absurd for a file of %zu bytes", s->name, s->n,
                    s->dim, h->bytes.size);
    if (s->element == ELEMENT_B64 && s->dim != 64)
        return fail(err, ERR_UNSUPPORTED,
                    "%s: %zu columns of 64-bit codes; one a row is what is read", s->name,
                    s->dim / 64);
    enum element asked = s->element;
    if (options->element &&
        (!data_element_named(options->element, &asked) || asked != s->element)) {
        if (asked != ELEMENT_F32 || s->element == ELEMENT_B64)
            return fail(err, ERR_DIMENSION, "%s: holds %s, which cannot become %s", s->name,
                        data_element_name(s->element), options->element);
        s->element = ELEMENT_F32;
        h->memory_type = H5T_NATIVE_FLOAT;
    }
    if (options->dim && options->dim != s->dim)
        return fail(err, ERR_DIMENSION, "%s: has %zu columns, %zu were expected", s->name, s->dim,
                    options->dim);
    return OK;
}

/* ann-benchmarks' "distance" attribute, where there is one. */
static void read_metric(struct source *s)
{
    struct hdf5_state *h = s->state;
    if (H5Aexists(h->file, "distance") <= 0)
        return;
    hid_t attribute = H5Aopen(h->file, "distance", H5P_DEFAULT), type = H5Aget_type(attribute);
    if (H5Tget_class(type) == H5T_STRING) {
        if (H5Tis_variable_str(type) > 0) {
            char *text = NULL;
            if (H5Aread(attribute, type, &text) >= 0 && text)
                snprintf(s->metric, sizeof s->metric, "%s", text);
            H5free_memory(text);
        } else if (H5Tget_size(type) < 64) {
            char text[65] = { 0 };
            if (H5Aread(attribute, type, text) >= 0)
                snprintf(s->metric, sizeof s->metric, "%.15s", text);
        }
    }
    H5Tclose(type);
    H5Aclose(attribute);
}

static int open_locked(struct source *s, const struct bytes *b, const struct file_options *options,
                       struct error *err)
{
    struct hdf5_state *h = s->state;
    char path[64], text[200];
    silence();
    /* The inflated file has no name of its own. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", h->bytes.fd);
    h->file = H5Fopen(b->was_gzip ? path : b->name, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (h->file < 0)
        return fail(err, ERR_CORRUPT, "%s: HDF5 cannot open it: %s", s->name, reason(text));
    int rc = choose_dataset(s, options, err);
    if (!rc)
        rc = settle_shape(s, options, err);
    if (!rc)
        read_metric(s);
    return rc;
}

int hdf5_open(const struct bytes *b, const struct file_options *options, struct source **out,
              struct error *err)
{
    if (b->fd < 0)
        return fail(err, ERR_UNSUPPORTED, "%s: HDF5 is read from files, not from memory", b->name);
    const char *slash = strrchr(b->name, '/');
    struct source *s = source_new(slash ? slash + 1 : b->name, err);
    struct hdf5_state *h = calloc(1, sizeof *h);
    if (!s || !h) {
        free(s);
        free(h);
        return fail(err, ERR_NO_MEMORY, "%s: out of memory", b->name);
    }
    *h = (struct hdf5_state){ .file = -1,
                              .dataset = -1,
                              .bytes = { .fd = dup(b->fd), .size = b->size } };
    s->state = h;
    s->close = hdf5_close;
    s->read = hdf5_read;
    pthread_mutex_lock(&library_lock);
    int rc = open_locked(s, b, options, err);
    pthread_mutex_unlock(&library_lock);
    if (!rc)
        rc = source_scan(s, err);
    if (rc)
        source_close(s);
    else
        *out = s;
    return rc;
}

static hid_t stored_type(enum element element)
{
    switch ((int)element) {
        case ELEMENT_F32: return H5T_IEEE_F32LE;
        case ELEMENT_U8: return H5T_STD_U8LE;
        case ELEMENT_B64: return H5T_STD_U64LE;
        case (int)ELEMENT_I8: return H5T_STD_I8LE;
        case (int)ELEMENT_I32: return H5T_STD_I32LE;
        case (int)ELEMENT_I64: return H5T_STD_I64LE;
        default: return H5T_IEEE_F64LE;
    }
}

static hid_t native_type(enum element element)
{
    switch ((int)element) {
        case ELEMENT_F32: return H5T_NATIVE_FLOAT;
        case ELEMENT_U8: return H5T_NATIVE_UINT8;
        case ELEMENT_B64: return H5T_NATIVE_UINT64;
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
    hsize_t columns = s->element == ELEMENT_B64 ? s->dim / 64 : s->dim;
    void *buffer = malloc(block * row_bytes);
    int rc = buffer ? OK : fail(err, ERR_NO_MEMORY, "%s: out of memory", path);
    for (size_t first = 0; !rc && first < s->n; first += block) {
        size_t n = s->n - first < block ? s->n - first : block;
        hsize_t start[2] = { first, 0 }, count[2] = { n, columns };
        char text[200];
        rc = source_read(s, first, n, buffer, err);
        if (rc)
            break;
        pthread_mutex_lock(&library_lock);
        silence();
        hid_t memory = H5Screate_simple(2, count, NULL);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
        if (H5Dwrite(dataset, native_type(s->element), memory, space, H5P_DEFAULT, buffer) < 0)
            rc = fail(err, ERR_IO, "%s: cannot write rows from %zu: %s", path, first + 1,
                      reason(text));
        H5Sclose(memory);
        pthread_mutex_unlock(&library_lock);
        if (!rc && progress && progress->step(progress->context, path, first + n, s->n))
            rc = fail(err, ERR_INTERRUPTED, "%s: interrupted", path);
    }
    free(buffer);
    return rc;
}

int hdf5_write(const struct source *s, const char *path, const char *dataset_name,
               const struct data_progress *progress, struct error *err)
{
    char text[200];
    hsize_t extent[2] = { s->n, s->element == ELEMENT_B64 ? s->dim / 64 : s->dim };
    pthread_mutex_lock(&library_lock);
    silence();
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(2, extent, NULL);
    hid_t dataset = file < 0 ? -1
                             : H5Dcreate2(file, dataset_name, stored_type(s->element), space,
                                          H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int rc =
        dataset < 0 ? fail(err, ERR_IO, "%s: HDF5 cannot create it: %s", path, reason(text)) : OK;
    if (!rc && s->metric[0])
        write_metric(file, s->metric);
    pthread_mutex_unlock(&library_lock);
    if (!rc)
        rc = write_rows(s, path, dataset, space, progress, err);
    pthread_mutex_lock(&library_lock);
    if (dataset >= 0)
        H5Dclose(dataset);
    if (space >= 0)
        H5Sclose(space);
    if (file >= 0 && H5Fclose(file) < 0 && !rc)
        rc = fail(err, ERR_IO, "%s: HDF5 cannot finish it: %s", path, reason(text));
    pthread_mutex_unlock(&library_lock);
    return rc;
}

#endif
