/* channi.c - opens, recovers and closes an index; insertions, deletions and transactions; the
 * table of operations. channi.h has the state and its invariants.
 *
 * A saved index is loaded by linking its files into the index's folder and reading the manifest.
 * An index that ran in its folder is recovered from its own manifest and the commits logged
 * after it: channi_apply() replays a commit as it was made, and logs nothing while no log is
 * open. So versions and born numbers come out the same; the build, splits and merges follow from
 * the commits. Records without a commit record after them were never acknowledged. */
#include <inttypes.h>

#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/search/scratch.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* ---- opening */

static int no_memory(const struct index_env *env)
{
    return CHANNI_NO_MEMORY(env, " creating the index");
}

/* Jobs that run at the same time rewrite clusters of this share of the cache, at most: they hold
   the old files and the new ones, beside what searches have in the cache. */
enum { JOBS_SHARE = 4 };

static size_t cache_budget(const struct channi *s)
{
    const size_t mb = (size_t)1 << 20, limit = s->base.env.mem->limit_bytes;
    const size_t quarter = (limit > 0 ? limit : (size_t)mem_of_machine()) / 4;

    if (s->params.cache_mb > 0)
        return (size_t)s->params.cache_mb * mb;
    return quarter > mb ? quarter : mb;
}

/* Makes the first view: version 0, with one cluster that takes all rows. */
static int first_view(struct channi *s)
{
    const struct channi_layout none = { .number = 0 };
    struct channi_layout *layout = channi_layout_copy(s, &none);
    struct channi_cluster *all = channi_cluster_create(s, 0, CLUSTER_DEFERRED, 0);
    int rc = OK;

    if (!layout || !all || !channi_layout_reserve(s, layout, 1)) {
        channi_cluster_unref(s, all);
        channi_layout_unref(s, layout);
        return no_memory(&s->base.env);
    }
    channi_layout_set(s, layout, 0, all);
    if ((rc = channi_publish(s, 0, layout)) != OK)
        channi_layout_unref(s, layout);
    return rc;
}

static int open_parts(struct channi *s)
{
    const struct index_env *env = &s->base.env;
    const struct channi_cache_options cache = { .budget_bytes = cache_budget(s),
                                                .io = (enum channi_cache_io)s->params.io,
                                                .direct = s->params.direct,
                                                .fault = s->durable.fault };
    int rc;

    s->taken_bytes_most = cache.budget_bytes / JOBS_SHARE;
    s->epoch = epoch_create(env->mem);
    s->graph_epoch = epoch_create(env->mem);
    s->alone = pool_create(1);
    if (!s->epoch || !s->graph_epoch || !s->alone)
        return no_memory(env);
    rc = channi_cache_create(&s->cache, env, &cache);
    return rc == OK ? first_view(s) : rc;
}

static void begin(struct channi *s, const struct index_env *env, const struct channi_params *p,
                  const struct file_fault *fault)
{
    s->base = (struct index){ &channi_ops, *env };
    durable_init(&s->durable, env, fault, (uint64_t)p->checkpoint_mb << 20);
    s->row_bytes = index_row_bytes(env->element, env->dim);
    s->first_free = UINT32_MAX;
    pthread_mutex_init(&s->write, NULL);
    scratch_pool_init(&s->scratch, &channi_scratch_kind, env->mem, s);
    pthread_mutex_init(&s->snapshot_lock, NULL);
    pthread_mutex_init(&s->stop_lock, NULL);
    slot_table_init(&s->table, env->mem);
    segmented_init(&s->route_rows, env->mem, s->row_bytes);
    segmented_init(&s->route_phash, env->mem, sizeof(uint64_t));
    segmented_init(&s->latches, env->mem, sizeof(struct channi_latch));
    channi_maintenance_begin(s, p);
}

/* Opens an empty index without log and threads. claim: lock on env.dir; the index takes it and
   sets -1. NULL: not locked yet. */
static int open_with(struct channi **out, const struct index_env *env,
                     const struct channi_params *p, int *claim, const struct file_fault *fault)
{
    struct channi *s = mem_zalloc(env->mem, sizeof *s);

    if (!s)
        return no_memory(env);
    begin(s, env, p, fault);
    int rc = channi_take_params(s, p);
    if (rc == OK) /* before any file in it is opened */
        rc = durable_take_folder(&s->durable, claim);
    s->base.env.dir = s->durable.env.dir;
    if (rc == OK)
        rc = open_parts(s);
    if (rc != OK) {
        channi_destroy(&s->base);
        return rc;
    }
    *out = s;
    return OK;
}

