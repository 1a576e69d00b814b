/* search.c - searches the nearest clusters and their best cones through a window around the query's
 * rank on each axis. Windows are widened until the gap beyond them exceeds the k-th distance, or
 * the window's limit is reached. */
#include <math.h>

#include "algorithms/ampi/ampi.h"
#include "algorithms/common/rows/work.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { THREADS_MAX = 256, FIRST_WINDOW = 8 };

/* Slots whose distances are still to be computed. */
struct gathered {
    const struct ampi_query *q;
    struct topk *nearest;
    size_t n;
    uint32_t slots[AMPI_GATHER];
};

static void flush(struct gathered *g)
{
    float distances[AMPI_GATHER];
    const struct ampi *a = g->q->job->a;
    size_t n = ampi_measure(g->q, g->slots, g->n, distances);
    for (size_t i = 0; i < n; i++)
        topk_push(g->nearest, distances[i], a->slots.id[g->slots[i]]);
    g->n = 0;
}

static void gather(struct gathered *g, const uint32_t *slots, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g->slots[g->n++] = slots[i];
        if (g->n == AMPI_GATHER)
            flush(g);
    }
}

static size_t below(size_t rank, size_t window)
{
    return rank > window ? rank - window : 0;
}

static size_t above(size_t rank, size_t window, size_t n)
{
    return window < n - rank ? rank + window : n;
}

/* Gathers the part of a window beyond `before`, which was gathered already. */
static void gather_view(struct gathered *g, struct ampi_view *v, size_t before, size_t window)
{
    const struct ampi_cone *c = v->cone;
    if (window >= c->n) {
        gather(g, c->slots, c->n);
        v->closed = true;
        return;
    }
    ampi_rank(g->q, v);
    for (size_t f = 0; f < g->q->job->a->fans;
         f++) { /* windows are in different places of memory */
        const uint32_t *slots = c->slots + f * c->capacity;
        __builtin_prefetch(slots + below(v->ranks[f], window));
        __builtin_prefetch(slots + above(v->ranks[f], before, c->n));
    }
    for (size_t f = 0; f < g->q->job->a->fans; f++) {
        const uint32_t *slots = c->slots + f * c->capacity;
        size_t rank = v->ranks[f], low = below(rank, before), high = above(rank, before, c->n);
        size_t first = below(rank, window), end = above(rank, window, c->n);
        gather(g, slots + first, low - first);
        gather(g, slots + high, end - high);
    }
}

/* Whether all vectors of the cone outside the windows are beyond `reach` along some axis. */
static bool is_covered(const struct ampi_query *q, const struct ampi_view *v, size_t window,
                       double reach)
{
    const struct ampi_cone *c = v->cone;
    for (size_t f = 0; f < q->job->a->fans; f++) {
        const float *projections = c->projections + f * c->capacity;
        size_t first = below(v->ranks[f], window), end = above(v->ranks[f], window, c->n);
        double at = (double)v->query[f];
        if ((first == 0 || at - (double)projections[first - 1] > reach) &&
            (end == c->n || (double)projections[end] - at > reach))
            return true;
    }
    return false;
}

static void search_one(struct ampi_query *q, struct topk *nearest)
{
    const size_t cap = q->job->window;
    size_t before = 0, window = q->job->k > FIRST_WINDOW ? q->job->k : FIRST_WINDOW;
    struct gathered g = { .q = q, .nearest = nearest };
    size_t open = 1;
    ampi_probe(q, window < cap ? window : cap);
    for (bool last = false; !last && open > 0; before = window, window *= 2) {
        last = window >= cap;
        window = last ? cap : window;
        for (size_t i = 0; i < q->n_views; i++)
            if (!q->s->views[i].closed)
                gather_view(&g, &q->s->views[i], before, window);
        flush(&g);
        double reach = ampi_reach(q, (double)topk_limit(nearest));
        open = 0;
        for (size_t i = 0; i < q->n_views; i++) {
            struct ampi_view *v = &q->s->views[i];
            v->closed = v->closed || is_covered(q, v, window, reach);
            open += !v->closed;
        }
    }
}

/* Compares all vectors that were not compared yet: the clusters searched have fewer than k. */
static void search_rest(struct ampi_query *q, struct topk *nearest)
{
    struct gathered g = { .q = q, .nearest = nearest };
    for (uint32_t slot = 0; slot < q->job->a->slots.n; slot++)
        gather(&g, &slot, 1);
    flush(&g);
}

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct ampi_job *job = arg;
    for (size_t i = first; i < end; i++) {
        struct ampi_query q = { .job = job,
                                .s = job->scratch[worker],
                                .row = job->queries + i * job->a->base.env.dim,
                                .work = &job->scratch[worker]->work };
        struct topk nearest =
            topk_begin(job->k, job->distances + i * job->k, job->ids + i * job->k);
        search_one(&q, &nearest);
        if (nearest.n < job->k)
            search_rest(&q, &nearest);
        topk_sort(&nearest);
    }
    return OK;
}

/* ------------------------------------------------------------------------------- range */

/* The cone's axis with the fewest vectors within reach. */
static void narrowest(const struct ampi_query *q, const struct ampi_view *v, double reach,
                      const uint32_t **slots, size_t *n)
{
    const struct ampi_cone *c = v->cone;
    *slots = c->slots;
    *n = c->n;
    for (size_t f = 0; f < q->job->a->fans && isfinite(reach); f++) {
        double at = (double)v->query[f];
        size_t first = ampi_cone_rank(c, f, at - reach);
        size_t end = ampi_cone_rank(c, f, nextafter(at + reach, INFINITY));
        if (end - first < *n) {
            *slots = c->slots + f * c->capacity + first;
            *n = end - first;
        }
    }
}

