/* search.c - the k nearest, and all within a radius. If the filter rejects results, the beam is
 * widened; if few ids are allowed, these are scanned instead. So a result is complete whenever
 * enough rows are allowed. Deleted rows that are not consolidated yet are passed through like those
 * that the filter rejects. */
#include <math.h>

#include "algorithms/common/graph_index/graph_index.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/topk.h"

enum {
    QUERIES_A_CHUNK = 8,
    WIDEN = 4,        /* factor for the next beam */
    SCAN_SHARE = 8,   /* if the beam exceeds 1 / SCAN_SHARE of the rows, scanning the allowed rows
              is cheaper */
    RANGE_FIRST = 64, /* first number of neighbours for a range search */
    TRIES = 16        /* beams that concurrent changes may make incomplete before one runs alone */
};

/* ------------------------------------------------------------------------------ one query */

/* Inside the epoch. Writes the `wanted` nearest nodes to x->nodes and x->distances. */
static int nearest_nodes(const struct graph_index *h, struct graph_index_scratch *x,
                         const void *query, size_t wanted, size_t ef, size_t *n, double *checked)
{
    struct mem *mem = h->base.env.mem;
    const struct graph_query q = { .k = wanted, .ef = ef };

    if (!mem_grow(mem, &x->nodes, &x->nodes_capacity, wanted, sizeof *x->nodes) ||
        !mem_grow(mem, &x->distances, &x->distances_capacity, wanted, sizeof *x->distances))
        return fail(h->base.env.error, ERR_NO_MEMORY, "%s: out of memory for %zu neighbours",
                    h->base.ops->name, wanted);
    const int rc = graph_search(h->graph, x->graph, query, &q, x->nodes, x->distances, n, checked);
    for (size_t i = 0; i < *n && rc == OK && h->base.env.metric == INDEX_IP; i++)
        x->distances[i] = graph_distance(h->graph, query, graph_row(h->graph, x->nodes[i]));
    return rc;
}

/* Returns how many nodes have no id: they are deleted, or just being added or removed. */
static size_t offer(const struct graph_index *h, const struct graph_index_scratch *x, size_t n,
                    const struct id_filter *filter, struct topk *top)
{
    size_t nameless = 0;

    for (size_t i = 0; i < n; i++) {
        const uint64_t id = graph_index_id_of(h, x->nodes[i]);

        nameless += id == INDEX_NO_ID;
        if (id != INDEX_NO_ID && index_filter_allows(filter, id))
            topk_push(top, x->distances[i], id);
    }
    return nameless;
}

/* Offers every live node that is allowed. */
static void scan_allowed(const struct graph_index *h, const void *query,
                         const struct id_filter *filter, struct topk *top, double *checked)
{
    const size_t n = graph_capacity(h->graph);

    for (uint32_t node = 0; node < n; node++) {
        if (!graph_is_live(h->graph, node))
            continue;
        const uint64_t id = graph_index_id_of(h, node);
        if (id == INDEX_NO_ID || !index_filter_allows(filter, id))
            continue;
        topk_push(top, graph_distance(h->graph, query, graph_row(h->graph, node)), id);
        *checked += 1;
    }
}

/* Nodes to find at first. All candidates are offered if some may be rejected. Where rows are
   deleted, k others are nearly always among them. */
static size_t first_fetch(const struct graph_index *h, size_t k, size_t ef,
                          const struct id_filter *filter)
{
    const double deleted = (double)graph_index_n_deleted(h), live = (double)graph_live(h->graph);

    if (deleted > 0 && deleted < live) {
        const double expected = (double)k * deleted / (live - deleted);

        k += (size_t)(expected + 3 * sqrt(expected)) + 1;
    }
    return (filter || deleted > 0) && ef > k ? ef : k;
}

/* Widens until `top` is full or every live node was offered. */
struct widening {
    size_t fetch, nameless; /* nameless: nodes without an id that the last beam found */
    bool complete;
};

/* Inside the epoch. `top` is emptied for each beam, so that no node is offered twice. */
static int widen(const struct graph_index *h, struct graph_index_scratch *x, const void *query,
                 size_t ef, const struct id_filter *filter, struct topk *top, struct widening *w,
                 double *checked)
{
    const size_t marked = graph_index_n_marked(h), deleted = graph_index_n_deleted(h);
    const size_t live = graph_live(h->graph), fetch = w->fetch < live ? w->fetch : live;
    size_t n;

    w->complete = fetch == 0;
    if (w->complete)
        return OK;
    if (filter && fetch < live && fetch > live / SCAN_SHARE) {
        scan_allowed(h, query, filter, top, checked);
        w->complete = true;
        return OK;
    }
    /* Nodes removed during the search may be nearer than all that remain. */
    const size_t wanted = fetch + w->nameless;
    const int rc = nearest_nodes(h, x, query, wanted, ef > wanted ? ef : wanted, &n, checked);
    if (rc != OK)
        return rc;
    w->nameless = offer(h, x, n, filter, top);
    /* No row was added, removed or consolidated meanwhile, as far as this search has seen. */
    const bool steady = w->nameless <= deleted && deleted == graph_index_n_deleted(h) &&
                        marked == graph_index_n_marked(h);
    w->complete = top->n == top->k || (fetch == live && steady);
    w->fetch = fetch * WIDEN;
    return OK;
}

