/* fit.c - fits a model to a sample.
 *
 * Parts are fitted in the order of their dependencies: the rotation to the rows, vantages and LRSQ
 * to the rotated rows, the calibration to the resulting words.
 */
#include "algorithms/asteria/model/model.h"

#include <math.h>
#include <string.h>

#include "algorithms/asteria/rotation/bor.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

/* At most ROTATED_MOST rows of the sample are rotated: 16 of them are beyond a 0.1 % quantile. A
   fifth of the rows, from HELD_LEAST to HELD_MOST, is kept out of fitting, for calibration. */
enum { RANK_MOST = 96, ROTATED_MOST = 16384, HELD_LEAST = 256, HELD_MOST = 4096 };

static const double ALPHA = .01; /* of the calibration */

/* Streams of the env's seed. */
enum { SEED_SAMPLE = 101, SEED_ROTATION, SEED_VANTAGES = 104, SEED_LRSQ, SEED_CALIBRATION };

struct fit {
    const struct index_env *env;
    const struct asteria_params *params;
    const struct asteria_trainer *device;
    struct asteria_model *model;
    const float *rows; /* rows of the sample that parts are fitted to */
    size_t n;
    const float *held; /* rows kept out, for calibration */
    size_t n_held;
    float *own; /* copies of rows and held; or NULL */
    float *z;   /* n_z x out_dim: the first n_z rows rotated */
    size_t n_z;
    double expected; /* rows of the index */
};

static uint64_t seed_of(const struct fit *f, unsigned what)
{
    return rng_mix(f->env->seed, what);
}

static int no_memory(const struct fit *f, const char *what)
{
    return fail(f->env->error, ERR_NO_MEMORY, "asteria: train: out of memory for %s of %zu rows",
                what, f->n);
}

/* --------------------------------------------------------------------------- rows of the sample */

/* Draws the rows to fit to and those for calibration. If there are too few for both, the same rows
   are used twice, and the calibration's guarantee does not hold. */
static int draw_sample(struct fit *f, const float *rows, size_t n, uint32_t version)
{
    const struct index_env *env = f->env;
    const size_t most = (size_t)f->params->train_rows;
    const size_t fifth = n / 5 < HELD_MOST ? n / 5 : HELD_MOST;
    struct rng rng = rng_at(seed_of(f, SEED_SAMPLE), version);

    f->n_held = fifth < HELD_LEAST ? 0 : fifth;
    f->n = n - f->n_held < most ? n - f->n_held : most;
    f->rows = f->held = rows;
    if (f->n < n) {
        const size_t drawn = f->n + f->n_held;
        uint64_t *picks = mem_array(env->mem, drawn, sizeof *picks);

        f->own = mem_array(env->mem, drawn * env->dim, sizeof *f->own);
        if (picks && f->own) {
            rng_sample(&rng, n, drawn, picks);
            for (size_t i = 0; i < drawn; i++)
                memcpy(f->own + i * env->dim, rows + picks[i] * env->dim,
                       env->dim * sizeof *f->own);
        }
        mem_free(env->mem, picks);
        if (!picks || !f->own)
            return no_memory(f, "a sample");
        f->rows = f->own;
        f->held = f->own + f->n * env->dim;
    }
    if (f->n_held == 0) {
        f->held = f->rows;
        f->n_held = f->n < HELD_MOST ? f->n : HELD_MOST;
    }
    return OK;
}

static int rotate_rows(void *arg, size_t first, size_t end, size_t worker)
{
    const struct fit *f = arg;

    (void)worker;
    for (size_t i = first; i < end; i++)
        asteria_rotation_apply(f->model->rotation, f->env->kernels, f->rows + i * f->env->dim,
                               f->z + i * f->model->rotation->out_dim);
    return OK;
}

/* ----------------------------------------------------------------------------------- fitting */

static int fit_code(struct fit *f, unsigned address_bits)
{
    struct asteria_model *model = f->model;
    enum asteria_code kind = (enum asteria_code)f->params->code;
    /* Outputs of the rotation that are not zero for every row; words can use only these. auto: of
       either candidate. */
    const size_t outputs = rotation_is_network((enum asteria_rotation_kind)f->params->rotation)
                               ? asteria_bor_size(f->env->dim)
                               : f->env->dim;
    const unsigned most = asteria_ecc_bits_most(kind);
    const unsigned k = address_bits < most ? address_bits : most;

    asteria_ecc_init(&model->ecc, kind, k);
    if (model->ecc.n > outputs)
        asteria_ecc_init(&model->ecc, ECC_NONE, k < outputs ? k : (unsigned)outputs);
    model->m = model->ecc.n;
    if (f->n < model->m)
        return fail(f->env->error, ERR_ARGUMENT,
                    "asteria: train: %zu rows, at least %zu are needed: the bits of a word of the "
                    "code; give more rows, or set fewer address_bits",
                    f->n, model->m);
    return OK;
}

