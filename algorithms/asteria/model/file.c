/* file.c - a model in a snapshot, by sections whose tags end in a suffix. */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/rotation/axes.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

struct stored {
    uint32_t version, code, k, has_vantages;
    uint64_t dim, m, out_dim;
    uint64_t pca_code; /* rank; 0: none */
    uint64_t sample_rows, seed;
    struct asteria_calibration calibration;
    double first_loss, last_loss, margin_before, margin_after;
    uint64_t steps, stopped;
    double bit_mean[ECC_WORD_MAX], bit_margin[ECC_WORD_MAX];
    double costs[ROTATION_CANDIDATES];
};

static void fill_stored(const struct asteria_model *model, struct stored *s)
{
    memset(s, 0, sizeof *s); /* padding is written too */
    s->version = model->version;
    s->code = (uint32_t)model->ecc->kind;
    s->k = model->ecc->k;
    s->dim = model->dim;
    s->m = model->m;
    s->out_dim = model->rotation->out_dim;
    s->has_vantages = model->vantages != NULL;
    s->pca_code = model->pca_code ? model->pca_code->rank : 0;
    s->sample_rows = model->sample_rows;
    s->seed = model->seed;
    s->calibration.alpha = model->calibration.alpha;
    memcpy(s->calibration.quantile, model->calibration.quantile, sizeof s->calibration.quantile);
    memcpy(s->calibration.pairs, model->calibration.pairs, sizeof s->calibration.pairs);
    s->first_loss = model->report.first_loss;
    s->last_loss = model->report.last_loss;
    s->margin_before = model->report.margin_before;
    s->margin_after = model->report.margin_after;
    s->steps = model->report.steps;
    s->stopped = model->report.stopped;
    memcpy(s->bit_mean, model->bit_mean, sizeof s->bit_mean);
    memcpy(s->bit_margin, model->bit_margin, sizeof s->bit_margin);
    memcpy(s->costs, model->costs, sizeof s->costs);
}

static bool shares(const double *share, size_t n, double most)
{
    for (size_t i = 0; i < n; i++)
        if (!(share[i] >= 0 && share[i] <= most))
            return false;
    return true;
}

static int check_stored(const struct store_reader *r, const struct stored *s)
{
    if (s->version == 0 || s->code > ECC_NONE || s->k == 0 ||
        s->k > asteria_ecc_bits_most((enum asteria_code)s->code) || s->m == 0 ||
        s->m > ECC_WORD_MAX || s->m > s->out_dim || s->has_vantages > 1 || s->pca_code >= s->dim)
        return store_corrupt(r, "the model's numbers are inconsistent");
    if (!(s->calibration.alpha > 0 && s->calibration.alpha < 1) ||
        !shares(s->calibration.quantile, CALIBRATION_LEVELS, 3.1416) ||
        !shares(s->bit_mean, s->m, 1) || !shares(s->bit_margin, s->m, INFINITY) ||
        !shares(s->costs, ROTATION_CANDIDATES, INFINITY))
        return store_corrupt(r, "the model's calibration is invalid");
    return OK;
}

struct values {
    const struct stored *stored;
    const float *vantages; /* m x out_dim; NULL: none */
};

/* The sections of the model itself, but for the quantizer, which is of env's dimension or of the PCA
   code's. */
static int fields(struct store_fields *f, char suffix, struct values *v)
{
    store_field(f, store_tag("model", suffix).text, &v->stored, 1, sizeof *v->stored);
    if (f->r && f->code == OK)
        f->code = check_stored(f->r, v->stored);
    return f->code == OK && v->stored->has_vantages
               ? store_field(f, store_tag("vantages", suffix).text, &v->vantages,
                             v->stored->out_dim, v->stored->m * sizeof *v->vantages)
               : f->code;
}

void asteria_model_write(const struct asteria_model *model, struct store_writer *w, char suffix)
{
    const struct index_env env = { .mem = model->mem };
    struct store_fields f = { .w = w };
    struct quantizer *quantizer = model->quantizer;
    struct stored s;

    fill_stored(model, &s);
    (void)fields(&f, suffix, &(struct values){ &s, model->vantages });
    if (model->pca_code)
        asteria_pca_code_write(model->pca_code, w, suffix);
    (void)quantizer_field(&f, store_tag("quantizer", suffix).text, &env, &quantizer);
    asteria_rotation_write(model->rotation, w, suffix);
    asteria_lrsq_write(model->lrsq, w, suffix);
}

/* ----------------------------------------------------------------------------------- reading */

