/* query.c - one query: the scratch of its thread, its preparation for each generation, and its search,
 * certified or heuristic. Idle scratch is pooled, so that a search allocates nothing once warm.
 */
#include <string.h>

#include "algorithms/asteria/search/internal.h"
#include "src/core/mem.h"
#include "src/core/order.h"

/* ------------------------------------------------------------------------------------- scratch */

static void close_scratch(struct mem *mem, void *scratch)
{
    struct asteria_scratch *s = scratch;
    for (size_t v = 0; v < VIEWS; v++)
        mem_group_free(&s->views[v].memory);
    mem_free(mem, s->unit);
    mem_group_free(&s->of_buckets);
    mem_free(mem, s->best_distances);
    mem_free(mem, s->best_slots);
    row_reader_give(s->reader);
    asteria_caprg_scratch_free(&s->walk, mem);
    mem_free(mem, s->hits.hits);
}

/* Makes the view's buffers, unless they are those of this model. */
static bool fit_view(struct mem *mem, struct asteria_view *v)
{
    const struct asteria_model *m = v->g->model;
    const size_t query_bytes = asteria_lrsq_query_bytes(m->lrsq);
    struct mem_group *g = &v->memory;

    if (v->version == m->fitted.version)
        return true;
    mem_group_free(g);
    *g = (struct mem_group){ .mem = mem };
    v->version = 0;
    v->memory_bytes = 0;
    v->rotated = mem_group_array(g, m->quantizer->work_dim, sizeof *v->rotated);
    v->prepared = mem_group_array(g, 1, m->quantizer->query_bytes);
    v->z = mem_group_array(g, m->rotation->out_dim, sizeof *v->z);
    v->p = mem_group_array(g, m->m, sizeof *v->p);
    v->residual_query = mem_group_array(g, 1, query_bytes);
    if (g->failed)
        return false;
    v->version = m->fitted.version;
    v->memory_bytes = (m->quantizer->work_dim + m->rotation->out_dim + m->m) * sizeof(float) +
                      m->quantizer->query_bytes + query_bytes;
    return true;
}

/* Sets up views of the present generations. */
static bool fit_views(struct asteria *a, struct asteria_scratch *s)
{
    s->n_views = s->n_buckets = 0;
    for (unsigned i = 0; i < VIEWS; i++) {
        struct asteria_generation *g = a->generations[a->now ^ i];
        if (!g)
            continue;
        struct asteria_view *v = &s->views[s->n_views++];
        v->g = g;
        v->first = s->n_buckets;
        s->n_buckets += g->n;
        if (!fit_view(a->base.env.mem, v))
            return false;
    }
    return true;
}

static bool fit_buckets(const struct asteria *a, struct asteria_scratch *s)
{
    struct mem_group *g = &s->of_buckets;
    const size_t n = s->n_buckets + s->n_buckets / 8 + 1, seeds = a->graph ? SEEDS * n : 0;
    if (s->n_buckets <= s->buckets_capacity)
        return true;
    mem_group_free(g);
    *g = (struct mem_group){ .mem = a->base.env.mem };
    s->keys = mem_group_array(g, n, sizeof *s->keys);
    s->centre_sq = mem_group_array(g, n, sizeof *s->centre_sq);
    s->bound = mem_group_array(g, n, sizeof *s->bound);
    s->numbers = mem_group_array(g, n, sizeof *s->numbers);
    s->estimates = mem_group_array(g, (n + 15) / 16 * 16, sizeof *s->estimates);
    s->seeds = mem_group_array(g, seeds, sizeof *s->seeds);
    s->seed_scores = mem_group_array(g, seeds, sizeof *s->seed_scores);
    s->buckets_capacity = g->failed ? 0 : n;
    return !g->failed;
}

int asteria_scratch_prepare(struct asteria *a, struct asteria_scratch *s, size_t best)
{
    struct mem *mem = a->base.env.mem;
    s->failure = OK;
    if (!s->unit)
        s->unit = mem_array(mem, a->base.env.dim, sizeof *s->unit);
    if (best > s->best_capacity) {
        s->best_capacity = 0;
        if (!mem_fit(mem, &s->best_distances, best, sizeof *s->best_distances) ||
            !mem_fit(mem, &s->best_slots, best, sizeof *s->best_slots))
            return search_no_memory(a);
        s->best_capacity = best;
    }
    s->best = topk_begin(best, s->best_distances, s->best_slots);
    if (s->unit && fit_views(a, s) && fit_buckets(a, s) &&
        (!asteria_rows_are_tiered(a->rows) || s->reader ||
         (s->reader = row_reader_take(a->rows->file->store))))
        return OK;
    return search_no_memory(a);
}