/* Number of coordinates that LRSQ keeps. */
static size_t rank_of(const struct asteria_params *params, size_t out_dim)
{
    const size_t half = (out_dim + 1) / 2;

    if (params->r > 0)
        return (size_t)params->r < out_dim ? (size_t)params->r : out_dim;
    return half < RANK_MOST ? half : RANK_MOST;
}

static int train_rotation(struct fit *f, enum asteria_rotation_kind kind,
                          const struct asteria_model *from, struct asteria_rotation **out,
                          struct asteria_rotation_report *report)
{
    const struct asteria_params *params = f->params;
    const size_t dim = f->env->dim;
    const size_t rank = rank_of(params, asteria_rotation_outputs(kind, dim));
    const bool same =
        from && from->rotation->kind == kind && from->rotation->dim == dim &&
        (!from->rotation->bor || from->rotation->bor->passes == (size_t)params->passes);
    const struct asteria_rotation_options options = {
        .kind = kind,
        .centre = params->centering,
        .m = f->model->m,
        .rank = rank,
        .blocks = (rank + (size_t)params->lrsq_block - 1) / (size_t)params->lrsq_block,
        .seed = seed_of(f, SEED_ROTATION),
        .passes = (size_t)params->passes,
        .steps = (size_t)params->train_steps,
        .batch = (size_t)params->batch,
        .learning_rate = params->learning_rate,
        .init = (enum asteria_bor_init)params->init,
        .from = same ? from->rotation : NULL,
        .device = f->device,
    };

    return asteria_rotation_train(out, f->env, &options, f->rows, f->n, report);
}

/* Trains both candidates and takes the cheaper one; of equal ones the butterfly. */
static int choose_rotation(struct fit *f, const struct asteria_model *from)
{
    static const enum asteria_rotation_kind kinds[ROTATION_CANDIDATES] = { ROTATION_BOR,
                                                                           ROTATION_PCA };
    struct asteria_model *model = f->model;
    const struct asteria_cost_sample sample = { .rows = f->rows,
                                                .queries = f->held,
                                                .n = f->n < ROTATED_MOST ? f->n : ROTATED_MOST,
                                                .n_queries = f->n_held,
                                                .expected = f->expected };
    int rc = OK;

    for (size_t i = 0; i < ROTATION_CANDIDATES && rc == OK; i++) {
        struct asteria_rotation *made = NULL;
        struct asteria_rotation_report report;

        rc = train_rotation(f, kinds[i], from, &made, &report);
        if (rc == OK)
            rc = asteria_rotation_cost(&model->fitted.costs[i], f->env, made, &model->ecc, &sample);
        if (rc == OK && (i == 0 || model->fitted.costs[i] < model->fitted.costs[0])) {
            asteria_rotation_destroy(f->env, model->rotation);
            model->rotation = made;
            model->fitted.report = report;
        } else {
            asteria_rotation_destroy(f->env, made);
        }
    }
    return rc;
}

/* PCA codes of the sample's first n rows, or the rows themselves; the caller frees *made. */
static const float *scanned_rows(struct fit *f, size_t n, float **made)
{
    const struct asteria_model *model = f->model;
    const size_t dim = f->env->dim, floats = pca_code_floats(model->pca_code, dim);

    *made = NULL;
    if (!model->pca_code)
        return f->rows;
    *made = mem_array(f->env->mem, n * floats, sizeof **made);
    for (size_t i = 0; *made && i < n; i++)
        (void)asteria_pca_code_make(model->pca_code, f->env->kernels, f->rows + i * dim,
                                    PCA_CODE_ROW, *made + i * floats);
    return *made;
}

/* The bound of one bit is wide at few dimensions: its error falls as 1 / sqrt(dim). */
enum { FEW_DIMENSIONS = 64 };
/* Of a principal coordinate. 3 leave 1.3 to 1.5 times as many rows to compare exactly, 1 leaves 4 to
   14 times as many (docs/decisions.md); 4 have a fast scan. */
enum { PCA_CODE_BITS = 4 };

