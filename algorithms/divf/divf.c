/* divf.c - dynamic inverted file: options, creation, and the table. divf.h has the state and its
 * invariants. */
#include "algorithms/divf/upkeep.h"

#include <stdio.h>

#include "src/core/mem.h"

static const struct param params[] = {
    PARAM_INT(struct divf_params, clusters, 0, 0, 1 << 22,
              "lists made by training; 0: 4 sqrt(n) of the vectors trained on. More: faster scans, "
              "dearer inserts"),
    PARAM_INT(struct divf_params, soft_k, 1, 1, DIVF_SOFT_K_MAX,
              "lists a vector is filed in; memory and the rows a probe scans grow with it"),
    PARAM_REAL(struct divf_params, split_threshold, 3.0, 0, 1e9,
               "a list with more than this times the mean of live rows is split after an insert "
               "batch; 0: never"),
    PARAM_INT(struct divf_params, max_split_iters, 10, 1, 1000,
              "passes of the 2-means that splits a list"),
    PARAM_REAL(struct divf_params, compact_at, 0.10, 0, 1,
               "share of rows that may be dead before a deletion compacts every list"),
    PARAM_CHOICE(
        struct divf_params, maintenance, DIVF_COPENHAGEN, "none|copenhagen|lire|dedrift|cost-model",
        "what keeps lists in shape: copenhagen splits overfull ones as its source does; lire "
        "also moves vectors of the lists around, and dissolves starved ones; dedrift moves "
        "centroids; cost-model splits and dissolves where queries gain"),
    PARAM_REAL(
        struct divf_params, list_limit, 1.25, 0.5, 1e9,
        "lire: a list longer than this times the fair length (copies over the lists training "
        "would make) is split. Less: more lists, faster scans, dearer inserts"),
    PARAM_REAL(struct divf_params, merge_threshold, 0.1, 0, 0.4,
               "lire: a list shorter than this times the fair length is dissolved, and no split "
               "leaves one"),
    PARAM_INT(struct divf_params, reassign_lists, 64, 0, 4096,
              "lire, cost-model: lists around a split whose vectors may move; 0: none do"),
    PARAM_INT(
        struct divf_params, refine_passes, 1, 0, 100,
        "lire, cost-model: passes of k-means over a sample around splits, before vectors move"),
    PARAM_INT(struct divf_params, upkeep_budget, 300, 0, 1e9,
              "lire, dedrift, cost-model: distances an inserted copy pays for upkeep; 0: only "
              "maintain() does any"),
    PARAM_REAL(struct divf_params, dedrift_every, 0.1, 1e-6, 1e9,
               "dedrift: a cycle begins when so many of the vectors, as a share, have changed"),
    PARAM_INT(
        struct divf_params, dedrift_lists, 8, 0, 1 << 22,
        "dedrift: lists that a cycle splits and dissolves at most; 0: it moves centroids only"),
    PARAM_REAL(struct divf_params, cost_tau, 0.5, 0, 1e9,
               "cost-model: distances a query must gain by a change"),
    PARAM_REAL(struct divf_params, cost_probe, 64, 0, 1e9,
               "cost-model: what opening a list costs a query, in distances"),
    PARAM_CHOICE(struct divf_params, storage, DIVF_RAM, "ram|mmap",
                 "where vectors lie: in memory, or in a mapped file that may outgrow it"),
    PARAM_CHOICE(struct divf_params, device, DIVF_CPU, "cpu|cuda",
                 "what computes centroid distances of insert batches"),
    PARAM_INT(struct divf_params, train_iters, 25, 1, 10000, "passes of k-means in training"),
    PARAM_INT(struct divf_params, train_sample, 0, 0, 1e15,
              "vectors to train on, drawn from those given; 0: all"),
    PARAM_CHOICE(struct divf_params, init, KMEANS_RANDOM, "random|kmeans++",
                 "how k-means starts: random vectors, as the source, or spread ones (a pass over "
                 "the data a cluster)"),
    PARAM_CHOICE(struct divf_params, quantizer, DIVF_SKETCH, "none|pq|sq8|rabitq",
                 "codes that a scan reads in place of vectors; none: a sketch, see there"),
    PARAM_INT(struct divf_params, sketch, -1, -1, 1 << 16,
              "numbers of a vector's sketch, a byte each: a scan reads these, and the vectors that "
              "they do not exclude; 0: none, every vector is read; -1: as many as pay"),
    PARAM_INT(struct divf_params, bits, 5, 1, 9, "quantizer = rabitq: bits a dimension"),
    PARAM_INT(struct divf_params, pq_groups, 0, 0, 1 << 16,
              "quantizer = pq: groups of dimensions, 4 bits each; 0: half as many as dimensions"),
    PARAM_REAL(
        struct divf_params, eps0, 1.9, 0.1, 100,
        "quantizer = rabitq: how sure its bound is; more: fewer misses, more exact distances"),
    PARAM_END
};