void asteria_scratch_give(struct asteria *a, struct asteria_scratch *s)
{
    const double *from = (const double *)&s->counts;
    pthread_mutex_lock(&a->scratch.lock);
    double *to = (double *)&a->counts;
    for (size_t i = 0; i < sizeof s->counts / sizeof *from; i++)
        to[i] += from[i];
    pthread_mutex_unlock(&a->scratch.lock);
    s->counts = (struct asteria_counts){ 0 };
    scratch_pool_give(&a->scratch, s);
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct asteria *a = owner;
    const struct asteria_scratch *s = scratch;
    return a->base.env.dim * sizeof *s->unit + s->views[0].memory_bytes + s->views[1].memory_bytes +
           s->buckets_capacity *
               (sizeof *s->keys + sizeof *s->centre_sq + sizeof *s->bound + sizeof *s->numbers +
                sizeof *s->estimates +
                (a->graph ? SEEDS * (sizeof *s->seeds + sizeof *s->seed_scores) : 0)) +
           s->best_capacity * (sizeof *s->best_distances + sizeof *s->best_slots) +
           s->walk.marks_capacity * sizeof *s->walk.marks + s->hits.capacity * sizeof *s->hits.hits;
}

const struct scratch_kind asteria_scratch_kind = { sizeof(struct asteria_scratch), NULL,
                                                   close_scratch, scratch_bytes };

/* ------------------------------------------------------------------------------------- a query */

void asteria_query_hash(const struct index_env *env, const struct asteria_scratch *s,
                        struct asteria_view *v, bool all)
{
    const struct asteria_model *m = v->g->model;
    asteria_model_project(m, env->kernels, s->unit, v->z, v->p);
    if (!all)
        return;
    asteria_lrsq_query(m->lrsq, v->z, v->residual_query);
    v->size = 0;
    for (size_t i = 0; i < m->m; i++)
        v->size += fabsf(v->p[i]);
}

void asteria_query_begin(const struct asteria_job *job, struct asteria_scratch *s,
                         const void *query, enum asteria_query_needs needs)
{
    const struct index_env *env = &job->a->base.env;
    s->query = query;
    s->cap = INFINITY;
    s->n_first = 0;
    s->codes.n = s->codes.first = s->rows.n = s->rows.first = 0;
    s->n_cold = 0;
    asteria_unit_copy(env, query, s->unit);
    for (size_t i = 0; i < s->n_views; i++) {
        struct asteria_view *v = &s->views[i];
        const struct quantizer *z = v->g->model->quantizer;
        if (needs & NEEDS_SCAN) {
            v->rest = asteria_model_scanned(v->g->model, env->kernels, s->unit, PCA_CODE_QUERY,
                                            v->rotated);
            quantizer_query(z, v->rotated, v->prepared);
        }
        if (needs & (NEEDS_HASH | NEEDS_BOUNDS))
            asteria_query_hash(env, s, v, needs & NEEDS_BOUNDS);
    }
}

/* ------------------------------------------------------------------------------ beam search */

/* From the best rows of the scanned buckets to rows of others: each new row is scored by LRSQ's
   estimate, and offered once, like scanned rows. */
struct beam_scorer {
    const struct asteria_job *job;
    struct asteria_scratch *s;
};

static void beam_begin(const struct asteria_job *job, struct asteria_scratch *s)
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

static void beam_query(const struct asteria_job *job, struct asteria_scratch *s)
{
    struct beam_scorer scorer = { job, s };
    struct asteria_caprg_beam walk = { .score = score, .to = &scorer };
    score(&scorer, s->seeds, s->n_seeds, s->seed_scores);
    asteria_caprg_search(job->a->graph, &s->walk, s->seeds, s->seed_scores, s->n_seeds, &walk);
    s->counts.hops += (double)walk.hops;
    s->counts.beam_rows += (double)walk.scored;
}

/* --------------------------------------------------------------------------------- heuristic */

