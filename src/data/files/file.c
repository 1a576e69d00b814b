/* file.c - opens a file: its bytes, format and layout; then reads rows in the requested element. */
#include "src/data/files/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/append_text.h"
#include "src/core/mem.h"
#include "src/data/readers/formats.h"

struct file_state {
    struct bytes bytes;
    struct row_layout layout;
    int add;    /* as in struct file_options */
    char *path; /* bytes.name points here */
    struct row_origin origin;
};

/* Values that need swapping or widening are copied through a buffer of this size, a multiple of the
 * size of each element. */
enum { PIECE_BYTES = 4096 };

/* Converts n integers to the source's element and adds f->add. Returns n, or the position of the
   first value whose sum is negative or does not fit. */
static size_t convert_sums(const struct source *s, const void *piece, char *out, size_t n)
{
    const struct file_state *f = s->state;
    const size_t width = data_row_bytes(f->layout.stored, 1), to = data_row_bytes(s->element, 1);
    for (size_t i = 0; i < n; i++) {
        int64_t value;
        if (!data_convert_elements(f->layout.stored, (const char *)piece + i * width, ELEMENT_I64,
                                   &value, 1) ||
            __builtin_add_overflow(value, (int64_t)f->add, &value) || value < 0 ||
            !data_convert_elements(ELEMENT_I64, &value, s->element, out + i * to, 1))
            return i;
    }
    return n;
}

static int convert_row(const struct source *s, size_t row, char *out, struct error *err)
{
    const struct file_state *f = s->state;
    const struct row_layout *l = &f->layout;
    const uint8_t *base = l->owned ? l->owned : f->bytes.at;
    const uint8_t *at = base + l->offset + row * l->stride_bytes;
    size_t width = l->stored == INDEX_B64 ? 8 : data_row_bytes(l->stored, 1);
    size_t unit = l->stored == INDEX_B64 ? 64 : 1,
           out_width = source_row_bytes(s) * width / data_row_bytes(l->stored, l->dim);
    size_t values = data_row_bytes(l->stored, l->dim) / width;
    uint8_t piece[PIECE_BYTES];
    for (size_t first = 0; first < values;) {
        size_t n = values - first < PIECE_BYTES / width ? values - first : PIECE_BYTES / width;
        memcpy(piece, at + first * width, n * width);
        if (l->big_endian)
            swap_bytes(piece, n * width, width);
        char *to = out + first * out_width;
        size_t done = f->add ? convert_sums(s, piece, to, n)
                             : data_convert_elements(l->stored, piece, s->element, to, n * unit);
        if (done != n * unit && f->add)
            return fail(err, ERR_DIMENSION,
                        "%s: row %zu, column %zu: with %+d it is negative or does not fit %s",
                        s->name, row + 1, first + done + 1, f->add, data_element_name(s->element));
        if (done != n * unit)
            return fail(err, ERR_DIMENSION, "%s: row %zu, column %zu does not fit %s", s->name,
                        row + 1, first + done / unit + 1, data_element_name(s->element));
        first += n;
    }
    return OK;
}

static int file_read(const struct source *s, size_t first, size_t n, void *out, struct error *err)
{
    size_t row_bytes = source_row_bytes(s);
    for (size_t i = 0; i < n; i++) {
        int rc = convert_row(s, first + i, (char *)out + i * row_bytes, err);
        if (rc)
            return rc;
    }
    return OK;
}

static void file_close(struct source *s)
{
    struct file_state *f = s->state;
    bytes_close(&f->bytes);
    mem_free(NULL, f->layout.owned);
    free(f->path);
    free(f);
}

/* Decides the element of the rows: options->element, else the stored one or f32 for one that
   methods do not take. */
