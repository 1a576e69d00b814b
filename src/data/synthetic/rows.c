/* rows.c - computes rows by the formulas of synthetic.h, one function per kind. */
#include "src/data/synthetic/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/rng.h"

/* Each use of the seed has its own random numbers. */
enum use { USE_ROWS = 1, USE_QUERIES, USE_CENTRES, USE_WAYS, USE_PHASE, USE_BITS, USE_ROTATION };

static uint64_t seed_for(const struct synthetic *y, enum use use)
{
    uint64_t s = rng_mix(y->seed, (uint64_t)use);
    return use == USE_QUERIES ? rng_mix(s, y->query_seed) : s;
}

/* Polar method. rng_normal() discards every second value, so it would take twice the time. */
static void normals(struct rng *r, float *out, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        double a, b, square;
        do {
            a = 2 * rng_unit(r) - 1;
            b = 2 * rng_unit(r) - 1;
            square = a * a + b * b;
        } while (square >= 1 || square == 0);
        double scale = sqrt(-2 * log(square) / square);
        out[i] = (float)(a * scale);
        if (i + 1 < n)
            out[i + 1] = (float)(b * scale);
    }
}

/* 1. Rotations */

static void hadamard(float *x, size_t n)
{
    for (size_t half = 1; half < n; half *= 2)
        for (size_t i = 0; i < n; i += 2 * half)
            for (size_t k = i; k < i + half; k++) {
                float a = x[k], b = x[k + half];
                x[k] = a + b;
                x[k + half] = a - b;
            }
    float scale = 1 / sqrtf((float)n);
    for (size_t i = 0; i < n; i++)
        x[i] *= scale;
}

static void flip_signs(struct rng r, float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 64) {
        uint64_t bits = rng_u64(&r);
        for (size_t k = i; k < n && k < i + 64; k++, bits >>= 1)
            x[k] = bits & 1 ? -x[k] : x[k];
    }
}

enum { ROTATION_ROUNDS = 2 };

static size_t window_of(size_t dim)
{
    size_t window = 1;
    while (window * 2 <= dim)
        window *= 2;
    return window;
}

static void rotate_by(uint64_t key, float *x, size_t dim)
{
    size_t window = window_of(dim);
    for (uint64_t round = 0; round < ROTATION_ROUNDS; round++) {
        flip_signs(rng_at(key, round), x, dim);
        hadamard(x, window);
        if (window < dim)
            hadamard(x + dim - window, window);
    }
}

static void rotate_back(uint64_t key, float *x, size_t dim)
{
    size_t window = window_of(dim);
    for (uint64_t round = ROTATION_ROUNDS; round-- > 0;) {
        if (window < dim)
            hadamard(x + dim - window, window);
        hadamard(x, window);
        flip_signs(rng_at(key, round), x, dim);
    }
}

/* 2. Tables */

/* malloc() can succeed beyond the machine's memory; writing to it would then end the process
   instead of raising an error. */
static const size_t MOST_TABLE_BYTES = (size_t)8 << 30;

/* Allocates all tables as one block: doubles first, then floats rows of floats_each. */
static int reserve(struct synthetic *y, size_t doubles, size_t floats, size_t floats_each,
                   struct error *err)
{
    size_t count, bytes;
    bool absurd = __builtin_mul_overflow(floats, floats_each, &count) ||
                  __builtin_mul_overflow(count, sizeof(float), &bytes) ||
                  __builtin_add_overflow(bytes, doubles * sizeof(double), &bytes) ||
                  bytes > MOST_TABLE_BYTES;
    if (!absurd)
        y->tables = malloc(bytes ? bytes : 1);
    if (y->tables)
        return OK;
    return fail(err, ERR_NO_MEMORY,
                "out of memory for %zu centres of %zu floats; ask for fewer clusters", floats,
                floats_each);
}

static void fill_weights(struct synthetic *y)
{
    size_t clusters = (size_t)y->params.clusters;
    double sum = 0;
    for (size_t c = 0; c < clusters; c++)
        y->cumulative[c] = sum += pow((double)(c + 1), -y->params.weights);
    for (size_t c = 0; c < clusters; c++)
        y->cumulative[c] /= sum;
    y->cumulative[clusters - 1] = 1;
}

static void fill_normals(float *rows, size_t n, size_t dim, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        struct rng r = rng_at(seed, i);
        normals(&r, rows + i * dim, dim);
    }
}

static int make_mixture(struct synthetic *y, struct error *err)
{
    size_t clusters = (size_t)y->params.clusters, dim = (size_t)y->params.dim;
    int rc = reserve(y, clusters, clusters, dim, err);
    if (rc)
        return rc;
    y->cumulative = y->tables;
    y->centres = (float *)(y->cumulative + clusters);
    fill_weights(y);
    fill_normals(y->centres, clusters, dim, seed_for(y, USE_CENTRES));
    return OK;
}

