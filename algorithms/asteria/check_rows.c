/* check_rows.c - each row encoded anew and held to what is kept of it. */
#include <inttypes.h>
#include <math.h>

#include "algorithms/asteria/check.h"
#include "kernels/kernels.h"

/* By how much a bound may be wrong: rounding. */
static const float SLACK = 1e-5F;

struct row {
    unsigned generation;
    const struct generation *g;
    const struct bucket *b;
    uint32_t bucket, position, slot;
};

static int broken(const struct check_walk *c, const struct row *r, const char *what)
{
    return asteria_broken(c, "bucket %u of generation %u, position %u, slot %u: %s", r->bucket,
                          r->generation, r->position, r->slot, what);
}

static int check_place(const struct check_walk *c, const struct row *r)
{
    const struct asteria *a = c->a;

    if (!asteria_is_live(a, r->slot))
        return broken(c, r, "alive in its bucket, but the slot is not");
    const struct place *place = &a->places[r->slot];
    if (place->generation != r->generation || place->bucket != r->bucket ||
        place->position != r->position)
        return broken(c, r, "its place says elsewhere");
    return OK;
}

/* The words that are turned differ only where a component is all but zero. */
static bool same_word(const struct row *r, const float *p, uint64_t word)
{
    const uint64_t unlike = word ^ r->b->words[r->position];

    for (size_t i = 0; i < r->g->model->m; i++)
        if ((unlike >> i & 1) && fabsf(p[i]) > SLACK)
            return false;
    return true;
}

static int check_code(struct check_walk *c, const struct row *r, const float *p)
{
    const struct ecc *ecc = r->g->model->ecc;
    const uint64_t word = ecc_word(ecc, p);

    if (!same_word(r, p, word))
        return broken(c, r, "its word is not that of its row");
    if (ecc_decode(ecc, p) != r->b->address)
        return broken(c, r, "its row decodes to another address");
    c->flips += __builtin_popcountll(word ^ r->b->codeword);
    return lrsq_check(r->g->model->lrsq, c->z, stable_at(&r->g->codes, r->slot),
                      c->a->base.env.error);
}

static int check_bounds(struct check_walk *c, const struct row *r, const float *unit,
                        const float *p)
{
    const struct index_env *env = &c->a->base.env;
    const struct bucket *b = r->b;
    const float root = sqrtf(env->kernels->l2sq_f32(unit, b->centre, env->dim));
    const float cosine = bucket_cosine(r->g, b, p);

    for (size_t i = 0; i < r->g->model->m; i++)
        if (!(p[i] >= b->low[i] - SLACK && p[i] <= b->high[i] + SLACK))
            return broken(c, r, "outside of the box");
    if (((b->words[r->position] ^ b->agree_value) & b->agree_mask) != 0)
        return broken(c, r, "its word is unlike bits that all words share");
    if (!(cosine <= cosf(b->angle_min) + SLACK && cosine >= cosf(b->angle_max) - SLACK))
        return broken(c, r, "its angle to the codeword is not between the bucket's");
    if (!(root >= b->near - SLACK && root <= b->far + SLACK))
        return broken(c, r, "its distance from the centre is not between the bucket's");
    return OK;
}

static int check_row(struct check_walk *c, const struct row *r)
{
    const struct index_env *env = &c->a->base.env;
    float p[ECC_WORD_MAX];
    const void *row;
    int rc = check_place(c, r);

    if (rc == OK)
        rc = tier_get(c->a->tier, r->slot, c->read, &row);
    if (rc != OK)
        return rc;
    const float *unit = asteria_unit(env, row, c->unit);
    model_turn(r->g->model, env->kernels, unit, c->z);
    model_hash(r->g->model, env->kernels, c->z, p);
    rc = check_code(c, r, p);
    return rc == OK ? check_bounds(c, r, unit, p) : rc;
}

int asteria_check_rows(struct check_walk *c, unsigned generation, uint32_t bucket)
{
    const struct generation *g = c->a->generations[generation];
    const struct bucket *b = &g->buckets[bucket];
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < b->n; i++) {
        const struct row row = { generation, g, b, bucket, i, b->slots[i] };

        if (bucket_is_alive(b, i))
            rc = check_row(c, &row);
    }
    return rc;
}
