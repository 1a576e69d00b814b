/* search.c - searches the nearest clusters and their best cones through a window around the query's
 * rank on each axis. Windows are widened until the gap beyond them exceeds the k-th distance, or
 * the window's limit is reached. */

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
                                .row = job->queries + i * job->a->base.env.dim };
        struct topk nearest =
            topk_begin(job->k, job->distances + i * job->k, job->ids + i * job->k);
        search_one(&q, &nearest);
        if (nearest.n < job->k)
            search_rest(&q, &nearest);
        topk_sort(&nearest);
    }
    return OK;
}

/* Takes a scratch for each thread; uses fewer threads if memory is short. */
int ampi_search(struct index *index, const struct search_request *request,
                struct search_result *result)
{
    struct ampi *a = ampi_of(index);
    const struct ampi_knobs *knobs = request->knobs;
    struct ampi_scratch *scratch[THREADS_MAX];
    const size_t nprobe = (size_t)knobs->nprobe, fan_probes = (size_t)knobs->fan_probes;
    const size_t pool = pool_threads(a->base.env.pool), n = request->queries.n;
    struct ampi_job job = { .a = a,
                            .queries = request->queries.rows,
                            .filter = request->filter,
                            .nprobe = nprobe < a->part.n ? nprobe : a->part.n,
                            .fan_probes = fan_probes,
                            .window = (size_t)knobs->window,
                            .scratch = scratch,
                            .k = request->k,
                            .ids = result->ids,
                            .distances = result->distances };
    const size_t views = job.nprobe * (fan_probes < a->fans ? fan_probes : a->fans);
    size_t wanted = request->threads < n ? request->threads : n, threads = 0;
    wanted = wanted < pool ? wanted : pool;
    wanted = wanted < 1 ? 1 : wanted < THREADS_MAX ? wanted : THREADS_MAX;
    for (; threads < wanted; threads++) {
        scratch[threads] = ampi_scratch_take(a, job.nprobe, views);
        if (!scratch[threads])
            break;
        scratch[threads]->work = (struct work){ 0 };
    }
    if (threads == 0)
        return fail(a->base.env.error, ERR_NO_MEMORY, "search: out of memory");
    const int rc = parallel_for(index->env.pool, threads, n, 1, search_chunk, &job);
    while (threads-- > 0) {
        work_add(&result->work, &scratch[threads]->work);
        scratch_pool_give(&a->scratch, scratch[threads]);
    }
    return rc;
}