/* As durable_open_log(); does nothing if the wal is CHANNI_NO_WAL. */
static int open_wal(struct channi *s, uint64_t last_lsn, uint64_t snapshot_lsn)
{
    const enum wal_sync sync = s->params.wal == CHANNI_SYNCED ? WAL_SYNCED : WAL_WRITTEN;

    if (s->params.wal == CHANNI_NO_WAL)
        return OK;
    return durable_open_log(&s->durable, sync, last_lsn, snapshot_lsn);
}

/* Opens the log, starts threads, writes a manifest. That comes last: a folder that has one
   counts as an index, and no other may use it. */
static int start(struct channi *s)
{
    int rc = open_wal(s, 0, 0);

    if (rc == OK)
        rc = channi_maintenance_start(s);
    return rc == OK ? channi_checkpoint(s) : rc;
}

int channi_create_with(struct index **out, const struct index_env *env,
                       const struct channi_params *params, const struct file_fault *fault)
{
    struct channi *s = NULL;
    int rc = open_with(&s, env, params, NULL, fault);

    if (rc != OK)
        return rc;
    if ((rc = channi_folder_begin(&s->base.env, fault)) != OK || (rc = start(s)) != OK) {
        channi_destroy(&s->base);
        return rc;
    }
    *out = &s->base;
    return OK;
}

/* Makes nothing durable: commits that must survive already are. */
void channi_destroy(struct index *index)
{
    if (!index)
        return;
    struct channi *s = channi_of(index);
    struct mem *mem = index->env.mem;

    job_queue_free(&s->jobs.queue);
    channi_txn_drop(s);
    scratch_pool_free(&s->scratch);
    for (size_t i = 0; i < s->n_snapshots; i++)
        channi_view_unref(s, s->snapshots[i].view);
    mem_free(mem, s->snapshots);
    if (s->epoch)
        epoch_drain(s->epoch);
    channi_view_unref(s, atomic_load(&s->now));
    epoch_destroy(s->epoch);
    channi_manifest_close(s);
    graph_destroy(s->top);
    epoch_destroy(s->graph_epoch);
    pool_destroy(s->alone);
    channi_cache_destroy(s->cache);
    if (s->quantizer)
        quantizer_destroy(&index->env, s->quantizer);
    segmented_free(&s->latches);
    segmented_free(&s->route_phash);
    segmented_free(&s->route_rows);
    slot_table_free(&s->table);
    mem_free(mem, s->ids);
    mem_free(mem, s->places);
    pthread_mutex_destroy(&s->snapshot_lock);
    pthread_mutex_destroy(&s->stop_lock);
    pthread_mutex_destroy(&s->write);
    durable_free(&s->durable);
    mem_free(mem, s);
}

/* ---- loading and recovery */

struct loading {
    struct index **out;
    const struct index_env *env;
    const char *dir;
    const struct file_fault *fault;
};

/* Opens an empty index with the manifest's options and attributes; env says as many of these, or
   none. */
static int open_empty(struct channi **out, const struct loading *l,
                      const struct channi_manifest_meta *meta, int *claim)
{
    const uint32_t has = meta->n_attributes;
    struct index_env env = *l->env;

    if (env.n_attributes != 0 && env.n_attributes != has)
        return fail(env.error, ERR_DIMENSION,
                    "channi: the index has %" PRIu32 " attributes a row, expected %zu", has,
                    env.n_attributes);
    env.n_attributes = has;
    return open_with(out, &env, &meta->params, claim, l->fault);
}

/* Removes what was linked. The index still has the folder's lock, so the files are no other's. */
static void unlink_all(const struct index_env *env)
{
    struct error aside = { 0 }, *before = error_divert(&aside);

    if (!folder_has(env->dir, MANIFEST_RUNNING))
        (void)channi_folder_clear(env, env->dir, NULL, 0, NULL);
    (void)error_divert(before);
}

