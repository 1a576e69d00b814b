/* cuda_rows.c - the nearest rows, and the nearest centroids of rows. */
#include "src/bench/cuda_internal.h"

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
    return b->library.ops->rows->candidates(rows, s->rows, b->floats, s->queries, s->k, NULL,
                                            capacity, b->found, b->answers);
}

int bench_cuda_rows(struct bench_cuda *b)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const struct device_row_ops *ops = b->library.ops->rows;
    struct device_rows *rows;
    int rc = bench_cuda_check(b, ops->create(b->session, DEVICE_L2SQ, s->dim, &rows));
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
        rc = b->library.ops->centroids->assign(
            centroids, b->floats, s->assigned - first < each ? s->assigned - first : each, 1,
            b->answers, NULL);
    return rc;
}

int bench_cuda_assign(struct bench_cuda *b)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const struct device_centroid_ops *ops = b->library.ops->centroids;
    struct device_centroids *centroids;
    int rc = bench_cuda_check(
        b, ops->create(b->session, b->floats, s->centroids, s->assigned_dim, &centroids));
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
