/* train.c - the partition and the codes: k-means, score-aware product quantization of residuals,
 * and filing the rows. */
#include <math.h>
#include <string.h>

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/scann/scann.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { GROWTH = 4 }; /* an index that trains itself does so again at as many times the rows */
enum { BLOCK_ROWS = 4096 };     /* assigned at a time */
enum { ROWS_PER_LIST_MIN = 8 }; /* of the training rows, where clusters is 0 */
enum { ROWS_PER_LIST = 128 };   /* of the sample, where train_sample is 0 */
enum { SHIFT = 5 }; /* lists are trained again when 1 / SHIFT of their errors is elsewhere */

/* `total`: rows that the index will hold, as far as is known. */
static size_t lists_wanted(const struct scann *s, size_t n, size_t total)
{
    size_t wanted = (size_t)s->params.clusters, most = n;
    if (wanted == 0) {
        wanted = (size_t)sqrt((double)total);
        most = n / ROWS_PER_LIST_MIN;
    }
    wanted = wanted < most ? wanted : most;
    return wanted < 1 ? 1 : wanted;
}

static int assign(const struct scann *s, const struct scann_lists *to, const float *rows, size_t n,
                  uint32_t *lists)
{
    return scann_assign(&s->base.env, to->centroids, to->n, scann_spills(s),
                        (float)s->params.soar_lambda, rows, n, lists);
}

/* Files every row of the index in the new lists. */
static int file_all(const struct scann *s, struct scann_lists *to)
{
    const struct index_env *env = &s->base.env;
    uint32_t *lists = mem_array(env->mem, (size_t)2 * BLOCK_ROWS, sizeof *lists);
    size_t filed;
    int rc = OK;
    if (!lists || !scann_places_reserve(env, to, s->store.ids_capacity))
        rc = fail(env->error, ERR_NO_MEMORY, "scann: out of memory filing %zu rows", s->store.n);
    for (size_t first = 0; !rc && first < s->store.n; first += BLOCK_ROWS) {
        const size_t n = s->store.n - first < BLOCK_ROWS ? s->store.n - first : BLOCK_ROWS;
        rc = assign(s, to, scann_row(s, first), n, lists);
        if (!rc)
            rc = scann_file(env, to, s->store.floats, (uint32_t)first, n, lists, &filed);
    }
    mem_free(env->mem, lists);
    return rc;
}

/* Guo et al. 2020: for rows of length 1, h_par / h_perp tends to (d - 1) T^2 / (1 - T^2). */
double scann_eta(const struct scann *s)
{
    const double t = s->params.threshold;
    const double eta = (double)(s->base.env.dim - 1) * t * t / (1 - t * t);
    return eta > 1 ? eta : 1;
}

static int train_codes(const struct scann *s, struct scann_lists *to, const float *rows, size_t n)
{
    const struct quantizer_options options = { .kind = QUANTIZER_ANISOTROPIC,
                                               .seed = rng_mix(s->base.env.seed, s->trainings),
                                               .pq_groups = (size_t)s->params.pq_groups,
                                               .centroids = to->centroids,
                                               .n_centroids = to->n,
                                               .eta = scann_eta(s),
                                               .products = scann_products(&s->base.env) };
    return quantizer_train(&to->quantizer, &s->base.env, &options, rows, n);
}

/* What each list adds to the mean error of n rows. */
static int note_errors(const struct scann *s, struct scann_lists *to, const float *rows, size_t n)
{
    const struct index_env *env = &s->base.env;
    uint32_t *lists = mem_array(env->mem, (size_t)2 * BLOCK_ROWS, sizeof *lists);
    size_t copies = 0;
    int rc = lists ? OK : fail(env->error, ERR_NO_MEMORY, "scann: out of memory training");
    for (size_t first = 0; !rc && first < n; first += BLOCK_ROWS) {
        const size_t some = n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS;
        rc = assign(s, to, rows + first * env->dim, some, lists);
        for (size_t i = 0; !rc && i < 2 * some; i++)
            if (lists[i] != NO_LIST) {
                to->list[lists[i]].trained_error +=
                    scann_error(env, to, rows + (first + i / 2) * env->dim, lists[i]);
                copies++;
            }
    }
    for (size_t i = 0; i < to->n; i++)
        to->list[i].trained_error /= (double)copies;
    mem_free(env->mem, lists);
    return rc;
}

