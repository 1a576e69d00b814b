/* search.c - searches the nearest clusters and their best cones through a window around the query's
 * rank on each axis. Windows are widened until the gap beyond them exceeds the k-th distance, or
 * the window's limit is reached.
 *
 * For a unit axis a, |<x, a> - <q, a>| <= |x - q|. So a vector beyond a gap along any one axis is
 * at least as far as the gap. This bound is certain; whether the searched cones contain the nearest
 * neighbours is not. Rounding is included: a float sum of dim products is within gamma |x| |a| of
 * the exact one, with gamma slightly above dim 2^-24, and the lengths of the axes are within the
 * same of 1. */
#include <math.h>

#include "algorithms/ampi/ampi.h"
#include "algorithms/common/rows/work.h"
#include "kernels/kernels.h"
#include "src/core/parallel.h"

enum { THREADS_MAX = 256, FIRST_WINDOW = 8, GATHER = 256 };

/* A search over a request's queries, shared by its threads. */
struct job {
    struct ampi *a;
    const float *queries;
    const struct id_filter *filter;
    size_t nprobe, fan_probes, window;
    struct ampi_scratch **scratch; /* one per thread */
    size_t k;
    uint64_t *ids;
    float *distances;
};

struct query {
    const struct job *job;
    struct ampi_scratch *s;
    const float *row;
    size_t n_views;
    double slack; /* largest rounding error of a difference of two projections */
};

/* ---- choosing clusters and cones, and bounds from projections */

static double gamma_of(const struct ampi *a)
{
    return ((double)a->base.env.dim + 8) * 0x1p-23;
}

/* A vector whose projection differs by more than this from the query's has a computed distance
   above `distance_sq`. */
static double reach_of(const struct query *q, double distance_sq)
{
    return sqrt(distance_sq) * (1 + gamma_of(q->job->a)) + q->slack;
}

static void nearest_clusters(struct query *q)
{
    const struct ampi *a = q->job->a;
    const struct ampi_partition *p = &a->part;
    const struct kernels *kernels = a->base.env.kernels;
    struct ampi_scratch *s = q->s;
    kernels->l2sq_f32_1n(q->row, p->centroids, p->n, a->base.env.dim, s->list_distances);
    struct topk nearest = topk_begin(q->job->nprobe, s->probe_distances, s->probes);
    topk_offer(&nearest, kernels, s->list_distances, NULL, 0, p->n, s->positions);
    topk_sort(&nearest);
    q->s->work.distances += (double)p->n;
    q->s->work.bytes_read += (double)(p->n * a->base.env.dim * sizeof(float));
    /* Centroids whose distance is NaN are not found; the first clusters replace them. */
    for (size_t i = nearest.n; i < q->job->nprobe; i++)
        s->probes[i] = i;
}

static bool needs_projections(const struct ampi *a, size_t cluster, size_t whole)
{
    for (size_t f = 0; f < a->fans; f++)
        if (ampi_cone(a, &a->part, cluster, f)->n > whole)
            return true;
    return false;
}

/* The query's projections on the cluster's axes; `own` has space for them. */
static const float *project(const struct query *q, size_t cluster, float *own, bool *shared_known)
{
    const struct ampi *a = q->job->a;
    const struct ampi_cluster *c = &a->part.cluster[cluster];
    float *out = c->axes ? own : q->s->projections;
    if (c->axes || !*shared_known) {
        ampi_project(a, q->row, ampi_axes(a, c), out);
        q->s->work.distances += (double)a->fans;
        q->s->work.bytes_read += (double)(a->fans * a->base.env.dim * sizeof(float));
    }
    *shared_known = *shared_known || !c->axes;
    return out;
}

static void add_view(struct query *q, size_t cluster, size_t fan, const float *projections)
{
    const struct ampi *a = q->job->a;
    const struct ampi_cone *cone = ampi_cone(a, &a->part, cluster, fan);
    if (cone->n == 0)
        return;
    q->s->views[q->n_views] = (struct ampi_view){ .cone = cone,
                                                  .query = projections,
                                                  .ranks = q->s->ranks + q->n_views * a->fans };
    q->n_views++;
}

/* Adds the cones to search to s->views. Cones with at most `whole` vectors may get no projections,
   if all cones of their cluster are searched. */
static void probe(struct query *q, size_t whole)
{
    const struct ampi *a = q->job->a;
    const struct index_env *env = &a->base.env;
    struct ampi_scratch *s = q->s;
    uint32_t fans[AMPI_FANS_MAX];
    bool shared_known = false, all = q->job->fan_probes >= a->fans;
    double length = sqrt((double)env->kernels->ip_f32(q->row, q->row, env->dim));
    q->slack = gamma_of(a) * (a->longest + length);
    q->n_views = 0;
    if (++s->epoch == 0) {
        for (size_t i = 0; i < s->space.slots; i++)
            s->stamp[i] = 0;
        s->epoch = 1;
    }
    nearest_clusters(q);
    for (size_t p = 0; p < q->job->nprobe; p++) {
        size_t cluster = (size_t)s->probes[p];
        const float *projections = NULL;
        if (!all || needs_projections(a, cluster, whole))
            projections = project(q, cluster, s->projections + (p + 1) * a->fans, &shared_known);
        if (!all)
            ampi_choose_fans(a, projections, a->part.centre + cluster * a->fans, q->job->fan_probes,
                             fans);
        for (size_t f = 0; f < (all ? a->fans : q->job->fan_probes); f++)
            add_view(q, cluster, all ? f : fans[f], projections);
    }
}