static const struct param knobs[] = {
    PARAM_INT(struct divf_knobs, nprobe, 1, 1, 1 << 22,
              "lists scanned a query; recall and time grow with it"),
    PARAM_INT(
        struct divf_knobs, rerank, 0, 0, 1 << 20,
        "vectors that get their exact distance, those with the best estimates; 0: all that the "
        "quantizer's bound cannot exclude"),
    PARAM_INT(struct divf_knobs, scan_budget, 0, 0, 1e15,
              "codes after which a query opens no further list; 0: nprobe alone decides"),
    PARAM_REAL(struct divf_knobs, target_recall, 0, 0, 0.9999,
               "a query stops at the list after which its recall is estimated to be so high, in "
               "the mean over queries; nprobe is the most it scans. 0: nprobe alone decides"),
    PARAM_END
};

static int check_params(const struct index_env *env, const struct divf_params *p)
{
    if (p->split_threshold > 0 && p->split_threshold <= 1)
        return fail(env->error, ERR_ARGUMENT,
                    "divf: split_threshold is %g, which would split lists of mean size; take more "
                    "than 1, or 0 for never",
                    p->split_threshold);
    if (p->storage == DIVF_MMAP && !env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "divf: storage = mmap needs a folder for the index, and there is none");
    if (p->sketch > (int64_t)env->dim)
        return fail(env->error, ERR_ARGUMENT,
                    "divf: sketch is %lld, more than the vectors' %zu dimensions",
                    (long long)p->sketch, env->dim);
    if (p->pq_groups > (int64_t)env->dim)
        return fail(env->error, ERR_ARGUMENT,
                    "divf: pq_groups is %lld, more than the vectors' %zu dimensions",
                    (long long)p->pq_groups, env->dim);
    return OK;
}

static int open_vectors(struct divf *d)
{
    const struct index_env *env = &d->base.env;
    char path[4096];
    size_t bytes = env->dim * sizeof(float);
    if (d->params.storage == DIVF_RAM)
        return segments_open(&d->vectors, env, bytes, NULL, env->expected_n);
    int length = snprintf(path, sizeof path, "%s/divf.vectors", env->dir);
    if (length < 0 || (size_t)length >= sizeof path)
        return fail(env->error, ERR_ARGUMENT,
                    "divf: the path of the index's folder is too long: %s", env->dir);
    return segments_open(&d->vectors, env, bytes, path, 0);
}

int divf_open(struct index **out, const struct index_env *env, const struct divf_params *p)
{
    int rc = check_params(env, p);
    if (rc)
        return rc;
    struct divf *d = mem_zalloc(env->mem, sizeof *d);
    if (!d)
        return fail(env->error, ERR_NO_MEMORY, "divf: out of memory creating the index");
    d->base = (struct index){ &divf_ops, *env };
    d->params = *p;
    d->provisional = true;
    stop_rule_default(&d->stop.rule);
    d->slots.first_free = SLOT_NONE;
    slot_table_init(&d->slots.ids, env->mem);
    atomic_init(&d->probed_dirty, false);
    pthread_mutex_init(&d->scratch_lock, NULL);
    pthread_mutex_init(&d->stop_lock, NULL);
    rc = open_vectors(d);
    if (!rc)
        rc = divf_lists_open(&d->lists, d, NULL, NULL);
    if (!rc)
        rc = divf_device_open(d);
    if (rc) {
        divf_destroy(&d->base);
        return rc;
    }
    *out = &d->base;
    return OK;
}

/* Until there is a codebook, one list holds everything; its centroid decides nothing. */
int divf_create(struct index **out, const struct index_env *env, const void *p)
{
    struct index *index = NULL;
    int rc = divf_open(&index, env, p);
    if (rc)
        return rc;
    float *zero = mem_zalloc(env->mem, env->dim * sizeof *zero);
    rc = zero ? divf_list_add(&divf_of(index)->lists, zero, -1)
              : fail(env->error, ERR_NO_MEMORY, "divf: out of memory creating the index");
    mem_free(env->mem, zero);
    if (rc) {
        divf_destroy(index);
    } else {
        *out = index;
    }
    return rc;
}

void divf_destroy(struct index *index)
{
    if (!index)
        return;
    struct divf *d = divf_of(index);
    struct mem *mem = index->env.mem;
    divf_upkeep_free(d);
    divf_device_close(d);
    divf_scratch_free(d);
    pthread_mutex_destroy(&d->scratch_lock);
    pthread_mutex_destroy(&d->stop_lock);
    divf_lists_close(&d->lists);
    segments_close(&d->vectors);
    slot_table_free(&d->slots.ids);
    mem_free(mem, d->slots.id);
    mem_free(mem, d);
}

static const struct index_space spaces[] = { { ELEMENT_F32, METRIC_L2SQ },
                                             { ELEMENT_F32, METRIC_COS },
                                             INDEX_SPACES_END };

const struct index_ops divf_ops = {
    .abi = INDEX_ABI,
    .name = "divf",
    .summary = "dynamic inverted file: soft assignment, tombstones, splits of overfull lists; "
               "never retrains",
    .source = "Copenhagen 0.1.0 (dynamic IVF index)",
    .flags = INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .params = params,
    .params_bytes = sizeof(struct divf_params),
    .knobs = knobs,
    .knobs_bytes = sizeof(struct divf_knobs),
    .create = divf_create,
    .destroy = divf_destroy,
    .train = divf_train,
    .insert = divf_insert,
    .remove = divf_remove,
    .search = divf_search,
    .range = divf_range,
    .maintain = divf_maintain,
    .save = divf_save,
    .load = divf_load,
    .stats = divf_stats,
    .memory = divf_memory,
    .check = divf_check,
};
