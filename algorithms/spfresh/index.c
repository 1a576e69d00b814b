/* index.c - opens, starts and destroys an index. */
#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/durable/durable.h"
#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/operations.h"
#include "src/core/mem.h"
#include "src/core/rwlock.h"

/* -------------------------------------------------------------------------------- opening */

static const char *const stores[] = { "memory", "mmap", "file", "rocksdb" };

/* Options that the store has no use for are refused: a run must not claim what did not happen. */
static int check_io(const struct index_env *env, const struct spfresh_params *p, const char *name)
{
    if (p->store != POSTING_FILE && p->io != POSTING_IO_AUTO)
        return fail(env->error, ERR_ARGUMENT,
                    "%s: io = %s with store = %s: only store = file is read by io_uring or pread; "
                    "set store = file, or io = auto",
                    name, p->io == POSTING_IO_URING ? "uring" : "pread", stores[p->store]);
    if (p->direct && (p->store == POSTING_MEMORY || p->store == POSTING_MMAP))
        return fail(env->error, ERR_ARGUMENT,
                    "%s: direct = true with store = %s: only reads of a file can bypass the page "
                    "cache; set store = file or rocksdb, or direct = false",
                    name, stores[p->store]);
    return OK;
}

static int check_params(const struct index_env *env, const struct spfresh_params *p,
                        const char *name)
{
    if (p->store != POSTING_MEMORY && !env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "%s: store = mmap, file and rocksdb need a folder for the index, but none was "
                    "given; store = memory works without",
                    name);
    if (p->store == POSTING_MEMORY && (p->wal == SPFRESH_WRITTEN || p->wal == SPFRESH_SYNCED))
        return fail(env->error, ERR_ARGUMENT,
                    "%s: wal = %s with store = memory: postings in memory do not survive the "
                    "process, so a log of updates is not kept; set wal = none, or store = mmap "
                    "or file",
                    name, p->wal == SPFRESH_SYNCED ? "synced" : "written");
    if (p->pq_groups > (int64_t)env->dim)
        return fail(env->error, ERR_ARGUMENT,
                    "%s: pq_groups is %lld, more than the vectors' %zu dimensions", name,
                    (long long)p->pq_groups, env->dim);
#ifndef HAVE_ROCKSDB
    if (p->store == POSTING_ROCKSDB)
        return fail(env->error, ERR_UNSUPPORTED,
                    "%s: store = rocksdb: this build is without RocksDB (librocksdb-dev)", name);
#endif
    return check_io(env, p, name);
}

static int open_parts(struct spfresh *s)
{
    const struct index_env *env = &s->base.env;
    const struct graph_options graph = spfresh_graph_options(s);
    int rc;

    s->epoch = epoch_create(env->mem);
    if (!s->epoch)
        return spfresh_no_memory(s, "out of memory creating the index");
    if ((rc = graph_create(&s->graph, env, s->epoch, &graph)) != OK ||
        (rc = spfresh_codec_create(&s->codec, s)) != OK)
        return rc;
    spfresh_set_limits(s);
    return OK;
}

int spfresh_open(struct spfresh **out, const struct index_env *env, const struct spfresh_params *p,
                 const struct spfresh_opening *opening)
{
    const struct index_ops *ops = opening->ops;
    int rc = check_params(env, p, ops->name);

    if (rc != OK)
        return rc;
    struct spfresh *s = mem_zalloc(env->mem, sizeof *s);
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory creating the index", ops->name);
    s->base = (struct index){ ops, *env };
    s->params = *p;
    if (p->wal == SPFRESH_AUTO)
        s->params.wal = p->store == POSTING_MEMORY ? SPFRESH_NO_WAL : SPFRESH_WRITTEN;
    s->live = opening->live;
    durable_init(&s->durable, env, opening->fault, (uint64_t)p->checkpoint_mb << 20);
    rwlock_init_writers_first(&s->checkpoint_lock);
    pthread_mutex_init(&s->heads_lock, NULL);
    scratch_pool_init(&s->scratch, &spfresh_scratch_kind, env->mem, s);
    scratch_pool_init(&s->works, &spfresh_work_kind, env->mem, s);
    pthread_mutex_init(&s->merging, NULL);
    pthread_mutex_init(&s->stop_lock, NULL);
    stop_rule_default(&s->stop.rule);
    for (size_t i = 0; i < SPFRESH_STRIPES; i++)
        pthread_mutex_init(&s->posting[i], NULL);
    spfresh_slots_init(s);
    segmented_init(&s->heads, env->mem, sizeof(struct spfresh_head));
    rc = spfresh_take_folder(s, opening->claim);
    if (rc == OK)
        rc = open_parts(s);
    if (rc != OK) {
        spfresh_destroy(&s->base);
        return rc;
    }
    *out = s;
    return OK;
}

