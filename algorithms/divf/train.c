/* train.c - the codebook: quantizers, k-means, and reassigning the stored vectors.
 *
 * The paper's code trains on its first insert batch, whatever its size: after a batch of one vector
 * its other centroids stay random for ever. Here an index is provisional if it had no train(), or
 * one with too few distinct vectors for its clusters. It uses the lists it has (at first one) and
 * trains itself on all stored vectors in the insert that reaches VECTORS_PER_LIST vectors per list.
 * If that fails for lack of distinct vectors, it tries again each time the number of vectors has
 * doubled. A codebook that is not provisional is replaced
 *  - by another train(),
 *  - by an insertion under INDEX_IP, unless maintenance = none, if M does not fit the rows
 *    (storage/rows.h): the lists of rows that are not lifted, or of rows that are much shorter than
 *    M, are those of l2,
 *  - by maintain() after a turnover, because the centroids fit rows that are gone. The policies none
 *    and dedrift keep theirs. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "algorithms/divf/device.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* The greatest M^2 of lifted rows: finite, so that centroids are. */
static const float LIFT_MOST = FLT_MAX / 16;

enum { VECTORS_PER_LIST = 8 };
enum { TRAIN_FROM = 1024 };      /* vectors, if their number decides the number of lists */
enum { STREAM_TRAIN = 1 << 20 }; /* distinct from the streams of splits, which count from 2^32 */

/* ------------------------------------------------------------------------------ quantizers */

/* A scan of 1 bit is the fastest while the vectors that it cannot exclude are in memory. With 5 bits
   it excludes most of those, each of which may be a page of a mapped file. */
static size_t rabitq_bits(const struct divf *d)
{
    if (d->params.bits > 0)
        return (size_t)d->params.bits;
    return d->params.storage == DIVF_MMAP ? 5 : 1;
}

/* Trains the quantizer of vectors, and that of centroids, which may be the same. `centroids`: those
   of the n_lists lists. */
static int train_quantizers(const struct divf *d, const float *rows, size_t n,
                            const float *centroids, size_t n_lists, struct quantizer **quantizer,
                            struct quantizer **sketch)
{
    const struct index_env *env = &d->env;
    static const enum quantizer_kind kinds[] = {
        [DIVF_PQ] = QUANTIZER_PQ, [DIVF_SQ8] = QUANTIZER_SQ8, [DIVF_RABITQ] = QUANTIZER_RABITQ
    };
    const struct quantizer_options sketches = { .kind = QUANTIZER_SKETCH,
                                                .seed = env->seed,
                                                .sketch_dims = d->params.sketch > 0
                                                                   ? (size_t)d->params.sketch
                                                                   : 0 };
    *quantizer = *sketch = NULL;
    int rc = d->params.sketch == 0 ? OK : quantizer_train(sketch, env, &sketches, rows, n);
    if (d->params.quantizer == DIVF_SKETCH) {
        *quantizer = *sketch;
        return rc;
    }
    /* Codewords of 4 bits stay those of earlier versions, from the sample's own centroids. */
    struct quantizer_options options = { .kind = kinds[d->params.quantizer],
                                         .seed = env->seed,
                                         .bits = rabitq_bits(d),
                                         .pq_bits = (size_t)d->params.pq_bits,
                                         .pq_groups = (size_t)d->params.pq_groups,
                                         .centroids = d->params.pq_bits == 8 ? centroids : NULL,
                                         .n_centroids = n_lists,
                                         .eps0 = d->params.eps0 };
    if (!rc)
        rc = quantizer_train(quantizer, env, &options, rows, n);
    if (rc) {
        quantizer_destroy(env, *sketch);
        *sketch = NULL;
    }
    return rc;
}

/* Fills a second set of lists and then replaces the first, so that searches go on meanwhile and a
   failure changes nothing; for a moment both sets of codes are in memory. Takes ownership of the
   quantizers. */
static int adopt_codebook(struct divf *d, struct quantizer *quantizer, struct quantizer *sketch,
                          const float *centroids, size_t n, float lift)
{
    struct divf_lists to;
    int rc = divf_lists_open(&to, d, quantizer, sketch);
    to.codebook = ++d->codebooks << 32; /* that of no other, also if this one fails */
    to.space.lift = lift;
    for (size_t i = 0; !rc && i < n; i++)
        rc = divf_list_add(&to, centroids + i * d->env.dim, -1);
    if (!rc && d->slots.capacity > 0)
        rc = divf_file_stored(d, &to);
    if (rc) {
        divf_lists_close(&to);
        return rc;
    }
    struct divf_lists old = d->lists;
    d->lists = to;
    divf_grace(d);
    divf_lists_close(&old);
    return OK;
}

/* --------------------------------------------------------------------------------- training */

/* The rows to train on, as floats, *n of them: those given, or `most` of them if there are more. What
   is allocated for it is *own. NULL: out of memory. */
static const float *rows_to_train(const struct divf *d, const struct divf_space *space,
                                  struct vectors from, size_t most, float **own, size_t *n)
{
    const struct index_env *env = &d->env;
    *own = NULL;
    *n = from.n;
    if (most > 0 && most < from.n) {
        struct rng rng = rng_at(env->seed, STREAM_TRAIN + 2 * d->counters.trainings);
        *n = most;
        return *own = divf_sample_rows(space, env->mem, &rng, from.rows, from.n, most);
    }
    if (space->kind == DIVF_FLOATS)
        return from.rows;
    *own = mem_array(env->mem, from.n * env->dim, sizeof **own);
    return *own ? divf_floats(space, from.rows, from.n, *own) : NULL;
}

