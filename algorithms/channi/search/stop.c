/* stop.c - target_recall: the score of a query after each cluster, by which it stops, and its trace
 * for learning (target.c).
 *
 * The score is that of dynamic IVF's rule (stop_rule.h of divf), with its default weights:
 *
 *     2.6 + 1.2 log((d_s^2 - d_0^2) / rho^2) + .8 log(1 + clusters since rho last fell) + .25 log s
 *
 * with s clusters searched, rho the distance of the k-th answer so far, d_0 that of the nearest
 * cluster and d_s that of the next. */
#include <stdlib.h>

#include "algorithms/channi/search/search.h"
#include "src/core/order.h"

double channi_stop_after(struct channi_stop_state *s, float kth, float home, float next)
{
    s->unchanged = kth == s->kth ? s->unchanged + 1 : 0;
    s->kth = kth;
    s->searched++;
    if (!(kth < INFINITY))
        return -INFINITY;
    if (!(kth > 0)) /* nothing can be nearer */
        return INFINITY;
    const double gap = fmax((double)next - (double)home, 0) / (double)kth;
    return 2.6 + 1.2 * log(fmin(gap, 1e6) + 1e-3) + .8 * log1p((double)s->unchanged) +
           .25 * log((double)s->searched);
}

size_t channi_stop_keep(struct channi_stop_trace *t, const float *distances, const uint64_t *ids,
                        size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (ids[i] != INDEX_NO_ID && ids[i] != t->self &&
            (ids[i] * UINT64_C(0x9e3779b97f4a7c15)) >> 63)
            t->kept[kept++] = distances[i];
    qsort(t->kept, kept, sizeof *t->kept, order_f32);
    return kept;
}

int channi_stop_trace(struct channi_query_context *s, struct channi_stop_state *state, float home,
                      float next, bool *all)
{
    struct channi_stop_trace *t = s->q->trace;
    const float limit = t->true_kth * (1 + 1e-5F); /* kernels round differently */
    const int rc = channi_scan_candidates(s);

    if (rc != OK || t->n == CHANNI_STOP_STEPS)
        return rc;
    const size_t kept = channi_stop_keep(t, s->top.distances, s->top.ids, s->top.n);
    t->score[t->n] =
        channi_stop_after(state, kept < t->k ? INFINITY : t->kept[t->k - 1], home, next);
    t->found[t->n] = 0;
    while (t->found[t->n] < t->k && t->found[t->n] < kept && t->kept[t->found[t->n]] <= limit)
        t->found[t->n]++;
    *all = t->found[t->n++] == t->k;
    return OK;
}