/* Changes since the last commit are in s->txn. */
static int redo(void *to, const struct wal_record *r)
{
    struct channi *s = to;
    const struct index_env *env = &s->base.env;
    struct error why = { 0 }, *before;
    uint64_t version = 0, got = 0;
    int rc = channi_log_read(s, r, &s->txn, &version);

    if (rc != OK || version == 0)
        return rc;
    const uint64_t next = atomic_load(&s->now)->version + 1;
    if (version != next)
        return fail(env->error, ERR_CORRUPT,
                    "channi: write-ahead log in %s: record %" PRIu64 " commits version %" PRIu64
                    ", but %" PRIu64 " is next",
                    env->dir, r->lsn, version, next);
    before = error_divert(&why);
    rc = channi_apply(s, s->txn.list, s->txn.n, &got);
    (void)error_divert(before);
    channi_txn_drop(s);
    if (rc == ERR_DUPLICATE_ID || rc == ERR_UNKNOWN_ID)
        return fail(env->error, ERR_CORRUPT,
                    "channi: write-ahead log in %s: record %" PRIu64
                    " commits what does not fit the index: %s",
                    env->dir, r->lsn, why.text);
    return rc == OK ? OK : fail(env->error, rc, "%s", why.text);
}

/* Writes no checkpoint, so that an index can be opened on a full disk. */
static int go_on(struct channi *s, uint64_t snapshot_lsn)
{
    const struct index_env *env = &s->base.env;
    uint64_t last = 0, torn = 0;
    int rc = wal_replay(env, env->dir, snapshot_lsn, redo, s, &last, &torn);

    channi_txn_drop(s);
    if (rc == OK)
        rc = open_wal(s, last, snapshot_lsn);
    if (rc == OK)
        rc = channi_maintenance_start(s);
    return rc;
}

/* claim: on the folder of an index that ran; NULL: loads a saved copy. */
static int open_from(struct loading *l, int *claim)
{
    const struct index_env *env = l->env;
    const struct channi_manifest_meta *meta;
    const struct channi_manifest_cluster *clusters;
    struct store_reader r;
    struct channi *s = NULL;
    const struct store_identity identity = channi_manifest_identity(env);
    int rc = claim ? store_open(&r, env->dir, MANIFEST_RUNNING, &identity, env->error)
                   : store_open(&r, l->dir, MANIFEST_SAVED, &identity, env->error);

    if (rc != OK)
        return rc;
    rc = channi_manifest_meta_of(&r, channi_params, &meta, &clusters);
    if (rc == OK && claim)
        rc = channi_folder_clear(env, env->dir, clusters, meta->n_clusters, l->fault);
    if (rc == OK)
        rc = open_empty(&s, l, meta, claim);
    if (rc == OK && !claim && (rc = channi_folder_begin(env, l->fault)) == OK)
        rc = channi_folder_link(env, l->dir, meta->saved, clusters, meta->n_clusters, true,
                                l->fault);
    if (rc == OK)
        rc = channi_manifest_read(s, &r, meta, clusters);
    const uint64_t lsn = rc == OK ? meta->lsn : 0;
    store_close(&r);
    if (rc == OK && claim) {
        rc = go_on(s, lsn);
    } else if (rc == OK) { /* the files go with the index, unless it gets a manifest */
        channi_manifest_release(s);
        rc = start(s);
    } else if (s && !claim) {
        unlink_all(env);
    }
    if (rc == OK)
        *l->out = &s->base;
    else
        channi_destroy(s ? &s->base : NULL);
    return rc;
}

static int load_saved(void *to)
{
    return open_from(to, NULL);
}

static int recover(void *to, int *claim)
{
    return open_from(to, claim);
}

int channi_load_from(struct index **out, const struct index_env *env, const char *dir,
                     const struct file_fault *fault)
{
    struct loading loading = { .out = out, .env = env, .dir = dir, .fault = fault };
    const struct durable_loading calls = { .ran = folder_has(dir, MANIFEST_RUNNING),
                                           .recover = recover,
                                           .load_saved = load_saved,
                                           .to = &loading };

    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: clusters are stored in files, but no folder was given for the index");
    return durable_load(env, dir, &calls);
}

/* ---- operations */

static int create(struct index **out, const struct index_env *env, const void *params)
{
    return channi_create_with(out, env, params, NULL);
}

