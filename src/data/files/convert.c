/* convert.c - writes each format, a block of rows at a time; converts a file to another format. */
#define ZLIB_CONST
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "src/base/atomic_file.h"
#include "src/base/path.h"
#include "src/data/files/file.h"
#include "src/data/readers/formats.h"

enum { BLOCK_BYTES = 1 << 20, NUMBER_BYTES = 32 };

struct writer {
    struct atomic_file file;
    bool gzip;
    z_stream z;
    uint8_t *packed; /* BLOCK_BYTES, for gzip */
    const struct format *format;
    enum element element; /* of the values written */
    size_t n, dim;
    /* vecs: the dimension precedes each row; big_endian: bytes are swapped */
    bool vecs, big_endian;
};

static int put_gzip(struct writer *w, const void *bytes, size_t n, int flush, struct error *err)
{
    w->z.next_in = bytes;
    w->z.avail_in = (uInt)n;
    int status;
    do {
        w->z.next_out = w->packed;
        w->z.avail_out = BLOCK_BYTES;
        status = deflate(&w->z, flush);
        int rc = atomic_file_put(&w->file, w->packed, BLOCK_BYTES - w->z.avail_out, err);
        if (rc)
            return rc;
    } while (w->z.avail_out == 0 && status != Z_STREAM_END);
    return OK;
}

static int put(struct writer *w, const void *bytes, size_t n, struct error *err)
{
    return w->gzip ? put_gzip(w, bytes, n, Z_NO_FLUSH, err)
                   : atomic_file_put(&w->file, bytes, n, err);
}

static bool is(const struct writer *w, const char *format)
{
    return !strcmp(w->format->name, format);
}

/* Chooses the element and dimension to write; an error if the format cannot hold the source's. */
static int choose_shape(struct writer *w, const struct source *s, const char *path,
                        struct error *err)
{
    w->element = s->element;
    w->dim = s->dim;
    if (w->format->element)
        data_element_named(w->format->element, &w->element);
    if (is(w, "idx") && w->element == INDEX_B64)
        w->element = INDEX_U8;
    if (is(w, "truth"))
        return fail(err, ERR_UNSUPPORTED,
                    "%s: truth files are only read; write ids as ivecs, ibin or npy", path);
    if (is(w, "f16bin") || w->format->unpack)
        return fail(err, ERR_UNSUPPORTED, "%s: %s is only read; write npy", path, w->format->name);
    if (is(w, "idx") && w->element == ELEMENT_I64)
        return fail(err, ERR_UNSUPPORTED, "%s: idx has no 64-bit integers; use npy", path);
    if (s->element == INDEX_B64 && w->element == INDEX_U8)
        w->dim = s->dim / 8;
    if (s->element == INDEX_U8 && w->element == INDEX_B64 && s->dim % 8 == 0)
        w->dim = 8 * s->dim;
    else if ((s->element == INDEX_B64) != (w->element == INDEX_B64) && w->element != INDEX_U8)
        return fail(err, ERR_DIMENSION, "%s: %s cannot become %s", path,
                    data_element_name(s->element), data_element_name(w->element));
    return OK;
}

static void put_u32(uint8_t *at, size_t v, bool big)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> 8 * (big ? 3 - i : i));
}

/* Writes the npy header of n rows to out, padded to a multiple of 64 bytes; returns its length. */
static size_t npy_header(enum element element, size_t n, size_t dim, char out[512])
{
    size_t columns = element == INDEX_B64 ? dim / 64 : dim;
    const struct data_element *type = data_element_of(element == INDEX_B64 ? ELEMENT_U64 : element);
    int text =
        snprintf(out + 10, 400, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%zu, %zu), }",
                 type->bytes == 1 ? '|' : '<', type->npy, n, columns);
    size_t used = 10 + (size_t)text, length = (used + 1 + 63) / 64 * 64;
    memset(out + used, ' ', length - used - 1);
    out[length - 1] = '\n';
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)((length - 10) & 255);
    out[9] = (char)((length - 10) >> 8);
    return length;
}

static int write_header(struct writer *w, struct error *err)
{
    char header[512];
    uint8_t small[12] = { 0 };
    if ((is(w, "idx") || strstr(w->format->name, "bin")) &&
        (w->n > UINT32_MAX || w->dim > UINT32_MAX))
        return fail(err, ERR_DIMENSION, "%s: %zu rows of %zu columns pass what a %s header can say",
                    w->file.path, w->n, w->dim, w->format->name);
    if (is(w, "npy"))
        return put(w, header, npy_header(w->element, w->n, w->dim, header), err);
    if (is(w, "idx")) {
        small[2] = data_element_of(w->element)->idx;
        small[3] = 2;
        put_u32(small + 4, w->n, true);
        put_u32(small + 8, w->dim, true);
        return put(w, small, 12, err);
    }
    if (!strstr(w->format->name, "bin"))
        return OK;
    put_u32(small, w->n, false);
    put_u32(small + 4, w->dim, false);
    return put(w, small, 8, err);
}

static int number_text(enum element element, const uint8_t *row, size_t column, char *out)
{
    const long double value =
        data_element_value(element == INDEX_B64 ? ELEMENT_U64 : element, row, column);
    return element == INDEX_F32     ? snprintf(out, NUMBER_BYTES, "%.9g", (double)value)
           : element == ELEMENT_F64 ? snprintf(out, NUMBER_BYTES, "%.17g", (double)value)
                                    : snprintf(out, NUMBER_BYTES, "%.0Lf", value);
}

