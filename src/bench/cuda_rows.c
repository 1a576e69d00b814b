/* cuda_rows.c - the nearest rows, and the nearest centroids of rows, beside one core's SGEMM. */
#include <cblas.h>

#include "src/bench/cuda_internal.h"

/* BENCH_HOST_QUERIES rows with BENCH_HOST_ROWS others, by SGEMM, and the nearest of each. */
static void host_products(struct bench_cuda *b, size_t dim)
{
    volatile float least = 0;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, BENCH_HOST_QUERIES, BENCH_HOST_ROWS,
                (int)dim, 1, b->floats, (int)dim, b->floats, (int)dim, 0, b->scores,
                BENCH_HOST_ROWS);
    for (size_t i = 0; i < BENCH_HOST_QUERIES; i++) {
        float most = 0;
        for (size_t j = 0; j < BENCH_HOST_ROWS; j++) {
            const float score = b->scores[i * BENCH_HOST_ROWS + j];
            most = score > most ? score : most;
        }
        least = most;
    }
    (void)least;
}

static void host_rows(struct bench_cuda *b)
{
    host_products(b, b->sizes->dim);
}

static void host_centroids(struct bench_cuda *b)
{
    host_products(b, b->sizes->assigned_dim);
}

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
    char shape[96];
    int rc = bench_cuda_check(b, ops->create(b->session, DEVICE_L2SQ, s->dim, &rows));
    if (rc != OK)
        return rc;
    /* the same floats again and again, so that the host needs not hold all */
    const size_t each = b->n_floats / s->dim;
    for (size_t first = 0; rc == OK && first < s->rows; first += each)
        rc = bench_cuda_check(b, ops->put_f32(rows, first, b->floats,
                                              s->rows - first < each ? s->rows - first : each));
    (void)snprintf(shape, sizeof shape, "%zu x %zu rows, %zu queries, k = %zu", s->rows, s->dim,
                   s->queries, s->k);
    const struct bench_cuda_item item = { .name = "nearest rows",
                                          .shape = shape,
                                          .work = products(s->rows, s->queries, s->dim),
                                          .run = run_rows,
                                          .with = rows,
                                          .host = host_rows,
                                          .host_pairs =
                                              (double)BENCH_HOST_QUERIES * BENCH_HOST_ROWS };
    if (rc == OK)
        rc = bench_cuda_measure(b, &item);
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
    char shape[96];
    int rc = bench_cuda_check(
        b, ops->create(b->session, b->floats, s->centroids, s->assigned_dim, &centroids));
    if (rc != OK)
        return rc;
    (void)snprintf(shape, sizeof shape, "%zu x %zu rows, %zu centroids", s->assigned,
                   s->assigned_dim, s->centroids);
    const struct bench_cuda_item item = { .name = "assignment",
                                          .shape = shape,
                                          .work =
                                              products(s->assigned, s->centroids, s->assigned_dim),
                                          .run = run_assign,
                                          .with = centroids,
                                          .host = host_centroids,
                                          .host_pairs =
                                              (double)BENCH_HOST_QUERIES * BENCH_HOST_ROWS };
    rc = bench_cuda_measure(b, &item);
    ops->destroy(centroids);
    return rc;
}
