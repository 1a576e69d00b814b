/* lrsq.h - rows of several kinds, and distances in double, for tests of LRSQ. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_RESIDUAL_LRSQ_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_RESIDUAL_LRSQ_H

#include "tests/support/testing.h"

#include "algorithms/asteria/residual/internal.h"
#include "algorithms/common/durable/store_file.h"

enum rows_kind {
    ROWS_ANISOTROPIC, /* unit rows, deviations 1 / (1 + j) */
    ROWS_UNIFORM,     /* on the sphere */
    ROWS_DUPLICATES,  /* eleven points */
    ROWS_CONSTANTS,   /* every third coordinate is one number */
    ROWS_OUTLIERS,    /* one row in sixteen is thirty times as long: codes are clipped */
    ROWS_TINY,        /* a millionth as long */
    ROWS_EQUAL,       /* one point */
    ROWS_SHIFTED,     /* far from zero, near one another */
    ROWS_KINDS
};

static inline float *floats(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof *x + 64) / 64 * 64);
    assert_non_null(x);
    return x;
}

static inline float *rows_make(struct rng *r, enum rows_kind kind, size_t n, size_t dim)
{
    float *rows = floats(n * dim);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++)
            rows[i * dim + j] =
                (float)(rng_normal(r) / (kind == ROWS_UNIFORM ? 1 : 1 + 0.2 * (double)j));
    test_normalise_f32(rows, n, dim);
    for (size_t i = 0; i < n; i++) {
        float *row = rows + i * dim;
        if (kind == ROWS_DUPLICATES || kind == ROWS_EQUAL)
            memcpy(row, rows + i % (kind == ROWS_EQUAL ? 1 : 11) * dim, dim * sizeof *row);
        for (size_t j = 0; j < dim; j++) {
            row[j] = kind == ROWS_CONSTANTS && j % 3 == 1 ? 0.25f : row[j];
            row[j] *= kind == ROWS_TINY ? 1e-6f : kind == ROWS_OUTLIERS && i % 16 == 15 ? 30 : 1;
            row[j] = kind == ROWS_SHIFTED ? 3 + 0.01f * row[j] : row[j];
        }
    }
    return rows;
}

static inline double distance_of(const float *a, const float *b, size_t dim)
{
    double sum[8] = { 0 };
    for (size_t j = 0; j < dim / 8 * 8; j += 8)
        for (size_t lane = 0; lane < 8; lane++) {
            const double x = (double)a[j + lane] - (double)b[j + lane];
            sum[lane] += x * x;
        }
    for (size_t lane = 0; lane < dim % 8; lane++) {
        const double x = (double)a[dim - 1 - lane] - (double)b[dim - 1 - lane];
        sum[lane] += x * x;
    }
    for (size_t lane = 1; lane < 8; lane++)
        sum[0] += sum[lane];
    return sum[0];
}

/* A trained LRSQ, codes of rows, a prepared query. */
struct coded {
    struct test_bench b;
    struct asteria_lrsq *l;
    const float *rows;
    size_t n, dim;
    unsigned char *codes;
    void *query;
};

static inline void coded_begin(struct coded *c, const struct asteria_lrsq_options *o,
                               const float *rows, size_t n, size_t dim)
{
    memset(c, 0, sizeof *c);
    test_bench_begin(&c->b, INDEX_F32, INDEX_COS, dim, 1);
    assert_ok(asteria_lrsq_train(&c->l, &c->b.env, o, rows, n, dim), &c->b.error);
    c->rows = rows, c->n = n, c->dim = dim;
    assert_int_equal(c->l->code_bytes % 8, 0);
    c->codes = (unsigned char *)floats(n * c->l->code_bytes / 4 + 1);
    c->query = floats(asteria_lrsq_query_bytes(c->l) / 4);
    for (size_t i = 0; i < n; i++)
        asteria_lrsq_put(c->l, rows + i * dim, c->codes + i * c->l->code_bytes);
}

static inline const void *code_at(const struct coded *c, size_t i)
{
    return c->codes + i * c->l->code_bytes;
}

static inline void coded_end(struct coded *c)
{
    asteria_lrsq_destroy(&c->b.env, c->l);
    assert_int_equal(mem_live(&c->b.mem), 0);
    free(c->codes);
    free(c->query);
    test_bench_end(&c->b);
}

#endif
