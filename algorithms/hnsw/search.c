/* search.c - the k nearest, and all in a radius. What the beam finds and the filter forbids is made up for
 * by a wider beam, and where few are allowed by measuring just these, so no answer is short for want of
 * looking.
 */
#include "algorithms/hnsw/hnsw.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/topk.h"

enum {
    QUERIES_A_CHUNK = 8,
    WIDEN = 4, /* the next beam, by this */
    SCAN_SHARE =
        8, /* a beam of more than 1 row in this many: it is cheaper to measure all allowed */
    RANGE_FIRST = 64, /* neighbours asked for first, when all in a radius are wanted */
    TRIES = 16        /* of a query that would be short for nodes that come or go just now */
};

/* ------------------------------------------------------------------------------- scratch */

static void scratch_destroy(struct hnsw_scratch *x, struct mem *mem)
{
    graph_scratch_destroy(x->graph);
    mem_free(mem, x->nodes);
    mem_free(mem, x->distances);
    mem_free(mem, x);
}

static struct hnsw_scratch *scratch_create(struct mem *mem)
{
    struct hnsw_scratch *x = mem_zalloc(mem, sizeof *x);

    if (x)
        x->graph = graph_scratch_create(mem);
    if (x && !x->graph) {
        scratch_destroy(x, mem);
        x = NULL;
    }
    return x;
}

static struct hnsw_scratch *scratch_take(struct hnsw *h)
{
    pthread_mutex_lock(&h->scratch_lock);
    struct hnsw_scratch *x = h->scratch;
    if (x)
        h->scratch = x->next;
    pthread_mutex_unlock(&h->scratch_lock);
    return x ? x : scratch_create(h->base.env.mem);
}

static void scratch_give(struct hnsw *h, struct hnsw_scratch *x)
{
    pthread_mutex_lock(&h->scratch_lock);
    x->next = h->scratch;
    h->scratch = x;
    pthread_mutex_unlock(&h->scratch_lock);
}

void hnsw_scratch_free(struct hnsw *h)
{
    while (h->scratch) {
        struct hnsw_scratch *x = h->scratch;

        h->scratch = x->next;
        scratch_destroy(x, h->base.env.mem);
    }
}

uint64_t hnsw_scratch_bytes(struct hnsw *h)
{
    uint64_t bytes = 0;

    pthread_mutex_lock(&h->scratch_lock);
    for (const struct hnsw_scratch *x = h->scratch; x; x = x->next)
        bytes += sizeof *x + graph_scratch_bytes(x->graph) + x->nodes_capacity * sizeof *x->nodes +
                 x->distances_capacity * sizeof *x->distances;
    pthread_mutex_unlock(&h->scratch_lock);
    return bytes;
}

/* ------------------------------------------------------------------------------ one query */

/* Inside the epoch. The `ask` nearest nodes, as x->nodes and x->distances. */
static int nearest_nodes(const struct hnsw *h, struct hnsw_scratch *x, const void *query,
                         size_t ask, size_t ef, size_t *n, double *checked)
{
    struct mem *mem = h->base.env.mem;
    const struct graph_query q = { .k = ask, .ef = ef };

    if (!mem_grow(mem, &x->nodes, &x->nodes_capacity, ask, sizeof *x->nodes) ||
        !mem_grow(mem, &x->distances, &x->distances_capacity, ask, sizeof *x->distances))
        return fail(h->base.env.error, ERR_NO_MEMORY, "hnsw: no memory for %zu neighbours", ask);
    return graph_search(h->graph, x->graph, query, &q, x->nodes, x->distances, n, checked);
}

/* How many nodes have no id: one that comes has none yet, one that goes none any more. */
static size_t offer(const struct hnsw *h, const struct hnsw_scratch *x, size_t n,
                    const struct id_filter *filter, struct topk *top)
{
    size_t nameless = 0;

    for (size_t i = 0; i < n; i++) {
        const uint64_t id = hnsw_id_of(h, x->nodes[i]);

        nameless += id == ID_NONE;
        if (id != ID_NONE && id_filter_allows(filter, id))
            topk_push(top, x->distances[i], id);
    }
    return nameless;
}

/* Every live node that is allowed. */
static void scan_allowed(const struct hnsw *h, const void *query, const struct id_filter *filter,
                         struct topk *top, double *checked)
{
    const size_t n = graph_capacity(h->graph);

    for (uint32_t node = 0; node < n; node++) {
        if (!graph_is_live(h->graph, node))
            continue;
        const uint64_t id = hnsw_id_of(h, node);
        if (id == ID_NONE || !id_filter_allows(filter, id))
            continue;
        topk_push(top, graph_distance(h->graph, query, graph_row(h->graph, node)), id);
        *checked += 1;
    }
}

