/* beam.c - beam search in the graph, from the best rows of the scanned buckets to rows of others.
 *
 * Rows are scored by LRSQ's estimates. Each new row is offered once, like scanned rows.
 */
#include "algorithms/asteria/search/internal.h"

struct beam_scorer {
    const struct asteria_job *job;
    struct asteria_scratch *s;
};

void asteria_beam_begin(const struct asteria_job *job, struct asteria_scratch *s)
{
    s->uses_beam =
        job->knobs->beam > 0 && job->a->graph && !job->range && job->knobs->mode == MODE_HEURISTIC;
    s->n_seeds = 0;
    if (s->uses_beam)
        s->failure = asteria_caprg_begin(job->a->graph, &s->walk, (size_t)job->knobs->beam);
}

/* NULL: its generation is gone. */
static const struct asteria_view *view_of_slot(const struct asteria *a,
                                               const struct asteria_scratch *s, uint32_t slot)
{
    const struct asteria_generation *g = a->generations[a->places[slot].generation];
    for (size_t i = 0; i < s->n_views; i++)
        if (s->views[i].g == g)
            return slot < g->codes.capacity ? &s->views[i] : NULL;
    return NULL;
}

static void score(void *to, const uint32_t *slots, size_t n, float *scores)
{
    const struct beam_scorer *w = to;
    const struct asteria *a = w->job->a;
    struct asteria_scratch *s = w->s;
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = slots[i];
        const struct asteria_view *v = view_of_slot(a, s, slot);
        if (v)
            prefetch_lines(segmented_at(&v->g->codes, slot), v->g->model->lrsq->code_bytes);
        __builtin_prefetch(&a->ids[slot]);
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = slots[i];
        const struct asteria_view *v = view_of_slot(a, s, slot);
        scores[i] = INFINITY;
        if (!v)
            continue;
        const bool answer = a->ids[slot] != INDEX_NO_ID && allowed(w->job, slot);
        scores[i] = asteria_rerank_estimate(w->job, s, v, slot, answer && first_seen(s, slot));
    }
}

void asteria_beam_query(const struct asteria_job *job, struct asteria_scratch *s)
{
    struct beam_scorer scorer = { job, s };
    struct asteria_caprg_beam walk = { .score = score, .to = &scorer };
    score(&scorer, s->seeds, s->n_seeds, s->seed_scores);
    asteria_caprg_search(job->a->graph, &s->walk, s->seeds, s->seed_scores, s->n_seeds, &walk);
    s->counts.hops += (double)walk.hops;
    s->counts.beam_rows += (double)walk.scored;
}