static double score_after(const struct asteria_job *job, struct asteria_scratch *s,
                          struct stop_state *stop)
{
    const float kth = job->trace ? stop_trace_kth(job->trace, &s->nearest)
                                 : (s->best.k > 0 ? topk_limit(&s->best) : limit_of(job, s));
    return stop_after(stop, kth, s->n_keys > 0 ? order_f32_of(s->keys[0]) : INFINITY);
}

/* Whether the query can stop before the next bucket, by what it has found so far. Rows that passed
   the scan wait for their distances until it would stop without them. */
static bool found_enough(const struct asteria_job *job, struct asteria_scratch *s,
                         struct stop_state *stop)
{
    const struct stop_state before = *stop;
    if (job->trace) {
        asteria_rerank_flush(job, s);
        return stop_trace_note(job->trace, &s->nearest, score_after(job, s, stop));
    }
    if (score_after(job, s, stop) < job->score)
        return false;
    asteria_rerank_flush(job, s);
    *stop = before;
    return score_after(job, s, stop) >= job->score;
}

/* Scans as many buckets as the knobs allow, and more while there are fewer than k answers. */
static void heuristic_query(const struct asteria_job *job, struct asteria_scratch *s)
{
    const struct asteria_knobs *knobs = job->knobs;
    double probes = 0, rows = 0;
    size_t number;
    bool enough = false;
    asteria_probe_order(job, s);
    struct stop_state stop = stop_begin(s->n_keys > 0 ? order_f32_of(s->keys[0]) : 0);
    while (!s->failure && s->n_keys > 0) {
        struct asteria_view *v;
        const uint32_t next = bucket_of(s, (uint32_t)s->keys[0], &v)->live;
        const bool too_many =
            knobs->candidates > 0 && probes > 0 && rows + next > (double)knobs->candidates;
        if (enough || too_many || probes >= (double)knobs->nprobe) {
            asteria_rerank_flush(job, s);
            asteria_scan_add_first(job, s);
            if (s->nearest.n >= job->k)
                break;
        }
        (void)asteria_probe_next(s, &number);
        asteria_scan_bucket(job, s, number);
        probes += 1;
        rows += next;
        enough = enough || (knobs->target_recall > 0 && found_enough(job, s, &stop));
    }
    s->counts.probes += probes;
    if (s->uses_beam && !s->failure)
        beam_query(job, s);
    asteria_rerank_flush(job, s);
    asteria_scan_add_first(job, s);
}

static enum asteria_query_needs needs_of(const struct asteria_job *job,
                                         const struct asteria_scratch *s)
{
    const struct asteria_knobs *knobs = job->knobs;

    if (job->range)
        return NEEDS_BOUNDS;
    if (knobs->mode == MODE_CERTIFIED || knobs->probe_order == ORDER_BOUND || uses_codes(job, s) ||
        s->uses_beam || knobs->audit)
        return NEEDS_SCAN | NEEDS_BOUNDS;
    return knobs->probe_order == ORDER_CENTRE ? NEEDS_SCAN : NEEDS_SCAN | NEEDS_HASH;
}

int asteria_query_search(const struct asteria_job *job, struct asteria_scratch *s, size_t q)
{
    const bool certified = job->range || job->knobs->mode == MODE_CERTIFIED;
    /* Number of best estimates that get a distance; 0: all rows that pass the scan. */
    size_t rerank = (size_t)job->knobs->rerank;
    if (rerank >= job->a->live || !job->knobs->exact || certified)
        rerank = 0;
    const int rc =
        asteria_scratch_prepare(job->a, s, rerank > 0 && rerank < job->k ? job->k : rerank);
    if (rc)
        return rc;
    beam_begin(job, s);
    s->hits.n = 0;
    if (!job->range)
        s->nearest = topk_begin(job->k, job->distances + q * job->k, job->ids + q * job->k);
    asteria_query_begin(job, s, job->queries + q * job->query_bytes, needs_of(job, s));
    if (certified)
        asteria_certified_query(job, s);
    else
        heuristic_query(job, s);
    s->counts.queries += 1;
    if (job->range)
        return s->failure;
    topk_sort(&s->nearest);
    if (!s->failure && job->knobs->audit)
        s->failure = asteria_bounds_audit_query(job, s);
    return s->failure;
}