static int settle_element(struct source *s, const struct file_options *options, struct error *err)
{
    struct row_layout *l = &((struct file_state *)s->state)->layout;
    s->element = layout_default_element(l->stored, options);
    if (options->add && data_element_of(l->stored)->integer && l->stored != ELEMENT_I64)
        s->element = ELEMENT_I32; /* a sum may not fit the stored element */
    s->dim = l->dim;
    if (options->element && !data_element_named(options->element, &s->element))
        return fail(err, ERR_ARGUMENT,
                    "%s: unknown element \"%s\"; known are f32 u8 b64 i8 i32 i64 f64", s->name,
                    options->element);
    if (data_element_of(s->element)->stored_only)
        return fail(err, ERR_UNSUPPORTED,
                    "%s: rows cannot become %s; %s holds every one of its values", s->name,
                    options->element,
                    data_element_name(layout_default_element(s->element, options)));
    const bool codes = s->element == INDEX_B64, bytes = l->stored == INDEX_U8;
    if (codes && l->stored == ELEMENT_U64) { /* words of codes, as one column is by default */
        l->stored = INDEX_B64;
        l->dim = s->dim = 64 * l->dim;
    }
    if (codes && bytes)
        s->dim = 8 * l->dim;
    if (codes != (l->stored == INDEX_B64) && !(codes && bytes))
        return fail(err, ERR_DIMENSION,
                    "%s: %zu columns of %s cannot become %s; "
                    "codes are 8 columns of u8 for each 64 bits",
                    s->name, l->dim, data_element_name(l->stored), data_element_name(s->element));
    if (codes && (s->dim % 64 != 0 || s->dim > INDEX_CODE_BITS_MAX))
        return fail(
            err, ERR_UNSUPPORTED,
            "%s: %zu columns of %s are codes of %zu bits; expected a multiple of 64, at most "
            "%d",
            s->name, bytes ? l->dim : l->dim / 64, bytes ? "u8" : "u64", s->dim,
            INDEX_CODE_BITS_MAX);
    if (options->add && (codes || !data_element_of(l->stored)->integer))
        return fail(err, ERR_ARGUMENT, "%s: add is for integers, these are %s", s->name,
                    data_element_name(codes ? s->element : l->stored));
    if (options->dim && options->dim != s->dim)
        return fail(err, ERR_DIMENSION, "%s: has %zu columns, %zu were expected", s->name, s->dim,
                    options->dim);
    return OK;
}

/* Whether a row's bytes in the layout are those that calls of read() get. */
static bool stored_as_read(const struct source *s)
{
    const struct file_state *f = s->state;
    const enum element stored = f->layout.stored;
    const bool same = stored == s->element || (stored == INDEX_U8 && s->element == INDEX_B64);
    const bool swapped = f->layout.big_endian && stored != INDEX_U8 && stored != ELEMENT_I8;
    return same && !swapped && !f->add;
}

/* The rows in the mapped file, if no row needs skipped bytes, swapping, widening or
   alignment; else NULL. */
static const void *rows_in_place(const struct source *s)
{
    const struct file_state *f = s->state;
    const struct row_layout *l = &f->layout;
    const uint8_t *at = (l->owned ? (const uint8_t *)l->owned : f->bytes.at) + l->offset;
    size_t width = s->element == INDEX_B64 ? 8 : data_row_bytes(s->element, 1);
    bool packed = l->stride_bytes == data_row_bytes(l->stored, l->dim);
    return stored_as_read(s) && packed && (uintptr_t)at % width == 0 ? at : NULL;
}

/* The file from which other processes can read the rows: the one that is mapped. */
static const struct row_origin *origin_of(const struct source *s)
{
    struct file_state *f = s->state;
    char path[PATH_MAX];
    if (!f->bytes.is_file || f->layout.owned || !stored_as_read(s) || !realpath(f->path, path) ||
        snprintf(f->origin.path, sizeof f->origin.path, "%s", path) >= (int)sizeof f->origin.path)
        return NULL;
    f->origin.offset = f->layout.offset;
    f->origin.stride = f->layout.stride_bytes;
    return &f->origin;
}

