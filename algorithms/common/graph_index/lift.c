/* lift.c - inner product as squared L2 (Bachrach et al. 2014): a row x becomes
 * (x, sqrt(M^2 - |x|^2)), where M is the greatest norm, and a query q becomes (q, 0). Then the
 * squared distance is |q|^2 + M^2 - 2 <q, x>, which falls as <q, x> grows. So the edges follow a
 * metric, as robust prune needs.
 *
 * Rows are kept with |x|^2, so that M^2, the graph's bound, follows them: it is raised by a longer
 * row, and measured anew when deleted rows leave. The links selected under another M stay; each row
 * found is answered with its inner product.
 */
#include <math.h>
#include <string.h>

#include "algorithms/common/graph_index/graph_index.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

static float norm_sq(const struct graph_index *h, uint32_t node)
{
    return ((const float *)graph_row(h->graph, node))[h->base.env.dim];
}

void graph_index_lift(struct graph_index *h, struct vectors rows, float *out)
{
    const size_t dim = h->base.env.dim;
    float bound = graph_bound(h->graph);

    for (size_t i = 0; i < rows.n; i++, out += dim + 1) {
        memcpy(out, (const float *)rows.rows + i * dim, dim * sizeof *out);
        out[dim] = h->base.env.kernels->ip_f32(out, out, dim);
        bound = out[dim] > bound ? out[dim] : bound;
    }
    graph_set_bound(h->graph, bound);
}

float graph_index_greatest_norm_sq(const struct graph_index *h)
{
    float most = 0;

    if (h->base.env.metric != INDEX_IP)
        return 0;
    for (uint32_t i = 0; i < graph_capacity(h->graph); i++) {
        if (graph_is_live(h->graph, i) && norm_sq(h, i) > most)
            most = norm_sq(h, i);
    }
    return most;
}

const void *graph_index_lift_query(const struct graph_index *h, struct graph_index_scratch *x,
                                   const void *query)
{
    const size_t dim = h->base.env.dim;

    if (h->base.env.metric != INDEX_IP)
        return query;
    if (!mem_grow(h->base.env.mem, &x->lifted, &x->lifted_capacity, dim + 1, sizeof *x->lifted))
        return NULL;
    memcpy(x->lifted, query, dim * sizeof *x->lifted);
    x->lifted[dim] = INFINITY;
    return x->lifted;
}

float graph_index_distance(const struct graph_index *h, const void *query, uint32_t node,
                           float distance)
{
    const struct index_env *env = &h->base.env;

    return env->metric == INDEX_IP
               ? -env->kernels->ip_f32(query, graph_row(h->graph, node), env->dim)
               : distance;
}
