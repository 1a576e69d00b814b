/* index.c - opens, starts and closes an index, and changes its live options. channi.h has the state
 * and its invariants. */
#include "algorithms/channi/index.h"

#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/search/scratch.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "src/core/mem.h"

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
    if (!s->epoch || !s->graph_epoch)
        return no_memory(env);
    rc = channi_cache_create(&s->cache, env, &cache);
    return rc == OK ? first_view(s) : rc;
}

static void begin(struct channi *s, const struct index_env *env, const struct channi_params *p,
                  const struct channi_opening *opening)
{
    s->base = (struct index){ opening->ops, *env };
    durable_init(&s->durable, env, opening->fault, (uint64_t)p->checkpoint_mb << 20);
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

int channi_open(struct channi **out, const struct index_env *env, const struct channi_params *p,
                const struct channi_opening *opening)
{
    struct channi *s = mem_zalloc(env->mem, sizeof *s);

    if (!s)
        return no_memory(env);
    begin(s, env, p, opening);
    int rc = channi_take_params(s, p);
    if (rc == OK) /* before any file in it is opened */
        rc = durable_take_folder(&s->durable, opening->claim);
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

int channi_open_wal(struct channi *s, uint64_t last_lsn, uint64_t snapshot_lsn)
{
    const enum wal_sync sync = s->params.wal == CHANNI_SYNCED ? WAL_SYNCED : WAL_WRITTEN;

    if (s->params.wal == CHANNI_NO_WAL)
        return OK;
    return durable_open_log(&s->durable, sync, last_lsn, snapshot_lsn);
}

/* The manifest comes last: a folder that has one counts as an index, and no other may use it. */
int channi_start(struct channi *s)
{
    int rc = channi_open_wal(s, 0, 0);

    if (rc == OK)
        rc = channi_maintenance_start(s);
    return rc == OK ? channi_checkpoint(s) : rc;
}

int channi_create_with(struct channi **out, const struct index_env *env,
                       const struct channi_params *params, const struct channi_opening *opening)
{
    struct channi *s = NULL;
    int rc = channi_open(&s, env, params, opening);

    if (rc != OK)
        return rc;
    if ((rc = channi_folder_begin(&s->base.env, opening->fault)) != OK ||
        (rc = channi_start(s)) != OK) {
        channi_destroy(&s->base);
        return rc;
    }
    *out = s;
    return OK;
}

/* Jobs read the options, so none runs meanwhile. Clusters may need a compaction now that did not
   before. */
int channi_set_params(struct index *index, const void *params)
{
    const struct channi_params *p = params;
    struct channi *c = channi_of(index);
    struct job_queue *q = &c->jobs.queue;

    job_queue_pause(q);
    c->params.compact_share = p->compact_share;
    c->params.background_cpu_share = p->background_cpu_share;
    c->params.background_mb_s = p->background_mb_s;
    c->params.cache_mb = p->cache_mb;
    c->params.prefetch = p->prefetch;
    c->compact_share = channi_compact_share(p);
    job_queue_limit(q, p->background_mb_s, p->background_cpu_share);
    channi_cache_resize(c->cache, cache_budget(c));
    c->taken_bytes_most = cache_budget(c) / JOBS_SHARE;
    channi_jobs_queue_all(c);
    job_queue_resume(q);
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
