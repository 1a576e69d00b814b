/* ood.c - outliers of a cluster that is split: who they are, and clusters of their own for them.
 *
 * A row is one if its distance e (not squared) to the nearest temporary centroid is above mu + s sigma of all
 * rows' e. By Cantelli's inequality these are at most 1 / (1 + s^2) of any rows, 20 % at s = 2; of distances
 * that are about normal, 2 %.
 *
 * So something is flagged of any cluster: the tail of an ordinary one. The source makes a cluster of "sufficient"
 * outliers and does not say what that is. Here it is a number (ood_min) and a distance (ood_excess): on average
 * those flagged lie so many sigma beyond the mark. A normal tail lies 0.37 beyond it, those of clusters of
 * SIFT, MNIST and words 0.1 to 0.99; one row in twenty planted at 6 sigma 1.3 and more.
 */
#include <math.h>
#include <stdlib.h>

#include "algorithms/channi/split.h"
#include "kernels/kernels.h"

static void moments(struct cut *k)
{
    const size_t n = k->x.n;
    double sum = 0, squares = 0;

    for (size_t i = 0; i < n; i++)
        sum += sqrt((double)k->temporary.distance[i]);
    k->mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double from = sqrt((double)k->temporary.distance[i]) - k->mean;
        squares += from * from;
    }
    k->sd = sqrt(squares / (double)n);
}

static void unflag(struct cut *k)
{
    for (size_t i = 0; i < k->x.n; i++)
        k->flagged[i] = false;
    k->n_flagged = 0;
}

/* How many may be: a share of all, and what fits into the parts a split can have. */
static size_t flags_most(const struct cut *k)
{
    const size_t share = (size_t)(k->c->params.ood_max_share * (double)k->x.n);
    const size_t fit = (CUT_PARTS - 8) * (size_t)k->c->ood_cap;

    return share < fit ? share : fit;
}

static size_t flags_least(const struct cut *k)
{
    const size_t given = (size_t)k->c->params.ood_min, percent = k->x.n / 100;

    return given > 0 ? given : percent > 16 ? percent : 16;
}

/* Whether they are more than a tail. */
static bool lie_far(const struct cut *k, double mark)
{
    double sum = 0;

    for (size_t i = 0; i < k->x.n; i++)
        if (k->flagged[i])
            sum += sqrt((double)k->temporary.distance[i]) - mark;
    return sum >= k->c->params.ood_excess * k->sd * (double)k->n_flagged;
}

struct far {
    float distance;
    uint32_t row;
};

static int farther_first(const void *a, const void *b)
{
    const struct far *x = a, *y = b;

    if (x->distance != y->distance)
        return x->distance > y->distance ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Of those flagged the `most` that are farthest stay so. */
static void keep_farthest(struct cut *k, size_t most)
{
    struct far *far = k->work;
    size_t n = 0;

    for (uint32_t i = 0; i < k->x.n; i++)
        if (k->flagged[i])
            far[n++] = (struct far){ k->temporary.distance[i], i };
    qsort(far, n, sizeof *far, farther_first);
    for (size_t i = most; i < n; i++)
        k->flagged[far[i].row] = false;
    k->n_flagged = n < most ? n : most;
}

void cut_flag(struct cut *k)
{
    moments(k);
    unflag(k);
    const double mark = k->mean + k->c->params.ood_sigma * k->sd;
    if (!k->c->params.ood)
        return;
    for (size_t i = 0; i < k->x.n; i++) {
        const double e = sqrt((double)k->temporary.distance[i]);
        k->flagged[i] = e > mark;
        k->n_flagged += k->flagged[i];
    }
    const bool far = lie_far(k, mark);
    if (k->n_flagged > flags_most(k))
        keep_farthest(k, flags_most(k));
    if (!far || k->n_flagged < flags_least(k))
        unflag(k);
}

/* ------------------------------------------------------------------------- clusters of their own */

/* Draws primaries among the n rows of list[], each by its squared distance to those before it (k-means++).
   Rows' distances are in x.scratch[]. Where all that is left are equals of primaries, any will do. */
static void draw_primaries(struct cut *k, const uint32_t *list, size_t n)
{
    struct rng rng = rng_at(k->seed, 0x6f6f64);
    uint32_t *primaries = k->roots + k->n_groups;
    size_t at = (size_t)rng_below(&rng, n);

    for (size_t g = 0; g < k->n_ood; g++) {
        const float *row = k->x.rows + (size_t)list[at] * k->x.dim;
        double total = 0, sum = 0;

        primaries[g] = list[at];
        k->part[list[at]] = (uint32_t)(k->n_groups + g);
        for (size_t i = 0; i < n; i++) {
            const float d = k->c->base.env.kernels->l2sq_f32(k->x.rows + (size_t)list[i] * k->x.dim,
                                                             row, k->x.dim);
            k->x.scratch[i] = g == 0 || d < k->x.scratch[i] ? d : k->x.scratch[i];
            total += (double)k->x.scratch[i];
        }
        const double mark = rng_unit(&rng) * total;
        for (size_t i = 0; i < n && sum <= mark; i++)
            if (k->part[list[i]] == UINT32_MAX) {
                sum += (double)k->x.scratch[i];
                at = i;
            }
    }
    k->cost += (double)(n * k->n_ood);
}

/* Each of the n rows of list[] to the nearest primary whose cluster has room. */
static void to_primaries(struct cut *k, const uint32_t *list, size_t n)
{
    size_t count[CUT_PARTS] = { 0 };

    for (size_t g = 0; g < k->n_ood; g++)
        count[g] = 1; /* the primary */
    for (size_t i = 0; i < n; i++) {
        const float *row = k->x.rows + (size_t)list[i] * k->x.dim;
        float least = INFINITY;
        size_t best = k->n_ood;

        if (k->part[list[i]] != UINT32_MAX)
            continue;
        for (size_t g = 0; g < k->n_ood; g++) {
            const size_t primary = k->roots[k->n_groups + g];
            const float d =
                k->c->base.env.kernels->l2sq_f32(row, k->x.rows + primary * k->x.dim, k->x.dim);
            if (count[g] < k->c->ood_cap && (best == k->n_ood || d < least)) {
                least = d;
                best = g;
            }
        }
        count[best]++;
        k->part[list[i]] = (uint32_t)(k->n_groups + best);
    }
    k->cost += (double)(n * k->n_ood);
}

void cut_file_outliers(struct cut *k)
{
    uint32_t *list = k->list;
    size_t n = 0;

    k->n_ood = (k->n_flagged + k->c->ood_cap - 1) / k->c->ood_cap;
    if (k->n_ood == 0)
        return;
    for (uint32_t i = 0; i < k->x.n; i++)
        if (k->flagged[i]) {
            list[n++] = i;
            k->part[i] = UINT32_MAX;
        }
    draw_primaries(k, list, n);
    to_primaries(k, list, n);
    /* The primary a cluster is entered by is the one nearest to its mean. */
    for (size_t g = k->n_groups; g < k->n_groups + k->n_ood; g++) {
        const size_t rows = cut_rows(k, g, list);
        upkeep_mean(&k->x, list, rows, k->point);
        k->roots[g] = upkeep_nearest(k->c, &k->x, list, rows, k->point);
        k->cost += (double)rows;
    }
}
