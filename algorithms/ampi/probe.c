/* probe.c - choosing clusters and cones to search, and bounds from projections.
 *
 * For a unit axis a, |<x, a> - <q, a>| <= |x - q|. So a vector beyond a gap along any one axis is
 * at least as far as the gap. This bound is certain; whether the searched cones contain the nearest
 * neighbours is not. Rounding is included: a float sum of dim products is within gamma |x| |a| of
 * the exact one, with gamma slightly above dim 2^-24, and the lengths of the axes are within the
 * same of 1. */
#include <math.h>

#include "algorithms/ampi/ampi.h"
#include "kernels/kernels.h"

static double gamma_of(const struct ampi *a)
{
    return ((double)a->base.env.dim + 8) * 0x1p-23;
}

double ampi_reach(const struct ampi_query *q, double distance_sq)
{
    return sqrt(distance_sq) * (1 + gamma_of(q->job->a)) + q->slack;
}

static void nearest_clusters(struct ampi_query *q)
{
    const struct ampi *a = q->job->a;
    const struct ampi_partition *p = &a->part;
    const struct kernels *kernels = a->base.env.kernels;
    struct ampi_scratch *s = q->s;
    kernels->l2sq_f32_1n(q->row, p->centroids, p->n, a->base.env.dim, s->list_distances);
    struct topk nearest = topk_begin(q->job->nprobe, s->probe_distances, s->probes);
    topk_offer(&nearest, kernels, s->list_distances, NULL, 0, p->n, s->positions);
    topk_sort(&nearest);
    q->s->work.distances += (double)p->n;
    q->s->work.bytes_read += (double)(p->n * a->base.env.dim * sizeof(float));
    /* Centroids whose distance is NaN are not found; the first clusters replace them. */
    for (size_t i = nearest.n; i < q->job->nprobe; i++)
        s->probes[i] = i;
}

static bool needs_projections(const struct ampi *a, size_t cluster, size_t whole)
{
    for (size_t f = 0; f < a->fans; f++)
        if (ampi_cone(a, &a->part, cluster, f)->n > whole)
            return true;
    return false;
}

/* The query's projections on the cluster's axes; `own` has space for them. */
static const float *project(const struct ampi_query *q, size_t cluster, float *own,
                            bool *shared_known)
{
    const struct ampi *a = q->job->a;
    const struct ampi_cluster *c = &a->part.cluster[cluster];
    float *out = c->axes ? own : q->s->projections;
    if (c->axes || !*shared_known) {
        ampi_project(a, q->row, ampi_axes(a, c), out);
        q->s->work.distances += (double)a->fans;
        q->s->work.bytes_read += (double)(a->fans * a->base.env.dim * sizeof(float));
    }
    *shared_known = *shared_known || !c->axes;
    return out;
}

static void add_view(struct ampi_query *q, size_t cluster, size_t fan, const float *projections)
{
    const struct ampi *a = q->job->a;
    const struct ampi_cone *cone = ampi_cone(a, &a->part, cluster, fan);
    if (cone->n == 0)
        return;
    q->s->views[q->n_views] = (struct ampi_view){ .cone = cone,
                                                  .query = projections,
                                                  .ranks = q->s->ranks + q->n_views * a->fans };
    q->n_views++;
}

void ampi_probe(struct ampi_query *q, size_t whole)
{
    const struct ampi *a = q->job->a;
    const struct index_env *env = &a->base.env;
    struct ampi_scratch *s = q->s;
    uint32_t fans[AMPI_FANS_MAX];
    bool shared_known = false, all = q->job->fan_probes >= a->fans;
    double length = sqrt((double)env->kernels->ip_f32(q->row, q->row, env->dim));
    q->slack = gamma_of(a) * (a->longest + length);
    q->n_views = 0;
    if (++s->epoch == 0) {
        for (size_t i = 0; i < s->space.slots; i++)
            s->stamp[i] = 0;
        s->epoch = 1;
    }
    nearest_clusters(q);
    for (size_t p = 0; p < q->job->nprobe; p++) {
        size_t cluster = (size_t)s->probes[p];
        const float *projections = NULL;
        if (!all || needs_projections(a, cluster, whole))
            projections = project(q, cluster, s->projections + (p + 1) * a->fans, &shared_known);
        if (!all)
            ampi_choose_fans(a, projections, a->part.centre + cluster * a->fans, q->job->fan_probes,
                             fans);
        for (size_t f = 0; f < (all ? a->fans : q->job->fan_probes); f++)
            add_view(q, cluster, all ? f : fans[f], projections);
    }
}

void ampi_rank(const struct ampi_query *q, struct ampi_view *v)
{
    for (size_t f = 0; f < q->job->a->fans && !v->ranked; f++)
        v->ranks[f] = (uint32_t)ampi_cone_rank(v->cone, f, (double)v->query[f]);
    v->ranked = true;
}

/* Prefetch distances: in slots, for what is known of them; in rows, and bytes of each. */
enum { SLOTS_AHEAD = 16, ROWS_AHEAD = 8, ROW_BYTES = 1024 };

static void prefetch_row(const struct ampi *a, uint32_t slot)
{
    const char *row = (const char *)ampi_row(a, slot);
    const size_t bytes = a->base.env.dim * sizeof(float);
    for (size_t at = 0; at < bytes && at < ROW_BYTES; at += 64)
        __builtin_prefetch(row + at);
}

/* Moves the slots that may be answers, and were not met before, to the front; returns their
   number. */
static size_t keep_new(const struct ampi_query *q, uint32_t *slots, size_t n)
{
    const struct ampi *a = q->job->a;
    struct ampi_scratch *s = q->s;
    size_t kept = 0, met = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = slots[i];
        if (i + SLOTS_AHEAD < n) {
            __builtin_prefetch(&s->stamp[slots[i + SLOTS_AHEAD]], 1);
            __builtin_prefetch(&a->slots.id[slots[i + SLOTS_AHEAD]]);
        }
        if (s->stamp[slot] == s->epoch)
            continue;
        s->stamp[slot] = s->epoch;
        met++;
        const uint64_t id = a->slots.id[slot];
        if (id != INDEX_NO_ID && index_filter_allows(q->job->filter, id))
            slots[kept++] = slot;
    }
    q->s->work.scanned += (double)met;
    return kept;
}

size_t ampi_measure(const struct ampi_query *q, uint32_t *slots, size_t n, float *distances)
{
    const struct ampi *a = q->job->a;
    const struct index_env *env = &a->base.env;
    const size_t kept = keep_new(q, slots, n);
    for (size_t i = 0; i < kept && i < ROWS_AHEAD; i++)
        prefetch_row(a, slots[i]);
    for (size_t i = 0; i < kept; i++) {
        if (i + ROWS_AHEAD < kept)
            prefetch_row(a, slots[i + ROWS_AHEAD]);
        distances[i] = env->kernels->l2sq_f32(q->row, ampi_row(a, slots[i]), env->dim);
    }
    q->s->work.distances += (double)kept;
    q->s->work.bytes_read += (double)(kept * env->dim * sizeof(float));
    return kept;
}
