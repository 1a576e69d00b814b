/* hdf5.c - reads a dataset of an HDF5 file into rows in a scratch file.
 *
 * The library is not hardened: damaged files crash it, and a file can refer to other files. So it
 * runs in a child process, and anything outside the file itself is refused: external raw storage,
 * external and soft links, virtual datasets, filter plugins. The parent checks the reported shape
 * against the size of the rows.
 *
 * 1 the library   2 the child   3 the parent
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/core/append_text.h"
#include "src/core/mem.h"
#include "src/data/readers/child.h"
#include "src/data/readers/formats.h"

#ifndef HAVE_HDF5

int reader_hdf5(struct bytes *b, const struct file_options *options, struct row_layout *layout,
                struct inner_names *names, struct error *err)
{
    (void)options, (void)layout, (void)names;
    return fail(err, ERR_UNSUPPORTED,
                "%s: HDF5 is left out of this build; install libhdf5-dev and build again", b->name);
}

#else

#include <hdf5.h>
#include <sys/stat.h>

enum { BLOCK_BYTES = 16 << 20, REASON_BYTES = 200 };
static const size_t MEMORY_BYTES = (size_t)4 << 30;

/* Report of the child: all that the parent gets besides the rows. */
struct found {
    int code;
    char text[sizeof((struct error *)0)->text];
    size_t n, dim;
    enum element element;
    struct inner_names names;
};

struct hdf5_job {
    const struct bytes *file;
    const struct file_options *options;
    int rows; /* the scratch file */
    /* used by the child */
    hid_t dataset, memory_type;
    struct found found;
    char name[SOURCE_NAME_BYTES + 80]; /* for messages: "base.hdf5[train]" */
};

/* 1. The library */

/* Of a failed system call the library writes lines of times and addresses, and in them the system's
   message in quotes. */
static herr_t innermost(unsigned depth, const H5E_error2_t *e, void *out)
{
    static const char before[] = "error message = '";
    (void)depth;
    if (!e->desc || !*e->desc)
        return 0;
    const char *system = strstr(e->desc, before);
    if (system)
        snprintf(out, REASON_BYTES, "%.*s", (int)strcspn(system + strlen(before), "'"),
                 system + strlen(before));
    else
        snprintf(out, REASON_BYTES, "%s", e->desc);
    return 1; /* stops the walk at the first cause */
}

/* The innermost message of the library's error stack, in text. */
static const char *reason(char text[REASON_BYTES])
{
    snprintf(text, REASON_BYTES, "no reason given");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, text);
    return text;
}

/* Opens the file of a descriptor for reading; the library then loads no plugins and follows no links to
   other files. Below 0: it cannot be opened; reason() says why. */
