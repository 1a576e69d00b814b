/* drift.c - how far the rows of one set are from those of another. */
#include "src/data/drift.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "src/core/order.h"
#include "src/core/rng.h"

enum { DIRECTIONS = 64, SEED = 0x64726966, ASKED = 200 };

static void mean_of(const float *rows, size_t n, size_t dim, double *mean)
{
    for (size_t j = 0; j < dim; j++)
        mean[j] = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++)
            mean[j] += (double)rows[i * dim + j] / (double)n;
}

static double squared_distance_sum(const float *rows, size_t n, size_t dim, const double *from)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++) {
            const double d = (double)rows[i * dim + j] - from[j];
            sum += d * d;
        }
    return sum;
}

/* The projections of the rows on a direction, in order. */
static void project(const float *rows, size_t n, size_t dim, const double *direction, double *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = 0;
        for (size_t j = 0; j < dim; j++)
            out[i] += (double)rows[i * dim + j] * direction[j];
    }
    qsort(out, n, sizeof *out, order_f64);
}

/* A direction of length 1. */
static void draw_direction(struct rng *rng, size_t dim, double *direction)
{
    double square = 0;
    for (size_t j = 0; j < dim; j++) {
        direction[j] = rng_normal(rng);
        square += direction[j] * direction[j];
    }
    for (size_t j = 0; j < dim; j++)
        direction[j] /= sqrt(square);
}

static double distance(const float *a, const float *b, size_t dim)
{
    double square = 0;
    for (size_t j = 0; j < dim; j++)
        square += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(square);
}

static double contrast(const float *rows, size_t n, size_t dim)
{
    const size_t asked = n < ASKED ? n : ASKED;
    double sum = 0, nearest_sum = 0;
    for (size_t i = 0; i < asked; i++) {
        const size_t at = i * n / asked;
        double nearest = INFINITY;
        for (size_t j = 0; j < n; j++)
            if (j != at) {
                const double d = distance(rows + at * dim, rows + j * dim, dim);
                sum += d / (double)(n - 1);
                nearest = d < nearest ? d : nearest;
            }
        nearest_sum += nearest;
    }
    return nearest_sum > 0 ? sum / nearest_sum : 0; /* of one row 0 over infinity */
}

int data_drift(const float *a, const float *b, size_t n, size_t dim, struct data_drift *drift,
               struct error *err)
{
    double *mean_a = calloc(2 * (dim + n), sizeof *mean_a);
    const int rc =
        mean_a ? OK : fail(err, ERR_NO_MEMORY, "out of memory, cannot measure %zu rows", n);
    if (!rc) {
        double *mean_b = mean_a + dim, *x = mean_b + dim, *y = x + n;
        mean_of(a, n, dim, mean_a);
        mean_of(b, n, dim, mean_b);
        double scale = sqrt(squared_distance_sum(a, n, dim, mean_a) / (double)n), shift = 0;
        scale = scale > 0 ? scale : 1;
        for (size_t j = 0; j < dim; j++)
            shift += (mean_a[j] - mean_b[j]) * (mean_a[j] - mean_b[j]);
        struct rng rng = rng_at(SEED, 0);
        double sum = 0, *direction = mean_a; /* no longer needed */
        for (int d = 0; d < DIRECTIONS; d++) {
            draw_direction(&rng, dim, direction);
            project(a, n, dim, direction, x);
            project(b, n, dim, direction, y);
            for (size_t i = 0; i < n; i++)
                sum += fabs(x[i] - y[i]);
        }
        *drift = (struct data_drift){ sqrt(shift) / scale,
                                      sum / ((double)n * DIRECTIONS) * sqrt((double)dim) / scale,
                                      { contrast(a, n, dim), contrast(b, n, dim) } };
    }
    free(mean_a);
    return rc;
}
