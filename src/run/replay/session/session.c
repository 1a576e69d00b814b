/* session.c - see session.h. */
#define _GNU_SOURCE
#include "src/run/replay/session/session.h"
#include "src/run/measure/folder.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/core/parallel.h"
#include "src/core/path_print.h"
#include "src/data/files/file_rows.h"

struct time_mark time_mark_now(void)
{
    return (struct time_mark){ clock_ns(), clock_read_ns(CLOCK_PROCESS_CPUTIME_ID),
                               clock_read_ns(CLOCK_THREAD_CPUTIME_ID) };
}

struct time_mark time_mark_since(const struct time_mark *from)
{
    const struct time_mark now = time_mark_now();

    return (struct time_mark){ now.wall_ns - from->wall_ns, now.process_ns - from->process_ns,
                               now.main_ns - from->main_ns };
}

void session_name_call(const struct replay_session *r, const char *name)
{
    (void)r->env->tell(r->env->to, json_pack("{s:s}", "call", name));
}

json_t *session_point_json(size_t point)
{
    return point == REPLAY_ALL_POINTS ? json_null() : json_integer((json_int_t)point);
}

void session_name_step(const struct replay_session *r, size_t point)
{
    (void)r->env->tell(r->env->to, json_pack("{s:{s:I, s:o}}", "begin", "step", (json_int_t)r->at,
                                             "point", session_point_json(point)));
}

/* ---- 1. the index */

static int open_first(struct replay_session *r)
{
    /* Otherwise the method would reuse memory that the parent freed, and its
       growth would be underestimated. */
    (void)malloc_trim(0);
    memory_reset_peak();
    (void)memory_resident_read(0, &r->before);
    memory_files_read(0, &r->files_before);
    r->shared_files_before = memory_shared_files_bytes();
    r->family = r->env->family > 0 ? r->env->family : getpid();
    session_name_call(r, "create");
    const struct time_mark from = time_mark_now();
    const uint64_t start = clock_ns();
    const int rc = index_open(&r->checked, r->ops, &r->index_env, r->params);
    r->create_seconds = clock_seconds(clock_ns() - start);
    r->untimed_ns = time_mark_since(&from).process_ns;
    return rc;
}

/* Sets the cell's params. Under the policy "replace", a method with that
   option reuses deleted entries. */
static int take_params(struct replay_session *r)
{
    if (r->ops->params_bytes == 0)
        return OK;
    r->params = mem_alloc(NULL, r->ops->params_bytes);
    if (!r->params)
        return fail(r->err, ERR_NO_MEMORY, "out of memory for parameters");
    if (r->cell->params)
        memcpy(r->params, r->cell->params, r->ops->params_bytes);
    else
        param_defaults(r->ops->params, r->params);
    if (r->cell->method->deletes == DELETES_REPLACE && param_find(r->ops->params, "deletes"))
        return param_set(r->ops->params, r->params, "deletes",
                         (struct param_value){ .kind = VALUE_TEXT, .text = "replace" },
                         r->ops->name, r->err);
    return OK;
}

/* ---- 2. folders, memory, threads */

int session_fresh_dir(const char *path, struct error *err)
{
    folder_remove(path);
    return mkdir(path, 0700) == 0 ? OK : fail_errno(err, ERR_IO, "%s: cannot be created", path);
}

static int make_dir(const char *parent, const char *name, char *out, struct error *err)
{
    const int rc = path_print(out, err, "%s/%s", parent, name);

    return rc == OK ? session_fresh_dir(out, err) : rc;
}

