/* walk.c - along the graph from the best rows of the buckets that were scanned, to rows of buckets that were not.
 *
 * Scored by LRSQ's estimates. What is met is offered as scanned rows are, once.
 */
#include <string.h>

#include "algorithms/asteria/search.h"
#include "src/core/mem.h"

/* Of a bucket. */
enum { SEEDS = 2 };

struct walker {
    const struct job *job;
    struct scratch *s;
};

void walk_begin(const struct job *job, struct scratch *s)
{
    s->walking =
        job->knobs->beam > 0 && job->a->graph && !job->range && job->knobs->mode == MODE_HEURISTIC;
    s->n_seeds = 0;
    if (!s->walking || ++s->seen_now != 0)
        return;
    memset(s->seen, 0, s->seen_capacity * sizeof *s->seen);
    s->seen_now = 1;
}

void walk_seed(const struct job *job, struct scratch *s, uint32_t slot)
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

/* NULL: its generation is no more. */
static const struct view *view_of_slot(const struct asteria *a, const struct scratch *s,
                                       uint32_t slot)
{
    const struct generation *g = a->generations[a->places[slot].generation];
    for (size_t i = 0; i < s->n_views; i++)
        if (s->views[i].g == g)
            return slot < g->codes.capacity ? &s->views[i] : NULL;
    return NULL;
}

static float score_one(const struct job *job, struct scratch *s, uint32_t slot)
{
    const struct view *v = view_of_slot(job->a, s, slot);
    if (!v)
        return INFINITY;
    const bool answer = job->a->ids[slot] != ID_NONE && allowed(job, slot);
    return estimate_row(job, s, v, slot, answer && first_seen(s, slot));
}

static void fetch_codes(const struct job *job, const struct scratch *s, const uint32_t *slots,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct view *v = view_of_slot(job->a, s, slots[i]);
        if (v)
            fetch_lines(stable_at(&v->g->codes, slots[i]), v->g->model->lrsq->code_bytes);
        __builtin_prefetch(&job->a->ids[slots[i]]);
        __builtin_prefetch(&s->seen[slots[i]]);
    }
}

static void score(void *to, const uint32_t *slots, size_t n, float *scores)
{
    const struct walker *w = to;
    fetch_codes(w->job, w->s, slots, n);
    for (size_t i = 0; i < n; i++)
        scores[i] = score_one(w->job, w->s, slots[i]);
}

int walk_query(const struct job *job, struct scratch *s)
{
    struct walker walker = { job, s };
    struct caprg_walk walk = { .score = score, .to = &walker, .beam = (size_t)job->knobs->beam };
    score(&walker, s->seeds, s->n_seeds, s->seed_scores);
    int rc = caprg_search_begin(job->a->graph, s->walk);
    if (!rc)
        rc = caprg_search(job->a->graph, s->walk, s->seeds, s->seed_scores, s->n_seeds, &walk);
    s->counts.hops += (double)walk.hops;
    s->counts.walked += (double)walk.scored;
    return rc;
}