/* Trains on `from`, a sample of n_total vectors, and adopts the codebook. */
static int train_on(struct divf *d, struct vectors from, size_t n_total)
{
    const struct index_env *env = &d->env;
    size_t wanted = divf_clusters_wanted(d, n_total), most = (size_t)d->params.train_sample, n,
           made = 0;
    if (most > 0 && most < wanted)
        most = wanted;
    float *own;
    struct divf_space space = d->space;
    space.lift = fminf(divf_greatest_norm(&space, from.rows, from.n), LIFT_MOST);
    const float *rows = rows_to_train(d, &space, from, most, &own, &n);
    float *centroids = mem_array(env->mem, (wanted < n ? wanted : n) * env->dim, sizeof *centroids);
    int rc = rows && centroids ? OK : ERR_NO_MEMORY;
    if (rc) {
        fail(env->error, rc, "divf: out of memory training %zu clusters", wanted);
    } else {
        const struct kmeans_options options = {
            .k = wanted,
            .iterations = (size_t)d->params.train_iters,
            .init = KMEANS_RANDOM,
            .seed = rng_mix(env->seed, STREAM_TRAIN + 2 * d->counters.trainings + 1),
            .nearest = d->device ? divf_device_nearest : NULL,
            .to = d
        };
        rc = kmeans_train(env, &options, rows, n, centroids, &made);
    }
    struct quantizer *quantizer = NULL, *sketch = NULL;
    if (!rc)
        rc = train_quantizers(d, rows, n, centroids, made, &quantizer, &sketch);
    if (!rc)
        rc = adopt_codebook(d, quantizer, sketch, centroids, made, space.lift);
    if (!rc) {
        pthread_mutex_lock(&d->stop_lock);
        d->stop.rows = 0; /* to be learnt again */
        pthread_mutex_unlock(&d->stop_lock);
        d->provisional = made < wanted;
        d->retrain_at = d->provisional ? 2 * (uint64_t)n_total : d->counters.removed;
        d->counters.trainings++;
    }
    mem_free(env->mem, own);
    mem_free(env->mem, centroids);
    return rc;
}

int divf_train(struct index *index, struct vectors sample)
{
    if (sample.n == 0)
        return fail(index->env.error, ERR_ARGUMENT,
                    "train: the sample is empty; give at least one vector");
    return train_on(divf_of(index), sample, sample.n);
}

/* Trains on all stored vectors and these rows. */
static int train_on_all(struct divf *d, struct vectors rows)
{
    const struct index_env *env = &d->env;
    size_t total = d->slots.ids.n + rows.n, row_bytes = d->vectors.element_bytes;
    unsigned char *all = mem_array(env->mem, total, row_bytes);
    if (!all)
        return fail(env->error, ERR_NO_MEMORY, "divf: out of memory training on %zu vectors",
                    total);
    unsigned char *to = all;
    for (uint32_t slot = 0; slot < d->slots.n; slot++) {
        if (d->slots.id[slot] == INDEX_NO_ID)
            continue;
        memcpy(to, divf_row(&d->lists, slot), row_bytes);
        to += row_bytes;
    }
    if (rows.n > 0)
        memcpy(to, rows.rows, rows.n * row_bytes);
    int rc = train_on(d, (struct vectors){ all, total, rows.dim, rows.element }, total);
    mem_free(env->mem, all);
    return rc;
}

int divf_train_if_due(struct divf *d, struct vectors rows)
{
    size_t stored = d->slots.ids.n, total = stored + rows.n;
    if (!d->provisional || total < d->retrain_at ||
        total / VECTORS_PER_LIST < divf_clusters_wanted(d, total) ||
        (d->params.clusters == 0 && total < TRAIN_FROM))
        return OK;
    return stored > 0 ? train_on_all(d, rows) : train_on(d, rows, rows.n);
}

/* Whether as many vectors were removed since the last training as are stored. */
static bool turned_over(const struct divf *d)
{
    const size_t live = d->slots.ids.n;
    return !d->provisional && live >= divf_clusters_wanted(d, live) &&
           d->counters.removed >= d->retrain_at + live;
}

/* Whether a row's squared norm is a quarter beyond M^2: one is enough, since the longest rows are the
   most frequent answers. Or whether all are below a quarter of M^2, after a turnover: before it,
   longer rows may be still to come. */
static bool lift_is_unfit(const struct divf *d)
{
    const float lift = d->lists.space.lift;
    float longest = -INFINITY;
    if (d->space.kind != DIVF_LIFTED || d->params.maintenance == DIVF_NONE || d->provisional ||
        lift >= LIFT_MOST)
        return false;
    for (size_t i = 0; i < d->lists.n; i++)
        if (d->lists.list[i]->live > 0)
            longest = fmaxf(longest, d->lists.list[i]->excess);
    return longest > lift / 4 || (longest < lift / 4 - lift && turned_over(d));
}

int divf_train_again_if_due(struct divf *d, bool maintaining, bool *trained)
{
    const struct index_env *env = &d->base.env;
    const bool fixed = d->params.maintenance == DIVF_NONE || d->params.maintenance == DIVF_DEDRIFT;
    *trained = lift_is_unfit(d) || (maintaining && !fixed && turned_over(d));
    return *trained ? train_on_all(d, (struct vectors){ NULL, 0, env->dim, env->element }) : OK;
}