static hid_t open_file(int fd)
{
    char path[64];
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* else it prints its errors to stderr */
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

/* ERR_UNSUPPORTED unless each part of the path is a hard link. `name` is for messages. */
static int check_links(hid_t file, const char *path, const char *name, struct error *err)
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

/* ERR_UNSUPPORTED if the rows are stored outside this file; ERR_CORRUPT. */
static int check_storage(hid_t dataset, const char *name, struct error *err)
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

/* The element of the rows and its type in memory; false for other numbers than floats and integers of
   1, 2, 4 or 8 bytes. wide: floats of 8 bytes and more are F64, else F32. */
static bool element_of(hid_t dataset, bool wide, enum element *element, hid_t *memory_type)
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

/* Number of dimensions, and the rows and columns of 1 or 2 of them; extent[1] of 1 is 1. */
static int shape_of(hid_t dataset, hsize_t extent[2])
{
    const hid_t space = H5Dget_space(dataset);
    const int rank = H5Sget_simple_extent_ndims(space);
    extent[0] = extent[1] = 1;
    if (rank == 1 || rank == 2)
        H5Sget_simple_extent_dims(space, extent, NULL);
    H5Sclose(space);
    return rank;
}

/* 2. The child */

/* The datasets of numbers in a group and the groups below it, with one number of dimensions. */
struct name_list {
    char text[400]; /* names and shapes, for messages */
    char only[sizeof((struct inner_names *)0)->dataset];
    int rank; /* number of dimensions: 2, or 1 if no dataset has 2 */
    size_t n;
};

static bool is_numeric(hid_t dataset)
{
    const hid_t type = H5Dget_type(dataset);
    const H5T_class_t class = H5Tget_class(type);
    H5Tclose(type);
    return class == H5T_FLOAT || class == H5T_INTEGER;
}

static void list_add(struct name_list *list, const char *name, int rank, const hsize_t extent[2])
{
    if (list->rank != rank)
        return;
    append_text(list->text, sizeof list->text, ", ", "%.100s (%llu x %llu)", name,
                (unsigned long long)extent[0], (unsigned long long)extent[1]);
    if (strlen(name) < sizeof list->only)
        snprintf(list->only, sizeof list->only, "%s", name);
    list->n++;
}

/* Follows hard links only: others can lead to other files. */
static herr_t collect(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    if (info->type != H5L_TYPE_HARD)
        return 0;
    const hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (object >= 0 && H5Iget_type(object) == H5I_DATASET && is_numeric(object)) {
        hsize_t extent[2];
        list_add(context, name, shape_of(object, extent), extent);
    }
    if (object >= 0)
        H5Oclose(object);
    return 0;
}

/* The datasets with two dimensions, else those with one. */
static struct name_list list_datasets(hid_t group)
{
    struct name_list list = { .rank = 2 };
    H5Lvisit(group, H5_INDEX_NAME, H5_ITER_NATIVE, collect, &list);
    if (!list.n) {
        list = (struct name_list){ .rank = 1 };
        H5Lvisit(group, H5_INDEX_NAME, H5_ITER_NATIVE, collect, &list);
    }
    return list;
}

/* Chooses the only dataset of rows and columns in the group; an error if there are more. */
static int choose_in_group(struct hdf5_job *job, hid_t file, const char *group, struct error *err)
{
    char *const name = job->found.names.dataset;
    const bool root = !strcmp(group, "/");
    const hid_t object = H5Oopen(file, group, H5P_DEFAULT);
    if (object < 0)
        return fail(err, ERR_CORRUPT, "%s: \"%s\" cannot be opened", job->name, group);
    const struct name_list list = list_datasets(object);
    H5Oclose(object);
    if (!list.n)
        return fail(err, ERR_NOT_FOUND, "%s: no dataset of rows and columns in \"%s\"", job->name,
                    group);
    if (list.n > 1)
        return fail(err, ERR_ARGUMENT,
                    "%s: \"%s\" holds %zu datasets, %s; name one, as in dataset = \"%s%s%s\" "
                    "(convert: --dataset)",
                    job->name, group, list.n, list.text, root ? "" : group, root ? "" : "/",
                    list.only);
    const int n = snprintf(name, sizeof job->found.names.dataset, "%s%s%s", root ? "" : group,
                           root ? "" : "/", list.only);
    if (!*list.only || n >= (int)sizeof job->found.names.dataset)
        return fail(err, ERR_ARGUMENT, "%s: a dataset's name of more than %zu bytes", job->name,
                    sizeof job->found.names.dataset - 1);
    return OK;
}

static H5I_type_t type_of(hid_t file, const char *name)
{
    const hid_t object = H5Oopen(file, name, H5P_DEFAULT);
    const H5I_type_t type = object < 0 ? H5I_BADID : H5Iget_type(object);
    if (object >= 0)
        H5Oclose(object);
    return type;
}

/* Chooses the dataset of the requested name or "train", or the only one in the group of that name.
   Without a request, the only one in the file is the last choice. */
static int name_dataset(struct hdf5_job *job, hid_t file, struct error *err)
{
    const char *asked = job->options->dataset;
    struct inner_names *names = &job->found.names;
    const char *name = asked ? asked : "train";
    if (strlen(name) >= sizeof names->dataset)
        return fail(err, ERR_ARGUMENT, "%s: a dataset's name of more than %zu bytes", job->name,
                    sizeof names->dataset - 1);
    int rc = check_links(file, name, job->name, err);
    if (rc)
        return rc;
    const H5I_type_t type = type_of(file, name);
    if (type == H5I_GROUP)
        return choose_in_group(job, file, name, err);
    if (type != H5I_DATASET && !asked)
        return choose_in_group(job, file, "/", err);
    snprintf(names->dataset, sizeof names->dataset, "%s", name);
    if (type == H5I_DATASET)
        return OK;
    const struct name_list list = list_datasets(file);
    return fail(err, ERR_NOT_FOUND, "%s: no dataset \"%s\"; the file has %s", job->name, name,
                list.n ? list.text : "none");
}

static int choose_dataset(struct hdf5_job *job, hid_t file, struct error *err)
{
    const char *name = job->found.names.dataset;
    const int rc = name_dataset(job, file, err);
    if (rc)
        return rc;
    job->dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (job->dataset < 0)
        return fail(err, ERR_CORRUPT, "%s: dataset \"%s\" cannot be opened", job->name, name);
    append_text(job->name, sizeof job->name, "", "[%.64s]", name);
    return check_storage(job->dataset, job->name, err);
}

/* h5py stores booleans as an enumeration. Codes of ann-benchmarks are such, a column per bit. */
static bool is_boolean(hid_t dataset)
{
    const hid_t type = H5Dget_type(dataset);
    const bool is = H5Tget_class(type) == H5T_ENUM && H5Tget_size(type) == 1;
    H5Tclose(type);
    return is;
}

static int check_size(const struct hdf5_job *job, size_t columns, struct error *err)
{
    const struct found *f = &job->found;
    const size_t limit = job->options->limit_bytes;
    const size_t row_bytes = data_row_bytes(f->element, f->dim);
    if (!f->n || !columns || !row_bytes || f->n > SIZE_MAX / row_bytes)
        return fail(err, ERR_CORRUPT,
                    "%s: %zu rows of %zu columns; both must be at least 1 and fit memory addresses",
                    job->name, f->n, columns);
    /* The best filter of the library is deflate, with a ratio of at most 1032 to 1. */
    if (f->n * row_bytes / 1100 > job->file->size)
        return fail(err, ERR_CORRUPT,
                    "%s: %zu rows of %zu columns cannot be in a file of %zu bytes", job->name, f->n,
                    columns, job->file->size);
    if (f->n * row_bytes > limit)
        return fail(err, ERR_CORRUPT,
                    "%s: %zu rows of %zu columns are more than the %zu bytes allowed", job->name,
                    f->n, columns, limit);
    return OK;
}

/* ann-benchmarks stores sets of different sizes, for Jaccard's distance, end to end in one column NAME, with
   the sizes in size_NAME. */
static int refuse_sets(const struct hdf5_job *job, hid_t file, struct error *err)
{
    char sizes[sizeof job->found.names.dataset + 8];
    const char *name = job->found.names.dataset + strspn(job->found.names.dataset, "/");
    hsize_t extent[2];
    (void)snprintf(sizes, sizeof sizes, "size_%s", name);
    if (strchr(name, '/') || shape_of(job->dataset, extent) != 1 ||
        H5Lexists(file, sizes, H5P_DEFAULT) <= 0)
        return OK;
    return fail(
        err, ERR_UNSUPPORTED,
        "%s: holds sets of different sizes (\"%s\" has the sizes), as for Jaccard's distance; "
        "rows of one length were expected, and sets are not supported",
        job->name, sizes);
}

static int settle_shape(struct hdf5_job *job, struct error *err)
{
    struct found *f = &job->found;
    hsize_t extent[2];
    const int rank = shape_of(job->dataset, extent);
    if (rank != 1 && rank != 2)
        return fail(err, ERR_DIMENSION, "%s: has %d dimensions, rows and columns were expected",
                    job->name, rank);
    if (is_boolean(job->dataset))
        return fail(err, ERR_UNSUPPORTED,
                    "%s: holds booleans, codes of %llu bits; only codes of 64 bits are supported. "
                    "As u8 columns of 0 and 1 their L2 distances are the Hamming distances",
                    job->name, (unsigned long long)extent[1]);
    if (!element_of(job->dataset, layout_is_wide(job->options), &f->element, &job->memory_type))
        return fail(err, ERR_UNSUPPORTED,
                    "%s: holds neither floats nor integers of 1, 4 or 8 bytes", job->name);
    struct row_layout l = { .stored = f->element, .dim = (size_t)extent[1] };
    layout_settle_codes(&l, job->options);
    f->n = extent[0];
    f->dim = l.dim;
    f->element = l.stored;
    return check_size(job, (size_t)extent[1], err);
}

/* Reads the attribute "distance" of ann-benchmarks, if there is one. */
static void read_metric(hid_t file, char metric[16])
{
    if (H5Aexists(file, "distance") <= 0)
        return;
    hid_t attribute = H5Aopen(file, "distance", H5P_DEFAULT), type = H5Aget_type(attribute);
    if (H5Tget_class(type) == H5T_STRING) {
        if (H5Tis_variable_str(type) > 0) {
            char *text = NULL;
            if (H5Aread(attribute, type, &text) >= 0 && text)
                snprintf(metric, 16, "%s", text);
            H5free_memory(text);
        } else if (H5Tget_size(type) < 64) {
            char text[65] = { 0 };
            if (H5Aread(attribute, type, text) >= 0)
                snprintf(metric, 16, "%.15s", text);
        }
    }
    H5Tclose(type);
    H5Aclose(attribute);
}

/* Reads rows first .. first + n - 1 of the dataset, which has 1 or 2 dimensions and these rows. */
static int read_rows(const struct hdf5_job *job, size_t first, size_t n, void *out,
                     struct error *err)
{
    char text[REASON_BYTES];
    hsize_t extent[2];
    const int rank = shape_of(job->dataset, extent);
    const hsize_t start[2] = { first, 0 }, count[2] = { n, extent[1] };
    const hid_t space = H5Dget_space(job->dataset), memory = H5Screate_simple(rank, count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    int rc = OK;
    if (H5Dread(job->dataset, job->memory_type, memory, space, H5P_DEFAULT, out) < 0)
        rc = fail(err, ERR_CORRUPT, "%s: rows %zu to %zu cannot be read: %s", job->name, first + 1,
                  first + n, reason(text));
    H5Sclose(memory);
    H5Sclose(space);
    return rc;
}

static int copy_rows(const struct hdf5_job *job, struct error *err)
{
    const struct found *f = &job->found;
    const size_t row_bytes = data_row_bytes(f->element, f->dim);
    const size_t most = row_bytes < BLOCK_BYTES ? BLOCK_BYTES / row_bytes : 1;
    const size_t block = most < f->n ? most : f->n;
    void *rows = calloc(block, row_bytes);
    int rc = rows ? OK : fail(err, ERR_NO_MEMORY, "%s: out of memory", job->name);
    for (size_t first = 0; !rc && first < f->n; first += block) {
        const size_t n = f->n - first < block ? f->n - first : block;
        rc = read_rows(job, first, n, rows, err);
        if (!rc && bytes_put(job->rows, rows, n * row_bytes))
            rc = fail_errno(err, ERR_IO, "%s: cannot store its rows", job->name);
    }
    free(rows);
    return rc;
}

static int unpack(struct hdf5_job *job, struct error *err)
{
    char text[REASON_BYTES];
    const hid_t file = open_file(job->file->fd);
    if (file < 0)
        return fail(err, ERR_CORRUPT, "%s: HDF5 cannot open it: %s", job->name, reason(text));
    int rc = choose_dataset(job, file, err);
    if (!rc)
        rc = refuse_sets(job, file, err);
    if (!rc)
        rc = settle_shape(job, err);
    if (!rc)
        rc = copy_rows(job, err);
    if (!rc)
        read_metric(file, job->found.names.metric);
    return rc;
}

static void unpack_and_tell(void *context, int out)
{
    struct hdf5_job *job = context;
    struct error err = { 0 };
    job->found.code = unpack(job, &err);
    memcpy(job->found.text, err.text, sizeof job->found.text);
    (void)bytes_put(out, &job->found, sizeof job->found);
}

/* 3. The parent */

/* A crafted file may control what the child reports. */
static int check_found(struct found *f, const struct bytes *b, struct error *err)
{
    static const enum element known[] = { INDEX_F32,   INDEX_U8,    INDEX_B64,   ELEMENT_I8,
                                          ELEMENT_I32, ELEMENT_I64, ELEMENT_F64, ELEMENT_U64 };
    bool fine = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        fine |= f->element == known[i];
    f->text[sizeof f->text - 1] = '\0';
    f->names.metric[sizeof f->names.metric - 1] = '\0';
    f->names.dataset[sizeof f->names.dataset - 1] = '\0';
    if (f->code)
        return fail(err, f->code, "%s", f->text);
    return fine ? OK : fail(err, ERR_CORRUPT, "%s: HDF5 returned rows of an unknown kind", b->name);
}

static int run_child(struct hdf5_job *job, struct error *err)
{
    struct child_process child = { .work = unpack_and_tell,
                                   .context = job,
                                   .cpu_s = 60 + 1e-6 * (double)job->file->size,
                                   .memory_bytes = MEMORY_BYTES };
    struct error why = { 0 };
    int rc = child_run(&child, &why);
    if (rc)
        fail(err, rc, "%s: the process that read it %s%s", job->file->name, why.text,
             rc == ERR_CORRUPT ? "; the file is damaged or malicious" : "");
    else if (child.output_bytes != sizeof job->found)
        rc = fail(err, ERR_CORRUPT, "%s: the process that read it ended early", job->file->name);
    else
        memcpy(&job->found, child.output, sizeof job->found);
    mem_free(NULL, child.output);
    return rc ? rc : check_found(&job->found, job->file, err);
}

int reader_hdf5(struct bytes *b, const struct file_options *options, struct row_layout *layout,
                struct inner_names *names, struct error *err)
{
    if (b->fd < 0)
        return fail(err, ERR_UNSUPPORTED, "%s: HDF5 is read from files, not from memory", b->name);
    const char *slash = strrchr(b->name, '/');
    struct hdf5_job *job = calloc(1, sizeof *job);
    if (!job)
        return fail(err, ERR_NO_MEMORY, "%s: out of memory", b->name);
    *job = (struct hdf5_job){ .file = b,
                              .options = options,
                              .rows = bytes_scratch(options->scratch_dir) };
    snprintf(job->name, sizeof job->name, "%.*s", SOURCE_NAME_BYTES - 1,
             slash ? slash + 1 : b->name);
    int rc = job->rows < 0 ? fail_errno(err, ERR_IO, "%s: cannot make a temporary file", b->name)
                           : bytes_replace(b, job->rows, run_child(job, err), err);
    if (!rc) {
        const size_t row_bytes = data_row_bytes(job->found.element, job->found.dim);
        *layout = (struct row_layout){ .stored = job->found.element,
                                       .n = job->found.n,
                                       .dim = job->found.dim,
                                       .stride_bytes = row_bytes };
        *names = job->found.names;
        rc = layout_check_size(b, layout, row_bytes, err);
    }
    free(job);
    return rc;
}

#endif