/* k-means of a sample. */
static int train_centroids(const struct scann *s, struct scann_lists *to, const float *rows,
                           size_t n, size_t total)
{
    const struct index_env *env = &s->base.env;
    const struct kmeans_options options = { .k = lists_wanted(s, n, total),
                                            .iterations = (size_t)s->params.train_iters,
                                            .seed = rng_mix(env->seed, s->trainings) };
    size_t most = (size_t)s->params.train_sample;
    if (most < options.k)
        most = most > 0 ? options.k : options.k * ROWS_PER_LIST;
    struct rng rng = rng_at(env->seed, s->trainings);
    float *sample = most < n ? kmeans_sample(env, &rng, rows, n, most) : NULL;
    to->centroids = mem_array(env->mem, options.k * env->dim, sizeof *to->centroids);
    int rc = OK;
    if (!to->centroids || (most < n && !sample))
        rc = fail(env->error, ERR_NO_MEMORY, "scann: out of memory training %zu lists", options.k);
    size_t made = 0;
    if (!rc)
        rc = kmeans_train(env, &options, sample ? sample : rows, sample ? most : n, to->centroids,
                          &made);
    to->list = rc ? NULL : mem_zalloc(env->mem, made * sizeof *to->list);
    if (!rc && !to->list)
        rc = fail(env->error, ERR_NO_MEMORY, "scann: out of memory for %zu lists", made);
    if (!rc) {
        to->n = to->empty = made;
        rc = note_errors(s, to, sample ? sample : rows, sample ? most : n);
    }
    mem_free(env->mem, sample);
    return rc;
}

int scann_train_on(struct scann *s, const float *rows, size_t n, size_t total)
{
    struct scann_lists to = { 0 };
    int rc = train_centroids(s, &to, rows, n, total);
    if (!rc)
        rc = train_codes(s, &to, rows, n);
    if (!rc)
        rc = file_all(s, &to);
    if (rc) {
        scann_lists_free(&s->base.env, &to);
        return rc;
    }
    /* Of rows that k-means has seen errors are a little less than of others. */
    for (size_t i = 0; s->store.n >= n && i < to.n; i++)
        to.list[i].trained_error = to.list[i].error / (double)to.copies;
    scann_lists_free(&s->base.env, &s->lists);
    s->lists = to;
    s->trainings++;
    s->train_at = GROWTH * (uint64_t)n;
    s->removed = 0;
    s->stop.rows = 0; /* to be learnt again */
    return OK;
}

int scann_train(struct index *index, struct vectors sample)
{
    struct scann *s = scann_of(index);
    if (sample.n == 0)
        return fail(index->env.error, ERR_ARGUMENT,
                    "train: the sample is empty; give at least one row");
    float *copy = mem_array(index->env.mem, sample.n * sample.dim, sizeof *copy);
    if (!copy)
        return fail(index->env.error, ERR_NO_MEMORY, "scann: out of memory training on %zu rows",
                    sample.n);
    memcpy(copy, sample.rows, sample.n * sample.dim * sizeof *copy);
    const size_t expected = index->env.expected_n;
    const int rc = scann_train_on(s, copy, sample.n, sample.n > expected ? sample.n : expected);
    mem_free(index->env.mem, copy);
    s->fixed = s->fixed || rc == OK;
    return rc;
}

/* Whether the rows have moved away from what the lists were trained on: some lists' part of the mean
   error has grown, as rows came that are far from all centroids or many came to a few of them, or
   has shrunk, as rows left. */
static bool shifted(const struct scann_lists *lists)
{
    double moved = 0, trained = 0;
    for (size_t i = 0; i < lists->n; i++) {
        moved += fabs(lists->list[i].error / (double)lists->copies - lists->list[i].trained_error);
        trained += lists->list[i].trained_error;
    }
    return SHIFT * moved > trained;
}

/* Once as many rows were removed as are stored, the lists and the codes fit rows that are gone. */
int scann_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct scann *s = scann_of(index);
    const size_t expected = s->fixed ? index->env.expected_n : 0;
    (void)budget; /* a training is one step */
    *more = false;
    if (s->lists.n == 0 || s->store.n < s->lists.n ||
        (s->removed < s->store.n && !shifted(&s->lists)))
        return OK;
    return scann_train_on(s, s->store.floats, s->store.n,
                          s->store.n > expected ? s->store.n : expected);
}