int session_begin(struct replay_session *r, const struct replay_env *env, struct error *err)
{
    const struct experiment *x = env->asked->experiment;
    const struct op_list *list = x->ops;
    const size_t threads = x->threads;
    int rc;

    *r = (struct replay_session){ .env = env,
                                  .experiment = x,
                                  .list = list,
                                  .cell = env->cell,
                                  .ops = env->cell->method->ops,
                                  .err = err,
                                  .clock_cost_ns = clock_cost_ns(),
                                  .ticked_ns = clock_ns() };
    idmap_init(&r->versions, NULL);
    r->account.limit_bytes = (size_t)env->memory_limit;
    if ((rc = make_dir(env->dir, "state", r->state_dir, err)) != OK ||
        (rc = make_dir(env->dir, "saved", r->saved_dir, err)) != OK ||
        (rc = live_state_init(&r->now, list, err)) != OK || (rc = take_params(r)) != OK)
        return rc;
    r->pool = pool_create(threads);
    if (!r->pool)
        return fail(err, ERR_NO_MEMORY, "cannot start %zu threads", threads);
    r->ranks = cluster_ranks_of(r->ops, x->registry, threads);
    r->files =
        (struct row_files){ .origin = gather_origin, .hash = file_rows_hash, .to = &r->gathered };
    r->shards =
        (struct shard_env){ .registry = x->registry, .ranks = &r->ranks.base, .files = &r->files };
    r->index_env = (struct index_env){
        .dim = list->dim,
        .element = env->cell->element,
        .metric = list->metric,
        .expected_n = x->size_hint ? list->max_live : 0,
        .seed = env->cell->seed,
        .k_hint = list->max_k,
        .n_attributes = list->n_fields,
        .mem = &r->account,
        .pool = r->pool,
        .kernels = env->asked->kernels,
        .error = err,
        .dir = r->state_dir,
        .device = "cpu",
        .clock_ns = clock_ns,
        .shards = &r->shards,
    };
    return open_first(r);
}

void session_end(struct replay_session *r)
{
    if (r->checked.index && r->err->code == OK) /* else the error is of what came before */
        session_name_call(r, "destroy");
    index_close(&r->checked);
    cluster_ranks_end(&r->ranks);
    if (r->pool)
        pool_destroy(r->pool);
    live_state_free(&r->now);
    idmap_free(&r->versions);
    mem_free(NULL, r->params);
}

/* ---- 3. rows and answers */

int session_gather(const struct replay_session *r, const struct view *v, const uint64_t *positions,
                   size_t n, struct buffer *buffer, struct vectors *out)
{
    return gather_view(v, positions, n, r->cell->element, session_unit_rows(r), buffer, out,
                       r->err);
}

int session_gather_live(const struct replay_session *r, const uint64_t *ids, size_t n,
                        struct buffer *buffer, struct vectors *out)
{
    const enum element element = r->cell->element;
    const size_t dim = r->list->dim;
    int rc = buffer_reserve(buffer, n * index_row_bytes(element, dim) + 1, r->err);

    *out = (struct vectors){ buffer->bytes, n, dim, element };
    if (rc == OK)
        rc = live_state_read(&r->now, ids, n, element, buffer->bytes, r->err);
    if (rc == OK && session_unit_rows(r))
        gather_scale_to_unit(buffer->bytes, n, dim);
    return rc;
}

int session_score(const struct replay_session *r, const struct answers *a, double *recall)
{
    if (recall)
        *recall = NAN;
    return r->env->score ? r->env->score(r->env->to, a, recall, r->err) : OK;
}

/* ---- 4. transactions and snapshots */

bool session_transacts(const struct replay_session *r)
{
    const struct method_spec *m = r->cell->method;

    return r->ops->txn && !m->rebuild && !m->maintain.rebuilds && m->deletes != DELETES_FILTER &&
           m->deletes != DELETES_REBUILD;
}

bool session_keeps_attributes(const struct replay_session *r)
{
    return r->ops->attributes && r->cell->method->deletes != DELETES_FILTER;
}

uint64_t session_version(const struct replay_session *r, size_t as_of)
{
    uint64_t version = VERSION_NONE;

    (void)idmap_get(&r->versions, as_of, &version);
    return version;
}

void session_forget_versions(struct replay_session *r)
{
    idmap_free(&r->versions);
    idmap_init(&r->versions, NULL);
}
