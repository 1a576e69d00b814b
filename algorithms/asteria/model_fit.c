/* model_fit.c - a model is fitted to a sample, part after part.
 *
 * The parts are fitted in the order in which they need one another: the rotation to the rows, vantages and LRSQ to
 * their z, calibration to the words that come of these.
 */
#include "algorithms/asteria/model.h"

#include <math.h>
#include <string.h>

#include "algorithms/asteria/bor.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

/* TURNED_MOST rows of the sample are turned: 0.1 % quantiles have 16 rows beyond them. From HELD_LEAST to HELD_MOST
   rows, a fifth, are kept from fitting for calibration. */
enum { RANK_MOST = 96, TURNED_MOST = 16384, HELD_LEAST = 256, HELD_MOST = 4096 };

static const double ALPHA = .01; /* of calibration */

/* What random numbers are for: streams of the env's seed. */
enum { SEED_SAMPLE = 101, SEED_TURN, SEED_CODE, SEED_VANTAGES, SEED_LRSQ, SEED_CALIBRATION };

struct fit {
    const struct index_env *env;
    const struct asteria_params *params;
    struct model *model;
    const float *rows; /* of the sample: what parts are fitted to */
    size_t n;
    const float *held; /* apart from them, for calibration */
    size_t n_held;
    float *own; /* where rows and held are copies */
    float *z;   /* n_z x out_dim, of the first n_z rows */
    size_t n_z;
};

static uint64_t seed_of(const struct fit *f, unsigned what)
{
    return rng_mix(f->env->seed, what);
}

static int no_memory(const struct fit *f, const char *what)
{
    return fail(f->env->error, ERR_NO_MEMORY, "asteria: train: no memory for %s of %zu rows", what,
                f->n);
}

/* --------------------------------------------------------------------------- rows of the sample */

static bool is_butterfly(int64_t rotation)
{
    return rotation == TURN_BOR || rotation == TURN_HADAMARD;
}

/* Outputs of the rotation that are not zero for every row: what words can be made of. */
static size_t useful_outputs(const struct asteria_params *params, size_t dim)
{
    size_t size = 1;

    if (!is_butterfly(params->rotation))
        return dim;
    while (size < dim)
        size *= 2;
    return size;
}

/* Draws the rows to fit to, and those to calibrate by. Where there are too few for both, the same are used twice, and the
   calibration promises less than it says. */
