/* search.c - a request's queries over threads: the k nearest, certified or as near as the knobs pay for. */
#include "algorithms/asteria/search.h"

#include <string.h>

#include "src/core/mem.h"
#include "src/core/parallel.h"

int search_no_memory(const struct asteria *a)
{
    return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: search: out of memory");
}

void query_hash(const struct index_env *env, const struct scratch *s, struct view *v, bool all)
{
    const struct model *m = v->g->model;
    model_turn(m, env->kernels, s->unit, v->z);
    model_hash(m, env->kernels, v->z, v->p);
    if (!all)
        return;
    lrsq_query(m->lrsq, v->z, v->short_query);
    v->size = 0;
    for (size_t i = 0; i < m->m; i++)
        v->size += fabsf(v->p[i]);
}

void query_begin(const struct job *job, struct scratch *s, const void *query,
                 enum query_needs needs)
{
    const struct index_env *env = &job->a->base.env;
    s->query = query;
    s->cap = INFINITY;
    s->settled = 0;
    s->codes.n = s->codes.first = s->rows.n = s->rows.first = 0;
    s->n_cold = 0;
    const float *unit = asteria_unit(env, query, s->unit);
    if (unit != s->unit)
        memcpy(s->unit, unit, env->dim * sizeof *unit);
    for (size_t i = 0; i < s->n_views; i++) {
        struct view *v = &s->views[i];
        const struct quantizer *z = v->g->model->quantizer;
        if (needs & NEEDS_SCAN) {
            v->rest = model_scanned(v->g->model, env->kernels, s->unit, OUTLINE_QUERY, v->turned);
            quantizer_query(z, v->turned, v->prepared);
        }
        if (needs & (NEEDS_HASH | NEEDS_BOUNDS))
            query_hash(env, s, v, needs & NEEDS_BOUNDS);
    }
}

/* Estimates that get a distance; 0: all that the scan lets pass. */
static size_t rerank_of(const struct job *job)
{
    const size_t asked = (size_t)job->knobs->rerank;
    if (asked == 0 || asked >= job->a->live || !job->knobs->exact ||
        job->knobs->mode == MODE_CERTIFIED)
        return 0;
    return asked > job->k ? asked : job->k;
}

/* Whether there is room for another bucket in what may be probed. */
static bool affordable(const struct job *job, double probes, double rows, uint32_t next)
{
    const struct asteria_knobs *knobs = job->knobs;
    if (knobs->candidates > 0 && probes > 0 && rows + next > (double)knobs->candidates)
        return false;
    return probes < (double)knobs->probes;
}

/* As many buckets as the knobs allow; patience ends a query whose neighbours lie together sooner than one whose do not. */
static int heuristic_query(const struct job *job, struct scratch *s)
{
    const int64_t patience = job->knobs->patience > 0 ? job->knobs->patience : INT64_MAX;
    double probes = 0, rows = 0;
    uint64_t settled = 0;
    int64_t in_vain = 0;
    size_t number;
    probe_order(job, s);
    while (!s->failure && s->n_keys > 0 && in_vain < patience) {
        struct view *v;
        const uint32_t next = bucket_of(s, (uint32_t)s->keys[0], &v)->live;
        if (!affordable(job, probes, rows, next))
            break;
        (void)probe_next(s, &number);
        scan_bucket(job, s, number);
        in_vain = s->settled == settled ? in_vain + 1 : 0;
        settled = s->settled;
        probes += 1;
        rows += next;
    }
    s->counts.probes += probes;
    if (s->walking && !s->failure)
        s->failure = walk_query(job, s);
    offer_flush(job, s);
    return s->failure;
}

static enum query_needs needs_of(const struct job *job, const struct scratch *s)
{
    const struct asteria_knobs *knobs = job->knobs;
    const bool whole = knobs->order == ORDER_BOUND || knobs->order == ORDER_FLIPS ||
                       knobs->order == ORDER_TREE; /* whose rest is by score over size */
    if (knobs->mode == MODE_CERTIFIED || whole || uses_codes(job, s) || s->walking || knobs->audit)
        return NEEDS_SCAN | NEEDS_BOUNDS;
    return knobs->order == ORDER_CENTRE ? NEEDS_SCAN : NEEDS_SCAN | NEEDS_HASH;
}

