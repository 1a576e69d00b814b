/* stop.c - target_recall: the trace of a query for learning (target.c): its score after each cluster,
 * by which it stops, with the weights that dynamic IVF begins with. */
#include <stdlib.h>

#include "algorithms/channi/search/search.h"
#include "src/core/order.h"

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

int channi_stop_trace(struct channi_query_context *s, struct stop_state *state, float next,
                      bool *all)
{
    struct channi_stop_trace *t = s->q->trace;
    const float limit = t->true_kth * (1 + 1e-5F); /* kernels round differently */
    const int rc = channi_scan_candidates(s);

    if (rc != OK || t->n == CHANNI_STOP_STEPS)
        return rc;
    const size_t kept = channi_stop_keep(t, s->top.distances, s->top.ids, s->top.n);
    t->score[t->n] =
        stop_after(stop_weights, state, kept < t->k ? INFINITY : t->kept[t->k - 1], next);
    t->found[t->n] = 0;
    while (t->found[t->n] < t->k && t->found[t->n] < kept && t->kept[t->found[t->n]] <= limit)
        t->found[t->n]++;
    *all = t->found[t->n++] == t->k;
    return OK;
}