static int write_text_row(struct writer *w, const uint8_t *row, size_t columns, struct error *err)
{
    char separator = layout_name_ends(w->file.path, ".csv")   ? ','
                     : layout_name_ends(w->file.path, ".tsv") ? '\t'
                                                              : ' ';
    char line[4096];
    size_t used = 0;
    for (size_t c = 0; c < columns; c++) {
        used += (size_t)number_text(w->element, row, c, line + used);
        line[used++] = c + 1 < columns ? separator : '\n';
        if (used < sizeof line - NUMBER_BYTES - 1 && c + 1 < columns)
            continue;
        int rc = put(w, line, used, err);
        if (rc)
            return rc;
        used = 0;
    }
    return OK;
}

static int write_block(struct writer *w, uint8_t *rows, size_t n, struct error *err)
{
    size_t row_bytes = data_row_bytes(w->element, w->dim);
    size_t width = w->element == INDEX_B64 ? 8 : data_row_bytes(w->element, 1);
    uint8_t prefix[4];
    if (w->big_endian)
        swap_bytes(rows, n * row_bytes, width);
    if (!w->vecs && !is(w, "text"))
        return put(w, rows, n * row_bytes, err);
    put_u32(prefix, w->dim, false);
    for (size_t i = 0; i < n; i++) {
        int rc = w->vecs ? put(w, prefix, 4, err) : OK;
        if (!rc && w->vecs)
            rc = put(w, rows + i * row_bytes, row_bytes, err);
        if (!rc && !w->vecs)
            rc = write_text_row(w, rows + i * row_bytes, row_bytes / width, err);
        if (rc)
            return rc;
    }
    return OK;
}

static int write_rows(struct writer *w, const struct source *s,
                      const struct data_progress *progress, struct error *err)
{
    size_t in_bytes = source_row_bytes(s), out_bytes = data_row_bytes(w->element, w->dim);
    size_t block = BLOCK_BYTES / (in_bytes > out_bytes ? in_bytes : out_bytes) + 1;
    uint8_t *in = malloc(block * in_bytes), *out = malloc(block * out_bytes);
    int rc = in && out ? OK : fail(err, ERR_NO_MEMORY, "%s: out of memory", w->file.path);
    for (size_t first = 0; !rc && first < s->n; first += block) {
        size_t n = s->n - first < block ? s->n - first : block;
        rc = source_read(s, first, n, in, err);
        if (rc)
            break;
        size_t done = data_convert_elements(s->element, in, w->element, out, n * s->dim);
        if (done != n * s->dim)
            rc = fail(err, ERR_DIMENSION, "%s: row %zu, column %zu of %s does not fit %s (%s)",
                      w->file.path, first + done / s->dim + 1, done % s->dim + 1, s->name,
                      w->format->name, data_element_name(w->element));
        if (!rc)
            rc = write_block(w, out, n, err);
        if (!rc && progress && progress->step(progress->context, w->file.path, first + n, s->n))
            rc = fail(err, ERR_INTERRUPTED, "%s: interrupted", w->file.path);
    }
    free(in);
    free(out);
    return rc;
}

static int begin_gzip(struct writer *w, struct error *err)
{
    w->packed = malloc(BLOCK_BYTES);
    if (w->packed &&
        deflateInit2(&w->z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK)
        return OK;
    w->gzip = false;
    return fail(err, ERR_NO_MEMORY, "%s: out of memory", w->file.path);
}

static int write_source(const struct source *s, const char *path,
                        const struct data_progress *progress, struct data_written *written,
                        struct error *err)
{
    const struct format *format = format_named(path, NULL, err);
    if (!format)
        return err ? err->code : ERR_UNSUPPORTED;
    struct writer w = {
        .format = format, .n = s->n, .file.fd = -1, .gzip = path_ends(path, ".gz")
    };
    w.vecs = strstr(format->name, "vecs") != NULL;
    w.big_endian = is(&w, "idx");
    int rc = choose_shape(&w, s, path, err);
    if (!rc)
        rc = atomic_file_begin(&w.file, path, err);
    if (rc)
        return rc;
    if (w.gzip)
        rc = begin_gzip(&w, err);
    if (!rc)
        rc = write_header(&w, err);
    if (!rc)
        rc = write_rows(&w, s, progress, err);
    if (!rc && w.gzip)
        rc = put_gzip(&w, NULL, 0, Z_FINISH, err);
    if (w.gzip)
        deflateEnd(&w.z);
    free(w.packed);
    if (!rc)
        rc = atomic_file_commit(&w.file, err);
    atomic_file_abandon(&w.file);
    if (written) {
        *written = (struct data_written){ .n = w.n, .dim = w.dim, .element = w.element };
        memcpy(written->note, s->note, sizeof written->note);
    }
    return rc;
}

int data_write(const struct source *s, const char *path, const struct data_progress *progress,
               struct error *err)
{
    return write_source(s, path, progress, NULL, err);
}

int data_convert(const char *in, const struct file_options *in_options, const char *out,
                 const struct data_progress *progress, struct data_written *written,
                 struct error *err)
{
    struct source *s;
    struct file_options how = in_options ? *in_options : (struct file_options){ 0 };
    const struct format *format = format_named(out, NULL, NULL);
    /* Where the output's name states an element that a float is too small for. */
    how.numbers |=
        layout_is_wide(&(struct file_options){ .element = format ? format->element : NULL });
    int rc = file_open(in, &how, &s, err);
    if (rc)
        return rc;
    rc = write_source(s, out, progress, written, err);
    source_close(s);
    return rc;
}
