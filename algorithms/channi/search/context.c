/* context.c - begins a thread's share of a query, and counts its work. */
#include "algorithms/channi/search/search.h"
#include "src/core/mem.h"

static bool tops_fit(struct channi_search_work *w, size_t k, size_t uppers)
{
    return mem_grow(w->mem, &w->upper_distances, &w->upper_distances_capacity, uppers,
                    sizeof *w->upper_distances) &&
           mem_grow(w->mem, &w->upper_ids, &w->upper_ids_capacity, uppers, sizeof *w->upper_ids) &&
           mem_grow(w->mem, &w->own_distances, &w->own_distances_capacity, k,
                    sizeof *w->own_distances) &&
           mem_grow(w->mem, &w->own_ids, &w->own_ids_capacity, k, sizeof *w->own_ids);
}

int channi_context_begin(struct channi_query_context *s, const struct channi_query *q,
                         struct channi_scratch *x, const struct topk *top)
{
    if (!channi_scratch_work(q->c, x))
        return channi_search_no_memory(q->c);
    return channi_context_begin_in(s, q, x, x->work, top);
}

int channi_context_begin_in(struct channi_query_context *s, const struct channi_query *q,
                            struct channi_scratch *x, struct channi_search_work *w,
                            const struct topk *top)
{
    struct channi *c = q->c;
    const size_t k = q->k ? q->k : 1, uppers = channi_beams_share(q) ? channi_beam_width(q) : k;

    if (!tops_fit(w, k, uppers))
        return channi_search_no_memory(c);
    w->n_candidates = w->n_sources = w->n_bases = 0;
    *s = (struct channi_query_context){
        .q = q,
        .x = x,
        .w = w,
        .top = top ? *top : topk_begin(q->k, w->own_distances, w->own_ids),
        .uppers = topk_begin(uppers, w->upper_distances, w->upper_ids),
        .ceiling = INFINITY,
        .beams_limit = INFINITY,
        /* Not c->quantizer: a concurrent build may be creating it. */
        .coded = q->view->layout->routes && c->params.cluster_index == INSIDE_CODES,
        .rerank_left = q->knobs->rerank > 0 ? (size_t)q->knobs->rerank : SIZE_MAX
    };
    return OK;
}

/* ------------------------------------------------------------------------------- counts */

void channi_search_counts_add(struct channi_search_counts *to, const struct channi_search_counts *t)
{
    const double *from = (const double *)t;

    for (size_t i = 0; i < sizeof *t / sizeof *from; i++)
        ((double *)to)[i] += from[i];
}

void channi_search_counts_report(struct channi *c, const struct channi_search_counts *t,
                                 struct work *work)
{
    struct channi_counters *n = &c->counters;

    channi_count(&n->queries, (uint64_t)t->queries);
    channi_count(&n->deferred_searches, (uint64_t)t->deferred);
    channi_count(&n->top_distances, (uint64_t)t->top);
    channi_count(&n->in_distances, (uint64_t)t->in);
    channi_count(&n->delta_distances, (uint64_t)t->delta);
    channi_count(&n->clusters_touched, (uint64_t)t->touched);
    channi_count(&n->clusters_skipped, (uint64_t)t->skipped);
    channi_count(&n->ood_touched, (uint64_t)t->ood);
    channi_count(&n->stopped_early, (uint64_t)t->stopped);
    channi_count(&n->row_reads, (uint64_t)t->row_reads);
    channi_count(&n->filter_exact, (uint64_t)t->filter_exact);
    work->distances += t->top + t->in + t->delta;
    work->estimates += t->estimates;
    work->bytes_read += t->bytes;
    work->scanned += t->scanned;
}
