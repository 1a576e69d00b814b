/* bor.c - the butterfly network: creation, a single row forwards, and 16 rows side by side forwards
 * and backwards.
 *
 * A single row goes through stages of constant geometry (Pease 1968). Where distances grow, every
 * stage takes neighbours (2 i, 2 i + 1) to (i, i + size / 2): this moves bit l to the position that
 * stage l + 1 reads, and the last stage restores the natural order. Where distances shrink, stages
 * do the reverse. Loads and stores are whole registers at every distance. The cosines and sines are
 * stored in that order (row_cosines, row_sines).
 */
#include "algorithms/asteria/rotation/bor.h"

#include <math.h>
#include <string.h>

#include "src/core/error.h"
#include "src/core/rng.h"

#define PI 3.14159265358979323846

enum { STREAM_ANGLES, STREAM_SIGNS };

size_t asteria_bor_n_angles(const struct asteria_bor *b)
{
    return b->passes * b->stages * (b->size / 2);
}

size_t asteria_bor_bytes(const struct asteria_bor *b)
{
    return sizeof *b + (5 * asteria_bor_n_angles(b) + b->passes * b->size) * sizeof(float);
}

void asteria_bor_destroy(const struct index_env *env, struct asteria_bor *b)
{
    if (!b)
        return;
    mem_group_free(&b->memory);
    mem_free(env->mem, b);
}

static double first_angle(enum asteria_bor_init init, struct rng *rng)
{
    if (init == BOR_NEAR_IDENTITY)
        return 0.1 * rng_unit(rng) - 0.05;
    if (init == BOR_RANDOM)
        return PI * (2 * rng_unit(rng) - 1);
    return rng_u64(rng) >> 63 ? PI / 4 : -PI / 4;
}

size_t asteria_bor_size(size_t dim)
{
    size_t size = 1;

    while (size < dim)
        size *= 2;
    return size;
}

int asteria_bor_create(struct asteria_bor **bor, const struct index_env *env, size_t dim,
                       size_t passes, enum asteria_bor_init init, uint64_t seed)
{
    struct asteria_bor *b = mem_zalloc(env->mem, sizeof *b);
    if (!b)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for a rotation");
    struct mem_group *g = &b->memory;
    *b = (struct asteria_bor){
        .memory.mem = env->mem, .dim = dim, .size = asteria_bor_size(dim), .passes = passes
    };
    while ((size_t)1 << b->stages < b->size)
        b->stages++;
    const size_t n = asteria_bor_n_angles(b);
    b->angles = mem_group_array(g, n, sizeof *b->angles);
    b->cosines = mem_group_array(g, n, sizeof *b->cosines);
    b->sines = mem_group_array(g, n, sizeof *b->sines);
    b->row_cosines = mem_group_array(g, n, sizeof *b->row_cosines);
    b->row_sines = mem_group_array(g, n, sizeof *b->row_sines);
    b->signs = mem_group_array(g, passes * b->size, sizeof *b->signs);
    if (g->failed) {
        asteria_bor_destroy(env, b);
        return fail(env->error, ERR_NO_MEMORY,
                    "asteria: out of memory for a rotation of %zu angles", n);
    }
    struct rng rng = rng_at(seed, STREAM_ANGLES);
    for (size_t i = 0; i < n; i++)
        b->angles[i] = (float)first_angle(init, &rng);
    rng = rng_at(seed, STREAM_SIGNS);
    for (size_t i = 0; i < passes * b->size; i++)
        b->signs[i] = rng_u64(&rng) >> 63 ? 1 : -1;
    asteria_bor_set_angles(b, b->angles);
    *bor = b;
    return OK;
}

/* The pair, in natural order, that stage l of asteria_bor_apply() has at i. Growing distances:
   position 2 i holds the component whose number is 2 i rotated left by l bits; without bit l, which
   is 0, this is i rotated left. Shrinking distances (falls): i is rotated right. */
static size_t natural_pair(const struct asteria_bor *b, bool falls, size_t stage, size_t i)
{
    const size_t bits = b->stages - 1, by = falls ? bits - stage : stage;
    return ((i << by) | (i >> (bits - by))) & (b->size / 2 - 1);
}

void asteria_bor_set_angles(struct asteria_bor *b, const float *angles)
{
    const size_t half = b->size / 2;
    if (angles != b->angles)
        memcpy(b->angles, angles, asteria_bor_n_angles(b) * sizeof *angles);
    for (size_t i = 0; i < asteria_bor_n_angles(b); i++) {
        b->cosines[i] = (float)cos((double)angles[i]);
        b->sines[i] = (float)sin((double)angles[i]);
    }
    for (size_t line = 0; line < b->passes * b->stages; line++)
        for (size_t i = 0; i < half; i++) {
            const size_t from =
                line * half + natural_pair(b, line / b->stages % 2, line % b->stages, i);
            b->row_cosines[line * half + i] = b->cosines[from];
            b->row_sines[line * half + i] = b->sines[from];
        }
}

static void rotate_neighbours(const float *restrict from, float *restrict to,
                              const float *restrict c, const float *restrict s, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        const float a = from[2 * i], b = from[2 * i + 1];
        to[i] = c[i] * a + s[i] * b;
        to[i + half] = c[i] * b - s[i] * a;
    }
}

