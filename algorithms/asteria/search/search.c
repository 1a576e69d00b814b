/* search.c - search requests: queries over threads, certified or heuristic. */
#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/search/internal.h"

#include <string.h>

#include "src/core/mem.h"
#include "src/core/parallel.h"

void asteria_query_hash(const struct index_env *env, const struct asteria_scratch *s,
                        struct asteria_view *v, bool all)
{
    const struct asteria_model *m = v->g->model;
    asteria_model_rotate(m, env->kernels, s->unit, v->z);
    asteria_model_hash(m, env->kernels, v->z, v->p);
    if (!all)
        return;
    asteria_lrsq_query(m->lrsq, v->z, v->residual_query);
    v->size = 0;
    for (size_t i = 0; i < m->m; i++)
        v->size += fabsf(v->p[i]);
}

void asteria_query_begin(const struct asteria_job *job, struct asteria_scratch *s,
                         const void *query, enum asteria_query_needs needs)
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
        struct asteria_view *v = &s->views[i];
        const struct quantizer *z = v->g->model->quantizer;
        if (needs & NEEDS_SCAN) {
            v->rest = asteria_model_scanned(v->g->model, env->kernels, s->unit, PCA_CODE_QUERY,
                                            v->rotated);
            quantizer_query(z, v->rotated, v->prepared);
        }
        if (needs & (NEEDS_HASH | NEEDS_BOUNDS))
            asteria_query_hash(env, s, v, needs & NEEDS_BOUNDS);
    }
}

/* Number of best estimates that get a distance; 0: all rows that pass the scan. */
static size_t rerank_of(const struct asteria_job *job)
{
    const size_t asked = (size_t)job->knobs->rerank;
    if (asked == 0 || asked >= job->a->live || !job->knobs->exact ||
        job->knobs->mode == MODE_CERTIFIED)
        return 0;
    return asked > job->k ? asked : job->k;
}

/* Whether nprobe and candidates allow another bucket. */
static bool affordable(const struct asteria_job *job, double probes, double rows, uint32_t next)
{
    const struct asteria_knobs *knobs = job->knobs;
    if (knobs->candidates > 0 && probes > 0 && rows + next > (double)knobs->candidates)
        return false;
    return probes < (double)knobs->nprobe;
}

/* Scans as many buckets as the knobs allow. early_stop_buckets ends queries early whose neighbours
   are in few buckets. */
static int heuristic_query(const struct asteria_job *job, struct asteria_scratch *s)
{
    const int64_t patience =
        job->knobs->early_stop_buckets > 0 ? job->knobs->early_stop_buckets : INT64_MAX;
    double probes = 0, rows = 0;
    uint64_t settled = 0;
    int64_t in_vain = 0;
    size_t number;
    asteria_probe_order(job, s);
    while (!s->failure && s->n_keys > 0 && in_vain < patience) {
        struct asteria_view *v;
        const uint32_t next = bucket_of(s, (uint32_t)s->keys[0], &v)->live;
        if (!affordable(job, probes, rows, next))
            break;
        (void)asteria_probe_next(s, &number);
        asteria_scan_bucket(job, s, number);
        in_vain = s->settled == settled ? in_vain + 1 : 0;
        settled = s->settled;
        probes += 1;
        rows += next;
    }
    s->counts.probes += probes;
    if (s->uses_beam && !s->failure)
        s->failure = asteria_beam_query(job, s);
    asteria_rerank_flush(job, s);
    return s->failure;
}

static enum asteria_query_needs needs_of(const struct asteria_job *job,
                                         const struct asteria_scratch *s)
{
    const struct asteria_knobs *knobs = job->knobs;
    const bool whole = knobs->probe_order == ORDER_BOUND || knobs->probe_order == ORDER_FLIPS ||
                       knobs->probe_order == ORDER_TREE; /* they sort the remaining buckets by
                                                            score over size */
    if (knobs->mode == MODE_CERTIFIED || whole || uses_codes(job, s) || s->uses_beam ||
        knobs->audit)
        return NEEDS_SCAN | NEEDS_BOUNDS;
    return knobs->probe_order == ORDER_CENTRE ? NEEDS_SCAN : NEEDS_SCAN | NEEDS_HASH;
}

