/* agglomerate.c - the groups of a split: merges temporary centroids, first those whose union adds
 * least to the sum of squares (Ward's cost n_a n_b / (n_a + n_b) |c_a - c_b|^2). If that leaves a
 * group nearly empty, makes two halves along the direction of largest variance. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/maintenance/internal.h"
#include "kernels/kernels.h"
#include "src/core/order.h"

struct groups {
    size_t n;
    size_t weight[CUT_TEMPORARY];
    uint32_t of[CUT_TEMPORARY]; /* group by temporary centroid */
    float *centres;             /* n x dim: the cut's */
};

/* Makes one group per temporary centroid that has normal rows. */
static void one_each(const struct channi_cut *k, struct groups *g)
{
    const size_t dim = k->x.dim;
    size_t weight[CUT_TEMPORARY] = { 0 };

    for (size_t i = 0; i < k->x.n; i++)
        weight[k->temporary.label[i]] += !k->flagged[i];
    g->n = 0;
    for (size_t t = 0; t < k->temporary.made; t++) {
        g->of[t] = (uint32_t)g->n;
        if (weight[t] == 0)
            continue;
        memcpy(g->centres + g->n * dim, k->temporary.centroids + t * dim, dim * sizeof *g->centres);
        g->weight[g->n++] = weight[t];
    }
}

/* Merges group b into a; the last group gets number b. */
static void unite(const struct channi_cut *k, struct groups *g, size_t a, size_t b)
{
    const size_t dim = k->x.dim, last = g->n - 1;
    const float share = (float)((double)g->weight[b] / (double)(g->weight[a] + g->weight[b]));
    float *ca = g->centres + a * dim, *cb = g->centres + b * dim;

    for (size_t j = 0; j < dim; j++)
        ca[j] += share * (cb[j] - ca[j]);
    memmove(cb, g->centres + last * dim, dim * sizeof *cb);
    g->weight[a] += g->weight[b];
    g->weight[b] = g->weight[last];
    for (size_t t = 0; t < k->temporary.made; t++) {
        g->of[t] = g->of[t] == b ? (uint32_t)a : g->of[t];
        g->of[t] = g->of[t] == last && last != b ? (uint32_t)b : g->of[t];
    }
    g->n = last;
}

/* Whether all groups would be large enough if a and b were one. */
static bool large_enough(const struct channi_cut *k, const struct groups *g, size_t a, size_t b)
{
    const size_t least = k->c->merge_min > 0 ? 2 * (size_t)k->c->merge_min : 1;

    for (size_t i = 0; i < g->n; i++) {
        const size_t both = a != b && (i == a || i == b) ? g->weight[a] + g->weight[b] : 0;
        if ((both > 0 ? both : g->weight[i]) < least)
            return false;
    }
    return true;
}

/* Merges the pair of groups with the least cost; the first of equal ones. last: of those that leave no group
   too small. false: there is none. */
static bool merge_pair(struct channi_cut *k, struct groups *g, bool last)
{
    const size_t dim = k->x.dim;
    double least = 0;
    size_t first = 0, second = 0;

    k->cost += (double)(g->n * (g->n - 1) / 2);
    for (size_t a = 0; a < g->n; a++)
        for (size_t b = a + 1; b < g->n; b++) {
            const double wa = (double)g->weight[a], wb = (double)g->weight[b];
            const float d =
                k->c->base.env.kernels->l2sq_f32(g->centres + a * dim, g->centres + b * dim, dim);
            const double cost = wa * wb / (wa + wb) * (double)d;

            if ((second == 0 || cost < least) && (!last || large_enough(k, g, a, b))) {
                least = cost;
                first = a;
                second = b;
            }
        }
    if (second == 0)
        return false;
    unite(k, g, first, second);
    return true;
}

/* Merges the cheapest pairs down to `parts` groups. The last merge is the cheapest one that leaves
   no group too small. false: there is none. */
static bool merge_groups(struct channi_cut *k, struct groups *g, size_t parts)
{
    one_each(k, g);
    if (g->n <= parts)
        return g->n > 1 && large_enough(k, g, 0, 0);
    while (g->n > parts)
        if (!merge_pair(k, g, g->n == parts + 1))
            return false;
    return true;
}

/* Computes the direction of largest variance of the normal rows to `axis`, by power iteration.
   false: they have no variance. */
