/* channi.c - CHANNI: options, creation, and the table. channi.h has the state and its invariants. */
#include <math.h>
#include <unistd.h>

#include "algorithms/channi/channi.h"
#include "algorithms/common/folder_claim.h"
#include "algorithms/common/journal.h"
#include "src/core/mem.h"

#define P struct channi_params

/* ------------------------------------------------------------------------------- options */

static const struct param options[] = {
    PARAM_INT(P, expected_n, 0, 0, INT64_C(1) << 40,
              "vectors that will come; the graphs are built when defer_fraction of them are there; "
              "0: what the workload says"),
    PARAM_REAL(P, defer_fraction, .8, 0, 1,
               "share of expected_n that is gathered, and searched by exact scans, before the "
               "build; 0: the first commit builds"),
    PARAM_INT(P, target_cluster, 1000, 2, 1 << 20,
              "vectors of a cluster; more: fewer routes to search, dearer clusters"),
    PARAM_CHOICE(
        P, sampling, SAMPLE_UNIFORM, "uniform|distant|farthest|density|kmeans",
        "how the first primaries are chosen: at random, by squared distance to those there "
        "are, the farthest, where it is sparse, or next to k-means centroids"),
    PARAM_INT(P, top_M, 16, 4, 256, "routes' graph: neighbours in upper layers"),
    PARAM_INT(P, top_M0, 32, 4, 256, "routes' graph: neighbours in the lowest layer"),
    PARAM_INT(P, top_ef_construction, 128, 4, 1 << 16, "routes' graph: candidates for neighbours"),
    PARAM_INT(P, assign_ef, 64, 1, 1 << 16,
              "routes kept while a vector's cluster is searched for; less: faster inserts, more of "
              "them astray"),
    PARAM_CHOICE(P, inside, INSIDE_GRAPH, "graph|scan|codes",
                 "how a cluster is searched: a graph, all of its vectors, or RaBitQ codes and the "
                 "vectors these cannot exclude"),
    PARAM_INT(P, in_M, 12, 2, 128, "inside = graph: neighbours; twice as many in the lowest layer"),
    PARAM_INT(P, in_ef_construction, 100, 4, 1 << 16, "inside = graph: candidates for neighbours"),
    PARAM_INT(P, flat_below, 256, 0, 1 << 24, "smaller clusters get no graph and are scanned"),
    PARAM_INT(P, bits, 4, 1, 9, "inside = codes: bits of a dimension"),
    PARAM_REAL(P, eps0, 1.9, .1, 100,
               "inside = codes: how sure the bound is; more: fewer misses, more exact distances"),
    PARAM_BOOL(P, cold_rows, false,
               "inside = codes: exact vectors stay on disk and are read one by one; less memory"),
    PARAM_INT(P, split_max, 0, 0, 1 << 24,
              "live vectors of a cluster before it is split; 0: 4 target_cluster"),
    PARAM_INT(P, merge_min, 0, 0, 1 << 24,
              "live vectors below which a cluster is merged; 0: target_cluster / 8"),
    PARAM_CHOICE(
        P, split_count, SPLIT_LN, "ln|log2|2|3",
        "temporary centroids of a split: the logarithm of its size, at least 3, or as many "
        "as said"),
    PARAM_INT(P, parts, 0, 0, 8,
              "clusters a split makes of the vectors that are no outliers; 0: size / "
              "target_cluster, rounded, 2 or 3"),
    PARAM_INT(P, batch, 256, 1, 1 << 20, "splits: vectors of a step of mini-batch k-means"),
    PARAM_INT(P, batch_steps, 50, 1, 1 << 16, "splits: its steps"),
    PARAM_INT(P, restarts, 3, 1, 100, "splits: times it is begun anew; the best is taken"),
    PARAM_BOOL(P, ood, true, "splits: outliers go to clusters of their own"),
    PARAM_BOOL(
        P, reuse, true,
        "splits: the part nearest the old primary keeps the old routes; else all of them are "
        "dropped and each part gets a new one"),
    PARAM_BOOL(
        P, alias, true,
        "merges: both clusters' routes lead to the merged one; else those of the smaller are "
        "dropped"),
    PARAM_BOOL(
        P, reroute, false,
        "a cluster whose root has died moves to the middle of its vectors, and gets a new route "
        "when it is too far from all of its own; else it stays where they were filed"),
    PARAM_BOOL(P, assign_to_centroid, false,
               "splits: vectors go to the nearest centroid instead of the nearest new primary"),
    PARAM_REAL(P, ood_sigma, 2, 0, 100,
               "deviations above the mean distance from which a vector is an outlier"),
    PARAM_INT(P, ood_min, 0, 0, 1 << 24,
              "outliers that make a cluster; 0: 1 % of what is split, at least 16"),
    PARAM_REAL(
        P, ood_excess, .8, 0, 100,
        "deviations beyond that mark at which outliers lie on average, else they are the tail "
        "of an ordinary cluster and stay (a normal one's: 0.37); 0: wherever they lie"),
    PARAM_REAL(P, ood_max_share, .2, 0, 1, "of what is split, at most so many are outliers"),
    PARAM_INT(P, ood_cap, 0, 0, 1 << 24, "vectors of an outliers' cluster; 0: split_max / 4"),
    PARAM_INT(P, settle, 8, 0, 12,
              "splits: clusters about the new ones whose vectors, and theirs, go to the nearest "
              "root; 0: only what is split is divided, as in the source"),
    PARAM_INT(P, ood_age, 64, 0, INT64_C(1) << 40,
              "commits for which an outliers' cluster is merged with its like only"),
    PARAM_INT(P, alias_max, 8, 1, 1024, "routes that lead to one cluster; the farthest is dropped"),
    PARAM_REAL(
        P, fold_share, .04, 0, 16,
        "of a cluster's file: when so much has come or died since, it is written anew; more: "
        "fewer writes, slower searches"),
    PARAM_CHOICE(P, maintenance, CHANNI_AT_COMMIT, "commit|explicit|background",
                 "when clusters are rewritten, split and merged: before a commit returns, by "
                 "maintain() alone, or by threads beside"),
    PARAM_INT(P, background_threads, 1, 1, 64, "maintenance = background: its threads"),
    PARAM_INT(
        P, background_nice, 0, 0, 19,
        "their nice value: above 0 searches go before upkeep, which waits while all processors "
        "are busy"),
    PARAM_INT(P, cache_mb, 0, 0, 1 << 20,
              "megabytes of clusters in memory; 0: a quarter of the vectors' bytes"),
    PARAM_INT(
        P, prefetch, 8, 0, CHANNI_PREFETCH_MAX,
        "searches with eps or idle, one cluster after the other: so many are read ahead; all "
        "other searches ask for up to 64 clusters at once, and nothing is left to read ahead"),
    PARAM_CHOICE(P, io, CACHE_IO_AUTO, "auto|uring|pread",
                 "how clusters are read; auto: io_uring where the kernel allows it"),
    PARAM_BOOL(
        P, direct, false,
        "read past the page cache where the file system allows, so that cold reads are real"),
    PARAM_CHOICE(P, durability, CHANNI_WRITTEN, "volatile|written|synced",
                 "what a commit survives: nothing, the death of the process, or of the machine (an "
                 "fsync a commit)"),
    PARAM_INT(P, checkpoint_mb, 64, 1, 1 << 20,
              "megabytes of journal after which the manifest is written anew"),
    PARAM_INT(P, history, 0, 0, INT64_C(1) << 40,
              "versions back that can be asked for without a snapshot; files keep the dead for "
              "that long"),
    PARAM_BOOL(P, degraded, false,
               "damaged or missing cluster files are left out of answers, and named; else a search "
               "that needs one fails"),
    PARAM_END
};