static int one_query(const struct asteria_job *job, struct asteria_scratch *s, size_t q)
{
    struct asteria *a = job->a;
    int rc = asteria_scratch_prepare(a, s, job->knobs, rerank_of(job));
    if (rc)
        return rc;
    const bool certified = job->knobs->mode == MODE_CERTIFIED;
    asteria_beam_begin(job, s);
    s->nearest = topk_begin(job->k, job->distances + q * job->k, job->ids + q * job->k);
    asteria_query_begin(job, s, job->queries + q * job->query_bytes, needs_of(job, s));
    if (certified)
        asteria_certified_query(job, s);
    else
        heuristic_query(job, s);
    topk_sort(&s->nearest);
    s->counts.queries += 1;
    if (!s->failure && job->knobs->audit)
        s->failure = asteria_bounds_audit_query(job, s);
    return s->failure;
}

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct asteria_job *job = arg;
    int rc = OK;
    for (size_t q = first; !rc && q < end; q++) {
        pthread_rwlock_rdlock(&job->a->lock);
        rc = one_query(job, job->scratch[worker], q);
        pthread_rwlock_unlock(&job->a->lock);
    }
    return rc;
}

/* Takes scratch for each thread; scratch has THREADS_MAX entries. If memory is short there are
   fewer threads. */
int asteria_job_open(struct asteria_job *job, size_t *threads, struct asteria_scratch **scratch)
{
    const size_t most = pool_threads(job->a->base.env.pool);
    size_t wanted = *threads < most ? *threads : most;
    wanted = wanted < 1 ? 1 : wanted < THREADS_MAX ? wanted : THREADS_MAX;
    job->scratch = scratch;
    for (*threads = 0; *threads < wanted; ++*threads) {
        scratch[*threads] = asteria_scratch_take(job->a);
        if (!scratch[*threads])
            break;
        scratch[*threads]->work = (struct work){ 0 };
    }
    return *threads > 0 ? OK : search_no_memory(job->a);
}

void asteria_job_close(struct asteria_job *job, size_t threads, struct work *work)
{
    while (threads-- > 0) {
        const struct work *w = &job->scratch[threads]->work;
        work->distances += w->distances;
        work->estimates += w->estimates;
        work->bytes_read += w->bytes_read;
        work->scanned += w->scanned;
        asteria_scratch_give(job->a, job->scratch[threads]);
    }
}

int asteria_search(struct index *index, const struct search_request *request,
                   struct search_result *result)
{
    struct asteria *a = asteria_of(index);
    struct asteria_scratch *scratch[THREADS_MAX];
    const size_t n = request->queries.n;
    struct asteria_job job = { .a = a,
                               .knobs = request->knobs,
                               .filter = request->filter,
                               .queries = request->queries.rows,
                               .query_bytes =
                                   element_row_bytes(request->queries.element, index->env.dim),
                               .k = request->k,
                               .ids = result->ids,
                               .distances = result->distances };
    size_t threads = request->threads < n ? request->threads : n;
    if (n == 0)
        return OK;
    if (job.knobs->beam > 0 && !a->params.caprg)
        return fail(index->env.error, ERR_ARGUMENT,
                    "asteria: beam = %lld searches the graph, and this index has none; build it "
                    "with caprg = true",
                    (long long)job.knobs->beam);
    int rc = asteria_job_open(&job, &threads, scratch);
    if (rc)
        return rc;
    rc = parallel_for(index->env.pool, threads, n, 1, search_chunk, &job);
    asteria_job_close(&job, threads, &result->work);
    return rc;
}

void asteria_search_stats(const struct asteria *a, struct stat_sink *sink)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&a->scratch.lock;
    pthread_mutex_lock(lock); /* searches may be adding to the counts */
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
        { "walked_rows", c.beam_rows },
        { "flips", c.flips },
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        sink->value(sink->to, values[i].name, values[i].value);
    asteria_bounds_audit_stats(a, sink);
}
