/* bounds_audit.c - audit of a search: compares every bound with every live row's exact distance.
 *
 * Statistics: violations of B1, B2, B3 (there are none); their tightness, the share of rows that
 * each excludes at the true k-th distance; the coverage of the calibrated quantile of the angle;
 * candidates and true neighbours by the number of bits in which their words, and codewords, differ
 * from the query's. Sums are over the searches since rows were last inserted or removed.
 */
#include <stdio.h>
#include <string.h>

#include "algorithms/asteria/search/internal.h"
#include "algorithms/common/rotation/rotation.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { RADII = ECC_WORD_MAX + 1 };

struct asteria_audit {
    double queries, pairs;
    double violations[3], pruned[3], pruned_by_any;
    double covered, calibrated; /* over pairs whose quantile is below pi */
    double candidates[RADII], neighbours[RADII], covered_at[RADII];
    double code_candidates[RADII], code_neighbours[RADII];
    double quantile[RADII];
    uint64_t changes; /* asteria.changes when the sums began */
};

/* The audit of one query, and the row that it looks at. */
struct auditor {
    const struct asteria_job *job;
    struct asteria_scratch *s;
    struct asteria_audit sums;
    double *distances; /* of live rows, in the order of visits */
    size_t n;
    struct topk nearest; /* places in it */
    double kth;          /* distance; INFINITY: there are fewer rows */
    const struct asteria_view *view;
    const struct asteria_bucket *bucket;
    uint32_t position;
    struct asteria_bound bound;
    uint64_t word, codeword; /* the query's */
};

static int visit(struct auditor *x, int (*row)(struct auditor *))
{
    const struct index_env *env = &x->job->a->base.env;
    struct asteria_knobs knobs = *x->job->knobs;
    knobs.use_b1 = knobs.use_b2 = true;
    const struct asteria_job job = { .a = x->job->a, .knobs = &knobs };
    int rc = OK;
    x->n = 0;
    for (size_t v = 0; v < x->s->n_views; v++) {
        const struct asteria_generation *g = x->s->views[v].g;
        const struct asteria_ecc *ecc = &g->model->ecc;
        x->view = &x->s->views[v];
        x->word = asteria_ecc_word(ecc, x->view->p);
        x->codeword = asteria_ecc_codeword(ecc, asteria_ecc_decode(ecc, x->view->p));
        for (size_t b = 0; !rc && b < g->n; b++) {
            x->bucket = &g->buckets[b];
            if (x->bucket->live == 0)
                continue;
            x->bound = asteria_bounds_of_bucket(
                &job, x->view, x->bucket,
                env->kernels->l2sq_f32(x->s->unit, x->bucket->centre, env->dim));
            for (x->position = 0; !rc && x->position < x->bucket->n; x->position++)
                if (bucket_is_alive(x->bucket, x->position))
                    rc = row(x);
        }
    }
    return rc;
}

static int note_distance(struct auditor *x)
{
    const struct asteria *a = x->job->a;
    float unit[ROTATION_DIM_MAX];
    _Alignas(8) unsigned char bytes[ROTATION_DIM_MAX * sizeof(float)];
    const void *row;
    const int rc = asteria_rows_get(a->rows, x->bucket->slots[x->position], bytes, &row);
    if (rc)
        return rc;
    const float *other = asteria_unit(&a->base.env, row, unit);
    double sum = 0;
    for (size_t i = 0; i < a->base.env.dim; i++) {
        const double d = (double)x->s->unit[i] - (double)other[i];
        sum += d * d;
    }
    if ((float)sum <= topk_limit(&x->nearest))
        topk_push(&x->nearest, (float)sum, x->n);
    x->distances[x->n++] = sum;
    return OK;
}

static void count_bound(struct asteria_audit *sums, int which, double lower, double distance,
                        double kth)
{
    sums->violations[which] += lower > distance + (double)BOUND_SLACK;
    sums->pruned[which] += lower > kth + (double)BOUND_SLACK;
}

static void count_angle(struct asteria_audit *sums, const struct asteria_calibration *c, unsigned h,
                        double distance)
{
    const double pi = 3.14159265358979323846;
    const double cosine = fmin(fmax(1 - distance / 2, -1), 1);
    const bool covered = acos(cosine) <= c->quantile[h];
    sums->quantile[h] = c->quantile[h];
    sums->covered_at[h] += covered;
    if (c->quantile[h] >= pi) /* no calibration */
        return;
    sums->calibrated += 1;
    sums->covered += covered;
}