static int draw_sample(struct fit *f, const float *rows, size_t n, uint32_t version)
{
    const struct index_env *env = f->env;
    const size_t most = f->params->train_rows > 0 ? (size_t)f->params->train_rows : n;
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

static int turn_rows(void *arg, size_t first, size_t end, size_t worker)
{
    const struct fit *f = arg;

    (void)worker;
    for (size_t i = first; i < end; i++)
        model_turn(f->model, f->env->kernels, f->rows + i * f->env->dim,
                   f->z + i * f->model->turn->out_dim);
    return OK;
}

static int turn_sample(struct fit *f)
{
    f->n_z = f->n < TURNED_MOST ? f->n : TURNED_MOST;
    f->z = mem_array(f->env->mem, f->n_z * f->model->turn->out_dim, sizeof *f->z);
    if (!f->z)
        return no_memory(f, "rotated rows");
    return parallel_for(f->env->pool, pool_threads(f->env->pool), f->n_z, 64, turn_rows, f);
}

/* ----------------------------------------------------------------------------------- fitting */

static int fit_code(struct fit *f, unsigned address_bits)
{
    struct model *model = f->model;
    enum asteria_code kind = (enum asteria_code)f->params->code;
    const size_t outputs = useful_outputs(f->params, f->env->dim);
    const unsigned most = ecc_bits_most(kind);
    unsigned k = address_bits < most ? address_bits : most;
    int rc = ecc_create(&model->ecc, f->env->mem, kind, k, model->seed, f->env->error);

    if (rc == OK && model->ecc->n > outputs) {
        ecc_destroy(f->env->mem, model->ecc);
        model->ecc = NULL;
        k = k < outputs ? k : (unsigned)outputs;
        rc = ecc_create(&model->ecc, f->env->mem, ECC_NONE, k, model->seed, f->env->error);
    }
    if (rc != OK)
        return rc;
    model->m = model->ecc->n;
    if (f->n < model->m)
        return fail(f->env->error, ERR_ARGUMENT,
                    "asteria: train: %zu rows, at least %zu are needed: the bits of a word of the "
                    "code; give more rows, or set fewer address_bits",
                    f->n, model->m);
    return OK;
}

/* Coordinates that LRSQ keeps. */
static size_t rank_of(const struct asteria_params *params, size_t out_dim)
{
    const size_t half = (out_dim + 1) / 2;

    if (params->r > 0)
        return (size_t)params->r < out_dim ? (size_t)params->r : out_dim;
    return half < RANK_MOST ? half : RANK_MOST;
}

static size_t out_dim_of(const struct asteria_params *params, size_t dim)
{
    return is_butterfly(params->rotation) ? useful_outputs(params, dim) : (dim + 15) / 16 * 16;
}

static int fit_turn(struct fit *f, const struct model *from)
{
    const struct asteria_params *params = f->params;
    const size_t rank = rank_of(params, out_dim_of(params, f->env->dim));
    const bool same = from && from->turn->kind == (enum asteria_turn)params->rotation &&
                      from->turn->dim == f->env->dim &&
                      (!from->turn->bor || from->turn->bor->passes == (size_t)params->passes);
    const struct turn_options options = { .kind = (enum asteria_turn)params->rotation,
                                          .centre = params->centre,
                                          .m = f->model->m,
                                          .rank = rank,
                                          .blocks = (rank + (size_t)params->lrsq_block - 1) /
                                                    (size_t)params->lrsq_block,
                                          .seed = seed_of(f, SEED_TURN),
                                          .passes = (size_t)params->passes,
                                          .steps = (size_t)params->train_steps,
                                          .batch = (size_t)params->batch,
                                          .learning_rate = params->learning_rate,
                                          .init = (enum asteria_bor_init)params->init,
                                          .from = same ? from->turn : NULL };

    return turn_train(&f->model->turn, f->env, &options, f->rows, f->n, &f->model->report);
}

static int fit_vantages(struct fit *f)
{
    if (f->params->vantages != VANTAGE_LEARNED)
        return OK;
    return vantage_learn(&f->model->vantages, f->env, f->model->m, f->model->turn->out_dim, f->rows,
                         f->z, f->n_z, seed_of(f, SEED_VANTAGES), NULL);
}

static int fit_short_codes(struct fit *f)
{
    const size_t out_dim = f->model->turn->out_dim;
    const struct lrsq_options options = { .rank = rank_of(f->params, out_dim),
                                          .block = (size_t)f->params->lrsq_block,
                                          .bits = (double)f->params->bits,
                                          .pca = f->params->lrsq_pca,
                                          .seed = seed_of(f, SEED_LRSQ) };

    return lrsq_train(&f->model->lrsq, f->env, &options, f->z, f->n_z, out_dim);
}

/* n outlines of the sample's first rows, or those themselves; *made: to be freed. */
static const float *outline_rows(struct fit *f, size_t n, float **made)
{
    const struct model *model = f->model;
    const size_t dim = f->env->dim, floats = outline_floats(model->outline, dim);

    *made = NULL;
    if (!model->outline)
        return f->rows;
    *made = mem_array(f->env->mem, n * floats, sizeof **made);
    for (size_t i = 0; *made && i < n; i++)
        (void)outline_make(model->outline, f->env->kernels, f->rows + i * dim, OUTLINE_ROW,
                           *made + i * floats);
    return *made;
}

static int fit_quantizer(struct fit *f)
{
    const size_t rank = (size_t)f->params->scan_dims;
    /* Fewer coordinates in more bits each are shorter than all in one bit only where they are few. */
    const bool outlined = rank > 0 && 4 * rank <= f->env->dim;
    const size_t bits = (size_t)(outlined ? f->params->scan_bits : f->params->rabitq_bits);
    /* All bits at once. Of all dimensions the sign first is cheaper, but for four bits, whose scan is fast. */
    const bool planes = (outlined && bits > 1) || bits == 4;
    const struct quantizer_options options = { .kind = planes ? QUANTIZER_PLANES : QUANTIZER_RABITQ,
                                               .seed = f->env->seed,
                                               .bits = bits,
                                               .eps0 = f->params->eps0 };

    const size_t n = f->n < TURNED_MOST ? f->n : TURNED_MOST;
    struct index_env scanned = *f->env;
    float *made;

    if (outlined) {
        const int rc = outline_fit(&f->model->outline, f->env, rank, f->rows, n);
        if (rc != OK)
            return rc;
    }
    scanned.dim = outline_floats(f->model->outline, f->env->dim);
    const float *rows = outline_rows(f, n, &made);
    const int rc = rows ? quantizer_train(&f->model->quantizer, &scanned, &options, rows, n)
                        : no_memory(f, "outlines");
    mem_free(f->env->mem, made);
    return rc;
}

/* Means of the sample's bits and margins. */
static void measure_bits(struct fit *f)
{
    struct model *model = f->model;
    float p[ECC_WORD_MAX];

    for (size_t i = 0; i < f->n_z; i++) {
        model_hash(model, f->env->kernels, f->z + i * model->turn->out_dim, p);
        for (size_t j = 0; j < model->m; j++) {
            model->bit_mean[j] += p[j] < 0;
            model->bit_margin[j] += fabs((double)p[j]);
        }
    }
    for (size_t j = 0; j < model->m; j++) {
        model->bit_mean[j] /= (double)f->n_z;
        model->bit_margin[j] /= (double)f->n_z;
    }
}

static int fit_parts(struct fit *f, unsigned address_bits, const struct model *from)
{
    int rc = fit_code(f, address_bits);

    if (rc == OK)
        rc = fit_turn(f, from);
    if (rc == OK)
        rc = turn_sample(f);
    if (rc == OK)
        rc = fit_vantages(f);
    if (rc == OK)
        rc = fit_short_codes(f);
    if (rc == OK)
        rc = fit_quantizer(f);
    if (rc == OK)
        rc = calibrate(&f->model->calibration, f->env, f->model, f->held, f->n_held,
                       seed_of(f, SEED_CALIBRATION));
    if (rc == OK)
        measure_bits(f);
    return rc;
}

int model_fit(struct model **out, const struct index_env *env, const struct asteria_params *params,
              unsigned address_bits, const float *rows, size_t n, const struct model *from,
              uint32_t version)
{
    struct fit f = { .env = env, .params = params };
    int rc = OK;

    *out = NULL;
    f.model = mem_zalloc(env->mem, sizeof *f.model);
    if (!f.model)
        return fail(env->error, ERR_NO_MEMORY, "asteria: train: no memory for a model");
    rc = draw_sample(&f, rows, n, version);
    if (rc == OK) {
        f.model->mem = env->mem;
        f.model->version = version;
        f.model->dim = env->dim;
        f.model->seed = seed_of(&f, SEED_CODE);
        f.model->sample_rows = f.n;
        f.model->calibration.alpha = ALPHA;
        rc = fit_parts(&f, address_bits, from);
    }
    if (rc == OK)
        *out = f.model;
    else
        model_destroy(env, f.model);
    mem_free(env->mem, f.z);
    mem_free(env->mem, f.own);
    return rc;
}
