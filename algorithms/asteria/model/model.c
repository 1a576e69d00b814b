/* model.c - application, size and check of a model. */
#include "algorithms/asteria/model/model.h"

#include <string.h>

#include "algorithms/common/rotation/axes.h"
#include "algorithms/common/rotation/rotation.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

void asteria_model_hash(const struct asteria_model *model, const struct kernels *kernels,
                        const float *z, float *p)
{
    if (model->vantages)
        kernels->ip_f32_1n(z, model->vantages, model->m, model->rotation->out_dim, p);
    else
        memcpy(p, z, model->m * sizeof *p);
}

struct encoding_rows {
    const struct asteria_model *model;
    const struct index_env *env;
    const float *rows;
    uint64_t *words;
    uint32_t *addresses;
};

static int encode_rows(void *arg, size_t first, size_t end, size_t worker)
{
    const struct encoding_rows *e = arg;
    _Alignas(64) float z[ASTERIA_ROTATION_DIM_MAX];
    float p[ECC_WORD_MAX];

    (void)worker;
    for (size_t i = first; i < end; i++) {
        asteria_rotation_apply(e->model->rotation, e->env->kernels, e->rows + i * e->env->dim, z);
        asteria_model_hash(e->model, e->env->kernels, z, p);
        if (e->words)
            e->words[i] = asteria_ecc_word(&e->model->ecc, p);
        if (e->addresses)
            e->addresses[i] = asteria_ecc_decode(&e->model->ecc, p);
    }
    return OK;
}

int asteria_model_encode(const struct asteria_model *model, const struct index_env *env,
                         const float *rows, size_t n, uint64_t *words, uint32_t *addresses)
{
    struct encoding_rows e = { model, env, rows, words, addresses };

    return parallel_for(env->pool, pool_threads(env->pool), n, 64, encode_rows, &e);
}

float asteria_model_scanned(const struct asteria_model *model, const struct kernels *kernels,
                            const float *unit, enum asteria_pca_code_of of, float *to)
{
    _Alignas(64) float pca_code[ROTATION_DIM_MAX];

    if (!model->pca_code) {
        quantizer_transform(model->quantizer, unit, 1, to);
        return 0;
    }
    const float rest = asteria_pca_code_make(model->pca_code, kernels, unit, of, pca_code);
    quantizer_transform(model->quantizer, pca_code, 1, to);
    return rest;
}

void asteria_model_destroy(const struct index_env *env, struct asteria_model *model)
{
    if (!model)
        return;
    asteria_rotation_destroy(env, model->rotation);
    mem_free(env->mem, model->vantages);
    asteria_lrsq_destroy(env, model->lrsq);
    asteria_pca_code_destroy(env, model->pca_code);
    quantizer_destroy(env, model->quantizer);
    mem_free(env->mem, model);
}

size_t asteria_model_bytes(const struct asteria_model *model)
{
    const size_t vantages = model->vantages ? model->m * model->rotation->out_dim : 0;

    return sizeof *model + asteria_rotation_bytes(model->rotation) +
           vantages * sizeof *model->vantages + asteria_lrsq_bytes(model->lrsq) +
           asteria_pca_code_bytes(model->pca_code) + quantizer_bytes(model->quantizer);
}

int asteria_model_check(const struct asteria_model *model, const struct index_env *env)
{
    enum { ROWS = 16 };
    const struct asteria_rotation *rotation = model->rotation;
    const double defect = asteria_rotation_defect(rotation, env->kernels, env->seed, ROWS);

    if (model->dim != env->dim || rotation->dim != env->dim || model->m != model->ecc.n ||
        model->m > rotation->out_dim || model->lrsq->in_dim != rotation->out_dim)
        return fail(env->error, ERR_INVARIANT,
                    "asteria: model %u: dimension %zu of %zu, words of %zu bits of %zu outputs",
                    (unsigned)model->fitted.version, model->dim, env->dim, model->m,
                    rotation->out_dim);
    if (!(defect < 1e-5))
        return fail(env->error, ERR_INVARIANT,
                    "asteria: model %u: the rotation changes a length by %g of it, at most 1e-5",
                    (unsigned)model->fitted.version, defect);
    if (model->vantages && !(axes_defect(model->vantages, model->m, rotation->out_dim) < 1e-5))
        return fail(env->error, ERR_INVARIANT,
                    "asteria: model %u: vantages are %g from orthonormal, at most 1e-5",
                    (unsigned)model->fitted.version,
                    axes_defect(model->vantages, model->m, rotation->out_dim));
    return asteria_ecc_check(&model->ecc, env->error);
}
