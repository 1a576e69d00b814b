/* search.c - the k nearest. If the filter rejects results, the beam is widened; if few ids are
 * allowed, or the beam would be as wide as the index, rows are compared one by one instead. So a
 * result is complete whenever enough rows are allowed. */
#include "algorithms/symqg/symqg.h"

#include <stdatomic.h>

#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/topk.h"

/* The search of the graph: the exact distance of a row is computed when its vertex is expanded, so
   that no rerank follows. The beam holds estimates. A vertex that several expanded ones lead to has
   several estimates, and may be in the beam several times: a poor estimate is made up for by a
   better one. It is expanded once. */

static bool is_visited(const struct symqg_scratch *x, uint32_t v)
{
    return x->visited[v / 64] >> (v % 64) & 1;
}

static inline void prefetch_vertex(const struct symqg *s, uint32_t v)
{
    const unsigned char *at = symqg_vertex(s, v);
    const size_t bytes = s->stride < 4096 ? s->stride : 4096;

    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(at + i);
}

/* Under the vertex's latch. */
static void expand(const struct symqg *s, struct symqg_scratch *x, const void *row, uint32_t v)
{
    _Alignas(64) float estimate[RABITQ_EDGES];
    struct candidate_list *l = &x->list;
    const unsigned char *vertex = symqg_vertex(s, v);
    const uint32_t *links = symqg_links(s, v);
    const float distance = symqg_distance(s, row, vertex);

    x->expanded[x->n_expanded++] = candidate_of(symqg_is_live(s, v) ? distance : INFINITY, v);
    for (size_t b = 0; b < s->degree / RABITQ_EDGES; b++, links += RABITQ_EDGES) {
        const float limit = l->n == l->ef ? candidate_distance(l->keys[l->n - 1]) : INFINITY;
        uint32_t near =
            rabitq_edges_scan(s->quantizer, x->query, distance,
                              vertex + s->blocks_at + b * s->block_bytes, limit, estimate);

        for (; near; near &= near - 1) {
            const size_t i = (size_t)__builtin_ctz(near);
            const float e = estimate[i] > 0 ? estimate[i] : 0;

            if (!is_visited(x, links[i]))
                candidate_list_offer(l, candidate_of(e, links[i]));
        }
    }
}

int symqg_beam(const struct symqg *s, struct symqg_scratch *x, const void *row, size_t ef)
{
    struct mem *mem = s->base.env.mem;
    struct candidate_list *l = &x->list;
    bool fits = candidate_list_begin(l, mem, ef);

    x->n_expanded = 0;
    if (fits) {
        symqg_rotate(s, x, row, x->rotated);
        rabitq_edges_query(s->quantizer, x->rotated, x->query);
        candidate_list_offer(l, candidate_of(0, s->entry));
    }
    while (fits && (l->cursor = candidate_list_next(l, l->cursor)) < l->n) {
        const uint32_t v = candidate_node(l->keys[l->cursor]);

        l->keys[l->cursor] |= 1;
        if (is_visited(x, v))
            continue;
        const size_t ahead = candidate_list_next(l, l->cursor + 1);
        if (ahead < l->n)
            prefetch_vertex(s, candidate_node(l->keys[ahead]));
        x->visited[v / 64] |= UINT64_C(1) << (v % 64);
        fits = mem_grow(mem, &x->expanded, &x->expanded_capacity, x->n_expanded + 1,
                        sizeof *x->expanded);
        if (fits) {
            latch_take_shared(&s->latches[v]);
            expand(s, x, row, v);
            latch_give_shared(&s->latches[v]);
        } else {
            x->visited[v / 64] = 0;
        }
    }
    for (size_t i = 0; i < x->n_expanded; i++)
        x->visited[candidate_node(x->expanded[i]) / 64] = 0;
    return fits ? OK
                : fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu candidates",
                       ef);
}

enum {
    QUERIES_A_CHUNK = 8,
    WIDEN = 4,     /* factor for the next beam */
    SCAN_SHARE = 8 /* if the next beam exceeds 1 / SCAN_SHARE of the rows, scanning is cheaper */
};

struct searching {
    struct symqg *s;
    const struct search_request *request;
    struct search_result *result;
    atomic_uint_fast64_t distances, estimates, scanned, bytes;
};

/* What one chunk has computed: exact distances of expanded vertices, and of scanned rows. */
struct counts {
    uint64_t expanded, scanned;
};

