/* bor.c - the butterfly network: made, applied to one row, and to sixteen side by side, forwards and backwards.
 *
 * One row goes through stages of constant geometry (Pease 1968): where distances grow, every stage takes neighbours
 * (2 i, 2 i + 1) to (i, i + size / 2), which moves bit l to where stage l + 1 wants it, and back to the natural order after
 * the last; where they fall, the other way round. Loads and stores are whole registers at every distance; the factors are
 * kept in that order.
 */
#include "algorithms/asteria/bor.h"

#include <math.h>
#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

#define PI 3.14159265358979323846

enum { STREAM_ANGLES, STREAM_SIGNS };

size_t bor_n_angles(const struct bor *b)
{
    return b->passes * b->stages * (b->size / 2);
}

size_t bor_bytes(const struct bor *b)
{
    return sizeof *b + (5 * bor_n_angles(b) + b->passes * b->size) * sizeof(float);
}

void bor_destroy(const struct index_env *env, struct bor *b)
{
    if (!b)
        return;
    mem_free(env->mem, b->angles);
    mem_free(env->mem, b->cosines);
    mem_free(env->mem, b->sines);
    mem_free(env->mem, b->signs);
    mem_free(env->mem, b->row_cosines);
    mem_free(env->mem, b->row_sines);
    mem_free(env->mem, b);
}

static double first_angle(enum asteria_bor_init init, struct rng *rng)
{
    switch (init) {
        case BOR_NEAR_IDENTITY: return 0.1 * rng_unit(rng) - 0.05;
        case BOR_RANDOM: return PI * (2 * rng_unit(rng) - 1);
        case BOR_HADAMARD: break;
    }
    return rng_u64(rng) >> 63 ? PI / 4 : -PI / 4;
}

static void fill(struct bor *b, enum asteria_bor_init init, uint64_t seed)
{
    struct rng rng = rng_at(seed, STREAM_ANGLES);
    for (size_t i = 0; i < bor_n_angles(b); i++)
        b->angles[i] = (float)first_angle(init, &rng);
    rng = rng_at(seed, STREAM_SIGNS);
    for (size_t i = 0; i < b->passes * b->size; i++)
        b->signs[i] = rng_u64(&rng) >> 63 ? 1 : -1;
    bor_set_angles(b, b->angles);
}

int bor_create(struct bor **bor, const struct index_env *env, size_t dim, size_t passes,
               enum asteria_bor_init init, uint64_t seed)
{
    struct bor *b = mem_zalloc(env->mem, sizeof *b);
    if (!b)
        return fail(env->error, ERR_NO_MEMORY, "asteria: no memory for a rotation");
    *b = (struct bor){ .dim = dim, .size = 1, .passes = passes };
    for (; b->size < dim; b->size *= 2)
        b->stages++;
    const size_t n = bor_n_angles(b);
    b->angles = mem_array(env->mem, n, sizeof *b->angles);
    b->cosines = mem_array(env->mem, n, sizeof *b->cosines);
    b->sines = mem_array(env->mem, n, sizeof *b->sines);
    b->row_cosines = mem_array(env->mem, n, sizeof *b->row_cosines);
    b->row_sines = mem_array(env->mem, n, sizeof *b->row_sines);
    b->signs = mem_array(env->mem, passes * b->size, sizeof *b->signs);
    if (!b->angles || !b->cosines || !b->sines || !b->row_cosines || !b->row_sines || !b->signs) {
        bor_destroy(env, b);
        return fail(env->error, ERR_NO_MEMORY, "asteria: no memory for a rotation of %zu angles",
                    n);
    }
    fill(b, init, seed);
    *bor = b;
    return OK;
}

/* Where bor_apply's stage l has pair i. Distances that grow: position 2 i holds the component whose number is that rotated
   left by l bits; without bit l, which is 0, what is left is i rotated. Distances that fall: position i, to the right. */
static size_t natural_pair(const struct bor *b, bool falls, size_t stage, size_t i)
{
    const size_t bits = b->stages - 1, by = falls ? bits - stage : stage;
    return ((i << by) | (i >> (bits - by))) & (b->size / 2 - 1);
}

void bor_set_angles(struct bor *b, const float *angles)
{
    const size_t half = b->size / 2;
    if (angles != b->angles)
        memcpy(b->angles, angles, bor_n_angles(b) * sizeof *angles);
    for (size_t i = 0; i < bor_n_angles(b); i++) {
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

static void turn_neighbours(const float *restrict from, float *restrict to, const float *restrict c,
                            const float *restrict s, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        const float a = from[2 * i], b = from[2 * i + 1];
        to[i] = c[i] * a + s[i] * b;
        to[i + half] = c[i] * b - s[i] * a;
    }
}

static void turn_halves(const float *restrict from, float *restrict to, const float *restrict c,
                        const float *restrict s, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        const float a = from[i], b = from[i + half];
        to[2 * i] = c[i] * a + s[i] * b;
        to[2 * i + 1] = c[i] * b - s[i] * a;
    }
}

void bor_apply(const struct bor *b, const float *row, float *z)
{
    _Alignas(64) float scratch[TURN_DIM_MAX];
    const size_t half = b->size / 2;
    /* Stages go from one to the other: the last one into z. */
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
            (p % 2 ? turn_halves : turn_neighbours)(x, other, b->row_cosines + at,
                                                    b->row_sines + at, half);
            float *swap = x;
            x = other;
            other = swap;
        }
    }
}

/* A component of all lanes; the compiler makes of it what registers there are. */
typedef float lanes_of __attribute__((vector_size(BOR_LANES * sizeof(float)), may_alias));
typedef float half_of __attribute__((vector_size(BOR_LANES / 2 * sizeof(float))));
typedef float quarter_of __attribute__((vector_size(BOR_LANES / 4 * sizeof(float))));

static void sign_lanes(const struct bor *b, size_t p, float *lanes)
{
    lanes_of *x = (lanes_of *)lanes;
    for (size_t i = 0; i < b->size; i++)
        x[i] *= b->signs[p * b->size + i];
}

/* log2 of the distance in a stage. */
static size_t bit_of(const struct bor *b, size_t p, size_t stage)
{
    return p % 2 ? b->stages - 1 - stage : stage;
}

/* The lower component of pair j at a distance 2^bit: the bit put in between, 0. */
static size_t lower(size_t bit, size_t j)
{
    const size_t below = ((size_t)1 << bit) - 1;
    return (j & below) | (j & ~below) << 1;
}

void bor_forward(const struct bor *b, float *lanes)
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

/* Sum of the lanes, in a tree that is the same however wide the registers are. */
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

/* A pair backwards: outputs and their gradients become the inputs' ones; returns dL/dtheta. */
static float turn_back(lanes_of *low, lanes_of *high, lanes_of *g_low, lanes_of *g_high, float c,
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

void bor_backward(const struct bor *b, float *lanes, float *gradient, double *d_angles)
{
    lanes_of *x = (lanes_of *)lanes, *g = (lanes_of *)gradient;
    for (size_t p = b->passes; p-- > 0;) {
        for (size_t l = b->stages; l-- > 0;) {
            const size_t at = (p * b->stages + l) * (b->size / 2), bit = bit_of(b, p, l);
            for (size_t j = 0; j < b->size / 2; j++) {
                const size_t low = lower(bit, j), high = low + ((size_t)1 << bit);
                d_angles[at + j] += (double)turn_back(x + low, x + high, g + low, g + high,
                                                      b->cosines[at + j], b->sines[at + j]);
            }
        }
        sign_lanes(b, p, lanes);
        sign_lanes(b, p, gradient);
    }
}
