/* admit.c - which rows a source may have: finite numbers, and vectors that can be compared in f32.
 *
 * Methods compare vectors by sums of squares in f32. A sum above its range is infinite, and one below it is
 * 0: answers would be wrong, whatever the method.
 */
#include "src/data/source/admit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* A squared distance is at most four times the larger squared length. */
static const float most_squared = FLT_MAX / 4, least_squared = FLT_MIN;

enum { LANES = 16 };

/* The squared length, summed in lanes, which compilers vectorise. Not finite if a component is not. */
static float squared_length(const float *row, size_t dim)
{
    float lanes[LANES] = { 0 }, sum = 0;
    size_t j = 0;
    for (; j + LANES <= dim; j += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += row[j + lane] * row[j + lane];
    for (; j < dim; j++)
        sum += row[j] * row[j];
    for (size_t lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum;
}

static size_t largest_component(const float *row, size_t dim)
{
    size_t most = 0;
    for (size_t j = 1; j < dim; j++)
        if (fabsf(row[j]) > fabsf(row[most]))
            most = j;
    return most;
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

/* The error of a row whose squared length is outside f32's range; a row of zeros is noted. */
static int refuse_row(struct source *s, size_t number, const float *row, struct error *err)
{
    for (size_t j = 0; j < s->dim; j++)
        if (!isfinite(row[j]))
            return fail(err, ERR_NOT_FINITE,
                        "%s: row %zu, column %zu is %s; every value must be finite", s->name,
                        number + 1, j + 1, isnan(row[j]) ? "NaN" : "infinite");
    const size_t most = largest_component(row, s->dim);
    if (row[most] == 0)
        return note_zeros(s, number, err);
    return fail(
        err, ERR_NOT_FINITE,
        "%s: row %zu, column %zu is %g: the squared length of the row is too %s for f32, in "
        "which distances are computed; expected lengths from 1e-19 to 9e18, so scale the "
        "rows, or leave this one out",
        s->name, number + 1, most + 1, (double)row[most], fabsf(row[most]) > 1 ? "large" : "small");
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
        const float *row = rows + i * s->dim, squared = squared_length(row, s->dim);
        const bool fits = squared >= least_squared && squared <= most_squared;
        const int rc = fits ? OK : refuse_row(s, first + i, row, err);
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
    if (s->numbers && (s->element == ELEMENT_F32 || s->element == ELEMENT_F64))
        return admit_numbers(s, first, n, rows, err);
    if (s->element == ELEMENT_U8 && !s->numbers)
        return admit_bytes(s, first, n, rows, err);
    return s->element == ELEMENT_F32 ? admit_floats(s, first, n, rows, err) : OK;
}