static void rotate_halves(const float *restrict from, float *restrict to, const float *restrict c,
                          const float *restrict s, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        const float a = from[i], b = from[i + half];
        to[2 * i] = c[i] * a + s[i] * b;
        to[2 * i + 1] = c[i] * b - s[i] * a;
    }
}

void asteria_bor_apply(const struct asteria_bor *b, const float *row, float *z)
{
    _Alignas(64) float scratch[ASTERIA_ROTATION_DIM_MAX];
    const size_t half = b->size / 2;
    /* Stages write from one buffer to the other, and the last one writes to z. */
    const bool odd = b->passes * b->stages % 2;
    float *x = odd ? scratch : z, *other = odd ? z : scratch;

    memcpy(x, row, b->dim * sizeof *x);
    memset(x + b->dim, 0, (b->size - b->dim) * sizeof *x);
    for (size_t p = 0; p < b->passes; p++) {
        const float *restrict signs = b->signs + p * b->size;
        for (size_t i = 0; i < b->size; i++)
            x[i] *= signs[i];
        for (size_t l = 0; l < b->stages; l++) {
            const size_t at = (p * b->stages + l) * half;
            (p % 2 ? rotate_halves : rotate_neighbours)(x, other, b->row_cosines + at,
                                                        b->row_sines + at, half);
            float *swap = x;
            x = other;
            other = swap;
        }
    }
}

/* One component of all lanes. The compiler maps it to the registers of the target. */
typedef float lanes_of __attribute__((vector_size(BOR_LANES * sizeof(float)), may_alias));
typedef float half_of __attribute__((vector_size(BOR_LANES / 2 * sizeof(float))));
typedef float quarter_of __attribute__((vector_size(BOR_LANES / 4 * sizeof(float))));

static void sign_lanes(const struct asteria_bor *b, size_t p, float *lanes)
{
    lanes_of *x = (lanes_of *)lanes;
    for (size_t i = 0; i < b->size; i++)
        x[i] *= b->signs[p * b->size + i];
}

/* log2 of the distance in a stage. */
static size_t bit_of(const struct asteria_bor *b, size_t p, size_t stage)
{
    return p % 2 ? b->stages - 1 - stage : stage;
}

/* The lower component of pair j at distance 2^bit: j with a 0 inserted at that bit. */
static size_t lower(size_t bit, size_t j)
{
    const size_t below = ((size_t)1 << bit) - 1;
    return (j & below) | (j & ~below) << 1;
}

void asteria_bor_forward(const struct asteria_bor *b, float *lanes)
{
    lanes_of *x = (lanes_of *)lanes;
    for (size_t p = 0; p < b->passes; p++) {
        sign_lanes(b, p, lanes);
        for (size_t l = 0; l < b->stages; l++) {
            const size_t at = (p * b->stages + l) * (b->size / 2), bit = bit_of(b, p, l);
            for (size_t j = 0; j < b->size / 2; j++) {
                const size_t low = lower(bit, j), high = low + ((size_t)1 << bit);
                const float c = b->cosines[at + j], s = b->sines[at + j];
                const lanes_of first = x[low], second = x[high];
                x[low] = c * first + s * second;
                x[high] = c * second - s * first;
            }
        }
    }
}

/* Adds the lanes as a tree whose order does not depend on the register width. */
static float sum_lanes(const lanes_of *v)
{
    half_of half[2];
    quarter_of quarter[2];
    memcpy(half, v, sizeof half);
    half[0] += half[1];
    memcpy(quarter, half, sizeof quarter);
    quarter[0] += quarter[1];
    return (quarter[0][0] + quarter[0][2]) + (quarter[0][1] + quarter[0][3]);
}

/* One pair backwards: the outputs and their gradients become the inputs and theirs.
   Returns dL/dtheta. */
static float rotate_back(lanes_of *low, lanes_of *high, lanes_of *g_low, lanes_of *g_high, float c,
                         float s)
{
    const lanes_of a = *low, b = *high, ga = *g_low, gb = *g_high;
    const lanes_of product = ga * b - gb * a;
    *low = c * a - s * b;
    *high = s * a + c * b;
    *g_low = c * ga - s * gb;
    *g_high = s * ga + c * gb;
    return sum_lanes(&product);
}

void asteria_bor_backward(const struct asteria_bor *b, float *lanes, float *gradient,
                          double *d_angles)
{
    lanes_of *x = (lanes_of *)lanes, *g = (lanes_of *)gradient;
    for (size_t p = b->passes; p-- > 0;) {
        for (size_t l = b->stages; l-- > 0;) {
            const size_t at = (p * b->stages + l) * (b->size / 2), bit = bit_of(b, p, l);
            for (size_t j = 0; j < b->size / 2; j++) {
                const size_t low = lower(bit, j), high = low + ((size_t)1 << bit);
                d_angles[at + j] += (double)rotate_back(x + low, x + high, g + low, g + high,
                                                        b->cosines[at + j], b->sines[at + j]);
            }
        }
        sign_lanes(b, p, lanes);
        sign_lanes(b, p, gradient);
    }
}
