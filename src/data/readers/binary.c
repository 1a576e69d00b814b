/* binary.c - readers of idx, fvecs/bvecs/ivecs, fbin/f16bin/u8bin/i8bin/ibin, big-ann truth,
 * and raw values. */
#include <stdio.h>
#include <string.h>

#include "src/data/readers/formats.h"

static int need_header(const struct bytes *b, size_t bytes, const char *what, struct error *err)
{
    if (b->size >= bytes)
        return OK;
    return fail(err, ERR_CORRUPT, "%s: truncated: the %s header needs %zu bytes, the file has %zu",
                b->name, what, bytes, b->size);
}

/* idx: two zero bytes, a type, the number of dimensions, then each dimension as a big-endian u32
 * (LeCun's MNIST page). */
static bool idx_element(uint8_t type, enum element *out)
{
    for (size_t i = 0; i < DATA_ELEMENTS; i++)
        if (type && data_elements[i].idx == type) {
            *out = data_elements[i].element;
            return true;
        }
    return false;
}

int reader_idx(const struct bytes *b, const struct file_options *options, struct row_layout *l,
               struct error *err)
{
    (void)options;
    int rc = need_header(b, 4, "idx", err);
    if (rc)
        return rc;
    if (b->at[0] || b->at[1] || !idx_element(b->at[2], &l->stored))
        return fail(
            err, ERR_CORRUPT,
            "%s: not idx: expected the first bytes 00 00 and a type of 08 09 0b 0c 0d 0e, found "
            "%02x %02x %02x",
            b->name, b->at[0], b->at[1], b->at[2]);
    size_t dims = b->at[3];
    if (!dims)
        return fail(err, ERR_CORRUPT, "%s: idx header with no dimensions", b->name);
    rc = need_header(b, 4 + 4 * dims, "idx", err);
    if (rc)
        return rc;
    l->n = big_u32(b->at + 4);
    l->dim = 1;
    for (size_t d = 1; d < dims; d++)
        if (__builtin_mul_overflow(l->dim, (size_t)big_u32(b->at + 4 + 4 * d), &l->dim))
            return fail(err, ERR_CORRUPT, "%s: the product of %zu idx dimensions overflows",
                        b->name, dims);
    l->offset = 4 + 4 * dims;
    l->stride_bytes = data_row_bytes(l->stored, l->dim);
    l->big_endian = true;
    return layout_check_size(b, l, l->stride_bytes, err);
}

/* Each row repeats its dimension, so a cut or shifted file is detected at the row
 * where it happens. */
static int check_vecs_rows(const struct bytes *b, const struct row_layout *l, struct error *err)
{
    for (size_t i = 0; i < l->n; i++) {
        uint32_t dim = little_u32(b->at + i * l->stride_bytes);
        if (dim != l->dim)
            return fail(err, ERR_CORRUPT, "%s: row %zu says it has %d columns, row 1 has %zu",
                        b->name, i + 1, (int)dim, l->dim);
    }
    return OK;
}

int reader_vecs(const struct bytes *b, const struct file_options *options, struct row_layout *l,
                struct error *err)
{
    (void)options;
    int rc = need_header(b, 4, "row", err);
    if (rc)
        return rc;
    uint32_t dim = little_u32(b->at);
    if (!dim || dim > INT32_MAX)
        return fail(err, ERR_CORRUPT, "%s: row 1 says it has %d columns, at least 1 was expected",
                    b->name, (int)dim);
    l->dim = dim;
    l->offset = 4;
    l->stride_bytes = 4 + data_row_bytes(l->stored, l->dim);
    l->n = b->size / l->stride_bytes;
    if (!l->n)
        return fail(err, ERR_CORRUPT,
                    "%s: truncated: one row of %zu %s needs %zu bytes, the file has %zu", b->name,
                    l->dim, data_element_name(l->stored), l->stride_bytes, b->size);
    rc = check_vecs_rows(b, l, err);
    if (rc)
        return rc;
    if (b->size % l->stride_bytes)
        return fail(err, ERR_CORRUPT, "%s: truncated in row %zu: %zu bytes a row, but %zu are left",
                    b->name, l->n + 1, l->stride_bytes, b->size % l->stride_bytes);
    return OK;
}

int reader_bin(const struct bytes *b, const struct file_options *options, struct row_layout *l,
               struct error *err)
{
    int rc = need_header(b, 8, "rows, columns", err);
    if (rc)
        return rc;
    l->n = little_u32(b->at);
    l->dim = little_u32(b->at + 4);
    l->offset = 8;
    l->stride_bytes = data_row_bytes(l->stored, l->dim);
    if (options->first_rows > l->n)
        return fail(err, ERR_CORRUPT, "%s: the header says %zu rows, at least %zu were expected",
                    b->name, l->n, options->first_rows);
    const bool whole = !layout_check_size(b, l, l->stride_bytes, NULL);
    if (options->first_rows)
        l->n = options->first_rows;
    /* A file that is there as a whole serves as its own beginning. */
    return whole ? OK : layout_check_size(b, l, l->stride_bytes, err);
}

/* The distances after the ids are not read, but must exist. */
int reader_truth(const struct bytes *b, const struct file_options *options, struct row_layout *l,
                 struct error *err)
{
    (void)options;
    int rc = need_header(b, 8, "rows, k", err);
    if (rc)
        return rc;
    l->n = little_u32(b->at);
    l->dim = little_u32(b->at + 4);
    l->offset = 8;
    l->stride_bytes = 4 * l->dim;
    return layout_check_size(b, l, 2 * l->stride_bytes, err);
}

int reader_raw(const struct bytes *b, const struct file_options *options, struct row_layout *l,
               struct error *err)
{
    /* With `format`, the end of the name states nothing. */
    if (options->format && !(options->element && data_element_named(options->element, &l->stored)))
        return fail(
            err, ERR_ARGUMENT,
            "%s: raw values: which element? give element = \"u8\" (or i32, i64, f32, f64, b64)",
            b->name);
    size_t unit = l->stored == INDEX_B64 ? 64 : 1;
    l->dim = options->dim ? options->dim : unit;
    if (!options->dim && !options->numbers && (l->stored == INDEX_F32 || l->stored == ELEMENT_F64))
        (void)snprintf(l->note, sizeof l->note,
                       "a raw file, read as rows of 1 column; dim states more");
    l->stride_bytes = data_row_bytes(l->stored, l->dim);
    if (!l->stride_bytes || l->dim % unit)
        return fail(err, ERR_ARGUMENT,
                    "%s: %zu columns of %s are impossible; b64 needs a multiple of 64", b->name,
                    l->dim, data_element_name(l->stored));
    l->n = b->size / l->stride_bytes;
    if (b->size % l->stride_bytes || !l->n)
        return fail(err, ERR_CORRUPT,
                    "%s: truncated: %zu bytes are not a whole number of rows of %zu bytes (%zu %s)",
                    b->name, b->size, l->stride_bytes, l->dim, data_element_name(l->stored));
    return OK;
}
