/* beam.c - beam search in the graph, from the best rows of the scanned buckets to rows of others.
 *
 * Rows are scored by LRSQ's estimates. Each new row is offered once, like scanned rows.
 */
#include <string.h>

#include "algorithms/asteria/search/internal.h"
#include "src/core/mem.h"

/* Seeds per bucket. */
enum { SEEDS = 2 };

struct beam_scorer {
    const struct asteria_job *job;
    struct asteria_scratch *s;
};

void asteria_beam_begin(const struct asteria_job *job, struct asteria_scratch *s)
{
    s->uses_beam =
        job->knobs->beam > 0 && job->a->graph && !job->range && job->knobs->mode == MODE_HEURISTIC;
    s->n_seeds = 0;
    if (!s->uses_beam || ++s->seen_now != 0)
        return;
    memset(s->seen, 0, s->seen_capacity * sizeof *s->seen);
    s->seen_now = 1;
}

void asteria_beam_seed(const struct asteria_job *job, struct asteria_scratch *s, uint32_t slot)
{
    struct mem *mem = job->a->base.env.mem;
    if (s->n_seeds == s->seeds_capacity) {
        size_t scores = s->seeds_capacity;
        if (!mem_grow(mem, &s->seed_scores, &scores, s->n_seeds + SEEDS, sizeof *s->seed_scores) ||
            !mem_grow(mem, &s->seeds, &s->seeds_capacity, s->n_seeds + SEEDS, sizeof *s->seeds)) {
            s->failure = search_no_memory(job->a);
            return;
        }
    }
    s->seeds[s->n_seeds++] = slot;
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

static float score_one(const struct asteria_job *job, struct asteria_scratch *s, uint32_t slot)
{
    const struct asteria_view *v = view_of_slot(job->a, s, slot);
    if (!v)
        return INFINITY;
    const bool answer = job->a->ids[slot] != INDEX_NO_ID && allowed(job, slot);
    return asteria_rerank_estimate(job, s, v, slot, answer && first_seen(s, slot));
}

static void fetch_codes(const struct asteria_job *job, const struct asteria_scratch *s,
                        const uint32_t *slots, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct asteria_view *v = view_of_slot(job->a, s, slots[i]);
        if (v)
            prefetch_lines(segmented_at(&v->g->codes, slots[i]), v->g->model->lrsq->code_bytes);
        __builtin_prefetch(&job->a->ids[slots[i]]);
        __builtin_prefetch(&s->seen[slots[i]]);
    }
}

static void score(void *to, const uint32_t *slots, size_t n, float *scores)
{
    const struct beam_scorer *w = to;
    fetch_codes(w->job, w->s, slots, n);
    for (size_t i = 0; i < n; i++)
        scores[i] = score_one(w->job, w->s, slots[i]);
}

int asteria_beam_query(const struct asteria_job *job, struct asteria_scratch *s)
{
    struct beam_scorer beam_scorer = { job, s };
    struct asteria_caprg_beam walk = { .score = score,
                                       .to = &beam_scorer,
                                       .beam = (size_t)job->knobs->beam };
    score(&beam_scorer, s->seeds, s->n_seeds, s->seed_scores);
    int rc = asteria_caprg_search_begin(job->a->graph, s->walk);
    if (!rc)
        rc = asteria_caprg_search(job->a->graph, s->walk, s->seeds, s->seed_scores, s->n_seeds,
                                  &walk);
    s->counts.hops += (double)walk.hops;
    s->counts.beam_rows += (double)walk.scored;
    return rc;
}