int spfresh_open_store(struct spfresh *s, const struct store_reader *resume)
{
    const struct spfresh_params *p = &s->params;
    const struct posting_options options = { .kind = (enum posting_kind)p->store,
                                             .io = (enum posting_io)p->io,
                                             .direct = p->direct,
                                             .fault = s->durable.fault };

    /* Rows use the same kind of storage as postings. */
    const struct row_store_options rows = { .kind = p->store == POSTING_MEMORY ? ROWS_MEMORY
                                                    : p->store == POSTING_MMAP ? ROWS_MAPPED
                                                                               : ROWS_FILE,
                                            .direct = p->direct,
                                            .uring = p->io != POSTING_IO_PREAD,
                                            .fault = s->durable.fault };
    const int rc = posting_store_open(&s->store, &s->base.env, s->epoch, &options, resume);

    return rc == OK && spfresh_has_row_file(s)
               ? row_store_open(&s->rows, &s->base.env, s->epoch, &rows)
               : rc;
}

/* The snapshot written at the start makes a folder with a log contain the index's options too. */
int spfresh_start(struct spfresh *s)
{
    int rc = spfresh_open_wal(s, 0, 0);

    if (rc == OK && s->live)
        rc = spfresh_maintenance_open(s);
    if (rc == OK)
        rc = spfresh_maintenance_start(s);
    /* Last: a folder with a snapshot counts as an index, and no other index may use it. */
    return rc == OK ? spfresh_checkpoint(s) : rc;
}

int spfresh_create(struct index **out, const struct index_env *env,
                   const struct spfresh_params *params, const struct spfresh_opening *opening)
{
    struct spfresh *s = NULL;
    int rc = spfresh_open(&s, env, params, opening);

    if (rc != OK)
        return rc;
    rc = spfresh_expect_empty(s);
    if (rc == OK)
        rc = spfresh_open_store(s, NULL);
    if (rc == OK)
        rc = spfresh_start(s);
    if (rc != OK) {
        spfresh_destroy(&s->base);
        return rc;
    }
    *out = &s->base;
    return OK;
}

/* ----------------------------------------------------------------------------- destroying */

/* Makes nothing durable: acknowledged updates already are. */
void spfresh_destroy(struct index *index)
{
    if (!index)
        return;
    struct spfresh *s = spfresh_of(index);
    struct mem *mem = index->env.mem;

    spfresh_maintenance_close(s);
    durable_close_log(&s->durable);
    scratch_pool_free(&s->scratch);
    /* Parts that retire objects are closed before the epoch. The epoch's last callbacks use
       only the slots. */
    if (s->epoch)
        epoch_drain(s->epoch);
    posting_store_close(s->store);
    graph_destroy(s->graph);
    row_store_close(s->rows);
    spfresh_codec_destroy(s->codec);
    epoch_destroy(s->epoch);
    segmented_free(&s->heads);
    spfresh_slots_free(s);
    for (size_t i = 0; i < SPFRESH_STRIPES; i++)
        pthread_mutex_destroy(&s->posting[i]);
    pthread_mutex_destroy(&s->merging);
    pthread_mutex_destroy(&s->stop_lock);
    pthread_mutex_destroy(&s->heads_lock);
    pthread_rwlock_destroy(&s->checkpoint_lock);
    durable_free(&s->durable);
    mem_free(mem, s);
}
