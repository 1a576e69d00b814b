/* replay.c - one cell: the operations in turn, each a step; see replay.h. */
#define _GNU_SOURCE
#include "replay.h"

#include <cblas.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/parallel.h"
#include "proc.h"
#include "quote.h"
#include "replay_state.h"

/* ---- 1. numbers for JSON */

uint64_t interval_ns(const struct replay *r, uint64_t start, uint64_t end)
{
    const uint64_t ns = end - start;

    return ns > r->clock_cost_ns ? ns - r->clock_cost_ns : 0;
}

static json_t *or_null(json_t *taken)
{
    return taken ? taken : json_null();
}

/* ---- 2. steps */

void step_begin(struct step *s, struct replay *r, const struct op *op, size_t point)
{
    *s = (struct step){ .op = op,
                        .index = r->at,
                        .point = point,
                        .status = "ok",
                        .count = NAN,
                        .seconds = NAN,
                        .per_second = NAN,
                        .single_per_second = NAN,
                        .ns_each = NAN,
                        .distances = NAN,
                        .estimates = NAN,
                        .bytes_read = NAN,
                        .scanned = NAN,
                        .wrong_ids = NAN,
                        .latency = &r->latency,
                        .untimed_ns = r->untimed_ns,
                        .new_over_repeated = NAN };
    r->untimed_ns = 0;
    histogram_clear(&r->latency);
    moment_take(&s->began);
    if (r->env->begin)
        r->env->begin(r->env->to, r->at, point);
}

void step_note(struct step *s, const char *format, ...)
{
    const size_t used = strlen(s->note);
    va_list args;

    va_start(args, format);
    if (used + 3 < sizeof s->note) {
        memcpy(s->note + used, used ? "; " : "", used ? 3 : 1);
        (void)vsnprintf(s->note + used + (used ? 2 : 0), sizeof s->note - used - 2, format, args);
    }
    va_end(args);
}

int step_unsupported(struct step *s, const char *what)
{
    s->status = "unsupported";
    step_note(s, "%s", what);
    return OK;
}

void step_note_lacks(struct step *s, const struct replay *r)
{
    if (r->lacks)
        step_note(s, "operation %td (%s) was unsupported: the index does not hold what it should",
                  r->lacks - r->list->ops + 1, op_name(r->lacks->kind));
}

void step_stat(struct step *s, const char *name, double value)
{
    if (!s->stats)
        s->stats = json_object();
    (void)json_object_set_new(s->stats, name, json_number(value));
}

static json_t *latency_json(const struct histogram *h)
{
    if (h->n == 0)
        return NULL;
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o}", "p50", json_number(histogram_quantile(h, .5)), "p90",
        json_number(histogram_quantile(h, .9)), "p99", json_number(histogram_quantile(h, .99)),
        "p999", json_number(histogram_quantile(h, .999)), "max", json_number((double)h->max),
        "mean", json_number(histogram_mean(h)));
}

/* [[ns, count], ...] ascending: what a complementary distribution is drawn from. */
static json_t *counts_json(const struct histogram *h)
{
    json_t *counts = h->n ? json_array() : NULL;
    uint64_t value, count;

    for (size_t at = 0; counts && (count = histogram_next(h, &at, &value)) > 0;)
        (void)json_array_append_new(counts,
                                    json_pack("[I, I]", (json_int_t)value, (json_int_t)count));
    return counts;
}

