/* bucket.c - a bucket: memory, bounds, adding and removing rows. */
#include "algorithms/asteria/buckets/bucket.h"

#include <math.h>
#include <string.h>

#include "algorithms/common/rotation/rotation.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { BLOCK = QUANTIZER_BLOCK };
/* A bucket of fewer rows does not need a better centre. */
enum { DUE_ROWS = 16 };
/* Rounding error of a sum of m products of floats, for rows of unit length up to rounding. */
static const float COSINE_SLACK = 2e-6F;
/* Relative and absolute error of a distance; the latter because distances of a few float steps
   cannot be distinguished from zero. */
static const float BALL_SHARE = 4e-6F, BALL_SLACK = 1e-6F;

/* ------------------------------------------------------------------------------ memory */

/* Resets the bounds to those of no row: an empty box, no angles. */
static void unbound(struct asteria_bucket *b, size_t m)
{
    for (size_t i = 0; i < m; i++) {
        b->low[i] = INFINITY;
        b->high[i] = -INFINITY;
    }
    b->angle_min = b->near = INFINITY;
    b->angle_max = b->far = 0;
    b->error = b->rest = 0;
}

bool asteria_bucket_begin(struct asteria_bucket *b, const struct asteria_model *m, struct mem *mem)
{
    b->centre = mem_zalloc(mem, bucket_floats(m) * sizeof *b->centre);
    if (!b->centre)
        return false;
    b->low = b->centre + m->dim + m->quantizer->work_dim;
    b->high = b->low + m->m;
    unbound(b, m->m);
    return true;
}

void asteria_bucket_free(struct asteria_bucket *b, struct mem *mem)
{
    mem_free(mem, b->slots);
    mem_free(mem, b->words);
    mem_free(mem, b->alive);
    mem_free(mem, b->blocks);
    mem_free(mem, b->centre);
}

bool asteria_bucket_grow(struct asteria_bucket *b, const struct asteria_model *m, struct mem *mem,
                         size_t n)
{
    const size_t block = m->quantizer->block_bytes, had = b->capacity / BLOCK;
    size_t need = n;

    if (n <= b->capacity)
        return true;
    /* Grows by at least an eighth, so that adding single rows has constant amortised cost. */
    if (need < b->capacity + b->capacity / 8)
        need = b->capacity + b->capacity / 8;
    need = (need + BLOCK - 1) / BLOCK * BLOCK;
    if (!mem_fit(mem, &b->slots, need, sizeof *b->slots) ||
        !mem_fit(mem, &b->words, need, sizeof *b->words) ||
        !mem_fit(mem, &b->alive, need / BLOCK, sizeof *b->alive) ||
        !mem_fit(mem, &b->blocks, need / BLOCK, block))
        return false;
    memset(b->alive + had, 0, (need / BLOCK - had) * sizeof *b->alive);
    memset(b->blocks + had * block, 0, (need / BLOCK - had) * block);
    b->capacity = (uint32_t)need;
    return true;
}

uint64_t asteria_bucket_bytes(const struct asteria_bucket *b, const struct asteria_model *m)
{
    const uint64_t row = sizeof *b->slots + sizeof *b->words;

    return b->capacity * row +
           b->capacity / BLOCK * (sizeof *b->alive + m->quantizer->block_bytes) +
           (b->centre ? bucket_floats(m) * sizeof *b->centre : 0);
}

/* ------------------------------------------------------------------------------ bounds */

struct asteria_angles asteria_bucket_angles(float cosine)
{
    const float most = cosine + COSINE_SLACK, least = cosine - COSINE_SLACK;

    return (struct asteria_angles){ acosf(most < 1 ? most : 1), acosf(least > -1 ? least : -1) };
}

float asteria_bucket_cosine(const struct asteria_generation *g, const struct asteria_bucket *b,
                            const float *p)
{
    const struct asteria_ecc *e = &g->model->ecc;

    return (asteria_ecc_correlation(e, b->codeword, p) +
            asteria_ecc_correlation(e, b->codeword, g->shift)) /
           sqrtf((float)g->model->m);
}

void asteria_bucket_widen_box(struct asteria_bucket *b, size_t m, const float *p)
{
    for (size_t i = 0; i < m; i++) {
        b->low[i] = fminf(b->low[i], p[i]);
        b->high[i] = fmaxf(b->high[i], p[i]);
    }
}

