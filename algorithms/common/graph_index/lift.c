/* lift.c - inner product as squared L2 (Bachrach et al. 2014): a row x becomes
 * (x, sqrt(M^2 - |x|^2)), where M is the greatest norm, and a query q becomes (q, 0). Then the
 * squared distance is |q|^2 + M^2 - 2 <q, x>, which falls as <q, x> grows. So the edges follow a
 * metric, as robust prune needs.
 *
 * M is that of the rows inserted first. A later row with a greater norm gets a 0: it ranks as
 * farther by |x|^2 - M^2, so it may be missed. Each row found is answered with its inner product.
 */
#include <math.h>
#include <string.h>

#include "algorithms/common/graph_index/graph_index.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

void graph_index_measure_norms(struct graph_index *h, struct vectors rows)
{
    const struct kernels *kernels = h->base.env.kernels;

    if (h->base.env.metric != METRIC_IP)
        return;
    h->norm_max_sq = 0;
    for (size_t i = 0; i < rows.n; i++) {
        const float *row = (const float *)rows.rows + i * rows.dim;
        const float norm_sq = kernels->ip_f32(row, row, rows.dim);

        h->norm_max_sq = norm_sq > h->norm_max_sq ? norm_sq : h->norm_max_sq;
    }
}

void graph_index_lift(const struct graph_index *h, const void *rows, size_t n, float *out)
{
    const size_t dim = h->base.env.dim;

    for (size_t i = 0; i < n; i++) {
        const float *row = (const float *)rows + i * dim;
        const float rest = h->norm_max_sq - h->base.env.kernels->ip_f32(row, row, dim);

        memcpy(out, row, dim * sizeof *out);
        out[dim] = rest > 0 ? sqrtf(rest) : 0;
        out += dim + 1;
    }
}

const void *graph_index_lift_query(const struct graph_index *h, struct graph_index_scratch *x,
                                   const void *query)
{
    const size_t dim = h->base.env.dim;

    if (h->base.env.metric != METRIC_IP)
        return query;
    if (!mem_grow(h->base.env.mem, &x->lifted, &x->lifted_capacity, dim + 1, sizeof *x->lifted))
        return NULL;
    memcpy(x->lifted, query, dim * sizeof *x->lifted);
    x->lifted[dim] = 0;
    return x->lifted;
}

float graph_index_distance(const struct graph_index *h, const void *query, uint32_t node,
                           float distance)
{
    const struct index_env *env = &h->base.env;

    return env->metric == METRIC_IP
               ? -env->kernels->ip_f32(query, graph_row(h->graph, node), env->dim)
               : distance;
}