static void take_stored(struct asteria_model *model, const struct stored *s)
{
    model->version = s->version;
    model->dim = (size_t)s->dim;
    model->m = (size_t)s->m;
    model->sample_rows = s->sample_rows;
    model->seed = s->seed;
    model->calibration = s->calibration;
    model->report = (struct asteria_rotation_report){ .first_loss = s->first_loss,
                                                      .last_loss = s->last_loss,
                                                      .margin_before = s->margin_before,
                                                      .margin_after = s->margin_after,
                                                      .steps = (size_t)s->steps,
                                                      .stopped = s->stopped != 0 };
    memcpy(model->bit_mean, s->bit_mean, sizeof model->bit_mean);
    memcpy(model->bit_margin, s->bit_margin, sizeof model->bit_margin);
    memcpy(model->costs, s->costs, sizeof model->costs);
}

static int take_vantages(struct asteria_model *model, const struct index_env *env,
                         const struct store_reader *r, const struct values *v)
{
    const size_t out_dim = (size_t)v->stored->out_dim, n = model->m * out_dim;

    if (!index_all_finite(v->vantages, n))
        return store_corrupt(r, "a vantage is not finite");
    model->vantages = mem_array(env->mem, n, sizeof *model->vantages);
    if (!model->vantages)
        return fail(env->error, ERR_NO_MEMORY, "asteria: load: out of memory for vantages");
    memcpy(model->vantages, v->vantages, n * sizeof *model->vantages);
    if (!(axes_defect(model->vantages, model->m, out_dim) < 1e-5))
        return store_corrupt(r, "the vantages are not orthonormal");
    return OK;
}

static int read_quantizer(struct asteria_model *model, const struct index_env *env,
                          const struct store_reader *r, char suffix)
{
    struct index_env scanned = *env;

    scanned.dim = pca_code_floats(model->pca_code, env->dim);
    const int rc =
        quantizer_field(&(struct store_fields){ .r = r }, store_tag("quantizer", suffix).text,
                        &scanned, &model->quantizer);
    const struct quantizer *q = model->quantizer;
    return rc != OK || (q && (q->kind == QUANTIZER_RABITQ || q->kind == QUANTIZER_PLANES))
               ? rc
               : store_corrupt(r, "the model's quantizer is missing or of another kind");
}

static int read_parts(struct asteria_model *model, const struct index_env *env,
                      const struct store_reader *r, const struct values *v, char suffix)
{
    const struct stored *s = v->stored;
    int rc =
        asteria_ecc_create(&model->ecc, env->mem, (enum asteria_code)s->code, s->k, env->error);

    if (rc == OK)
        rc = asteria_rotation_read(&model->rotation, env, r, suffix);
    if (rc == OK)
        rc = asteria_lrsq_read(&model->lrsq, env, r, suffix);
    if (rc == OK && (model->ecc->n != s->m || model->rotation->dim != s->dim ||
                     model->rotation->out_dim != s->out_dim || model->lrsq->in_dim != s->out_dim))
        rc = store_corrupt(r, "the model's parts are of different shapes");
    /* Bounds are certain only if the rotation is an isometry. */
    if (rc == OK && !(asteria_rotation_defect(model->rotation, env->kernels, s->seed, 16) < 1e-5))
        rc = store_corrupt(r, "the rotation changes lengths");
    /* The shift is the rotated mean of unit vectors. A much longer one would make bits NaN. */
    if (rc == OK && !(env->kernels->ip_f32(model->rotation->shift, model->rotation->shift,
                                           model->rotation->out_dim) < 1.01F))
        rc = store_corrupt(r, "the rotation's shift is longer than unit vectors");
    if (rc == OK && v->vantages)
        rc = take_vantages(model, env, r, v);
    if (rc == OK && s->pca_code > 0)
        rc = asteria_pca_code_read(&model->pca_code, env, r, (size_t)s->pca_code, suffix);
    if (rc == OK)
        rc = read_quantizer(model, env, r, suffix);
    return rc;
}

int asteria_model_read(struct asteria_model **out, const struct index_env *env,
                       const struct store_reader *r, char suffix)
{
    struct values v = { 0 };
    int rc = fields(&(struct store_fields){ .r = r }, suffix, &v);

    *out = NULL;
    if (rc != OK)
        return rc;
    struct asteria_model *model = mem_zalloc(env->mem, sizeof *model);
    if (!model)
        return fail(env->error, ERR_NO_MEMORY, "asteria: load: out of memory for a model");
    model->mem = env->mem;
    take_stored(model, v.stored);
    rc = read_parts(model, env, r, &v, suffix);
    if (rc == OK)
        *out = model;
    else
        asteria_model_destroy(env, model);
    return rc;
}