static int make_drift(struct synthetic *y, struct error *err)
{
    size_t clusters = (size_t)y->params.clusters, dim = (size_t)y->params.dim;
    y->generations = y->params.turnover > 0 ? (size_t)y->params.turnover + 2 : 1;
    size_t lives = clusters * y->generations;
    int rc = reserve(y, 2 * clusters, 2 * lives, dim, err);
    if (rc)
        return rc;
    y->cumulative = y->tables;
    y->phase = y->cumulative + clusters;
    y->centres = (float *)(y->phase + clusters);
    y->ways = y->centres + lives * dim;
    fill_weights(y);
    struct rng r = rng_at(seed_for(y, USE_PHASE), 0);
    for (size_t c = 0; c < clusters; c++)
        y->phase[c] = rng_unit(&r);
    fill_normals(y->centres, lives, dim, seed_for(y, USE_CENTRES));
    fill_normals(y->ways, lives, dim, seed_for(y, USE_WAYS));
    return OK;
}

static int make_sphere(struct synthetic *y, struct error *err)
{
    size_t dim = (size_t)y->params.dim;
    int rc = reserve(y, 0, 2, dim, err);
    if (rc)
        return rc;
    y->centres = y->tables;
    y->deviations = y->centres + dim;
    fill_normals(y->centres, 1, dim, seed_for(y, USE_CENTRES));
    double square = 0, sum = 0;
    for (size_t j = 0; j < dim; j++)
        square += (double)y->centres[j] * (double)y->centres[j];
    for (size_t j = 0; j < dim; j++)
        sum += pow((double)(j + 1), -y->params.exponent);
    for (size_t j = 0; j < dim; j++) {
        y->centres[j] = (float)(y->centres[j] / sqrt(square) * y->params.mean_cosine);
        double share = pow((double)(j + 1), -y->params.exponent) / sum;
        y->deviations[j] = (float)sqrt(share * (1 - y->params.mean_cosine * y->params.mean_cosine));
    }
    return OK;
}

int synthetic_make_tables(struct synthetic *y, struct error *err)
{
    struct rng r = rng_at(seed_for(y, USE_BITS), 0);
    for (size_t b = 0; b < INDEX_CODE_BITS_MAX; b++)
        y->bit_chance[b] = (uint32_t)lround(65536 * (0.5 + y->params.skew * (rng_unit(&r) - 0.5)));
    if (y->kind == SYNTHETIC_MIXTURE)
        return make_mixture(y, err);
    if (y->kind == SYNTHETIC_DRIFT)
        return make_drift(y, err);
    if (y->kind == SYNTHETIC_SPHERE)
        return make_sphere(y, err);
    return OK;
}

/* 3. Rows */

/* A uniform code of a seed. */
static void mixed_code(uint64_t seed, uint64_t i, size_t words, uint64_t *code)
{
    code[0] = rng_mix(seed, i);
    for (size_t w = 1; w < words; w++)
        code[w] = rng_mix(code[0], w);
}

static void uniform_code(const struct synthetic *y, size_t i, size_t words, uint64_t *code)
{
    size_t background = (size_t)y->params.rows, members = (size_t)y->params.members;
    uint64_t centre_seed = seed_for(y, USE_CENTRES);
    if (y->is_query) {
        mixed_code(centre_seed, i, words, code);
        return;
    }
    if (i < background) {
        mixed_code(seed_for(y, USE_ROWS), i, words, code);
        return;
    }
    mixed_code(centre_seed, (i - background) / members, words, code);
    if ((i - background) % members == 0)
        return;
    struct rng r = rng_at(seed_for(y, USE_ROWS), i);
    const uint64_t most = (uint64_t)y->params.radius;
    for (uint64_t flips = most ? 1 + rng_below(&r, most) : 0; flips > 0; flips--) {
        const uint64_t bit = rng_below(&r, 64 * words);
        code[bit / 64] ^= UINT64_C(1) << bit % 64;
    }
}

/* Sets bit b with probability chance b: compares 64 random numbers of 16 bits with the chances, one
   bit of each per step, lowest first. */
static uint64_t skewed_code(const uint64_t chance_bits[17], struct rng *r)
{
    uint64_t below = 0;
    for (int bit = 0; bit < 16; bit++) {
        uint64_t random = rng_u64(r);
        below = (chance_bits[bit] & ~random) | (~(chance_bits[bit] ^ random) & below);
    }
    return below | chance_bits[16];
}

static int read_codes(const struct synthetic *y, size_t first, size_t n, char *out)
{
    const size_t words = (size_t)y->params.bits / 64, bytes = words * sizeof(uint64_t);
    uint64_t chance_bits[INDEX_CODE_WORDS_MAX][17] = { { 0 } };
    uint64_t rows = seed_for(y, y->is_query ? USE_QUERIES : USE_ROWS);
    for (size_t b = 0; b < 64 * words; b++)
        for (int bit = 0; bit < 17; bit++)
            chance_bits[b / 64][bit] |= (uint64_t)(y->bit_chance[b] >> bit & 1) << b % 64;
    for (size_t i = 0; i < n; i++) {
        uint64_t code[INDEX_CODE_WORDS_MAX];
        struct rng r = rng_at(rows, first + i);
        if (y->kind == SYNTHETIC_UNIFORM)
            uniform_code(y, first + i, words, code);
        for (size_t w = 0; y->kind == SYNTHETIC_CODES && w < words; w++)
            code[w] = y->params.skew == 0 ? rng_u64(&r) : skewed_code(chance_bits[w], &r);
        memcpy(out + i * bytes, code, bytes);
    }
    return OK;
}