void asteria_bucket_widen_angles(const struct asteria_generation *g, struct asteria_bucket *b,
                                 const float *p)
{
    const struct asteria_angles angles = asteria_bucket_angles(asteria_bucket_cosine(g, b, p));

    b->angle_min = fminf(b->angle_min, angles.min);
    b->angle_max = fmaxf(b->angle_max, angles.max);
}

static void widen_ball(struct asteria_bucket *b, const struct index_env *env, const float *unit)
{
    const float root = sqrtf(env->kernels->l2sq_f32(unit, b->centre, env->dim));
    const float least = root * (1 - BALL_SHARE) - BALL_SLACK;

    b->near = fminf(b->near, least > 0 ? least : 0);
    b->far = fmaxf(b->far, root * (1 + BALL_SHARE) + BALL_SLACK);
}

/* ------------------------------------------------------------------------ adding, removing */

void asteria_bucket_add_to_mean(float *mean, const float_anywhere *unit, size_t dim, float share)
{
    for (size_t i = 0; i < dim; i++)
        mean[i] += share * unit[i];
}

void asteria_bucket_centre(struct asteria_generation *g, const struct index_env *env,
                           uint32_t bucket, const float_anywhere *units, const uint64_t *order,
                           size_t n)
{
    struct asteria_bucket *b = &g->buckets[bucket];
    const size_t dim = g->model->dim;

    memset(b->centre, 0, dim * sizeof *b->centre);
    for (size_t i = 0; i < n; i++)
        asteria_bucket_add_to_mean(b->centre, units + (uint32_t)order[i] * dim, dim, 1 / (float)n);
    (void)asteria_model_scanned(g->model, env->kernels, b->centre, PCA_CODE_CENTRE,
                                b->centre + dim);
    memcpy(g->centres + (size_t)bucket * dim, b->centre, dim * sizeof *b->centre);
    g->centres_version++;
    b->centred_n = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Stores the code relative to the centre and widens the ball: what a new centre changes. */
void asteria_bucket_put_code(const struct asteria_model *m, const struct index_env *env,
                             struct asteria_bucket *b, const float *unit, uint32_t position)
{
    _Alignas(64) float work[ROTATION_DIM_MAX];
    unsigned char *block = b->blocks + position / BLOCK * m->quantizer->block_bytes;

    b->rest = fmaxf(b->rest, asteria_model_scanned(m, env->kernels, unit, PCA_CODE_ROW, work));
    b->error = fmaxf(
        b->error, quantizer_put(m->quantizer, work, b->centre + m->dim, block, position % BLOCK));
    widen_ball(b, env, unit);
}

void asteria_bucket_put_place(struct asteria_bucket *b, uint32_t position, uint32_t slot,
                              uint64_t word)
{
    b->slots[position] = slot;
    b->words[position] = word;
    b->alive[position / 64] |= 1ULL << position % 64;
}

uint32_t asteria_bucket_put(struct asteria_generation *g, const struct index_env *env,
                            uint32_t bucket, const struct asteria_encoding *row, uint32_t slot)
{
    struct asteria_bucket *b = &g->buckets[bucket];
    const struct asteria_model *m = g->model;
    const uint32_t position = b->n;

    if (b->live == 0)
        unbound(b, m->m); /* dead rows need no bounds */
    if (b->centred_n == 0)
        asteria_bucket_centre(g, env, bucket, row->unit, (const uint64_t[]){ 0 }, 1);
    asteria_bucket_widen_box(b, m->m, row->p);
    asteria_bucket_widen_angles(g, b, row->p);
    asteria_bucket_put_code(m, env, b, row->unit, position);
    asteria_bucket_put_place(b, position, slot, row->word);
    asteria_lrsq_put(m->lrsq, row->z, segmented_at(&g->codes, slot));
    b->n++;
    b->live++;
    return position;
}

void asteria_bucket_remove(struct asteria_generation *g, uint32_t bucket, uint32_t position)
{
    struct asteria_bucket *b = &g->buckets[bucket];

    b->alive[position / 64] &= ~(1ULL << position % 64);
    b->live--;
    g->live--;
}

bool asteria_bucket_is_due(const struct asteria_bucket *b)
{
    return b->n >= 2 * (uint64_t)b->centred_n && b->n >= DUE_ROWS;
}