static const struct param knobs[] = {
    PARAM_INT(struct channi_knobs, nprobe, 8, 1, 1 << 22,
              "clusters looked at; recall and time grow with it"),
    PARAM_INT(struct channi_knobs, top_ef, 64, 1, 1 << 22,
              "routes kept while searching for them; less: faster, nearer ones missed"),
    PARAM_INT(struct channi_knobs, in_ef, 48, 1, 1 << 22,
              "vectors kept while searching a cluster's graph; recall and time grow with it"),
    PARAM_INT(struct channi_knobs, patience, 8, 0, 1 << 22,
              "inside = graph: a cluster's search ends after so many steps in a row that came no "
              "nearer and were farther than the in_ef-th vector of the clusters before; 0: it runs "
              "to its end"),
    PARAM_INT(struct channi_knobs, idle, 0, 0, 1 << 22,
              "after so many clusters in a row that brought no answer the rest of nprobe is left "
              "out; 0: none is"),
    PARAM_REAL(struct channi_knobs, eps, 0, 0, 1e6,
               "a cluster is left out whose route is farther than (1 + eps) times the k-th answer; "
               "0: none is"),
    PARAM_INT(struct channi_knobs, ood_probe, 2, 0, 1 << 22,
              "outliers' clusters looked at besides, the nearest"),
    PARAM_REAL(struct channi_knobs, ood_reach, .25, 0, 1e6,
               "... unless the root is farther than (1 + ood_reach) times the last of the nprobe "
               "routes, where nothing near is to be expected; 0: however far"),
    PARAM_INT(struct channi_knobs, rerank, 0, 0, 1 << 22,
              "inside = codes: exact distances a query at most; 0: all that the bound cannot "
              "exclude"),
    PARAM_END
};