static bool top_direction(struct channi_cut *k, const uint32_t *list, size_t n, float *mean,
                          float *axis)
{
    const struct kernels *kernels = k->c->base.env.kernels;
    const size_t dim = k->x.dim;
    float *next = k->centres; /* not in use now */
    float farthest = 0;

    channi_cloud_mean(&k->x, list, n, mean);
    for (size_t i = 0; i < n; i++) {
        const float *row = k->x.rows + (size_t)list[i] * dim;
        const float d = kernels->l2sq_f32(row, mean, dim);
        if (d > farthest) {
            farthest = d;
            for (size_t j = 0; j < dim; j++)
                axis[j] = row[j] - mean[j];
        }
    }
    for (int pass = 0; farthest > 0 && pass < 16; pass++) {
        const float shift = kernels->ip_f32(mean, axis, dim);
        double norm_sq = 0;

        memset(next, 0, dim * sizeof *next);
        for (size_t i = 0; i < n; i++) {
            const float *restrict row = k->x.rows + (size_t)list[i] * dim;
            const float along = kernels->ip_f32(row, axis, dim) - shift;
            for (size_t j = 0; j < dim; j++)
                next[j] += along * (row[j] - mean[j]);
        }
        for (size_t j = 0; j < dim; j++)
            norm_sq += (double)next[j] * (double)next[j];
        if (!(norm_sq > 0) || !isfinite(norm_sq))
            break;
        for (size_t j = 0; j < dim; j++)
            axis[j] = (float)((double)next[j] / sqrt(norm_sq));
        k->cost += 2 * (double)n;
    }
    return farthest > 0;
}

/* Best position to cut n keys of order_key_f32(): the one nearest to the middle between two different
   values. 0: all are equal. */
static size_t middle_cut(const uint64_t *sorted, size_t n)
{
    for (size_t off = 0; off <= n / 2; off++) {
        const size_t low = n / 2 - off, high = n / 2 + off;

        if (low > 0 && sorted[low - 1] >> 32 != sorted[low] >> 32)
            return low;
        if (high > 0 && high < n && sorted[high - 1] >> 32 != sorted[high] >> 32)
            return high;
    }
    return 0;
}

/* Splits normal rows in halves. Equal rows stay together, so a half may be small, but not so small
   that it would be merged at once. */
static bool halve(struct channi_cut *k)
{
    const struct kernels *kernels = k->c->base.env.kernels;
    const size_t dim = k->x.dim, least = k->c->merge_min > 0 ? k->c->merge_min : 1;
    float *axis = k->centres + dim;
    size_t n = 0;

    for (uint32_t i = 0; i < k->x.n; i++)
        if (!k->flagged[i])
            k->list[n++] = i;
    if (n < 2 || !top_direction(k, k->list, n, k->point, axis))
        return false;
    for (size_t i = 0; i < n; i++)
        k->keys[i] = order_key_f32(kernels->ip_f32(k->x.rows + (size_t)k->list[i] * dim, axis, dim),
                                   k->list[i]);
    qsort(k->keys, n, sizeof *k->keys, order_u64);
    const size_t cut = middle_cut(k->keys, n);
    if (cut < least || n - cut < least)
        return false;
    for (size_t i = 0; i < n; i++)
        k->part[(uint32_t)k->keys[i]] = i >= cut;
    for (size_t h = 0; h < 2; h++) {
        const size_t rows = channi_cut_rows(k, h, k->list);
        channi_cloud_mean(&k->x, k->list, rows, k->centres + h * dim);
    }
    return true;
}

size_t channi_cut_group(struct channi_cut *k, size_t parts)
{
    struct groups g = { .centres = k->centres };

    for (size_t i = 0; i < k->x.n; i++)
        k->part[i] = k->flagged[i] ? UINT32_MAX : 0;
    for (size_t t = parts; t >= 2; t--) {
        if (!merge_groups(k, &g, t))
            continue;
        for (size_t i = 0; i < k->x.n; i++)
            if (!k->flagged[i])
                k->part[i] = g.of[k->temporary.label[i]];
        return g.n;
    }
    if (halve(k))
        return 2;
    if (k->n_flagged == 0)
        return 0;
    /* Normal rows stay together, and outliers leave them. */
    const size_t n = channi_cut_rows(k, 0, k->list);
    channi_cloud_mean(&k->x, k->list, n, k->centres);
    return 1;
}
