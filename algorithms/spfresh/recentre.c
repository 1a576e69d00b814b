/* recentre.c - a head that follows its vectors.
 *
 * The build makes heads of vectors, one for eight or so: they fit those vectors better than others of
 * the same distribution. As vectors are replaced one by one no posting need ever be split, and yet
 * the heads fit worse and worse (photo-sift, all replaced: recall as after a build on other
 * vectors, docs/results.md). So a posting that is collected, and whose head is none of its members any
 * more, gets the member for a head that is nearest to the mean of those that have no nearer head.
 */
#include <string.h>

#include "algorithms/spfresh/upkeep.h"

/* Neighbouring heads that may be nearer to a member, and the fewest that make a mean. */
enum { NEIGHBOURS = 16, HOME_LEAST = 2 };

/* sides[i] = 0: member i has no nearer head than the old one, of the nearest. */
static int find_home(struct division *d, const struct members *m)
{
    struct spfresh *s = d->s;
    struct spfresh_scratch *x = d->x;
    struct upkeep *u = d->u;
    const unsigned ticket = epoch_enter(s->epoch);
    const int rc = spfresh_nearest(s, x, division_row(d, 2), NEIGHBOURS + 1, NEIGHBOURS + 1, 0,
                                   &d->cost->distances);

    memset(u->sides, 0, m->n);
    for (size_t h = 0; rc == OK && h < x->n_heads; h++) {
        if (x->heads[h] == d->old)
            continue;
        upkeep_distances(s, u, graph_row(s->graph, x->heads[h]), m->rows, m->n, u->distances[0]);
        for (size_t i = 0; i < m->n; i++)
            u->sides[i] |= u->distances[0][i] < u->distances[2][i];
    }
    epoch_leave(s->epoch, ticket);
    d->cost->distances += (double)((x->n_heads + 1) * m->n);
    return rc;
}

static void mean_of_home(const struct division *d, const struct members *m, size_t home)
{
    const size_t dim = d->s->base.env.dim;
    float *mean = d->u->centres;

    memset(mean, 0, dim * sizeof *mean);
    for (size_t i = 0; i < m->n; i++) {
        const unsigned char *row = m->rows + i * m->row_bytes;

        if (d->u->sides[i])
            continue;
        for (size_t j = 0; j < dim; j++)
            mean[j] += d->s->base.env.element == ELEMENT_U8 ? (float)row[j]
                                                            : ((const float *)(const void *)row)[j];
    }
    for (size_t j = 0; j < dim; j++)
        mean[j] /= (float)home;
}

/* Row 0 of the division: the member of home nearest to the mean. */
static bool choose_centre(struct division *d, const struct members *m)
{
    struct upkeep *u = d->u;
    size_t home = 0, best = SIZE_MAX;

    for (size_t i = 0; i < m->n; i++)
        home += !u->sides[i];
    if (home < HOME_LEAST)
        return false;
    mean_of_home(d, m, home);
    upkeep_mean_row(d->s, u->centres, division_row(d, 0));
    upkeep_distances(d->s, u, division_row(d, 0), m->rows, m->n, u->distances[0]);
    for (size_t i = 0; i < m->n; i++)
        if (!u->sides[i] && (best == SIZE_MAX || u->distances[0][i] < u->distances[0][best]))
            best = i;
    memcpy(division_row(d, 0), m->rows + best * m->row_bytes, m->row_bytes);
    d->cost->distances += (double)m->n;
    return true;
}

int division_recentre(struct division *d, const struct members *m, bool *found)
{
    struct spfresh *s = d->s;
    int rc = upkeep_ready(s, d->x, m->n);

    *found = false;
    if (rc != OK || m->n < HOME_LEAST)
        return rc;
    d->u = d->x->upkeep;
    memcpy(division_row(d, 2), graph_row(s->graph, d->old), spfresh_row_bytes(s));
    upkeep_distances(s, d->u, division_row(d, 2), m->rows, m->n, d->u->distances[2]);
    d->cost->distances += (double)m->n;
    for (size_t i = 0; i < m->n; i++)
        if (d->u->distances[2][i] == 0)
            return OK;
    rc = find_home(d, m);
    if (rc == OK)
        *found = choose_centre(d, m);
    return rc;
}
