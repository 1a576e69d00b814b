/* query.c - one query: its preparation for each generation, and its search, certified or heuristic. */
#include "algorithms/asteria/search/internal.h"

void asteria_query_hash(const struct index_env *env, const struct asteria_scratch *s,
                        struct asteria_view *v, bool all)
{
    const struct asteria_model *m = v->g->model;
    asteria_rotation_apply(m->rotation, env->kernels, s->unit, v->z);
    asteria_model_hash(m, env->kernels, v->z, v->p);
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
    s->settled = 0;
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

/* Scans as many buckets as the knobs allow, and more while there are fewer than k answers.
   early_stop_buckets ends queries early whose neighbours
   are in few buckets. */
static void heuristic_query(const struct asteria_job *job, struct asteria_scratch *s)
{
    const struct asteria_knobs *knobs = job->knobs;
    const int64_t patience = knobs->early_stop_buckets > 0 ? knobs->early_stop_buckets : INT64_MAX;
    double probes = 0, rows = 0;
    uint64_t settled = 0;
    int64_t in_vain = 0;
    size_t number;
    asteria_probe_order(job, s);
    while (!s->failure && s->n_keys > 0) {
        struct asteria_view *v;
        const uint32_t next = bucket_of(s, (uint32_t)s->keys[0], &v)->live;
        const bool too_many =
            knobs->candidates > 0 && probes > 0 && rows + next > (double)knobs->candidates;
        if (in_vain >= patience || too_many || probes >= (double)knobs->nprobe) {
            asteria_rerank_flush(job, s);
            asteria_scan_add_first(job, s);
            if (s->nearest.n >= job->k)
                break;
        }
        (void)asteria_probe_next(s, &number);
        asteria_scan_bucket(job, s, number);
        in_vain = s->settled == settled ? in_vain + 1 : 0;
        settled = s->settled;
        probes += 1;
        rows += next;
    }
    s->counts.probes += probes;
    if (s->uses_beam && !s->failure)
        s->failure = asteria_beam_query(job, s);
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
    const int rc = asteria_scratch_prepare(job->a, s, job->knobs,
                                           rerank > 0 && rerank < job->k ? job->k : rerank);
    if (rc)
        return rc;
    asteria_beam_begin(job, s);
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