static int judge_row(struct auditor *x)
{
    struct asteria_audit *sums = &x->sums;
    const struct asteria_generation *g = x->view->g;
    const double distance = x->distances[x->n++];
    const uint32_t slot = x->bucket->slots[x->position];
    const struct asteria_lrsq_distance d =
        asteria_lrsq_bounds(g->model->lrsq, x->view->residual_query, segmented_at(&g->codes, slot));
    const unsigned h = (unsigned)__builtin_popcountll(x->word ^ x->bucket->words[x->position]);
    const unsigned hc = (unsigned)__builtin_popcountll(x->codeword ^ x->bucket->codeword);
    sums->pairs += 1;
    count_bound(sums, 0, (double)x->bound.b1, distance, x->kth);
    count_bound(sums, 1, (double)x->bound.b2, distance, x->kth);
    count_bound(sums, 2, (double)d.lower, distance, x->kth);
    sums->violations[2] += (double)d.upper < distance - (double)BOUND_SLACK;
    sums->pruned_by_any +=
        (double)fmaxf(fmaxf(x->bound.b1, x->bound.b2), d.lower) > x->kth + (double)BOUND_SLACK;
    count_angle(sums, &g->model->fitted.calibration, h, distance);
    sums->candidates[h] += 1;
    sums->neighbours[h] += distance <= x->kth;
    sums->code_candidates[hc] += 1;
    sums->code_neighbours[hc] += distance <= x->kth;
    return OK;
}

int asteria_bounds_audit_query(const struct asteria_job *job, struct asteria_scratch *s)
{
    struct asteria *a = job->a;
    struct auditor x = { .job = job, .s = s, .sums.queries = 1 };
    pthread_mutex_lock(&a->scratch.lock);
    if (!a->audit)
        a->audit = mem_zalloc(a->base.env.mem, sizeof *a->audit);
    double *to = (double *)a->audit;
    pthread_mutex_unlock(&a->scratch.lock);
    if (!to)
        return search_no_memory(a);
    struct mem_group g = { .mem = a->base.env.mem };
    float *best = mem_group_array(&g, job->k, sizeof *best);
    uint64_t *at = mem_group_array(&g, job->k, sizeof *at);
    x.distances = mem_group_array(&g, a->live, sizeof *x.distances);
    x.nearest = topk_begin(job->k, best, at);
    int rc = g.failed ? search_no_memory(a) : visit(&x, note_distance);
    x.kth = x.nearest.n == job->k ? 0 : INFINITY;
    for (size_t i = 0; !rc && i < x.nearest.n; i++)
        x.kth = fmax(x.kth, x.distances[at[i]]);
    if (!rc)
        rc = visit(&x, judge_row);
    mem_group_free(&g);
    if (rc)
        return rc;
    pthread_mutex_lock(&a->scratch.lock);
    if (a->audit->changes != a->changes)
        *a->audit = (struct asteria_audit){ .changes = a->changes };
    for (size_t i = 0; i < offsetof(struct asteria_audit, quantile) / sizeof *to; i++)
        to[i] += ((const double *)&x.sums)[i];
    memcpy(a->audit->quantile, x.sums.quantile, sizeof x.sums.quantile);
    pthread_mutex_unlock(&a->scratch.lock);
    return OK;
}

static void radius_row(struct stat_sink *sink, size_t h, const struct asteria_audit *x)
{
    sink->cell(sink->to, "radius", h, "candidates", x->candidates[h]);
    sink->cell(sink->to, "radius", h, "neighbours", x->neighbours[h]);
    sink->cell(sink->to, "radius", h, "quantile", x->quantile[h]);
    sink->cell(sink->to, "radius", h, "covered",
               x->candidates[h] > 0 ? x->covered_at[h] / x->candidates[h] : 1);
    sink->cell(sink->to, "radius", h, "code_candidates", x->code_candidates[h]);
    sink->cell(sink->to, "radius", h, "code_neighbours", x->code_neighbours[h]);
    /* Scalar statistics, because claims can only name these. */
    char name[32];
    (void)snprintf(name, sizeof name, "candidates_h%zu", h);
    asteria_emit(sink, name, x->candidates[h]);
    (void)snprintf(name, sizeof name, "neighbours_h%zu", h);
    asteria_emit(sink, name, x->neighbours[h]);
}

void asteria_bounds_audit_stats(const struct asteria *a, struct stat_sink *sink)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&a->scratch.lock;
    pthread_mutex_lock(lock);
    const struct asteria_audit x = a->audit ? *a->audit : (struct asteria_audit){ 0 };
    pthread_mutex_unlock(lock);
    const double pairs = x.pairs > 0 ? x.pairs : 1;
    if (x.queries == 0)
        return;
    asteria_emit(sink, "audited_pairs", x.pairs);
    asteria_emit(sink, "b1_violations", x.violations[0]);
    asteria_emit(sink, "b2_violations", x.violations[1]);
    asteria_emit(sink, "b3_violations", x.violations[2]);
    asteria_emit(sink, "b1_pruned", x.pruned[0] / pairs);
    asteria_emit(sink, "b2_pruned", x.pruned[1] / pairs);
    asteria_emit(sink, "b3_pruned", x.pruned[2] / pairs);
    asteria_emit(sink, "bounds_pruned", x.pruned_by_any / pairs);
    asteria_emit(sink, "calibrated_pairs", x.calibrated);
    asteria_emit(sink, "calibrated_coverage", x.calibrated > 0 ? x.covered / x.calibrated : 1);
    for (size_t h = 0; h < RADII; h++)
        if (x.candidates[h] > 0 || x.code_candidates[h] > 0)
            radius_row(sink, h, &x);
}
