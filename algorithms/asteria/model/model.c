/* model.c - application, size and check of a model; a model in a snapshot, by sections whose tags end in
 * a suffix. */
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

/* The sections of the model itself, but for vantages and the quantizer, whose sizes depend on its
   other parts. */
static int fields(struct store_fields *f, char suffix, struct stored *s,
                  struct asteria_fitted *fitted)
{
    store_copy(f, store_tag("model", suffix).text, s, 1, sizeof *s);
    return store_copy(f, store_tag("fitted", suffix).text, fitted, 1, sizeof *fitted);
}

static int vantages_field(struct store_fields *f, char suffix, struct asteria_model *m)
{
    return store_array(f, store_tag("vantages", suffix).text, &m->vantages, NULL,
                       m->m * m->rotation->out_dim, sizeof *m->vantages);
}

void asteria_model_write(const struct asteria_model *m, struct store_writer *w, char suffix)
{
    struct asteria_model *model = (struct asteria_model *)(uintptr_t)m;
    const struct index_env env = { .mem = model->mem };
    struct stored s = { .code = (uint32_t)model->ecc.kind,
                        .k = model->ecc.k,
                        .has_vantages = model->vantages != NULL,
                        .pca_code = model->pca_code ? (uint32_t)model->pca_code->rank : 0 };
    struct store_fields f = { .w = w };

    (void)fields(&f, suffix, &s, &model->fitted);
    if (model->vantages)
        (void)vantages_field(&f, suffix, model);
    if (model->pca_code)
        asteria_pca_code_write(model->pca_code, w, suffix);
    (void)quantizer_field(&f, store_tag("quantizer", suffix).text, &env, &model->quantizer);
    asteria_rotation_write(model->rotation, w, suffix);
    asteria_lrsq_write(model->lrsq, w, suffix);
}

/* ----------------------------------------------------------------------------------- reading */

static int read_parts(struct asteria_model *model, const struct index_env *env,
                      const struct store_reader *r, const struct stored *s, char suffix)
{
    struct store_fields f = { .r = r, .mem = env->mem };
    struct error why = { 0 };
    struct index_env scanned = *env, checked = *env;
    int rc = asteria_rotation_read(&model->rotation, env, r, suffix);

    asteria_ecc_init(&model->ecc, (enum asteria_code)s->code, s->k);
    model->m = model->ecc.n;
    if (rc == OK)
        rc = asteria_lrsq_read(&model->lrsq, env, r, suffix);
    if (rc == OK && s->has_vantages)
        rc = vantages_field(&f, suffix, model);
    if (rc == OK && s->pca_code > 0)
        rc = asteria_pca_code_read(&model->pca_code, env, r, s->pca_code, suffix);
    if (rc != OK)
        return rc;
    scanned.dim = pca_code_floats(model->pca_code, env->dim);
    rc = quantizer_field(&f, store_tag("quantizer", suffix).text, &scanned, &model->quantizer);
    const struct quantizer *q = model->quantizer;
    if (rc == OK && !(q && (q->kind == QUANTIZER_RABITQ || q->kind == QUANTIZER_PLANES)))
        rc = store_corrupt(r, "the model's quantizer is missing or of another kind");
    /* The shift is the rotated mean of unit vectors. A much longer one would make bits NaN. */
    if (rc == OK && !(env->kernels->ip_f32(model->rotation->shift, model->rotation->shift,
                                           model->rotation->out_dim) < 1.01F))
        rc = store_corrupt(r, "the rotation's shift is longer than unit vectors");
    checked.error = &why;
    if (rc == OK && asteria_model_check(model, &checked) != OK)
        rc = store_corrupt(r, why.text);
    return rc;
}

int asteria_model_read(struct asteria_model **out, const struct index_env *env,
                       const struct store_reader *r, char suffix)
{
    struct asteria_model *model = mem_zalloc(env->mem, sizeof *model);
    struct stored s;

    *out = NULL;
    if (!model)
        return fail(env->error, ERR_NO_MEMORY, "asteria: load: out of memory for a model");
    model->mem = env->mem;
    model->dim = env->dim;
    int rc = fields(&(struct store_fields){ .r = r }, suffix, &s, &model->fitted);
    if (rc == OK)
        rc = check_values(r, env, &s, &model->fitted);
    if (rc == OK)
        rc = read_parts(model, env, r, &s, suffix);
    if (rc == OK)
        *out = model;
    else
        asteria_model_destroy(env, model);
    return rc;
}