static int fit_quantizer(struct fit *f)
{
    const size_t rank = (size_t)f->params->scan_dims;
    /* Few coordinates in more bits each are shorter than all in one bit only if they are
       few enough. */
    const bool has_pca_code = rank > 0 && 4 * rank <= f->env->dim;
    const int64_t given = has_pca_code ? PCA_CODE_BITS : f->params->rabitq_bits;
    const size_t bits = given > 0 ? (size_t)given : f->env->dim <= FEW_DIMENSIONS ? 4 : 1;
    /* QUANTIZER_PLANES scans all bits at once. With all dimensions, scanning the sign first is
       cheaper, except for four bits, which have a fast scan. */
    const struct quantizer_options options = { .kind =
                                                   bits == 4 ? QUANTIZER_PLANES : QUANTIZER_RABITQ,
                                               .seed = f->env->seed,
                                               .bits = bits,
                                               .eps0 = f->params->eps0 };

    const size_t n = f->n < ROTATED_MOST ? f->n : ROTATED_MOST;
    struct index_env scanned = *f->env;
    float *made;

    if (has_pca_code) {
        const int rc = asteria_pca_code_fit(&f->model->pca_code, f->env, rank, f->rows, n);
        if (rc != OK)
            return rc;
    }
    scanned.dim = pca_code_floats(f->model->pca_code, f->env->dim);
    const float *rows = scanned_rows(f, n, &made);
    const int rc = rows ? quantizer_train(&f->model->quantizer, &scanned, &options, rows, n)
                        : no_memory(f, "PCA codes");
    mem_free(f->env->mem, made);
    return rc;
}

/* Means of the sample's bits and of |p|. */
static void measure_bits(struct fit *f)
{
    struct asteria_model *model = f->model;
    float p[ECC_WORD_MAX];

    for (size_t i = 0; i < f->n_z; i++) {
        asteria_model_hash(model, f->env->kernels, f->z + i * model->rotation->out_dim, p);
        for (size_t j = 0; j < model->m; j++) {
            model->fitted.bit_mean[j] += p[j] < 0;
            model->fitted.bit_margin[j] += fabs((double)p[j]);
        }
    }
    for (size_t j = 0; j < model->m; j++) {
        model->fitted.bit_mean[j] /= (double)f->n_z;
        model->fitted.bit_margin[j] /= (double)f->n_z;
    }
}

static int fit_parts(struct fit *f, unsigned address_bits, const struct asteria_model *from)
{
    const struct index_env *env = f->env;
    const struct asteria_params *params = f->params;
    const enum asteria_rotation_kind kind = (enum asteria_rotation_kind)params->rotation;
    struct asteria_model *m = f->model;
    int rc = fit_code(f, address_bits);

    if (rc == OK)
        rc = kind == ROTATION_AUTO ? choose_rotation(f, from)
                                   : train_rotation(f, kind, from, &m->rotation, &m->fitted.report);
    if (rc != OK)
        return rc;
    const size_t out_dim = m->rotation->out_dim;
    f->n_z = f->n < ROTATED_MOST ? f->n : ROTATED_MOST;
    f->z = mem_array(env->mem, f->n_z * out_dim, sizeof *f->z);
    rc = f->z ? parallel_for(env->pool, pool_threads(env->pool), f->n_z, 64, rotate_rows, f)
              : no_memory(f, "rotated rows");
    if (rc == OK && params->vantages == VANTAGE_LEARNED)
        rc = asteria_vantage_learn(&m->vantages, env, m->m, out_dim, f->rows, f->z, f->n_z,
                                   seed_of(f, SEED_VANTAGES), NULL);
    const struct asteria_lrsq_options residual = { .rank = rank_of(params, out_dim),
                                                   .block = (size_t)params->lrsq_block,
                                                   .block_scale =
                                                       params->lrsq_scale == LRSQ_SCALE_BLOCK,
                                                   .bits = (double)params->bits,
                                                   .pca = params->lrsq_pca,
                                                   .seed = seed_of(f, SEED_LRSQ) };
    if (rc == OK)
        rc = asteria_lrsq_train(&m->lrsq, env, &residual, f->z, f->n_z, out_dim);
    if (rc == OK)
        rc = fit_quantizer(f);
    if (rc == OK)
        rc = asteria_calibrate(&m->fitted.calibration, env, m, f->held, f->n_held,
                               seed_of(f, SEED_CALIBRATION));
    if (rc == OK)
        measure_bits(f);
    return rc;
}

int asteria_model_fit(struct asteria_model **out, const struct index_env *env,
                      const struct asteria_params *params, unsigned address_bits, const float *rows,
                      size_t n, const struct asteria_model *from, uint32_t version,
                      const struct asteria_trainer *device)
{
    const double expected = (double)(env->expected_n > n ? env->expected_n : n);
    struct fit f = { .env = env, .params = params, .device = device, .expected = expected };
    int rc = OK;

    *out = NULL;
    f.model = mem_zalloc(env->mem, sizeof *f.model);
    if (!f.model)
        return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for a model");
    rc = draw_sample(&f, rows, n, version);
    if (rc == OK) {
        f.model->fitted.version = version;
        f.model->dim = env->dim;
        f.model->fitted.sample_rows = f.n;
        f.model->fitted.calibration.alpha = ALPHA;
        rc = fit_parts(&f, address_bits, from);
    }
    if (rc == OK)
        *out = f.model;
    else
        asteria_model_destroy(env, f.model);
    mem_free(env->mem, f.z);
    mem_free(env->mem, f.own);
    return rc;
}
