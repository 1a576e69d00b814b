/* rotation.c - random signs, Hadamard transforms and Kac's walk; a dense matrix in
   few dimensions. */
#include "algorithms/common/rotation/rotation.h"

#include <math.h>
#include <string.h>

#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* After two rounds a vector along an axis is spread evenly; the third hides the pattern of the
   second. If the length is not a power of two, each round reaches only part of it: one more. */
static size_t rounds_for(size_t out_dim, size_t span)
{
    if (out_dim <= ROTATION_DENSE_MAX)
        return 0;
    return out_dim == span ? 3 : 4;
}

static size_t n_factors(const struct rotation *t)
{
    return (t->rounds ? t->rounds : t->dim) * t->out_dim;
}

/* Where round r's transform begins: alternately at the front and at the back. */
static size_t span_begin(const struct rotation *t, size_t round)
{
    return round % 2 ? t->out_dim - t->span : 0;
}

static void fill_signs(struct rotation *t)
{
    const float scale = (float)(1 / sqrt((double)t->span));
    for (size_t round = 0; round < t->rounds; round++) {
        struct rng rng = rng_at(t->seed, round);
        const size_t begin = span_begin(t, round);
        for (size_t i = 0; i < t->out_dim; i++) {
            const float size = i >= begin && i < begin + t->span ? scale : 1;
            t->factors[round * t->out_dim + i] = rng_u64(&rng) >> 63 ? size : -size;
        }
    }
}

static double product(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Gram-Schmidt on columns of normal random numbers. */
static void fill_matrix(struct rotation *t)
{
    double column[ROTATION_DENSE_MAX][ROTATION_DENSE_MAX];
    struct rng rng = rng_at(t->seed, 0);
    for (size_t j = 0; j < t->dim; j++) {
        for (size_t i = 0; i < t->out_dim; i++)
            column[j][i] = rng_normal(&rng);
        /* Two passes: the second corrects the rounding of the first. */
        for (size_t k = 0; k < 2 * j; k++) {
            const double share = product(column[j], column[k % j], t->out_dim);
            for (size_t i = 0; i < t->out_dim; i++)
                column[j][i] -= share * column[k % j][i];
        }
        const double length = sqrt(product(column[j], column[j], t->out_dim));
        for (size_t i = 0; i < t->out_dim; i++) {
            column[j][i] /= length;
            t->factors[j * t->out_dim + i] = (float)column[j][i];
        }
    }
}

bool rotation_init(struct rotation *t, struct mem *mem, const float *mean, size_t dim,
                   uint64_t seed)
{
    *t = (struct rotation){ .seed = seed, .dim = dim, .out_dim = (dim + 7) / 8 * 8, .span = 1 };
    while (2 * t->span <= t->out_dim)
        t->span *= 2;
    t->rounds = rounds_for(t->out_dim, t->span);
    t->mean = mem_array(mem, dim, sizeof *t->mean);
    t->factors = mem_array(mem, n_factors(t), sizeof *t->factors);
    if (!t->mean || !t->factors) {
        rotation_free(t, mem);
        return false;
    }
    memcpy(t->mean, mean, dim * sizeof *mean);
    if (t->rounds)
        fill_signs(t);
    else
        fill_matrix(t);
    return true;
}

void rotation_free(struct rotation *t, struct mem *mem)
{
    mem_free(mem, t->mean);
    mem_free(mem, t->factors);
    t->mean = t->factors = NULL;
}

size_t rotation_bytes(const struct rotation *t)
{
    return (t->dim + n_factors(t)) * sizeof(float);
}

/* One stage of n = 2^k elements. All stages have the same form (Pease 1968), so the compiler uses
   whole registers; the usual form would shuffle within registers at short distances. */
static void butterflies(const float *restrict from, float *restrict to, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        const float a = from[2 * i], b = from[2 * i + 1];
        to[i] = a + b;
        to[i + n / 2] = a - b;
    }
}

/* The unscaled transform of x, in place; scratch: n floats. */
static void hadamard(float *x, float *scratch, size_t n)
{
    float *from = x, *to = scratch;
    for (size_t stage = 1; stage < n; stage *= 2) {
        butterflies(from, to, n);
        float *swap = from;
        from = to;
        to = swap;
    }
    if (from != x)
        memcpy(x, from, n * sizeof *x);
}

static void rotate_halves(float *x, size_t n)
{
    const float c = 0.70710678f;
    float *restrict low = x, *restrict high = x + n / 2;
    for (size_t i = 0; i < n / 2; i++) {
        const float a = low[i], b = high[i];
        low[i] = c * (a + b);
        high[i] = c * (a - b);
    }
}

static void apply_matrix(const struct rotation *t, const float_anywhere *row, float *out)
{
    for (size_t i = 0; i < t->out_dim; i++)
        out[i] = 0;
    for (size_t j = 0; j < t->dim; j++) {
        const float x = row[j] - t->mean[j], *restrict column = t->factors + j * t->out_dim;
        for (size_t i = 0; i < t->out_dim; i++)
            out[i] += x * column[i];
    }
}

static void apply_rounds(const struct rotation *t, const float_anywhere *row, float *out)
{
    float scratch[ROTATION_DIM_MAX];
    const size_t n = t->out_dim;
    for (size_t i = 0; i < t->dim; i++)
        out[i] = row[i] - t->mean[i];
    for (size_t i = t->dim; i < n; i++)
        out[i] = 0;
    for (size_t round = 0; round < t->rounds; round++) {
        const float *restrict signs = t->factors + round * n;
        for (size_t i = 0; i < n; i++)
            out[i] *= signs[i];
        hadamard(out + span_begin(t, round), scratch, t->span);
        if (t->span < n)
            rotate_halves(out, n);
    }
}

void rotation_apply(const struct rotation *t, const float *row, float *out)
{
    if (t->rounds)
        apply_rounds(t, row, out);
    else
        apply_matrix(t, row, out);
}
