/* cuda_rows.c - the nearest rows, and the nearest centroids of rows; scans of 64-bit codes, and
   bounds of codes of a byte per component. */
#include "src/bench/cuda_internal.h"

#include "src/core/mem.h"
#include "src/core/rng.h"

/* Of n rows with m others, both read once. */
static struct bench_cuda_work products(size_t n, size_t m, size_t dim)
{
    const double pairs = (double)n * (double)m;
    return (struct bench_cuda_work){ .pairs = pairs,
                                     .memory_bytes = (double)(n + m) * (double)dim * sizeof(float),
                                     .flops = 2 * pairs * (double)dim };
}

static int run_rows(struct bench_cuda *b, void *rows)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const size_t capacity = 8 * s->k + 64;
    return b->ops->rows->candidates(rows, s->rows, b->floats, s->queries, s->k, NULL, capacity,
                                    b->found, b->answers);
}

int bench_cuda_rows(struct bench_cuda *b)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const struct device_row_ops *ops = b->ops->rows;
    struct device_rows *rows;
    int rc = bench_cuda_check(b, ops->create(b->cuda.session, DEVICE_L2SQ, s->dim, &rows));
    if (rc != OK)
        return rc;
    /* the same floats again and again, so that the host needs not hold all */
    const size_t each = b->n_floats / s->dim;
    for (size_t first = 0; rc == OK && first < s->rows; first += each)
        rc = bench_cuda_check(b, ops->put_f32(rows, first, b->floats,
                                              s->rows - first < each ? s->rows - first : each));
    const struct bench_cuda_item item = { .name = "nearest rows",
                                          .work = products(s->rows, s->queries, s->dim),
                                          .run = run_rows,
                                          .with = rows };
    if (rc == OK)
        rc = bench_cuda_measure(b, &item, "%zu x %zu rows, %zu queries, k = %zu", s->rows, s->dim,
                                s->queries, s->k);
    ops->destroy(rows);
    return rc;
}

static int run_assign(struct bench_cuda *b, void *centroids)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const size_t each = b->n_floats / s->assigned_dim;
    int rc = 0;
    for (size_t first = 0; rc == 0 && first < s->assigned; first += each)
        rc = b->ops->centroids->assign(centroids, b->floats,
                                       s->assigned - first < each ? s->assigned - first : each, 1,
                                       b->answers, NULL);
    return rc;
}

int bench_cuda_assign(struct bench_cuda *b)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const struct device_centroid_ops *ops = b->ops->centroids;
    struct device_centroids *centroids;
    int rc = bench_cuda_check(
        b, ops->create(b->cuda.session, b->floats, s->centroids, s->assigned_dim, &centroids));
    if (rc != OK)
        return rc;
    const struct bench_cuda_item item = { .name = "assignment",
                                          .work =
                                              products(s->assigned, s->centroids, s->assigned_dim),
                                          .run = run_assign,
                                          .with = centroids };
    rc = bench_cuda_measure(b, &item, "%zu x %zu rows, %zu centroids", s->assigned, s->assigned_dim,
                            s->centroids);
    ops->destroy(centroids);
    return rc;
}

/* ------------------------------------------------------------------------ Hamming distances */

struct code_run {
    struct device_codes *codes;
    size_t queries, k; /* k = 0: a range of `radius` */
    unsigned radius;
};

static int run_codes(struct bench_cuda *b, void *with)
{
    const struct code_run *r = with;
    const struct device_code_ops *ops = b->ops->codes;
    return r->k > 0 ? ops->nearest(r->codes, b->sizes->codes, b->codes, r->queries, r->k,
                                   BENCH_CODE_CAPACITY, b->found, b->answers)
                    : ops->range(r->codes, b->sizes->codes, b->codes, r->queries, r->radius,
                                 BENCH_CODE_CAPACITY, b->found, b->answers);
}

/* The limit is that of one query, which reads all codes. Many queries share the reading, and can
   pass it. */
static int measure_code_run(struct bench_cuda *b, struct code_run *r)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const double pairs = (double)s->codes * (double)r->queries;
    const struct bench_cuda_item item = { .name = "Hamming scan",
                                          .work = { .pairs = pairs,
                                                    .memory_bytes = pairs * sizeof(uint64_t) },
                                          .run = run_codes,
                                          .with = r };
    return bench_cuda_measure(b, &item, "%zu codes, %zu quer%s, %s %zu", s->codes, r->queries,
                              r->queries == 1 ? "y" : "ies", r->k ? "k =" : "radius",
                              r->k ? r->k : (size_t)r->radius);
}