static void scan_allowed(const struct symqg *s, const void *query, const struct id_filter *filter,
                         struct topk *top, struct counts *counts)
{
    for (uint32_t v = 0; v < s->n; v++) {
        const uint64_t id = symqg_id(s, v);

        if (id == INDEX_NO_ID || !index_filter_allows(filter, id))
            continue;
        topk_push(top, symqg_distance(s, query, symqg_vertex(s, v)), id);
        counts->scanned++;
    }
}

static int search_query(const struct symqg *s, struct symqg_scratch *x, const void *query,
                        size_t ef, const struct id_filter *filter, struct topk *top,
                        struct counts *counts)
{
    const struct topk empty = *top;

    for (ef = ef > top->k ? ef : top->k; ef < s->n; ef *= WIDEN) {
        const int rc = symqg_beam(s, x, query, ef);

        if (rc != OK)
            return rc;
        counts->expanded += x->n_expanded;
        for (size_t i = 0; i < x->n_expanded; i++) {
            const float distance = candidate_distance(x->expanded[i]);
            const uint64_t id = symqg_id(s, candidate_node(x->expanded[i]));

            if (distance <= topk_limit(top) && distance < INFINITY && id != INDEX_NO_ID &&
                index_filter_allows(filter, id))
                topk_push(top, distance, id);
        }
        if (top->n == top->k)
            return OK;
        *top = empty;
        if (ef * WIDEN > s->n / SCAN_SHARE)
            break;
    }
    scan_allowed(s, query, filter, top, counts);
    return OK;
}

/* An expansion compares the codes of all places, taken or not. */
static void count_work(struct searching *job, const struct counts *counts)
{
    const struct symqg *s = job->s;
    const uint64_t expanded = counts->expanded, scanned = counts->scanned;

    atomic_fetch_add(&job->distances, expanded + scanned);
    atomic_fetch_add(&job->estimates, expanded * s->degree);
    atomic_fetch_add(&job->scanned, expanded * (s->degree + 1) + scanned);
    atomic_fetch_add(&job->bytes, expanded * s->stride + scanned * s->row_bytes);
}

/* Changes beside a search may leave it with fewer than k answers, though there are more: then it is
   repeated, at last without them. */
static int search_beside(struct searching *job, const void *query, struct topk *top,
                         struct counts *counts)
{
    enum { TRIES = 3 };
    struct symqg *s = job->s;
    const struct search_request *request = job->request;
    const size_t ef = (size_t)((const struct symqg_knobs *)request->knobs)->ef_search;
    const struct topk empty = *top;

    for (size_t tries = 0;; tries++) {
        const bool alone = tries == TRIES;

        *top = empty;
        (void)(alone ? pthread_rwlock_wrlock : pthread_rwlock_rdlock)(&s->lock);
        const uint64_t before = s->n_changes;
        const bool any = s->n > 0;
        struct symqg_scratch *x = any ? symqg_scratch_take(s, s->vertices_capacity) : NULL;
        const int rc =
            x     ? search_query(s, x, query, ef, request->filter, top, counts)
            : any ? fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory, cannot search")
                  : OK;
        const bool steady = s->n_changes == before;
        (void)pthread_rwlock_unlock(&s->lock);
        scratch_pool_give(&s->scratch, x);
        if (rc != OK || top->n == top->k || steady || alone)
            return rc;
    }
}

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct searching *job = arg;
    const struct search_request *request = job->request;
    const size_t k = request->k;
    struct counts counts = { 0, 0 };
    int rc = OK;

    (void)worker;
    for (size_t q = first; q < end && rc == OK; q++) {
        const unsigned char *query =
            (const unsigned char *)request->queries.rows + q * job->s->row_bytes;
        struct topk top = topk_begin(k, job->result->distances + q * k, job->result->ids + q * k);

        rc = search_beside(job, query, &top, &counts);
        topk_sort(&top);
    }
    count_work(job, &counts);
    return rc;
}

int symqg_search(struct index *index, const struct search_request *request,
                 struct search_result *result)
{
    struct symqg *s = (struct symqg *)index;
    struct searching job = { .s = s, .request = request, .result = result };

    const int rc = parallel_for(index->env.pool, request->threads, request->queries.n,
                                QUERIES_A_CHUNK, search_chunk, &job);
    result->work.distances += (double)atomic_load(&job.distances);
    result->work.estimates += (double)atomic_load(&job.estimates);
    result->work.scanned += (double)atomic_load(&job.scanned);
    result->work.bytes_read += (double)atomic_load(&job.bytes);
    return rc;
}