static int range_view(const struct ampi_query *q, const struct ampi_view *v, double reach)
{
    const struct ampi *a = q->job->a;
    const uint32_t *slots;
    size_t n;
    int rc = OK;
    narrowest(q, v, reach, &slots, &n);
    for (size_t first = 0; first < n && !rc; first += AMPI_GATHER) {
        uint32_t piece[AMPI_GATHER];
        float distances[AMPI_GATHER];
        size_t count = n - first < AMPI_GATHER ? n - first : AMPI_GATHER;
        for (size_t i = 0; i < count; i++)
            piece[i] = slots[first + i];
        count = ampi_measure(q, piece, count, distances);
        for (size_t i = 0; i < count && !rc; i++)
            if ((double)distances[i] <= q->job->radius)
                rc = range_hits_add(&q->s->hits, &a->base.env, a->slots.id[piece[i]], distances[i]);
    }
    return rc;
}

static int range_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct ampi_job *job = arg;
    int rc = OK;
    (void)worker;
    for (size_t i = first; i < end && !rc; i++) {
        struct ampi_query q = { .job = job,
                                .s = job->scratch[i],
                                .row = job->queries + (job->first_query + i) * job->a->base.env.dim,
                                .work = &job->scratch[i]->work };
        q.s->hits.n = 0;
        if (job->radius < 0)
            continue;
        ampi_probe(&q, 0);
        double reach = ampi_reach(&q, job->radius);
        for (size_t v = 0; v < q.n_views && !rc; v++)
            rc = range_view(&q, &q.s->views[v], reach);
    }
    return rc;
}

/* --------------------------------------------------------------------------- operations */

/* Takes a scratch for each thread; uses fewer threads if memory is short. */
static int job_open(struct ampi_job *job, size_t *threads)
{
    struct ampi *a = job->a;
    size_t pool = pool_threads(a->base.env.pool), wanted = *threads < pool ? *threads : pool;
    size_t fans = job->fan_probes < a->fans ? job->fan_probes : a->fans;
    wanted = wanted < 1 ? 1 : wanted < THREADS_MAX ? wanted : THREADS_MAX;
    for (*threads = 0; *threads < wanted; ++*threads) {
        job->scratch[*threads] = ampi_scratch_take(a, job->nprobe, job->nprobe * fans);
        if (!job->scratch[*threads])
            break;
        job->scratch[*threads]->work = (struct work){ 0 };
    }
    if (*threads > 0)
        return OK;
    return fail(a->base.env.error, ERR_NO_MEMORY, "search: out of memory");
}

static void job_close(struct ampi_job *job, size_t threads, struct work *work)
{
    while (threads-- > 0) {
        work_add(work, &job->scratch[threads]->work);
        scratch_pool_give(&job->a->scratch, job->scratch[threads]);
    }
}

/* scratch: the caller's, THREADS_MAX long. */
static struct ampi_job job_for(struct ampi *a, struct vectors queries,
                               const struct id_filter *filter, const void *knobs_given,
                               struct ampi_scratch **scratch)
{
    const struct ampi_knobs *knobs = knobs_given;
    size_t nprobe = (size_t)knobs->nprobe;
    return (struct ampi_job){ .a = a,
                              .queries = queries.rows,
                              .filter = filter,
                              .nprobe = nprobe < a->part.n ? nprobe : a->part.n,
                              .fan_probes = (size_t)knobs->fan_probes,
                              .window = (size_t)knobs->window,
                              .scratch = scratch };
}

int ampi_search(struct index *index, const struct search_request *request,
                struct search_result *result)
{
    struct ampi_scratch *scratch[THREADS_MAX];
    struct ampi_job job =
        job_for(ampi_of(index), request->queries, request->filter, request->knobs, scratch);
    job.k = request->k;
    job.ids = result->ids;
    job.distances = result->distances;
    size_t threads = request->threads < request->queries.n ? request->threads : request->queries.n;
    int rc = job_open(&job, &threads);
    if (rc)
        return rc;
    rc = parallel_for(index->env.pool, threads, request->queries.n, 1, search_chunk, &job);
    job_close(&job, threads, &result->work);
    return rc;
}

/* Gathers the answers of as many queries as threads, which the caller's thread then delivers. */
int ampi_range(struct index *index, const struct range_request *request,
               struct range_result *result)
{
    struct ampi_scratch *scratch[THREADS_MAX];
    struct ampi_job job =
        job_for(ampi_of(index), request->queries, request->filter, request->knobs, scratch);
    job.radius = request->radius;
    size_t threads = request->threads, n = request->queries.n;
    int rc = job_open(&job, &threads);
    if (rc)
        return rc;
    for (; !rc && job.first_query < n; job.first_query += threads) {
        size_t count = n - job.first_query < threads ? n - job.first_query : threads;
        rc = parallel_for(index->env.pool, threads, count, 1, range_chunk, &job);
        for (size_t i = 0; !rc && i < count; i++)
            rc = range_hits_deliver(&scratch[i]->hits, job.first_query + i, result);
    }
    job_close(&job, threads, &result->work);
    return rc;
}
