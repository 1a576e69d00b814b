/* search.c - the k nearest: queries over threads, or, where there are fewer queries than threads, the clusters
 * of each.
 *
 * A query is inside the epoch from its first route to its last row and takes no lock but the scratch's.
 */
#include "algorithms/channi/search.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { GRAIN = 8 };

int seek_no_memory(const struct channi *c)
{
    return fail(c->base.env.error, ERR_NO_MEMORY, "channi: out of memory searching");
}

int seek_damaged(struct seeker *s, int rc)
{
    if (!s->q->c->params.degraded ||
        (rc != ERR_CORRUPT && rc != ERR_IO && rc != ERR_NOT_FOUND && rc != ERR_VERSION))
        return rc;
    s->tally.damaged++;
    return OK;
}

/* ------------------------------------------------------------------------------- scratch */

static struct search_work *work_create(struct mem *mem)
{
    struct search_work *w = mem_zalloc(mem, sizeof *w);

    if (w)
        w->mem = mem;
    return w;
}

void channi_search_work_free(struct mem *mem, struct search_work *w)
{
    if (!w)
        return;
    void *const all[] = {
        w->cids,    w->routes,   w->bases,           w->of,        w->images,
        w->seen,    w->prepared, w->turned,          w->floats,    w->candidates,
        w->order,   w->sources,  w->upper_distances, w->upper_ids, w->own_distances,
        w->own_ids, w->rows,     w->hits.hits
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(mem, all[i]);
    mem_free(mem, w);
}

uint64_t channi_search_work_bytes(const struct search_work *w)
{
    if (!w)
        return 0;
    return sizeof *w + w->cids_capacity * sizeof *w->cids + w->routes_capacity * sizeof *w->routes +
           w->bases_capacity * sizeof *w->bases + w->of_capacity * sizeof *w->of +
           w->seen_capacity * sizeof *w->seen + w->candidates_capacity * sizeof *w->candidates +
           w->order_capacity * sizeof *w->order + w->sources_capacity * sizeof *w->sources +
           w->rows_capacity + w->hits.capacity * sizeof *w->hits.hits;
}

static bool tops_fit(struct search_work *w, size_t k, size_t uppers)
{
    return mem_grow(w->mem, &w->upper_distances, &w->upper_distances_capacity, uppers,
                    sizeof *w->upper_distances) &&
           mem_grow(w->mem, &w->upper_ids, &w->upper_ids_capacity, uppers, sizeof *w->upper_ids) &&
           mem_grow(w->mem, &w->own_distances, &w->own_distances_capacity, k,
                    sizeof *w->own_distances) &&
           mem_grow(w->mem, &w->own_ids, &w->own_ids_capacity, k, sizeof *w->own_ids);
}

int seeker_begin(struct seeker *s, const struct quest *q, struct channi_scratch *x,
                 const struct topk *top)
{
    struct channi *c = q->c;
    const size_t k = q->k ? q->k : 1, uppers = beams_share(q) ? beam_width(q) : k;

    if (!x->work)
        x->work = work_create(c->base.env.mem);
    if (!x->work || !tops_fit(x->work, k, uppers))
        return seek_no_memory(c);
    struct search_work *w = x->work;
    w->n_candidates = w->n_sources = w->n_bases = 0;
    *s = (struct seeker){ .q = q,
                          .x = x,
                          .w = w,
                          .top = top ? *top : topk_begin(q->k, w->own_distances, w->own_ids),
                          .uppers = topk_begin(uppers, w->upper_distances, w->upper_ids),
                          .ceiling = INFINITY,
                          .beams_limit = INFINITY,
                          /* Not c->quantizer: a build beside may be making it. */
                          .coded = q->view->layout->routes && c->params.inside == INSIDE_CODES,
                          .rerank_left =
                              q->knobs->rerank > 0 ? (size_t)q->knobs->rerank : SIZE_MAX };
    return OK;
}

/* ------------------------------------------------------------------------------- reports */

void tally_add(struct tally *to, const struct tally *t)
{
    to->top += t->top;
    to->in += t->in;
    to->delta += t->delta;
    to->estimates += t->estimates;
    to->bytes += t->bytes;
    to->scanned += t->scanned;
    to->queries += t->queries;
    to->deferred += t->deferred;
    to->touched += t->touched;
    to->skipped += t->skipped;
    to->ood += t->ood;
    to->stopped += t->stopped;
    to->row_reads += t->row_reads;
    to->filter_exact += t->filter_exact;
    to->damaged += t->damaged;
    to->looked += t->looked;
    to->taken += t->taken;
}

void tally_report(struct channi *c, const struct tally *t, struct work *work)
{
    struct channi_counters *n = &c->counters;

    channi_count(&n->queries, t->queries);
    channi_count(&n->deferred_searches, t->deferred);
    channi_count(&n->top_distances, (uint64_t)t->top);
    channi_count(&n->in_distances, (uint64_t)t->in);
    channi_count(&n->delta_distances, (uint64_t)t->delta);
    channi_count(&n->clusters_touched, t->touched);
    channi_count(&n->clusters_skipped, t->skipped);
    channi_count(&n->ood_touched, t->ood);
    channi_count(&n->stopped_early, t->stopped);
    channi_count(&n->row_reads, t->row_reads);
    channi_count(&n->filter_exact, t->filter_exact);
    channi_count(&n->damaged_clusters, t->damaged);
    work->distances += t->top + t->in + t->delta;
    work->estimates += t->estimates;
    work->bytes_read += t->bytes;
    work->scanned += t->scanned;
}

/* --------------------------------------------------------------------------------- search */

struct asking {
    struct channi *c;
    const struct view *view; /* of an old version, held; NULL: the present one */
    const struct search_request *request;
    struct search_result *result;
    const struct allowed *allowed;
    pthread_mutex_t lock; /* of result->work */
};

/* Inside the epoch. */
static int ask_one(const struct asking *a, const struct view *view, struct channi_scratch *x,
                   size_t i, size_t threads, struct tally *tally)
{
    const struct search_request *r = a->request;
    const struct quest q = { .c = a->c,
                             .view = view,
                             .knobs = r->knobs,
                             .allowed = a->allowed,
                             .query = (const unsigned char *)r->queries.rows + i * a->c->row_bytes,
                             .k = r->k,
                             .threads = threads };
    const struct topk top =
        topk_begin(r->k, a->result->distances + i * r->k, a->result->ids + i * r->k);
    struct seeker s;
    int rc = seeker_begin(&s, &q, x, &top);

    if (rc != OK)
        return rc;
    rc = quest_run(&s);
    topk_sort(&s.top);
    tally_add(tally, &s.tally);
    return rc;
}

/* Queries first .. end - 1, each on `threads`. */
static int ask_some(struct asking *a, size_t first, size_t end, size_t threads)
{
    struct channi *c = a->c;
    struct channi_scratch *x = channi_scratch_take(c);
    struct tally tally = { 0 };
    unsigned ticket;
    int rc = OK;

    if (!x)
        return seek_no_memory(c);
    const struct view *now = channi_enter(c, &ticket);
    for (size_t i = first; rc == OK && i < end; i++)
        rc = ask_one(a, a->view ? a->view : now, x, i, threads, &tally);
    channi_leave(c, ticket);
    channi_scratch_give(c, x);
    pthread_mutex_lock(&a->lock);
    tally_report(c, &tally, &a->result->work);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

static int ask_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    (void)worker;
    return ask_some(arg, first, end, 1);
}

static int ask_all(struct asking *a)
{
    const struct search_request *r = a->request;
    const size_t pool = pool_threads(a->c->base.env.pool);
    const size_t threads = r->threads < pool ? r->threads : pool;
    int rc;

    pthread_mutex_init(&a->lock, NULL);
    if (threads <= 1 || r->queries.n < threads)
        rc = ask_some(a, 0, r->queries.n, threads);
    else
        rc = parallel_for(a->c->base.env.pool, threads, r->queries.n, GRAIN, ask_chunk, a);
    pthread_mutex_destroy(&a->lock);
    return rc;
}

/* view NULL: the present one. */
static int search_in(struct channi *c, const struct view *view,
                     const struct search_request *request, struct allowed *allowed,
                     struct search_result *result)
{
    struct asking a = {
        .c = c, .view = view, .request = request, .result = result, .allowed = allowed
    };

    if (allowed)
        allowed_begin(allowed, c, view);
    return ask_all(&a);
}

int channi_search(struct index *index, const struct search_request *request,
                  struct search_result *result)
{
    struct allowed allowed = { .ids = request->filter };

    return search_in(channi_of(index), NULL, request, request->filter ? &allowed : NULL, result);
}

int channi_search_as_of(struct index *index, uint64_t version, const struct search_request *request,
                        struct search_result *result)
{
    struct channi *c = channi_of(index);
    struct allowed allowed = { .ids = request->filter };
    struct view *view = NULL;
    int rc = channi_view_of(c, version, &view);

    if (rc != OK)
        return rc;
    rc = search_in(c, view, request, request->filter ? &allowed : NULL, result);
    view_unref(c, view);
    return rc;
}

int channi_search_where(struct index *index, const struct search_request *request,
                        struct attribute_range range, struct search_result *result)
{
    struct allowed allowed = { .range = range, .by_attribute = true };

    return search_in(channi_of(index), NULL, request, &allowed, result);
}