static int load(struct index **out, const struct index_env *env, const char *dir)
{
    return channi_load_from(out, env, dir, NULL);
}

/* Jobs read the options, so none runs meanwhile. Clusters may need a compaction now that did not
   before. */
static int set_params(struct index *index, const void *params)
{
    const struct channi_params *p = params;
    struct channi *c = channi_of(index);
    struct job_queue *q = &c->jobs.queue;

    job_queue_pause(q);
    c->params.background_cpu_share = p->background_cpu_share;
    c->params.background_mb_s = p->background_mb_s;
    c->params.cache_mb = p->cache_mb;
    c->params.prefetch = p->prefetch;
    channi_take_compact_share(c, p->compact_share);
    job_queue_limit(q, p->background_mb_s, p->background_cpu_share);
    channi_cache_resize(c->cache, cache_budget(c));
    c->taken_bytes_most = cache_budget(c) / JOBS_SHARE;
    channi_jobs_queue_all(c);
    job_queue_resume(q);
    return OK;
}

/* Adds the change to the open transaction, or applies it. */
static int change(struct index *index, const struct channi_change *what, size_t *done)
{
    struct channi *s = channi_of(index);
    int rc = OK;

    if (what->n > 0 && s->in_txn)
        rc = channi_changes_add(&s->txn, s, what->n, what->ids, what->rows, what->attributes);
    else if (what->n > 0)
        rc = channi_apply(s, what, 1, NULL);
    *done = rc == OK ? what->n : 0;
    return rc;
}

int channi_insert_with(struct index *index, struct vectors rows, const uint64_t *ids,
                       const int64_t *attributes, size_t *done)
{
    const struct channi_change put = {
        .op = CHANGE_PUT, .n = rows.n, .ids = ids, .rows = rows.rows, .attributes = attributes
    };

    return change(index, &put, done);
}

static int insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    return channi_insert_with(index, rows, ids, NULL, done);
}

static int remove_ids(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    return change(index, &(struct channi_change){ .op = CHANGE_DEL, .n = n, .ids = ids }, done);
}

static int begin_transaction(struct index *index)
{
    struct channi *s = channi_of(index);

    if (s->in_txn)
        return fail(index->env.error, ERR_ARGUMENT,
                    "channi: begin: a transaction of %zu changes is open; commit it or roll it "
                    "back first",
                    s->txn.n);
    s->in_txn = true;
    return OK;
}

static int none_open(const struct index *index, const char *what)
{
    return fail(
        index->env.error, ERR_ARGUMENT,
        "channi: %s: no transaction is open; begin one, or insert and remove without a transaction",
        what);
}

/* A commit that fails changes nothing; the transaction stays open, and the commit can
   be retried. */
static int commit(struct index *index, uint64_t *version)
{
    struct channi *s = channi_of(index);

    if (!s->in_txn)
        return none_open(index, "commit");
    const int rc = channi_apply(s, s->txn.list, s->txn.n, version);
    if (rc == OK)
        channi_txn_drop(s);
    return rc;
}

static int rollback(struct index *index)
{
    struct channi *s = channi_of(index);

    if (!s->in_txn)
        return none_open(index, "rollback");
    channi_txn_drop(s);
    channi_count(&s->counters.aborts, 1);
    return OK;
}

static const struct index_space spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_COS }, { INDEX_U8, INDEX_L2SQ }, INDEX_SPACES_END
};

static const struct index_txn_ops txn = { .begin = begin_transaction,
                                          .commit = commit,
                                          .rollback = rollback,
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
    .params = channi_params,
    .params_bytes = sizeof(struct channi_params),
    .knobs = channi_knobs,
    .knobs_bytes = sizeof(struct channi_knobs),
    .create = create,
    .destroy = channi_destroy,
    .insert = insert,
    .remove = remove_ids,
    .search = channi_search,
    .range = channi_range,
    .maintain = channi_maintain,
    .set_params = set_params,
    .save = channi_save,
    .load = load,
    .stats = channi_stats,
    .memory = channi_memory,
    .check = channi_check,
    .inspect = channi_inspect,
    .cluster = channi_cluster,
    .txn = &txn,
    .attributes = &attributes,
};
