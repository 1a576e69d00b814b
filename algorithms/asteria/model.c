/* model.c - fitting a model to a sample, part after part; using and checking it.
 *
 * The parts are fitted in the order in which they need one another: the rotation to the rows, vantages and LRSQ to
 * their z, calibration to the words that come of these.
 */
#include "algorithms/asteria/model.h"

#include <math.h>
#include <string.h>

#include "algorithms/asteria/bor.h"
#include "algorithms/common/axes.h"
#include "algorithms/common/kmeans.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

enum {
    RANK_MOST = 96, /* of LRSQ, where it is not told */
    TURNED_MOST =
        16384 /* rows of the sample that are turned: 0.1 % quantiles have 16 rows beyond them */
};

/* What random numbers are for: streams of the env's seed. */
enum { SEED_SAMPLE = 101, SEED_TURN, SEED_CODE, SEED_VANTAGES, SEED_LRSQ, SEED_CALIBRATION };

struct fit {
    const struct index_env *env;
    const struct asteria_params *params;
    struct model *model;
    const float *rows; /* of the sample */
    size_t n;
    float *z; /* n_z x out_dim, of the first n_z rows */
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

/* ----------------------------------------------------------------------------------- using */

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

void model_destroy(const struct index_env *env, struct model *model)
{
    if (!model)
        return;
    turn_destroy(env, model->turn);
    ecc_destroy(env->mem, model->ecc);
    mem_free(env->mem, model->vantages);
    lrsq_destroy(env, model->lrsq);
    quantizer_destroy(env, model->quantizer);
    mem_free(env->mem, model);
}

size_t model_bytes(const struct model *model)
{
    const struct ecc *ecc = model->ecc;
    const size_t codewords = ecc->codewords ? (size_t)1 << (ecc->half ? ecc->half : ecc->k) : 0;
    const size_t vantages = model->vantages ? model->m * model->turn->out_dim : 0;

    return sizeof *model + turn_bytes(model->turn) + sizeof *ecc +
           codewords * sizeof *ecc->codewords + vantages * sizeof *model->vantages +
           lrsq_bytes(model->lrsq) + quantizer_bytes(model->quantizer);
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
    return vantage_learn(&f->model->vantages, f->env, f->model->m, f->model->turn->out_dim, f->z,
                         f->n_z, seed_of(f, SEED_VANTAGES));
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

static int fit_quantizer(struct fit *f)
{
    const struct quantizer_options options = { .kind = QUANTIZER_RABITQ,
                                               .seed = f->env->seed,
                                               .bits = (size_t)f->params->rabitq_bits,
                                               .eps0 = f->params->eps0 };

    return quantizer_train(&f->model->quantizer, f->env, &options, f->rows, f->n);
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
        rc = calibrate(&f->model->calibration, f->env, f->model, f->rows, f->n,
                       seed_of(f, SEED_CALIBRATION));
    if (rc == OK)
        measure_bits(f);
    return rc;
}

int model_fit(struct model **out, const struct index_env *env, const struct asteria_params *params,
              unsigned address_bits, const float *rows, size_t n, const struct model *from,
              uint32_t version)
{
    struct fit f = { .env = env, .params = params, .rows = rows, .n = n };
    const size_t most = params->train_rows > 0 ? (size_t)params->train_rows : n;
    float *sample = NULL;
    int rc = OK;

    *out = NULL;
    f.model = mem_zalloc(env->mem, sizeof *f.model);
    if (n > most) {
        struct rng rng = rng_at(seed_of(&f, SEED_SAMPLE), version);

        f.n = most;
        f.rows = sample = kmeans_sample(env, &rng, rows, n, most);
    }
    if (!f.model || !f.rows) {
        rc = no_memory(&f, "a sample");
    } else {
        f.model->mem = env->mem;
        f.model->version = version;
        f.model->dim = env->dim;
        f.model->seed = seed_of(&f, SEED_CODE);
        f.model->sample_rows = f.n;
        rc = fit_parts(&f, address_bits, from);
    }
    if (rc == OK)
        *out = f.model;
    else
        model_destroy(env, f.model);
    mem_free(env->mem, f.z);
    mem_free(env->mem, sample);
    return rc;
}

/* ----------------------------------------------------------------------------------- checking */

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