static json_t *step_json(struct step *s, const struct replay *r)
{
    const char *tag = s->op ? s->op->tag : "end";
    json_t *json = json_object();
    const struct {
        const char *name;
        json_t *value_take;
    } fields[] = {
        { "index", json_integer((json_int_t)s->index) },
        { "op", json_string(s->op ? op_name(s->op->kind) : "checkpoint") },
        { "tag", tag ? json_string(tag) : json_null() },
        { "status", json_string(s->status) },
        { "note", or_null(s->note[0] ? quote_json(s->note) : NULL) },
        { "count", json_number(s->count) },
        { "live", json_number((double)r->now.live.n) },
        { "seconds", json_number(s->seconds) },
        { "per_second", json_number(s->per_second) },
        { "single_per_second", json_number(s->single_per_second) },
        { "ns_each", json_number(s->ns_each) },
        { "latency_ns", or_null(latency_json(s->latency)) },
        { "latency_counts", or_null(counts_json(s->latency)) },
        { "recall", json_null() }, /* scorer.h puts its scores in */
        { "range", json_null() },
        { "distances", json_number(s->distances) },
        { "estimates", json_number(s->estimates) },
        { "bytes_read", json_number(s->bytes_read) },
        { "scanned", json_number(s->scanned) },
        { "wrong_ids", json_number(s->wrong_ids) },
        { "memory", or_null(s->memory) },
        { "warmup", json_boolean(s->warmup) },
        { "cold", json_boolean(s->cold) },
        { "repeated", json_boolean(s->op && s->op->repeated) },
        { "calibrated", or_null(s->calibrated) },
        { "stats", s->stats ? s->stats : json_object() },
        { "queries", or_null(s->queries) },
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        (void)json_object_set_new(json, fields[i].name, fields[i].value_take);
    step_put_effort(s, json);
    s->memory = s->stats = s->queries = s->calibrated = NULL;
    return json;
}

int step_end(struct step *s, struct replay *r)
{
    json_t *json = step_json(s, r);

    if (r->env->step_take)
        return r->env->step_take(r->env->to, s->point, json, r->err);
    json_decref(json);
    return OK;
}

int step_finish(struct step *s, struct replay *r, int rc)
{
    if (rc != OK) {
        s->status = "failed";
        step_note(s, "%s", r->err->text);
    }
    const int sent = step_end(s, r);
    return rc != OK ? rc : sent;
}

/* ---- 3. the index */

int replay_open(struct replay *r)
{
    int rc = index_open(&r->checked, r->ops, &r->index_env, r->params);

    r->open = rc == OK;
    return rc;
}

static int open_first(struct replay *r)
{
    struct moment from;

    /* What the parent freed would be the method's for nothing, and its growth not be seen. */
    (void)malloc_trim(0);
    resident_reset_peak();
    (void)resident_read(0, &r->before);
    memory_files_read(0, &r->files_before);
    r->shared_files_before = shared_files_bytes();
    r->family = r->env->family > 0 ? r->env->family : getpid();
    moment_take(&from);
    const uint64_t start = clock_ns();
    const int rc = replay_open(r);
    r->create_seconds = clock_seconds(clock_ns() - start);
    r->untimed_ns = moment_cpu_ns(&from);
    return rc;
}

/* The cell's params; "replace" is how a method with that choice is told to reuse what is
   deleted. */
static int take_params(struct replay *r)
{
    if (r->ops->params_bytes == 0)
        return OK;
    r->params = mem_alloc(NULL, r->ops->params_bytes);
    if (!r->params)
        return fail(r->err, ERR_NO_MEMORY, "no memory for parameters");
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

static int make_dir(const char *parent, const char *name, char *out, struct error *err)
{
    if (snprintf(out, PATH_MAX, "%s/%s", parent, name) >= PATH_MAX)
        return fail(err, ERR_IO, "%s/%s: the path is too long", parent, name);
    if (mkdir(out, 0700) != 0 && errno != EEXIST)
        return fail_errno(err, ERR_IO, "%s: cannot be made", out);
    return OK;
}

static int replay_begin(struct replay *r, const struct replay_env *env, struct error *err)
{
    const struct op_list *list = env->list;
    int rc;

    *r = (struct replay){ .env = env,
                          .list = list,
                          .cell = env->cell,
                          .ops = env->cell->method->ops,
                          .err = err,
                          .clock_cost_ns = clock_cost_ns() };
    idmap_init(&r->versions, NULL);
    r->account.limit_bytes = (size_t)env->memory_limit;
    if ((rc = make_dir(env->dir, "state", r->state_dir, err)) != OK ||
        (rc = make_dir(env->dir, "saved", r->saved_dir, err)) != OK ||
        (rc = holding_init(&r->now, list, err)) != OK || (rc = take_params(r)) != OK)
        return rc;
    r->pool = pool_create(env->threads);
    if (!r->pool)
        return fail(err, ERR_NO_MEMORY, "%zu threads cannot be started", env->threads);
    r->index_env = (struct index_env){
        .dim = list->dim,
        .element = env->cell->element,
        .metric = list->metric,
        .expected_n = env->experiment->size_untold ? 0 : list->max_live,
        .seed = env->cell->seed,
        .k_hint = list->max_k,
        .mem = &r->account,
        .pool = r->pool,
        .kernels = env->kernels,
        .error = err,
        .dir = r->state_dir,
        .device = "cpu",
    };
    return open_first(r);
}

static void replay_finish(struct replay *r)
{
    if (r->open)
        index_close(&r->checked);
    if (r->pool)
        pool_destroy(r->pool);
    holding_free(&r->now);
    idmap_free(&r->versions);
    mem_free(NULL, r->params);
}

/* ---- 4. the operations */

/* Where many rows come in: memory for them three times over, for the batch, copies and growth, so that no
   method pays for waking it. */
static void warm_for(struct replay *r, const struct op *op, bool rebuild)
{
    enum { WORTH_BYTES = 4 << 20, TIMES = 3 };
    const size_t rows = rebuild ? op->live_after : op->kind == OP_INSERT ? op->n : 0;
    const size_t bytes = rows * element_row_bytes(r->cell->element, r->list->dim);
    const double before = proc_children_seconds();

    if (bytes < WORTH_BYTES)
        return;
    memory_warm(TIMES * bytes);
    r->children_seconds += proc_children_seconds() - before;
}

bool replay_rebuilds(const struct replay *r, const struct op *op)
{
    const char *rebuild_at = r->cell->method->rebuild;
    bool rebuild = rebuild_at && op->tag && strcmp(rebuild_at, op->tag) == 0;

    /* A commit does what its operations would. */
    for (size_t i = op->kind == OP_COMMIT ? op->back : 0; i > 0; i--) {
        const struct op *inside = op - i;

        rebuild |= inside->pending && replay_rebuilds(r, inside);
        rebuild |= inside->pending && inside->kind != OP_INSERT &&
                   r->cell->method->deletes == DELETES_REBUILD;
    }
    return rebuild && !op->pending;
}

static bool changes_rows(const struct op *op)
{
    return !op->pending &&
           (op->kind == OP_INSERT || op->kind == OP_DELETE || op->kind == OP_UPDATE);
}

/* One that changes the index, or looks at it, once for all points. */
static int run_building(struct replay *r, const struct op *op)
{
    static int (*const operations[OP_KINDS])(struct replay *, struct step *) = {
        [OP_TRAIN] = replay_train,       [OP_INSERT] = replay_insert,
        [OP_DELETE] = replay_delete,     [OP_UPDATE] = replay_update,
        [OP_SAVE] = replay_save,         [OP_RELOAD] = replay_reload,
        [OP_MAINTAIN] = replay_maintain, [OP_RECOVER] = replay_recover,
        [OP_BEGIN] = replay_begin_txn,   [OP_COMMIT] = replay_commit,
        [OP_ROLLBACK] = replay_rollback, [OP_SNAPSHOT] = replay_snapshot,
        [OP_RELEASE] = replay_release,
    };
    const bool rebuild = replay_rebuilds(r, op);
    struct moment from;
    struct step s;
    int rc = OK;

    step_begin(&s, r, op, REPLAY_ALL_POINTS);
    warm_for(r, op, rebuild);
    moment_take(&from);
    if (op->pending && !r->in_transaction)
        rc = replay_wait(r, &s);
    else if (rebuild)
        rc = replay_rebuild(r, &s);
    else if (operations[op->kind])
        rc = operations[op->kind](r, &s);
    step_take_timed(&s, &from, r->env->threads);
    s.timed_ns += s.seconds > 0 ? (uint64_t)(s.seconds * 1e9) : 0;
    if (changes_rows(op) && strcmp(s.status, "unsupported") == 0)
        r->lacks = op;
    if (rc == OK)
        rc = step_observe(&s, r, op->kind == OP_CHECKPOINT);
    return step_finish(&s, r, rc);
}

static int run_operation(struct replay *r, size_t at)
{
    const struct op *op = &r->list->ops[at];
    bool run = true;
    int rc;

    r->at = at;
    if ((rc = holding_step(&r->now, at, r->err)) != OK)
        return rc;
    if (r->env->held && ((rc = replay_wait_held(r, &run)) != OK || !run))
        return rc;
    switch (op->kind) {
        case OP_SEARCH: return replay_search(r);
        case OP_RANGE: return replay_range(r);
        case OP_CONCURRENT:
            return replay_rebuilds(r, op) ? run_building(r, op) : replay_concurrent(r);
        default: return run_building(r, op);
    }
}

/* The state the workload leaves behind, with every table and every invariant. */
static int run_end(struct replay *r)
{
    struct step s;
    int rc;

    r->at = r->list->n;
    step_begin(&s, r, NULL, REPLAY_ALL_POINTS);
    step_stat(&s, "create_seconds", r->create_seconds);
    rc = step_observe(&s, r, true);
    return step_finish(&s, r, rc);
}

int replay_run(const struct replay_env *env, double *children_seconds, struct error *err)
{
    struct replay *r = mem_alloc(NULL, sizeof *r); /* a histogram is not for the stack */
    int rc;

    if (!r)
        return fail(err, ERR_NO_MEMORY, "no memory to replay");
    rc = replay_begin(r, env, err);
    for (size_t i = 0; rc == OK && i < env->list->n; i++)
        rc = run_operation(r, i);
    if (rc == OK)
        rc = run_end(r);
    *children_seconds = r->children_seconds;
    replay_finish(r);
    mem_free(NULL, r);
    return rc;
}

/* ---- 5. the process */

/* The last processors: interrupts tend to go to the first. */
static json_t *pin(size_t threads)
{
    cpu_set_t may, use;
    json_t *cpus = json_array();
    size_t left = threads;

    CPU_ZERO(&use);
    if (sched_getaffinity(0, sizeof may, &may) != 0)
        return cpus;
    for (size_t cpu = CPU_SETSIZE; cpu-- > 0 && left > 0;)
        if (CPU_ISSET(cpu, &may)) {
            CPU_SET(cpu, &use);
            (void)json_array_append_new(cpus, json_integer((json_int_t)cpu));
            left--;
        }
    if (sched_setaffinity(0, sizeof use, &use) != 0)
        (void)json_array_clear(cpus);
    return cpus;
}

json_t *replay_settle_threads(size_t threads)
{
    json_t *cpus = pin(threads);
    void (*omp_set)(int) = NULL;
    int (*omp_get)(void) = NULL;

    /* OpenMP comes with a peer or not at all, so it is looked up by name. */
    *(void **)&omp_set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    *(void **)&omp_get = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    openblas_set_num_threads((int)threads);
    if (omp_set)
        omp_set((int)threads);
    return json_pack("{s:I, s:o, s:i, s:o, s:I, s:I}", "threads", (json_int_t)threads, "cpus", cpus,
                     "blas_threads", openblas_get_num_threads(), "omp_threads",
                     omp_get ? json_integer(omp_get()) : json_null(), "clock_ns",
                     (json_int_t)clock_cost_ns(), "threads_before", (json_int_t)proc_threads());
}