/* Inside the epoch. top: begun anew for each beam, so that no node is offered twice. */
static int search_query(const struct hnsw *h, struct hnsw_scratch *x, const void *query, size_t ef,
                        const struct id_filter *filter, struct topk *top, double *checked)
{
    const struct topk empty = *top;
    size_t ask = filter && ef > top->k ? ef : top->k, nameless = 0, n;

    for (size_t tries = 1;; tries++, ask *= WIDEN) {
        const size_t live = graph_live(h->graph);

        *top = empty;
        if (filter && ask < live && ask > live / SCAN_SHARE) {
            scan_allowed(h, query, filter, top, checked);
            return OK;
        }
        ask = ask < live ? ask : live;
        if (ask == 0)
            return OK;
        /* Nodes that went while the graph was searched may be nearer than all that stay. */
        const size_t wanted = ask + nameless;
        const int rc = nearest_nodes(h, x, query, wanted, ef > wanted ? ef : wanted, &n, checked);
        if (rc != OK)
            return rc;
        const size_t more = offer(h, x, n, filter, top);
        if (top->n == top->k || (ask == live && (more == 0 || tries >= TRIES)))
            return OK;
        nameless += more;
    }
}

/* -------------------------------------------------------------------------------- search */

struct searching {
    struct hnsw *h;
    const struct search_request *request;
    struct search_result *result;
    atomic_uint_fast64_t checked;
};

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct searching *job = arg;
    struct hnsw *h = job->h;
    const struct index_env *env = &h->base.env;
    const struct search_request *request = job->request;
    const size_t row_bytes = element_row_bytes(env->element, env->dim), k = request->k;
    const size_t ef = (size_t)((const struct hnsw_knobs *)request->knobs)->ef_search;
    struct hnsw_scratch *x = scratch_take(h);
    double checked = 0;
    int rc = OK;

    (void)worker;
    if (!x)
        return fail(env->error, ERR_NO_MEMORY, "hnsw: no memory to search with");
    const unsigned ticket = epoch_enter(h->epoch);
    for (size_t q = first; q < end && rc == OK; q++) {
        const unsigned char *query = (const unsigned char *)request->queries.rows + q * row_bytes;
        struct topk top = topk_begin(k, job->result->distances + q * k, job->result->ids + q * k);

        rc = search_query(h, x, query, ef, request->filter, &top, &checked);
        topk_sort(&top);
    }
    epoch_leave(h->epoch, ticket);
    scratch_give(h, x);
    atomic_fetch_add_explicit(&job->checked, (uint64_t)checked, memory_order_relaxed);
    return rc;
}

static void add_work(const struct hnsw *h, double checked, struct work *work)
{
    const struct index_env *env = &h->base.env;

    work->distances += checked;
    work->scanned += checked;
    work->bytes_read += checked * (double)element_row_bytes(env->element, env->dim);
}

int hnsw_search(struct index *index, const struct search_request *request,
                struct search_result *result)
{
    struct searching job = { .h = (struct hnsw *)index, .request = request, .result = result };
    const int rc = parallel_for(index->env.pool, request->threads, request->queries.n,
                                QUERIES_A_CHUNK, search_chunk, &job);

    add_work(job.h, (double)atomic_load(&job.checked), &result->work);
    return rc;
}

/* --------------------------------------------------------------------------------- range */

/* Inside the epoch. Neighbours are asked for until one is outside, or there are no more. */
static int range_query(const struct hnsw *h, struct hnsw_scratch *x,
                       const struct range_request *request, size_t q, struct range_result *result,
                       double *checked)
{
    const struct index_env *env = &h->base.env;
    const unsigned char *query = (const unsigned char *)request->queries.rows +
                                 q * element_row_bytes(env->element, env->dim);
    const size_t ef = (size_t)((const struct hnsw_knobs *)request->knobs)->ef_search;
    size_t ask = ef > RANGE_FIRST ? ef : RANGE_FIRST, n = 0;

    for (;; ask *= WIDEN) {
        const size_t live = graph_live(h->graph);

        ask = ask < live ? ask : live;
        if (ask == 0)
            return OK;
        const int rc = nearest_nodes(h, x, query, ask, ask, &n, checked);
        if (rc != OK)
            return rc;
        if (ask == live || n == 0 || (double)x->distances[n - 1] > request->radius)
            break;
    }
    for (size_t i = 0; i < n && (double)x->distances[i] <= request->radius; i++) {
        const uint64_t id = hnsw_id_of(h, x->nodes[i]);

        if (id == ID_NONE || !id_filter_allows(request->filter, id))
            continue;
        const int rc = result->found(result->to, q, id, x->distances[i]);
        if (rc != OK)
            return rc;
    }
    return OK;
}

/* On one thread: answers have to come from one. */
int hnsw_range(struct index *index, const struct range_request *request,
               struct range_result *result)
{
    struct hnsw *h = (struct hnsw *)index;
    struct hnsw_scratch *x = scratch_take(h);
    double checked = 0;
    int rc = OK;

    if (!x)
        return fail(index->env.error, ERR_NO_MEMORY, "hnsw: no memory to search with");
    for (size_t q = 0; q < request->queries.n && rc == OK; q++) {
        const unsigned ticket = epoch_enter(h->epoch);

        rc = range_query(h, x, request, q, result, &checked);
        epoch_leave(h->epoch, ticket);
    }
    scratch_give(h, x);
    add_work(h, checked, &result->work);
    return rc;
}
