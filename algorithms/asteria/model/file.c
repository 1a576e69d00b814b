/* file.c - a model in a snapshot, by sections whose tags end in a suffix. */
#include <math.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/rotation/axes.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

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
    struct index_env scanned = *env;
    int rc = asteria_rotation_read(&model->rotation, env, r, suffix);

    asteria_ecc_init(&model->ecc, (enum asteria_code)s->code, s->k);
    if (rc == OK)
        rc = asteria_lrsq_read(&model->lrsq, env, r, suffix);
    if (rc != OK)
        return rc;
    model->m = model->ecc.n;
    if (model->m > model->rotation->out_dim || model->lrsq->in_dim != model->rotation->out_dim)
        rc = store_corrupt(r, "the model's parts are of different shapes");
    /* Bounds are certain only if the rotation is an isometry. */
    if (rc == OK && !(asteria_rotation_defect(model->rotation, env->kernels, 0, 16) < 1e-5))
        rc = store_corrupt(r, "the rotation changes lengths");
    /* The shift is the rotated mean of unit vectors. A much longer one would make bits NaN. */
    if (rc == OK && !(env->kernels->ip_f32(model->rotation->shift, model->rotation->shift,
                                           model->rotation->out_dim) < 1.01F))
        rc = store_corrupt(r, "the rotation's shift is longer than unit vectors");
    if (rc == OK && s->has_vantages)
        rc = vantages_field(&f, suffix, model);
    if (rc == OK && s->has_vantages &&
        (!index_all_finite(model->vantages, model->m * model->rotation->out_dim) ||
         !(axes_defect(model->vantages, model->m, model->rotation->out_dim) < 1e-5)))
        rc = store_corrupt(r, "the vantages are not finite and orthonormal");
    if (rc == OK && s->pca_code > 0)
        rc = asteria_pca_code_read(&model->pca_code, env, r, s->pca_code, suffix);
    if (rc != OK)
        return rc;
    scanned.dim = pca_code_floats(model->pca_code, env->dim);
    rc = quantizer_field(&f, store_tag("quantizer", suffix).text, &scanned, &model->quantizer);
    const struct quantizer *q = model->quantizer;
    return rc != OK || (q && (q->kind == QUANTIZER_RABITQ || q->kind == QUANTIZER_PLANES))
               ? rc
               : store_corrupt(r, "the model's quantizer is missing or of another kind");
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
