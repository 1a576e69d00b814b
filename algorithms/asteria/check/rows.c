/* rows.c - encodes each row again and compares the result with what is stored. */
#include <math.h>

#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/check/internal.h"
#include "algorithms/asteria/rows/slots.h"
#include "kernels/kernels.h"

/* Tolerance of bounds, for rounding. */
static const float SLACK = 1e-5F;

struct checked_row {
    unsigned generation;
    const struct asteria_generation *g;
    const struct asteria_bucket *b;
    uint32_t bucket, position, slot;
};

static int broken(const struct asteria_check_walk *c, const struct checked_row *r, const char *what)
{
    return asteria_broken(c, "bucket %u of generation %u, position %u, slot %u: %s", r->bucket,
                          r->generation, r->position, r->slot, what);
}

static int check_place(const struct asteria_check_walk *c, const struct checked_row *r)
{
    const struct asteria *a = c->a;

    if (!asteria_is_live(a, r->slot))
        return broken(c, r, "alive in its bucket, but the slot is not");
    const struct asteria_place *place = &a->places[r->slot];
    if (place->generation != r->generation || place->bucket != r->bucket ||
        place->position != r->position)
        return broken(c, r, "its position is another");
    return OK;
}

/* Bits may differ only where the component is almost zero. */
static bool same_word(const struct checked_row *r, const float *p, uint64_t word)
{
    const uint64_t unlike = word ^ r->b->words[r->position];

    for (size_t i = 0; i < r->g->model->m; i++)
        if ((unlike >> i & 1) && fabsf(p[i]) > SLACK)
            return false;
    return true;
}

static int check_code(struct asteria_check_walk *c, const struct checked_row *r, const float *p)
{
    const struct asteria_ecc *ecc = r->g->model->ecc;
    const uint64_t word = asteria_ecc_word(ecc, p);

    if (!same_word(r, p, word))
        return broken(c, r, "its word is not that of its row");
    if (asteria_ecc_decode(ecc, p) != r->b->address)
        return broken(c, r, "its row decodes to another address");
    c->flips += __builtin_popcountll(word ^ r->b->codeword);
    return asteria_lrsq_check(r->g->model->lrsq, c->z, segmented_at(&r->g->codes, r->slot),
                              c->a->base.env.error);
}

static int check_bounds(struct asteria_check_walk *c, const struct checked_row *r,
                        const float *unit, const float *p)
{
    const struct index_env *env = &c->a->base.env;
    const struct asteria_bucket *b = r->b;
    const float root = sqrtf(env->kernels->l2sq_f32(unit, b->centre, env->dim));
    const float cosine = asteria_bucket_cosine(r->g, b, p);

    for (size_t i = 0; i < r->g->model->m; i++)
        if (!(p[i] >= b->low[i] - SLACK && p[i] <= b->high[i] + SLACK))
            return broken(c, r, "outside of the box");
    if (((b->words[r->position] ^ b->agree_value) & b->agree_mask) != 0)
        return broken(c, r, "its word differs from the bits that all words share");
    if (!(cosine <= cosf(b->angle_min) + SLACK && cosine >= cosf(b->angle_max) - SLACK))
        return broken(c, r, "its angle to the codeword is not between the bucket's");
    if (!(root >= b->near - SLACK && root <= b->far + SLACK))
        return broken(c, r, "its distance from the centre is not between the bucket's");
    return OK;
}

static int check_row(struct asteria_check_walk *c, const struct checked_row *r)
{
    const struct index_env *env = &c->a->base.env;
    float p[ECC_WORD_MAX];
    const void *row;
    int rc = check_place(c, r);

    if (rc == OK)
        rc = asteria_rows_get(c->a->rows, r->slot, c->read, &row);
    if (rc != OK)
        return rc;
    const float *unit = asteria_unit(env, row, c->unit);
    asteria_model_rotate(r->g->model, env->kernels, unit, c->z);
    asteria_model_hash(r->g->model, env->kernels, c->z, p);
    rc = check_code(c, r, p);
    return rc == OK ? check_bounds(c, r, unit, p) : rc;
}

int asteria_check_rows(struct asteria_check_walk *c, unsigned generation, uint32_t bucket)
{
    const struct asteria_generation *g = c->a->generations[generation];
    const struct asteria_bucket *b = &g->buckets[bucket];
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < b->n; i++) {
        const struct checked_row row = { generation, g, b, bucket, i, b->slots[i] };

        if (bucket_is_alive(b, i))
            rc = check_row(c, &row);
    }
    return rc;
}