static int check_sizes(const struct index_env *env, const struct channi_params *p,
                       const struct channi *s)
{
    if ((uint64_t)s->merge_min * 4 >= (s->split_max + 1) / 2)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: merge_min is %u and split_max %u: what was just merged would be split "
                    "again; merge_min must be below an eighth of split_max",
                    s->merge_min, s->split_max);
    if (s->ood_cap > s->split_max)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: ood_cap is %u, more than split_max, %u: outliers' clusters would be "
                    "split at once",
                    s->ood_cap, s->split_max);
    if (p->parts == 1)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: parts is 1, but a split makes two at least; 0 lets it choose");
    return OK;
}

static int check_params(const struct index_env *env, const struct channi_params *p)
{
    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: clusters are files, but there is no folder for the index");
    if (p->top_M0 < p->top_M)
        return fail(
            env->error, ERR_ARGUMENT,
            "channi: top_M0 is %lld, less than top_M, %lld: the lowest layer needs the most "
            "neighbours",
            (long long)p->top_M0, (long long)p->top_M);
    if (p->cold_rows && p->inside != INSIDE_CODES)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: cold_rows needs inside = codes: graphs and scans look at the vectors");
    return OK;
}

static uint32_t given_or(int64_t given, int64_t found, int64_t least)
{
    const int64_t n = given > 0 ? given : found < least ? least : found;

    return n < UINT32_MAX / 2 ? (uint32_t)n : UINT32_MAX / 2;
}

/* What was left to be found by the others. A merge_min that was not given fits any split_max. */
static void find_sizes(struct channi *s)
{
    const struct channi_params *p = &s->params;
    const double expected =
        p->expected_n > 0 ? (double)p->expected_n : (double)s->base.env.expected_n;
    const int64_t eighth = p->target_cluster / 8;

    s->split_max = given_or(p->split_max, 4 * p->target_cluster, 4);
    const int64_t most = (int64_t)s->split_max / 16;
    s->merge_min = given_or(p->merge_min, eighth < most ? eighth : most, 0);
    s->ood_cap = given_or(p->ood_cap, s->split_max / 4, 1);
    s->build_at = expected > 0            ? (size_t)ceil(p->defer_fraction * expected)
                  : p->defer_fraction > 0 ? 4 * (size_t)p->target_cluster
                                          : 1;
    s->build_at = s->build_at > 0 ? s->build_at : 1;
}

/* ------------------------------------------------------------------------------ creation */

static int no_memory(const struct index_env *env)
{
    return fail(env->error, ERR_NO_MEMORY, "channi: out of memory creating the index");
}

/* A quarter of the rows that are expected, or of a million where nobody says; 1 MB at least. */
static size_t cache_budget(const struct channi *s)
{
    const struct channi_params *p = &s->params;
    const size_t mb = (size_t)1 << 20;
    size_t rows = p->expected_n > 0 ? (size_t)p->expected_n : s->base.env.expected_n;

    if (p->cache_mb > 0)
        return (size_t)p->cache_mb * mb;
    rows = rows > 0 ? rows : 1000000;
    return rows / 4 * s->row_bytes > mb ? rows / 4 * s->row_bytes : mb;
}