static void find_ranks(const struct query *q, struct ampi_view *v)
{
    for (size_t f = 0; f < q->job->a->fans && !v->ranked; f++)
        v->ranks[f] = (uint32_t)ampi_cone_rank(v->cone, f, (double)v->query[f]);
    v->ranked = true;
}

/* Prefetch distances: in slots, for what is known of them; in rows, and bytes of each. */
enum { SLOTS_AHEAD = 16, ROWS_AHEAD = 8, ROW_BYTES = 1024 };

static void prefetch_row(const struct ampi *a, uint32_t slot)
{
    const char *row = (const char *)ampi_row(a, slot);
    const size_t bytes = a->base.env.dim * sizeof(float);
    for (size_t at = 0; at < bytes && at < ROW_BYTES; at += 64)
        __builtin_prefetch(row + at);
}

/* Moves the slots that may be answers, and were not met before, to the front; returns their
   number. */
static size_t keep_new(const struct query *q, uint32_t *slots, size_t n)
{
    const struct ampi *a = q->job->a;
    struct ampi_scratch *s = q->s;
    size_t kept = 0, met = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = slots[i];
        if (i + SLOTS_AHEAD < n) {
            __builtin_prefetch(&s->stamp[slots[i + SLOTS_AHEAD]], 1);
            __builtin_prefetch(&a->slots.id[slots[i + SLOTS_AHEAD]]);
        }
        if (s->stamp[slot] == s->epoch)
            continue;
        s->stamp[slot] = s->epoch;
        met++;
        const uint64_t id = a->slots.id[slot];
        if (id != INDEX_NO_ID && index_filter_allows(q->job->filter, id))
            slots[kept++] = slot;
    }
    q->s->work.scanned += (double)met;
    return kept;
}

/* Computes the distances of those of n slots, n <= GATHER, that may be answers and were not
   read before; keeps these in `slots`, and returns their number. */
static size_t measure(const struct query *q, uint32_t *slots, size_t n, float *distances)
{
    const struct ampi *a = q->job->a;
    const struct index_env *env = &a->base.env;
    const size_t kept = keep_new(q, slots, n);
    for (size_t i = 0; i < kept && i < ROWS_AHEAD; i++)
        prefetch_row(a, slots[i]);
    for (size_t i = 0; i < kept; i++) {
        if (i + ROWS_AHEAD < kept)
            prefetch_row(a, slots[i + ROWS_AHEAD]);
        distances[i] = env->kernels->l2sq_f32(q->row, ampi_row(a, slots[i]), env->dim);
    }
    q->s->work.distances += (double)kept;
    q->s->work.bytes_read += (double)(kept * env->dim * sizeof(float));
    return kept;
}

/* ---- searching */

/* Slots whose distances are still to be computed. */
struct gathered {
    const struct query *q;
    struct topk *nearest;
    size_t n;
    uint32_t slots[GATHER];
};

static void flush(struct gathered *g)
{
    float distances[GATHER];
    const struct ampi *a = g->q->job->a;
    size_t n = measure(g->q, g->slots, g->n, distances);
    for (size_t i = 0; i < n; i++)
        topk_push(g->nearest, distances[i], a->slots.id[g->slots[i]]);
    g->n = 0;
}

static void gather(struct gathered *g, const uint32_t *slots, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g->slots[g->n++] = slots[i];
        if (g->n == GATHER)
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
    find_ranks(g->q, v);
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
static bool is_covered(const struct query *q, const struct ampi_view *v, size_t window,
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

static void search_one(struct query *q, struct topk *nearest)
{
    const size_t cap = q->job->window;
    size_t before = 0, window = q->job->k > FIRST_WINDOW ? q->job->k : FIRST_WINDOW;
    struct gathered g = { .q = q, .nearest = nearest };
    size_t open = 1;
    probe(q, window < cap ? window : cap);
    for (bool last = false; !last && open > 0; before = window, window *= 2) {
        last = window >= cap;
        window = last ? cap : window;
        for (size_t i = 0; i < q->n_views; i++)
            if (!q->s->views[i].closed)
                gather_view(&g, &q->s->views[i], before, window);
        flush(&g);
        double reach = reach_of(q, (double)topk_limit(nearest));
        open = 0;
        for (size_t i = 0; i < q->n_views; i++) {
            struct ampi_view *v = &q->s->views[i];
            v->closed = v->closed || is_covered(q, v, window, reach);
            open += !v->closed;
        }
    }
}

/* Compares all vectors that were not compared yet: the clusters searched have fewer than k. */
static void search_rest(struct query *q, struct topk *nearest)
{
    struct gathered g = { .q = q, .nearest = nearest };
    for (uint32_t slot = 0; slot < q->job->a->slots.n; slot++)
        gather(&g, &slot, 1);
    flush(&g);
}

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct job *job = arg;
    for (size_t i = first; i < end; i++) {
        struct query q = { .job = job,
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
    struct job job = { .a = a,
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