/* Reads the layout of one data set of a file that holds several. */
static int unpack(struct source *s, const struct format *format, const struct file_options *options,
                  struct error *err)
{
    struct file_state *f = s->state;
    struct inner_names names = { "", "" };
    int rc = format->unpack(&f->bytes, options, &f->layout, &names, err);
    if (rc)
        return rc;
    append_text(s->name, sizeof s->name, "", "[%.64s]", names.dataset);
    memcpy(s->metric, names.metric, sizeof s->metric);
    return OK;
}

static int open_layout(struct source *s, const struct format *format,
                       const struct file_options *options, struct error *err)
{
    struct file_state *f = s->state;
    if (format->read != reader_text && (options->id_column > 0 || options->header))
        return fail(err, ERR_ARGUMENT, "%s: id and header are for text, this is %s", s->name,
                    format->name);
    if (!format->unpack && options->dataset)
        return fail(err, ERR_ARGUMENT, "%s: dataset is for HDF5, this is %s", s->name,
                    format->name);
    if (format->element)
        data_element_named(format->element, &f->layout.stored);
    int rc = format->read ? format->read(&f->bytes, options, &f->layout, err)
                          : unpack(s, format, options, err);
    if (!rc && f->layout.by_columns)
        rc = layout_rows_from_columns(&f->bytes, &f->layout, options->scratch_dir, err);
    if (!rc)
        rc = settle_element(s, options, err);
    if (rc)
        return rc;
    s->n = f->layout.n;
    f->add = options->add;
    s->numbers = options->numbers;
    memcpy(s->note, f->layout.note, sizeof s->note);
    s->rows = rows_in_place(s);
    s->origin = origin_of(s);
    s->read = file_read;
    return source_scan(s, err);
}

static struct source *new_file(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    struct source *s = source_new(slash ? slash + 1 : path, err);
    if (!s)
        return NULL;
    struct file_state *f = calloc(1, sizeof *f);
    if (f)
        f->path = strdup(path);
    if (!f || !f->path) {
        fail(err, ERR_NO_MEMORY, "%s: out of memory", path);
        free(f);
        free(s);
        return NULL;
    }
    f->bytes.fd = -1;
    s->state = f;
    s->close = file_close;
    return s;
}

/* block: NULL: the file at `name`. */
static int open_any(const char *name, const void *block, size_t size,
                    const struct file_options *given, struct source **out, struct error *err)
{
    struct file_options how = given ? *given : (struct file_options){ 0 };
    const struct file_options *options = &how;
    how.limit_bytes = how.limit_bytes ? how.limit_bytes : BYTES_LIMIT;
    *out = NULL;
    struct source *s = new_file(name, err);
    if (!s)
        return ERR_NO_MEMORY;
    struct file_state *f = s->state;
    const struct format *format = NULL;
    int rc = block
                 ? bytes_borrow(&f->bytes, f->path, block, size, options->limit_bytes, err)
                 : bytes_open(&f->bytes, f->path, options->scratch_dir, options->limit_bytes, err);
    if (!rc && !(format = format_of(f->path, options, &f->bytes, err)))
        rc = err ? err->code : ERR_CORRUPT;
    if (!rc)
        rc = open_layout(s, format, options, err);
    if (rc)
        source_close(s);
    else
        *out = s;
    return rc;
}

int file_open(const char *path, const struct file_options *options, struct source **out,
              struct error *err)
{
    return open_any(path, NULL, 0, options, out, err);
}

bool file_name_states_format(const char *path)
{
    return format_named(path, NULL, NULL) != NULL;
}

bool file_holds_sets(const char *path, const struct file_options *options)
{
    const struct format *format = format_named(path, options, NULL);
    return format && format->unpack == reader_hdf5;
}

int file_open_block(const char *name, const void *block, size_t size,
                    const struct file_options *options, struct source **out, struct error *err)
{
    return open_any(name, block, size, options, out, err);
}