/* The first view: version 0, where one cluster takes whatever comes. */
static int first_view(struct channi *s)
{
    const struct layout none = { .number = 0 };
    struct layout *layout = layout_copy(s, &none);
    struct cluster *all = cluster_create(s, 0, CLUSTER_DEFERRED, 0);
    int rc = OK;

    if (!layout || !all || !layout_reserve(s, layout, 1)) {
        cluster_unref(s, all);
        layout_unref(s, layout);
        return no_memory(&s->base.env);
    }
    layout_set(s, layout, 0, all);
    if ((rc = channi_publish(s, 0, layout)) != OK)
        layout_unref(s, layout);
    return rc;
}

static int open_parts(struct channi *s)
{
    const struct index_env *env = &s->base.env;
    const struct cache_options cache = { .budget_bytes = cache_budget(s),
                                         .io = (enum cache_io)s->params.io,
                                         .direct = s->params.direct,
                                         .fault = s->fault };
    int rc;

    s->epoch = epoch_create(env->mem);
    s->top_epoch = epoch_create(env->mem);
    if (!s->epoch || !s->top_epoch)
        return no_memory(env);
    if ((rc = cache_create(&s->cache, env, &cache)) != OK || (rc = first_view(s)) != OK)
        return rc;
    return channi_jobs_open(s);
}

/* Before any file of it is opened. */
static int take_folder(struct channi *s, const struct channi_opening *opening)
{
    const struct index_env *env = &s->base.env;

    s->dir = mem_strdup(env->mem, env->dir);
    if (!s->dir)
        return no_memory(env);
    s->base.env.dir = s->dir;
    if (!opening->claim || *opening->claim < 0)
        return folder_claim(s->dir, &s->claim, env->error);
    s->claim = *opening->claim;
    *opening->claim = -1;
    return OK;
}

static void begin(struct channi *s, const struct index_env *env, const struct channi_params *p)
{
    s->base = (struct index){ &channi_ops, *env };
    s->params = *p;
    s->row_bytes = element_row_bytes(env->element, env->dim);
    s->claim = -1;
    s->first_free = UINT32_MAX;
    s->rng = rng_at(env->seed, UINT64_C(0x6368616e6e69));
    pthread_mutex_init(&s->write, NULL);
    pthread_mutex_init(&s->checkpointing, NULL);
    pthread_mutex_init(&s->scratch_lock, NULL);
    pthread_mutex_init(&s->pin_lock, NULL);
    slot_table_init(&s->table, env->mem);
    idmap_init(&s->by_phash, env->mem);
    stable_init(&s->route_rows, env->mem, s->row_bytes);
    stable_init(&s->route_phash, env->mem, sizeof(uint64_t));
    stable_init(&s->seats, env->mem, sizeof(struct channi_seat));
    find_sizes(s);
}

int channi_open(struct channi **out, const struct index_env *env, const struct channi_params *p,
                const struct channi_opening *opening)
{
    int rc = check_params(env, p);

    if (rc != OK)
        return rc;
    struct channi *s = mem_zalloc(env->mem, sizeof *s);
    if (!s)
        return no_memory(env);
    begin(s, env, p);
    s->fault = opening->fault;
    if ((rc = check_sizes(env, p, s)) != OK || (rc = take_folder(s, opening)) != OK ||
        (rc = open_parts(s)) != OK) {
        channi_destroy(&s->base);
        return rc;
    }
    *out = s;
    return OK;
}

/* Another index's files would be written over. */
static int expect_none(const struct channi *s)
{
    bool holds = false;
    const int rc = channi_holds_index(&s->base.env, s->dir, &holds);

    if (rc != OK || !holds)
        return rc;
    return fail(s->base.env.error, ERR_ARGUMENT,
                "channi: the folder %s holds an index already; load it, or give the new one an "
                "empty folder",
                s->dir);
}

int channi_open_journal(struct channi *s, uint64_t last_lsn)
{
    const enum journal_sync sync =
        s->params.durability == CHANNI_SYNCED ? JOURNAL_SYNCED : JOURNAL_WRITTEN;

    if (s->params.durability == CHANNI_VOLATILE || s->journal)
        return OK;
    return journal_open(&s->journal, &s->base.env, sync, last_lsn, s->fault);
}

/* The manifest last: a folder that has one is an index, and is not taken for another. */
int channi_start(struct channi *s)
{
    int rc = channi_open_journal(s, 0);

    if (rc == OK)
        rc = channi_jobs_start(s);
    return rc == OK && s->journal ? channi_checkpoint(s) : rc;
}

