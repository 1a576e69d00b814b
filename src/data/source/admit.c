/* admit.c - which rows a source may have: finite numbers, and vectors that can be compared in f32. */
#include "src/data/source/admit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int note_zeros(struct source *s, size_t number, struct error *err)
{
    if (!s->zero_rows)
        s->zero_rows = calloc(s->n / 64 + 1, sizeof *s->zero_rows);
    if (!s->zero_rows)
        return fail(err, ERR_NO_MEMORY, "%s: out of memory", s->name);
    s->zero_rows[number / 64] |= (uint64_t)1 << number % 64;
    return OK;
}

/* The error of a row that does not fit; one of zeros is noted. */
static int note_or_refuse(struct source *s, size_t number, const float *row, enum row_range range,
                          struct error *err)
{
    char where[sizeof err->text];
    if (range == INDEX_ROW_ZERO)
        return note_zeros(s, number, err);
    (void)snprintf(where, sizeof where, "%s: row %zu, column", s->name, number + 1);
    return index_row_refuse(err, where, row, s->dim, 1);
}

static int admit_bytes(struct source *s, size_t first, size_t n, const uint8_t *rows,
                       struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t any = 0;
        for (size_t j = 0; j < s->dim; j++)
            any |= rows[i * s->dim + j];
        const int rc = any ? OK : note_zeros(s, first + i, err);
        if (rc)
            return rc;
    }
    return OK;
}

static int admit_floats(struct source *s, size_t first, size_t n, const float *rows,
                        struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        const float *row = rows + i * s->dim;
        const enum row_range range = index_row_range(row, s->dim);
        const int rc = range == INDEX_ROW_FITS ? OK : note_or_refuse(s, first + i, row, range, err);
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

int source_admit(struct source *s, size_t first, size_t n, const void *rows, struct error *err)
{
    if (s->numbers && (s->element == INDEX_F32 || s->element == ELEMENT_F64))
        return admit_numbers(s, first, n, rows, err);
    if (s->element == INDEX_U8 && !s->numbers)
        return admit_bytes(s, first, n, rows, err);
    return s->element == INDEX_F32 ? admit_floats(s, first, n, rows, err) : OK;
}
