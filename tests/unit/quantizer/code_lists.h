/* code_lists.h - a list of codes, and queries for it; RaBitQ quantizers. */
#ifndef DRIFTLINE_TESTS_UNIT_QUANTIZER_CODE_LISTS_H
#define DRIFTLINE_TESTS_UNIT_QUANTIZER_CODE_LISTS_H

#include "algorithms/common/quantizer/quantizer.h"
#include "algorithms/common/quantizer/rabitq/internal.h"
#include "algorithms/common/rotation/rotation.h"
#include "tests/support/testing.h"

/* One list's codes: rows of `dim`, their centroid, and blocks of codes. */
struct list {
    const struct quantizer *q;
    const float *rows;
    size_t n, blocks;
    float *centroid, *transformed; /* as given, and transformed */
    unsigned char *codes;
    float error; /* the largest of quantizer_put() */
};

static inline struct quantizer *train(struct test_bench *b, size_t bits, double eps0, uint64_t seed,
                                      const float *rows, size_t n)
{
    struct quantizer *q = NULL;
    const struct quantizer_options options = {
        .kind = QUANTIZER_RABITQ, .seed = seed, .bits = bits, .eps0 = eps0
    };
    assert_ok(quantizer_train(&q, &b->env, &options, rows, n), b->env.error);
    assert_true(q->per_list && !q->certain && q->refines == (bits > 1));
    assert_true(q->block_bytes % 64 == 0 && q->query_bytes % 64 == 0);
    return q;
}

static inline void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, bytes); /* NaN: memory that is not written must not be read */
    return p;
}

static inline unsigned char *block_of(const struct list *l, size_t i)
{
    return l->codes + i / QUANTIZER_BLOCK * l->q->block_bytes;
}

/* centroid NULL: use the mean. */
static inline struct list list_make(const struct quantizer *q, const float *rows, size_t n,
                                    const float *centroid)
{
    struct list l = { .q = q, .rows = rows, .n = n, .blocks = (n + 63) / 64 };
    l.centroid = calloc(q->dim, sizeof *l.centroid);
    l.transformed = room(q->work_dim * sizeof(float));
    l.codes = room(l.blocks * q->block_bytes);
    for (size_t i = 0; !centroid && i < n; i++)
        for (size_t d = 0; d < q->dim; d++)
            l.centroid[d] += rows[i * q->dim + d] / (float)n;
    if (centroid)
        memcpy(l.centroid, centroid, q->dim * sizeof *centroid);
    float *transformed = room(q->work_dim * sizeof(float));
    quantizer_transform(q, l.centroid, 1, l.transformed);
    for (size_t i = 0; i < n; i++) {
        quantizer_transform(q, rows + i * q->dim, 1, transformed);
        l.error = fmaxf(l.error, quantizer_put(q, transformed, l.transformed, block_of(&l, i),
                                               (unsigned)(i % 64)));
    }
    free(transformed);
    assert_true(q->kind != QUANTIZER_RABITQ || l.error == 0);
    return l;
}

static inline void list_free(struct list *l)
{
    free(l->centroid);
    free(l->transformed);
    free(l->codes);
}

static inline float exact(const struct list *l, const float *query, size_t i)
{
    double sum = 0;
    for (size_t d = 0; d < l->q->dim; d++) {
        const double difference = (double)query[d] - (double)l->rows[i * l->q->dim + d];
        sum += difference * difference;
    }
    return (float)sum;
}

/* Returns a query transformed and prepared for a list, for certain bounds if `certain`; the caller frees it. */
static inline void *prepare(const struct list *l, const float *query, bool certain)
{
    void *prepared = room(l->q->query_bytes);
    float *transformed = room(l->q->work_dim * sizeof(float));
    double distance = 0;
    for (size_t d = 0; d < l->q->dim; d++)
        distance += pow((double)query[d] - (double)l->centroid[d], 2);
    quantizer_transform(l->q, query, 1, transformed);
    quantizer_query(l->q, transformed, prepared);
    if (certain)
        quantizer_query_certain(l->q, prepared);
    quantizer_query_list(l->q, prepared, l->transformed, (float)distance, l->error);
    free(transformed);
    return prepared;
}

static inline float scan_one(const struct list *l, const void *prepared, size_t i, float limit,
                             bool *in)
{
    float estimate[64];
    const uint64_t mask = quantizer_scan(l->q, prepared, block_of(l, i), limit, estimate);
    *in = mask >> i % 64 & 1;
    return estimate[i % 64];
}

/* The best estimate: from all bits if there is more than one. */
static inline float look_at(const struct list *l, const void *prepared, size_t i, float limit,
                            bool *in)
{
    float estimate = scan_one(l, prepared, i, limit, in);
    if (l->q->refines)
        *in = quantizer_refine(l->q, prepared, block_of(l, i), i % 64, limit, &estimate);
    return estimate;
}

struct world {
    struct test_bench b;
    float *rows, *queries;
    size_t n, n_queries, dim;
};

/* Rows around one centre or around `clusters` centres, and queries near some rows. */
static inline void world_make(struct world *w, size_t n, size_t dim, size_t n_queries,
                              size_t clusters, double nearness, uint64_t stream)
{
    *w = (struct world){ .n = n, .dim = dim, .n_queries = n_queries };
    struct rng r = rng_at(test_seed(), stream);
    test_bench_begin(&w->b, INDEX_F32, INDEX_L2SQ, dim, 1);
    w->rows = calloc(n * dim, sizeof *w->rows);
    w->queries = calloc(n_queries * dim, sizeof *w->queries);
    test_fill_f32(&r, w->rows, n, dim, clusters, clusters ? 0.4 : 1);
    test_fill_f32(&r, w->queries, n_queries, dim, 0, 1);
    for (size_t i = 0; i < n_queries; i++) {
        const float *row = w->rows + rng_below(&r, n) * dim;
        for (size_t d = 0; d < dim; d++)
            w->queries[i * dim + d] = row[d] + (float)nearness * (w->queries[i * dim + d] - row[d]);
    }
}

static inline void world_free(struct world *w)
{
    free(w->rows);
    free(w->queries);
    test_bench_end(&w->b);
}

#endif