int channi_create_with(struct channi **out, const struct index_env *env,
                       const struct channi_params *params, const struct channi_opening *opening)
{
    struct channi *s = NULL;
    int rc = channi_open(&s, env, params, opening);

    if (rc != OK)
        return rc;
    if ((rc = expect_none(s)) != OK || (rc = channi_clear_folder(s)) != OK ||
        (rc = channi_start(s)) != OK) {
        channi_destroy(&s->base);
        return rc;
    }
    *out = s;
    return OK;
}

static int create(struct index **out, const struct index_env *env, const void *params)
{
    const struct channi_opening opening = { .claim = NULL };
    struct channi *s = NULL;
    const int rc = channi_create_with(&s, env, params, &opening);

    if (rc == OK)
        *out = &s->base;
    return rc;
}

/* --------------------------------------------------------------------------- destruction */

void channi_stop(struct channi *s)
{
    channi_jobs_close(s);
    journal_close(s->journal);
    s->journal = NULL;
}

static void drop_views(struct channi *s)
{
    for (size_t i = 0; i < s->n_pins; i++)
        view_unref(s, s->pins[i].view);
    mem_free(s->base.env.mem, s->pins);
    if (s->epoch)
        epoch_drain(s->epoch);
    view_unref(s, atomic_load(&s->now));
    epoch_destroy(s->epoch);
}

/* Makes nothing durable: what was committed is, if anything should be. */
void channi_destroy(struct index *index)
{
    if (!index)
        return;
    struct channi *s = channi_of(index);
    struct mem *mem = index->env.mem;

    channi_stop(s);
    channi_txn_drop(s);
    channi_scratch_free(s);
    drop_views(s);
    channi_manifest_close(s);
    graph_destroy(s->top);
    epoch_destroy(s->top_epoch);
    cache_destroy(s->cache);
    if (s->quantizer)
        quantizer_destroy(&index->env, s->quantizer);
    stable_free(&s->seats);
    stable_free(&s->route_phash);
    stable_free(&s->route_rows);
    idmap_free(&s->by_phash);
    slot_table_free(&s->table);
    mem_free(mem, s->ids);
    mem_free(mem, s->places);
    pthread_mutex_destroy(&s->pin_lock);
    pthread_mutex_destroy(&s->scratch_lock);
    pthread_mutex_destroy(&s->checkpointing);
    pthread_mutex_destroy(&s->write);
    if (s->claim >= 0)
        (void)close(s->claim);
    mem_free(mem, s->dir);
    mem_free(mem, s);
}

/* ------------------------------------------------------------------------------ the table */

static const struct index_space spaces[] = { { ELEMENT_F32, METRIC_L2SQ },
                                             { ELEMENT_F32, METRIC_COS },
                                             { ELEMENT_U8, METRIC_L2SQ },
                                             INDEX_SPACES_END };

static const struct index_cluster_ops clusters = { .assign = channi_assign,
                                                   .count = channi_cluster_count,
                                                   .medoids = channi_medoids };

static const struct index_txn_ops txn = { .begin = channi_begin,
                                          .commit = channi_commit,
                                          .rollback = channi_rollback,
                                          .snapshot = channi_snapshot,
                                          .release = channi_release,
                                          .search_as_of = channi_search_as_of };

static const struct index_attribute_ops attributes = { .insert = channi_insert_with,
                                                       .search = channi_search_where };

const struct index_ops channi_ops = {
    .abi = INDEX_ABI,
    .name = "channi",
    .summary = "graphs within a graph: routes to clusters that are files, transactions, versions",
    .source = "Cosdata, CHANNI",
    .flags = INDEX_ON_DISK | INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = spaces,
    .params = options,
    .params_bytes = sizeof(struct channi_params),
    .knobs = knobs,
    .knobs_bytes = sizeof(struct channi_knobs),
    .create = create,
    .destroy = channi_destroy,
    .insert = channi_insert,
    .remove = channi_remove,
    .search = channi_search,
    .range = channi_range,
    .maintain = channi_maintain,
    .save = channi_save,
    .load = channi_load,
    .stats = channi_stats,
    .memory = channi_memory,
    .check = channi_check,
    .clusters = &clusters,
    .txn = &txn,
    .attributes = &attributes,
};
