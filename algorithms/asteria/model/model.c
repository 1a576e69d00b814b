/* model.c - application, size and check of a model; a model in a snapshot. */
#include "algorithms/asteria/model/model.h"

#include <math.h>
#include <string.h>

#include "algorithms/common/durable/store_file.h"
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

void asteria_model_project(const struct asteria_model *model, const struct kernels *kernels,
                           const float *unit, float *z, float *p)
{
    asteria_rotation_apply(model->rotation, kernels, unit, z);
    asteria_model_hash(model, kernels, z, p);
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
        asteria_model_project(e->model, e->env->kernels, e->rows + i * e->env->dim, z, p);
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

/* ----------------------------------------------------------------------------------- snapshots */

struct stored {
    uint32_t code, k, has_vantages;
    uint32_t pca_code; /* rank; 0: none */
};

static bool shares(const double *share, size_t n, double most)
{
    for (size_t i = 0; i < n; i++)
        if (!(share[i] >= 0 && share[i] <= most))
            return false;
    return true;
}

static int check_values(const struct store_reader *r, const struct index_env *env,
                        const struct stored *s, const struct asteria_fitted *f)
{
    if (f->version == 0 || s->code > ECC_NONE || s->k == 0 ||
        s->k > asteria_ecc_bits_most((enum asteria_code)s->code) || s->has_vantages > 1 ||
        s->pca_code >= env->dim)
        return store_corrupt(r, "the model's numbers are inconsistent");
    if (!(f->calibration.alpha > 0 && f->calibration.alpha < 1) ||
        !shares(f->calibration.quantile, CALIBRATION_LEVELS, 3.1416) ||
        !shares(f->bit_mean, ECC_WORD_MAX, 1) || !shares(f->bit_margin, ECC_WORD_MAX, INFINITY) ||
        !shares(f->costs, ROTATION_CANDIDATES, INFINITY))
        return store_corrupt(r, "the model's calibration is invalid");
    return OK;
}

/* Every section of a model; a part's shape is known from those before it. */
static int fields(struct store_fields *f, const struct index_env *env, char suffix,
                  struct asteria_model *m)
{
    struct stored s = { 0 };
    struct index_env scanned = *env;

    if (f->w)
        s = (struct stored){ .code = (uint32_t)m->ecc.kind,
                             .k = m->ecc.k,
                             .has_vantages = m->vantages != NULL,
                             .pca_code = m->pca_code ? (uint32_t)m->pca_code->rank : 0 };
    store_copy(f, store_tag("model", suffix).text, &s, 1, sizeof s);
    store_copy(f, store_tag("fitted", suffix).text, &m->fitted, 1, sizeof m->fitted);
    if (f->r && f->code == OK && (f->code = check_values(f->r, env, &s, &m->fitted)) == OK) {
        asteria_ecc_init(&m->ecc, (enum asteria_code)s.code, s.k);
        m->m = m->ecc.n;
    }
    if (f->code == OK)
        asteria_rotation_field(f, env, suffix, &m->rotation);
    if (f->code == OK)
        asteria_lrsq_field(f, env, m->rotation->out_dim, suffix, &m->lrsq);
    if (f->code == OK && s.has_vantages)
        store_array(f, store_tag("vantages", suffix).text, &m->vantages, NULL,
                    m->m * m->rotation->out_dim, sizeof *m->vantages);
    if (f->code == OK && s.pca_code > 0)
        asteria_pca_code_field(f, env, s.pca_code, suffix, &m->pca_code);
    scanned.dim = pca_code_floats(m->pca_code, env->dim);
    if (f->code == OK)
        quantizer_field(f, store_tag("quantizer", suffix).text, &scanned, &m->quantizer);
    return f->code;
}

static int check_read(const struct asteria_model *model, const struct index_env *env,
                      const struct store_reader *r)
{
    const struct asteria_rotation *rotation = model->rotation;
    const struct quantizer *q = model->quantizer;
    struct error why = { 0 };
    struct index_env checked = *env;

    if (!q || (q->kind != QUANTIZER_RABITQ && q->kind != QUANTIZER_PLANES))
        return store_corrupt(r, "the model's quantizer is missing or of another kind");
    /* The shift is the rotated mean of unit vectors. A much longer one would make bits NaN. */
    if (!(env->kernels->ip_f32(rotation->shift, rotation->shift, rotation->out_dim) < 1.01F))
        return store_corrupt(r, "the rotation's shift is longer than unit vectors");
    checked.error = &why;
    return asteria_model_check(model, &checked) == OK ? OK : store_corrupt(r, why.text);
}

int asteria_model_field(struct store_fields *f, const struct index_env *env, char suffix,
                        struct asteria_model **model)
{
    if (f->w)
        return fields(f, env, suffix, *model);
    struct asteria_model *m = mem_zalloc(env->mem, sizeof *m);
    if (!m)
        return f->code =
                   fail(env->error, ERR_NO_MEMORY, "asteria: load: out of memory for a model");
    m->dim = env->dim;
    if (fields(f, env, suffix, m) == OK)
        f->code = check_read(m, env, f->r);
    if (f->code == OK)
        *model = m;
    else
        asteria_model_destroy(env, m);
    return f->code;
}