static size_t draw_cluster(const struct synthetic *y, struct rng *r)
{
    double u = rng_unit(r);
    size_t low = 0, high = (size_t)y->params.clusters - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (u < y->cumulative[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void add_scaled(float *x, const float *with, double scale, size_t n)
{
    float f = (float)scale;
    for (size_t j = 0; j < n; j++)
        x[j] += f * with[j];
}

static void mixture_row(const struct synthetic *y, struct rng *r, float *x, float *spare)
{
    size_t dim = (size_t)y->params.dim, latent = y->params.latent ? (size_t)y->params.latent : dim;
    size_t c = draw_cluster(y, r);
    float scale = (float)(y->params.spread * sqrt((double)dim / (double)latent));
    normals(r, x, latent);
    for (size_t j = 0; j < latent; j++)
        x[j] *= scale;
    memset(x + latent, 0, (dim - latent) * sizeof *x);
    if (latent < dim)
        rotate_by(rng_mix(seed_for(y, USE_ROTATION), c), x, dim);
    add_scaled(x, y->centres + c * dim, 1, dim);
    if (y->params.noise == 0)
        return;
    normals(r, spare, dim);
    add_scaled(x, spare, y->params.noise, dim);
}

static void turn_planes(float *x, size_t dim, double angle)
{
    float c = (float)cos(angle), s = (float)sin(angle);
    for (size_t j = 0; j + 1 < dim; j += 2) {
        float a = x[j], b = x[j + 1];
        x[j] = c * a - s * b;
        x[j + 1] = s * a + c * b;
    }
}

static void drift_row(const struct synthetic *y, double t, struct rng *r, float *x)
{
    size_t dim = (size_t)y->params.dim, c = draw_cluster(y, r), life = 0;
    double turnover = y->params.turnover, age = t;
    if (turnover > 0) {
        double lives = t * turnover + y->phase[c];
        life = (size_t)lives;
        age = (lives - (double)life) / turnover;
    }
    size_t at = (c * y->generations + life) * dim;
    normals(r, x, dim);
    float spread = (float)y->params.spread;
    for (size_t j = 0; j < dim; j++)
        x[j] = y->centres[at + j] + spread * x[j];
    add_scaled(x, y->ways + at, y->params.speed * age, dim);
    if (y->params.rotation == 0)
        return;
    uint64_t key = seed_for(y, USE_ROTATION);
    rotate_by(key, x, dim);
    turn_planes(x, dim, y->params.rotation * t);
    rotate_back(key, x, dim);
}

static void sphere_row(const struct synthetic *y, struct rng *r, float *x)
{
    size_t dim = (size_t)y->params.dim;
    normals(r, x, dim);
    for (size_t j = 0; j < dim; j++)
        x[j] *= y->deviations[j];
    rotate_by(seed_for(y, USE_ROTATION), x, dim);
    double square = 0;
    for (size_t j = 0; j < dim; j++) {
        x[j] += y->centres[j];
        square += (double)x[j] * (double)x[j];
    }
    float scale = (float)(1 / sqrt(square));
    for (size_t j = 0; j < dim; j++)
        x[j] *= scale;
}

static void write_bytes(const float *x, size_t n, double scale, uint8_t *out)
{
    for (size_t j = 0; j < n; j++) {
        const float v = 128.5F + (float)scale * x[j];
        out[j] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

int synthetic_read(const struct source *s, size_t first, size_t n, void *out, struct error *err)
{
    const struct synthetic *y = s->state;
    if (s->element == INDEX_B64)
        return read_codes(y, first, n, out);
    size_t row_bytes = s->dim * sizeof(float);
    float *x = malloc(2 * row_bytes);
    if (!x)
        return fail(err, ERR_NO_MEMORY, "synthetic %s: out of memory", s->name);
    uint64_t seed = seed_for(y, y->is_query ? USE_QUERIES : USE_ROWS);
    for (size_t i = 0; i < n; i++) {
        struct rng r = rng_at(seed, first + i);
        double t = y->is_query ? y->at : ((double)(first + i) + 0.5) / (double)y->n;
        if (y->kind == SYNTHETIC_GAUSSIAN)
            normals(&r, x, s->dim);
        if (y->kind == SYNTHETIC_MIXTURE)
            mixture_row(y, &r, x, x + s->dim);
        if (y->kind == SYNTHETIC_DRIFT)
            drift_row(y, t, &r, x);
        if (y->kind == SYNTHETIC_SPHERE)
            sphere_row(y, &r, x);
        if (s->element == INDEX_U8)
            write_bytes(x, s->dim, y->params.byte_scale, (uint8_t *)out + i * s->dim);
        else
            memcpy((char *)out + i * row_bytes, x, row_bytes);
    }
    free(x);
    return OK;
}