/* Inside the epoch. If changes have made many beams incomplete, the next ones run between two
   changes; they do not wait for one, because it may wait for the epoch. */
static int search_query(struct graph_index *h, struct graph_index_scratch *x, const void *query,
                        size_t ef, const struct id_filter *filter, struct topk *top,
                        double *checked)
{
    const struct topk empty = *top;
    struct widening w = { .fetch = first_fetch(h, top->k, ef, filter) };
    int rc = OK;

    for (size_t tries = 0; rc == OK && !w.complete; tries++) {
        const bool alone = tries >= TRIES && pthread_mutex_trylock(&h->lock) == 0;

        *top = empty;
        rc = widen(h, x, query, ef, filter, top, &w, checked);
        if (alone)
            pthread_mutex_unlock(&h->lock);
    }
    return rc;
}

/* -------------------------------------------------------------------------------- search */

struct searching {
    struct graph_index *h;
    const struct search_request *request;
    struct search_result *result;
    atomic_uint_fast64_t checked;
};

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct searching *job = arg;
    struct graph_index *h = job->h;
    const struct index_env *env = &h->base.env;
    const struct search_request *request = job->request;
    const size_t row_bytes = index_row_bytes(env->element, env->dim), k = request->k;
    const size_t ef = h->kind->beam(request->knobs);
    struct graph_index_scratch *x = scratch_pool_take(&h->scratch);
    double checked = 0;
    int rc = OK;

    (void)worker;
    if (!x)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory, cannot search",
                    h->base.ops->name);
    const unsigned ticket = epoch_enter(h->epoch);
    for (size_t q = first; q < end && rc == OK; q++) {
        const unsigned char *query = (const unsigned char *)request->queries.rows + q * row_bytes;
        struct topk top = topk_begin(k, job->result->distances + q * k, job->result->ids + q * k);

        rc = search_query(h, x, query, ef, request->filter, &top, &checked);
        topk_sort(&top);
    }
    epoch_leave(h->epoch, ticket);
    scratch_pool_give(&h->scratch, x);
    atomic_fetch_add_explicit(&job->checked, (uint64_t)checked, memory_order_relaxed);
    return rc;
}

static void add_work(const struct graph_index *h, double checked, struct work *work)
{
    const struct index_env *env = &h->base.env;

    work->distances += checked;
    work->scanned += checked;
    work->bytes_read += checked * (double)index_row_bytes(env->element, env->dim);
}

int graph_index_search(struct index *index, const struct search_request *request,
                       struct search_result *result)
{
    struct searching job = { .h = (struct graph_index *)index,
                             .request = request,
                             .result = result };
    const int rc = parallel_for(index->env.pool, request->threads, request->queries.n,
                                QUERIES_A_CHUNK, search_chunk, &job);

    add_work(job.h, (double)atomic_load(&job.checked), &result->work);
    return rc;
}

/* --------------------------------------------------------------------------------- range */

/* Inside the epoch. Searches for more neighbours until one is outside the radius, or there are
   no more. */
static int range_query(const struct graph_index *h, struct graph_index_scratch *x,
                       const struct range_request *request, size_t q, struct range_result *result,
                       double *checked)
{
    const struct index_env *env = &h->base.env;
    const unsigned char *query =
        (const unsigned char *)request->queries.rows + q * index_row_bytes(env->element, env->dim);
    const size_t ef = h->kind->beam(request->knobs);
    size_t fetch = ef > RANGE_FIRST ? ef : RANGE_FIRST, n = 0;

    for (;; fetch *= WIDEN) {
        const size_t live = graph_live(h->graph);

        fetch = fetch < live ? fetch : live;
        if (fetch == 0)
            return OK;
        const int rc = nearest_nodes(h, x, query, fetch, fetch, &n, checked);
        if (rc != OK)
            return rc;
        if (fetch == live || n == 0 || (double)x->distances[n - 1] > request->radius)
            break;
    }
    for (size_t i = 0; i < n; i++) {
        const uint64_t id = graph_index_id_of(h, x->nodes[i]);

        if ((double)x->distances[i] > request->radius || id == INDEX_NO_ID ||
            !index_filter_allows(request->filter, id))
            continue;
        const int rc = result->found(result->to, q, id, x->distances[i]);
        if (rc != OK)
            return rc;
    }
    return OK;
}

/* On one thread, because results must be delivered by one. */
int graph_index_range(struct index *index, const struct range_request *request,
                      struct range_result *result)
{
    struct graph_index *h = (struct graph_index *)index;
    struct graph_index_scratch *x = scratch_pool_take(&h->scratch);
    double checked = 0;
    int rc = OK;

    if (!x)
        return fail(index->env.error, ERR_NO_MEMORY, "%s: out of memory, cannot search",
                    index->ops->name);
    for (size_t q = 0; q < request->queries.n && rc == OK; q++) {
        const unsigned ticket = epoch_enter(h->epoch);

        rc = range_query(h, x, request, q, result, &checked);
        epoch_leave(h->epoch, ticket);
    }
    scratch_pool_give(&h->scratch, x);
    add_work(h, checked, &result->work);
    return rc;
}