static int one_query(const struct job *job, struct scratch *s, size_t q)
{
    struct asteria *a = job->a;
    int rc = scratch_prepare(a, s, job->knobs, rerank_of(job));
    if (rc)
        return rc;
    const bool certified = job->knobs->mode == MODE_CERTIFIED;
    walk_begin(job, s);
    s->nearest = topk_begin(job->k, job->distances + q * job->k, job->ids + q * job->k);
    query_begin(job, s, job->queries + q * job->query_bytes, needs_of(job, s));
    if (certified)
        certify_query(job, s);
    else
        heuristic_query(job, s);
    topk_sort(&s->nearest);
    s->counts.queries += 1;
    if (!s->failure && job->knobs->audit)
        s->failure = audit_query(job, s);
    return s->failure;
}

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct job *job = arg;
    int rc = OK;
    for (size_t q = first; !rc && q < end; q++) {
        pthread_rwlock_rdlock(&job->a->lock);
        rc = one_query(job, job->scratch[worker], q);
        pthread_rwlock_unlock(&job->a->lock);
    }
    return rc;
}

/* Scratch for each thread, which has room for THREADS_MAX; fewer threads where there is not memory for all. */
int job_open(struct job *job, size_t *threads, struct scratch **scratch)
{
    const size_t most = pool_threads(job->a->base.env.pool);
    size_t wanted = *threads < most ? *threads : most;
    wanted = wanted < 1 ? 1 : wanted < THREADS_MAX ? wanted : THREADS_MAX;
    job->scratch = scratch;
    for (*threads = 0; *threads < wanted; ++*threads) {
        scratch[*threads] = scratch_take(job->a);
        if (!scratch[*threads])
            break;
        scratch[*threads]->work = (struct work){ 0 };
    }
    return *threads > 0 ? OK : search_no_memory(job->a);
}

void job_close(struct job *job, size_t threads, struct work *work)
{
    while (threads-- > 0) {
        const struct work *w = &job->scratch[threads]->work;
        work->distances += w->distances;
        work->estimates += w->estimates;
        work->bytes_read += w->bytes_read;
        work->scanned += w->scanned;
        scratch_give(job->a, job->scratch[threads]);
    }
}

int asteria_search(struct index *index, const struct search_request *request,
                   struct search_result *result)
{
    struct asteria *a = asteria_of(index);
    struct scratch *scratch[THREADS_MAX];
    const size_t n = request->queries.n;
    struct job job = { .a = a,
                       .knobs = request->knobs,
                       .filter = request->filter,
                       .queries = request->queries.rows,
                       .query_bytes = element_row_bytes(request->queries.element, index->env.dim),
                       .k = request->k,
                       .ids = result->ids,
                       .distances = result->distances };
    size_t threads = request->threads < n ? request->threads : n;
    if (n == 0)
        return OK;
    int rc = job_open(&job, &threads, scratch);
    if (rc)
        return rc;
    rc = parallel_for(index->env.pool, threads, n, 1, search_chunk, &job);
    job_close(&job, threads, &result->work);
    return rc;
}

void asteria_search_stats(const struct asteria *a, struct stat_sink *sink)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&a->scratch_lock;
    pthread_mutex_lock(lock); /* searches may be adding to them */
    const struct asteria_counts c = a->counts;
    pthread_mutex_unlock(lock);
    const struct {
        const char *name;
        double value;
    } values[] = {
        { "queries", c.queries },
        { "probes", c.probes },
        { "buckets_skipped", c.buckets_skipped },
        { "rows_skipped_b1", c.rows_skipped_b1 },
        { "rows_skipped_b2", c.rows_skipped_b2 },
        { "skipped_b3", c.skipped_b3 },
        { "scanned_rows", c.scanned },
        { "estimates", c.estimates },
        { "exact_distances", c.exact },
        { "hops", c.hops },
        { "walked_rows", c.walked },
        { "flips", c.flips },
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        sink->value(sink->to, values[i].name, values[i].value);
    audit_stats(a, sink);
}
