/* source.c - shared by all sources: bounds, widening, and the scan that hashes rows and admits them. */
#include "src/data/source/source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Blocks are large, so that calls cost little, but stay in the second-level cache between
 * hash and check. */
enum { SCAN_BYTES = 256 * 1024 };

struct source *source_new(const char *name, struct error *err)
{
    struct source *s = calloc(1, sizeof *s);
    if (!s) {
        fail(err, ERR_NO_MEMORY, "%s: out of memory", name);
        return NULL;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

static int note_zeros(struct source *s, size_t number, struct error *err)
{
    if (!s->zero_rows)
        s->zero_rows = calloc(s->n / 64 + 1, sizeof *s->zero_rows);
    if (!s->zero_rows)
        return fail(err, ERR_NO_MEMORY, "%s: out of memory", s->name);
    s->zero_rows[number / 64] |= (uint64_t)1 << number % 64;
    return OK;
}

static enum row_range range_of_bytes(const uint8_t *row, size_t dim)
{
    uint8_t any = 0;
    for (size_t j = 0; j < dim; j++)
        any |= row[j];
    return any ? INDEX_ROW_FITS : INDEX_ROW_ZERO;
}

/* Rows of bytes or floats. */
static int admit_vectors(struct source *s, size_t first, size_t n, const void *rows,
                         struct error *err)
{
    const size_t row_bytes = source_row_bytes(s);
    const bool bytes = s->element == INDEX_U8;
    for (size_t i = 0; i < n; i++) {
        const void *row = (const char *)rows + i * row_bytes;
        const enum row_range range =
            bytes ? range_of_bytes(row, s->dim) : index_row_range(row, s->dim);
        if (range != INDEX_ROW_FITS && range != INDEX_ROW_ZERO) {
            char where[sizeof err->text];
            (void)snprintf(where, sizeof where, "%s: row %zu, column", s->name, first + i + 1);
            return index_row_refuse(err, where, row, s->dim, 1);
        }
        const int rc = range == INDEX_ROW_ZERO ? note_zeros(s, first + i, err) : OK;
        if (rc)
            return rc;
    }
    return OK;
}

/* NaN stands for no value. */
static int admit_numbers(const struct source *s, size_t first, size_t n, const void *rows,
                         struct error *err)
{
    for (size_t i = 0; i < n * s->dim; i++) {
        const double value = s->element == ELEMENT_F64 ? ((const double *)rows)[i]
                                                       : (double)((const float *)rows)[i];
        if (isinf(value))
            return fail(err, ERR_NOT_FINITE,
                        "%s: row %zu, column %zu is infinite; a number, or NaN for no value, was "
                        "expected",
                        s->name, first + i / s->dim + 1, i % s->dim + 1);
    }
    return OK;
}

/* Notes rows of zeros in s->zero_rows, and checks rows first .. first + n - 1 of the source, which are at `rows`, aligned to their element.
   ERR_NO_MEMORY; ERR_NOT_FINITE: NaN, an infinity, or a vector whose squared length f32 does not hold, with row and
   column. */
static int admit(struct source *s, size_t first, size_t n, const void *rows, struct error *err)
{
    if (s->numbers && (s->element == INDEX_F32 || s->element == ELEMENT_F64))
        return admit_numbers(s, first, n, rows, err);
    const bool vectors = s->element == INDEX_F32 || (s->element == INDEX_U8 && !s->numbers);
    return vectors ? admit_vectors(s, first, n, rows, err) : OK;
}

void source_close(struct source *s)
{
    if (!s)
        return;
    if (s->close)
        s->close(s);
    free(s->zero_rows);
    free(s);
}

size_t source_row_bytes(const struct source *s)
{
    return s ? data_row_bytes(s->element, s->dim) : 0;
}

int source_read(const struct source *s, size_t first, size_t n, void *out, struct error *err)
{
    if (first > s->n || n > s->n - first)
        return fail(err, ERR_ARGUMENT, "%s: rows %zu to %zu were asked for, it has %zu", s->name,
                    first + 1, first + n, s->n);
    if (!n)
        return OK;
    if (!s->rows)
        return s->read(s, first, n, out, err);
    size_t row_bytes = source_row_bytes(s);
    memcpy(out, (const char *)s->rows + first * row_bytes, n * row_bytes);
    return OK;
}

int source_read_f32(const struct source *s, size_t first, size_t n, float *out, struct error *err)
{
    if (s->element == INDEX_F32)
        return source_read(s, first, n, out, err);
    if (s->element != INDEX_U8 && s->element != ELEMENT_I8)
        return fail(err, ERR_DIMENSION, "%s: holds %s, which are not widened to f32", s->name,
                    data_element_name(s->element));
    /* The bytes are read into the last quarter of out, so a float is never written over a byte that
     * is not yet converted. */
    size_t count = n * s->dim;
    unsigned char *bytes = (unsigned char *)out + 3 * count;
    const int rc = source_read(s, first, n, bytes, err);
    if (!rc)
        (void)data_convert_elements(s->element, bytes, INDEX_F32, out, count);
    return rc;
}

int source_read_number(const struct source *s, size_t row, int64_t *out, struct error *err)
{
    const bool integer = data_element_of(s->element)->integer;
    union {
        unsigned char raw[8];
        int64_t integer;
        double real;
    } in, number;
    if (s->dim != 1 || s->element == INDEX_B64)
        return fail(err, ERR_DIMENSION, "%s: holds %zu x %s, one number per row was expected",
                    s->name, s->dim, data_element_name(s->element));
    const int rc = source_read(s, row, 1, in.raw, err);
    if (rc)
        return rc;
    (void)data_convert_elements(s->element, in.raw, integer ? ELEMENT_I64 : ELEMENT_F64, number.raw,
                                1);
    *out = integer ? number.integer : index_attribute_of_real(number.real);
    return OK;
}

static int scan_rows(struct source *s, XXH3_state_t *state, float *buffer, size_t block,
                     struct error *err)
{
    size_t row_bytes = source_row_bytes(s);
    const size_t width = s->element == ELEMENT_F64 ? sizeof(double) : sizeof(float);
    bool aligned = (uintptr_t)s->rows % width == 0;
    for (size_t first = 0; first < s->n; first += block) {
        size_t n = s->n - first < block ? s->n - first : block;
        const void *rows = buffer;
        int rc = OK;
        if (s->rows && aligned)
            rows = (const char *)s->rows + first * row_bytes;
        else
            rc = source_read(s, first, n, buffer, err);
        if (!rc)
            rc = admit(s, first, n, rows, err);
        if (rc)
            return rc;
        XXH3_64bits_update(state, rows, n * row_bytes);
    }
    return OK;
}

int source_scan(struct source *s, struct error *err)
{
    size_t row_bytes = source_row_bytes(s),
           block = SCAN_BYTES / row_bytes ? SCAN_BYTES / row_bytes : 1;
    if (block > s->n)
        block = s->n;
    float *buffer = malloc(block * row_bytes);
    XXH3_state_t *state = XXH3_createState();
    int rc = OK;
    if (!buffer || !state) {
        rc = fail(err, ERR_NO_MEMORY, "%s: out of memory for a block of %zu rows", s->name, block);
        goto done;
    }
    uint64_t shape[3] = { (uint64_t)s->element, s->n, s->dim };
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, shape, sizeof shape);
    rc = scan_rows(s, state, buffer, block, err);
    s->hash = XXH3_64bits_digest(state);
done:
    XXH3_freeState(state);
    free(buffer);
    return rc;
}