int bench_cuda_hamming(struct bench_cuda *b)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const struct device_code_ops *ops = b->ops->codes;
    struct device_codes *codes;
    int rc = bench_cuda_check(b, ops->create(b->cuda.session, &codes));
    if (rc != OK)
        return rc;
    for (size_t first = 0; rc == OK && first < s->codes; first += b->n_codes)
        rc = bench_cuda_check(
            b, ops->put(codes, first, b->codes,
                        s->codes - first < b->n_codes ? s->codes - first : b->n_codes));
    struct code_run runs[] = { { codes, 1, 0, 8 },
                               { codes, 1, s->code_k, 0 },
                               { codes, s->code_queries, 0, 8 },
                               { codes, s->code_queries, s->code_k, 0 } };
    for (size_t i = 0; rc == OK && i < sizeof runs / sizeof *runs; i++)
        rc = measure_code_run(b, &runs[i]);
    ops->destroy(codes);
    return rc;
}

/* ------------------------------------------------------------------------ bounds of codes */

/* asteria's default; codes at a time; a squared length that no product passes, so that a bound is
   seldom 0 and few rows are candidates, as among rows of data */
enum { BOUND_DIM = 96, PUT_ROWS = 65536, BOUND_WHOLE = 4 };

static int run_bounds(struct bench_cuda *b, void *bounds)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const int8_t *weights = (const int8_t *)b->floats;
    for (size_t q = 0; q < s->queries; q++)
        b->terms[q] = (struct device_bound_query){ .whole = BOUND_WHOLE, .unit = 0x1p-28f };
    const struct device_bound_queries queries = { s->queries, weights,
                                                  weights + s->queries * BOUND_DIM, b->terms };
    return b->ops->bounds->candidates(bounds, s->bounded, &queries, s->code_k, 0,
                                      8 * s->code_k + 64, b->found, b->answers);
}

/* The same codes again and again, so that the host needs not hold all, but each row of a norm of
   its own, so that few are equally near. */
static int put_bounds(struct bench_cuda *b, struct device_bounds *bounds)
{
    const size_t rows = b->sizes->bounded;
    struct rng r = rng_at(1, 2);
    struct device_bound_row *terms = mem_zalloc(NULL, PUT_ROWS * sizeof *terms);
    int rc = terms ? OK : bench_cuda_no_memory(b);
    for (size_t first = 0; rc == OK && first < rows; first += PUT_ROWS) {
        const size_t n = rows - first < PUT_ROWS ? rows - first : PUT_ROWS;
        for (size_t i = 0; i < n; i++)
            terms[i].norm = (float)(rng_u64(&r) >> 40) * 0x1p-24f;
        rc = bench_cuda_check(
            b, b->ops->bounds->put(bounds, first, (const uint8_t *)b->codes, terms, n));
    }
    mem_free(NULL, terms);
    return rc;
}

int bench_cuda_bounds(struct bench_cuda *b)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const struct device_bound_ops *ops = b->ops->bounds;
    const double pairs = (double)s->bounded * (double)s->queries;
    struct device_bounds *bounds;
    int rc = bench_cuda_check(b, ops->create(b->cuda.session, BOUND_DIM, &bounds));
    if (rc != OK)
        return rc;
    rc = put_bounds(b, bounds);
    const struct bench_cuda_item item = {
        .name = "bounds of codes",
        .work = { .pairs = pairs,
                  .memory_bytes =
                      (double)s->bounded * (BOUND_DIM + (double)sizeof(struct device_bound_row)),
                  .int8_ops = 2 * 2 * pairs * BOUND_DIM }, /* of the high bytes, and of the low */
        .run = run_bounds,
        .with = bounds
    };
    if (rc == OK)
        rc = bench_cuda_measure(b, &item, "%zu x %d bytes, %zu queries, k = %zu", s->bounded,
                                BOUND_DIM, s->queries, s->code_k);
    ops->destroy(bounds);
    return rc;
}
