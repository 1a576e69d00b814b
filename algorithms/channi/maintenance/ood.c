/* ood.c - finds outliers of a cluster under split, and makes OOD clusters of them.
 *
 * A row is an outlier if its distance e (not squared) to the nearest temporary centroid is above mu
 * + s sigma of all rows' e. By Cantelli's inequality at most 1 / (1 + s^2) of any rows are: 20 % at
 * s = 2. With normally distributed distances it is about 2 %.
 *
 * So even an ordinary cluster has flagged rows, the tail of its distances. The paper makes a
 * cluster of "sufficient" outliers without a definition. We require a number (1 % of the rows, at
 * least OOD_LEAST) and a distance: on average the flagged rows lie at least ood_excess sigma beyond
 * the mark. A normal tail lies 0.37 sigma beyond it, those of clusters of SIFT, MNIST and words 0.1
 * to 0.99; one row in twenty planted at 6 sigma lies 1.3 and more. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/maintenance/internal.h"
#include "kernels/kernels.h"
#include "src/core/order.h"

/* At s = 2 the share .2 is Cantelli's bound; .8 gives the same results. A minimum of 8 does as
   well; with 128 no outliers are found, as with ood = false (docs/decisions.md). */
#define OOD_SHARE .2
enum { OOD_LEAST = 16 };

static void unflag(struct channi_cut *k)
{
    memset(k->flagged, 0, k->x.n * sizeof *k->flagged);
    k->n_flagged = 0;
}

void channi_cut_flag(struct channi_cut *k)
{
    const size_t percent = k->x.n / 100, least = percent > OOD_LEAST ? percent : OOD_LEAST;
    double sum = 0, squares = 0, beyond = 0;

    unflag(k);
    if (!k->c->params.ood)
        return;
    for (size_t i = 0; i < k->x.n; i++)
        sum += sqrt((double)k->temporary.distance[i]);
    const double mean = sum / (double)k->x.n;
    for (size_t i = 0; i < k->x.n; i++) {
        const double from = sqrt((double)k->temporary.distance[i]) - mean;
        squares += from * from;
    }
    const double sd = sqrt(squares / (double)k->x.n);
    const double mark = mean + k->c->params.ood_sigma * sd;
    for (size_t i = 0; i < k->x.n; i++) {
        const double e = sqrt((double)k->temporary.distance[i]);
        k->flagged[i] = e > mark;
        k->n_flagged += k->flagged[i];
        beyond += k->flagged[i] ? e - mark : 0;
    }
    /* The flagged rows are more than a tail. */
    const bool far = beyond >= k->c->params.ood_excess * sd * (double)k->n_flagged;
    /* Flagged rows are at most a share of all, and what fits into the parts of a split. */
    const size_t share = (size_t)(OOD_SHARE * (double)k->x.n),
                 fit = (CUT_PARTS - 8) * (size_t)k->c->ood_cap, most = share < fit ? share : fit;
    if (k->n_flagged > most) { /* the farthest keep their flags */
        size_t n = 0;

        for (uint32_t i = 0; i < k->x.n; i++)
            if (k->flagged[i])
                k->keys[n++] = order_key_f32(-k->temporary.distance[i], i);
        qsort(k->keys, n, sizeof *k->keys, order_u64);
        for (size_t i = most; i < n; i++)
            k->flagged[(uint32_t)k->keys[i]] = false;
        k->n_flagged = most;
    }
    if (!far || k->n_flagged < least)
        unflag(k);
}

/* Each cluster but the last takes the first row that is left, and those nearest to it: as many as
   make all clusters even. */
void channi_cut_file_outliers(struct channi_cut *k)
{
    const struct kernels *kernels = k->c->base.env.kernels;
    const size_t dim = k->x.dim;
    uint32_t *list = k->list;
    size_t left = 0;

    k->n_ood = (k->n_flagged + k->c->ood_cap - 1) / k->c->ood_cap;
    for (uint32_t i = 0; i < k->x.n; i++)
        if (k->flagged[i])
            list[left++] = i;
    for (size_t g = 0, n; g < k->n_ood; g++, list += n, left -= n) {
        const size_t part = k->n_groups + g, others = k->n_ood - g;

        n = (left + others - 1) / others;
        if (n < left) {
            const float *first = k->x.rows + (size_t)list[0] * dim;
            for (size_t i = 0; i < left; i++)
                k->keys[i] = order_key_f32(
                    kernels->l2sq_f32(k->x.rows + (size_t)list[i] * dim, first, dim), list[i]);
            qsort(k->keys, left, sizeof *k->keys, order_u64);
            for (size_t i = 0; i < left; i++)
                list[i] = (uint32_t)k->keys[i];
        }
        for (size_t i = 0; i < n; i++)
            k->part[list[i]] = (uint32_t)part;
        /* The root is the row nearest to the mean. */
        channi_cloud_mean(&k->x, list, n, k->point);
        k->roots[part] = channi_cloud_nearest(k->c, &k->x, list, n, k->point);
        k->cost += (double)(left + n);
    }
}
