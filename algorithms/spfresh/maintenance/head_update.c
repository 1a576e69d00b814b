/* head_update.c - replaces a head that no longer fits its posting's vectors.
 *
 * The build makes about every eighth vector a head. Such heads fit those vectors better than
 * others of the same distribution. If vectors are replaced one by one, no posting need ever be
 * split, and yet the heads fit worse and worse. (photo-sift with all vectors replaced: recall as
 * after a build on other vectors, docs/results/spfresh.md.) So when a posting is rewritten and its
 * head is no longer a member, a member becomes the new head: the one nearest to the mean of the
 * members that have no nearer head.
 */
#include <string.h>

#include "algorithms/spfresh/maintenance/work.h"

/* NEIGHBOURS: heads compared with the old one. HOME_LEAST: fewest members for a mean. */
enum { NEIGHBOURS = 16, HOME_LEAST = 2 };

/* Sets sides[i] to 0 if no neighbouring head is nearer to member i than the old head. */
static int find_home(struct spfresh_division *d, const struct spfresh_members *m)
{
    struct spfresh *s = d->s;
    struct spfresh_scratch *x = d->w->scratch;
    struct spfresh_work *w = d->w;
    const unsigned ticket = epoch_enter(s->epoch);
    const int rc = spfresh_nearest(s, x, spfresh_division_row(d, 2), NEIGHBOURS + 1, NEIGHBOURS + 1,
                                   0, &d->run->cost);

    memset(w->sides, 0, m->n);
    for (size_t h = 0; rc == OK && h < x->n_heads; h++) {
        if (x->heads[h] == d->old)
            continue;
        spfresh_work_distances(s, w, graph_row(s->graph, x->heads[h]), m->rows, m->n,
                               w->distances[0]);
        for (size_t i = 0; i < m->n; i++)
            w->sides[i] |= w->distances[0][i] < w->distances[2][i];
    }
    epoch_leave(s->epoch, ticket);
    d->run->cost += (double)((x->n_heads + 1) * m->n);
    return rc;
}

static void mean_of_home(const struct spfresh_division *d, const struct spfresh_members *m,
                         size_t home)
{
    const size_t dim = d->s->base.env.dim;
    float *mean = d->w->centres;

    memset(mean, 0, dim * sizeof *mean);
    for (size_t i = 0; i < m->n; i++) {
        const unsigned char *row = m->rows + i * m->row_bytes;

        if (d->w->sides[i])
            continue;
        for (size_t j = 0; j < dim; j++)
            mean[j] += d->s->base.env.element == INDEX_U8 ? (float)row[j]
                                                          : ((const float *)(const void *)row)[j];
    }
    for (size_t j = 0; j < dim; j++)
        mean[j] /= (float)home;
}

/* Sets row 0 of the division to the member with side 0 that is nearest to their mean. */
static bool choose_centre(struct spfresh_division *d, const struct spfresh_members *m)
{
    struct spfresh_work *w = d->w;
    size_t home = 0, best = SIZE_MAX;

    for (size_t i = 0; i < m->n; i++)
        home += !w->sides[i];
    if (home < HOME_LEAST)
        return false;
    mean_of_home(d, m, home);
    spfresh_work_mean_row(d->s, w->centres, spfresh_division_row(d, 0));
    spfresh_work_distances(d->s, w, spfresh_division_row(d, 0), m->rows, m->n, w->distances[0]);
    for (size_t i = 0; i < m->n; i++)
        if (!w->sides[i] && (best == SIZE_MAX || w->distances[0][i] < w->distances[0][best]))
            best = i;
    memcpy(spfresh_division_row(d, 0), m->rows + best * m->row_bytes, m->row_bytes);
    d->run->cost += (double)m->n;
    return true;
}

int spfresh_division_new_head(struct spfresh_division *d, const struct spfresh_members *m,
                              bool *found)
{
    struct spfresh *s = d->s;
    int rc = spfresh_work_reserve(s, d->w, m->n);

    *found = false;
    if (rc != OK || m->n < HOME_LEAST)
        return rc;
    memcpy(spfresh_division_row(d, 2), graph_row(s->graph, d->old), spfresh_row_bytes(s));
    spfresh_work_distances(s, d->w, spfresh_division_row(d, 2), m->rows, m->n, d->w->distances[2]);
    d->run->cost += (double)m->n;
    for (size_t i = 0; i < m->n; i++)
        if (d->w->distances[2][i] == 0)
            return OK;
    rc = find_home(d, m);
    if (rc == OK)
        *found = choose_centre(d, m);
    return rc;
}
