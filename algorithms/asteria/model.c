/* model.c - a model is used, measured, checked. */
#include "algorithms/asteria/model.h"

#include <string.h>

#include "algorithms/common/axes.h"
#include "algorithms/common/rotation.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

void model_turn(const struct model *model, const struct kernels *kernels, const float *row,
                float *z)
{
    const size_t out_dim = model->turn->out_dim;
    _Alignas(64) float few[16];

    /* Rows of so few lie side by side at no multiple of 64. */
    if (out_dim < 16) {
        turn_apply(model->turn, kernels, row, few);
        memcpy(z, few, out_dim * sizeof *z);
    } else {
        turn_apply(model->turn, kernels, row, z);
    }
}

void model_hash(const struct model *model, const struct kernels *kernels, const float *z, float *p)
{
    if (model->vantages)
        kernels->ip_f32_1n(z, model->vantages, model->m, model->turn->out_dim, p);
    else
        memcpy(p, z, model->m * sizeof *p);
}

float model_scanned(const struct model *model, const struct kernels *kernels, const float *unit,
                    enum outline_of of, float *to)
{
    _Alignas(64) float outline[ROTATION_DIM_MAX];

    if (!model->outline) {
        quantizer_transform(model->quantizer, unit, 1, to);
        return 0;
    }
    const float rest = outline_make(model->outline, kernels, unit, of, outline);
    quantizer_transform(model->quantizer, outline, 1, to);
    return rest;
}

void model_destroy(const struct index_env *env, struct model *model)
{
    if (!model)
        return;
    turn_destroy(env, model->turn);
    ecc_destroy(env->mem, model->ecc);
    mem_free(env->mem, model->vantages);
    lrsq_destroy(env, model->lrsq);
    outline_destroy(env, model->outline);
    quantizer_destroy(env, model->quantizer);
    mem_free(env->mem, model);
}

size_t model_bytes(const struct model *model)
{
    const size_t vantages = model->vantages ? model->m * model->turn->out_dim : 0;

    return sizeof *model + turn_bytes(model->turn) + ecc_bytes(model->ecc) +
           vantages * sizeof *model->vantages + lrsq_bytes(model->lrsq) +
           outline_bytes(model->outline) + quantizer_bytes(model->quantizer);
}

int model_check(const struct model *model, const struct index_env *env)
{
    enum { ROWS = 16 };
    const struct turn *turn = model->turn;
    const double defect = turn_defect(turn, env->kernels, env->seed, ROWS);

    if (model->dim != env->dim || turn->dim != env->dim || model->m != model->ecc->n ||
        model->m > turn->out_dim || model->lrsq->in_dim != turn->out_dim)
        return fail(env->error, ERR_INVARIANT,
                    "asteria: model %u: dimension %zu of %zu, words of %zu bits of %zu outputs",
                    (unsigned)model->version, model->dim, env->dim, model->m, turn->out_dim);
    if (!(defect < 1e-5))
        return fail(env->error, ERR_INVARIANT,
                    "asteria: model %u: the rotation changes a length by %g of it, at most 1e-5",
                    (unsigned)model->version, defect);
    if (model->vantages && !(axes_defect(model->vantages, model->m, turn->out_dim) < 1e-5))
        return fail(env->error, ERR_INVARIANT,
                    "asteria: model %u: vantages are %g from orthonormal, at most 1e-5",
                    (unsigned)model->version,
                    axes_defect(model->vantages, model->m, turn->out_dim));
    return ecc_check(model->ecc, env->error);
}
