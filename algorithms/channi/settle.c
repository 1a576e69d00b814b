/* settle.c - after a split: rows of the new clusters and of those about them go to the nearest root.
 *
 * The source divides a cluster's own rows only. Rows of its neighbours that the new primaries are nearer to stay
 * where they are, and a search that the routes lead to the new clusters does not find them; after growth to
 * ten times a third of all rows are astray (docs/methods/channi.md). params.settle neighbours are rewritten
 * with the new clusters; roots, routes and names stay. Nobody waits for it: where a seat is taken, nothing
 * is done.
 */
#include <math.h>
#include <string.h>

#include "algorithms/channi/upkeep.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { WORTH = 100 }; /* one row in so many, or the clusters are left as they are */

struct settling {
    struct channi *c;
    struct work_on w;
    struct members m;
    uint32_t cids[WORK_MOST], n;
    uint32_t root[WORK_MOST], size[WORK_MOST]; /* members; live rows */
    uint32_t *part, *list;                     /* by member; the members by part */
    size_t moved;
};

/* ------------------------------------------------------------------------------ neighbours */

static bool among(const struct settling *s, uint32_t cid)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->cids[i] == cid)
            return true;
    return false;
}

static void add(struct settling *s, const struct layout *layout, uint32_t cid)
{
    const struct cluster *cl = cid < layout->n_clusters ? layout->clusters[cid] : NULL;

    if (cl && cl->kind == CLUSTER_NORMAL && s->n < WORK_MOST && !among(s, cid) &&
        atomic_load(&((struct cluster *)(uintptr_t)cl)->live) > 0)
        s->cids[s->n++] = cid;
}

/* The nearest of each in turn, until there are params.settle of them. */
static int find_neighbours(struct settling *s, const uint32_t *cids, size_t n_cids, double *cost)
{
    struct channi *c = s->c;
    struct channi_scratch *x = channi_scratch_take(c);
    uint32_t near[2 * WORK_MOST];
    float distances[2 * WORK_MOST];
    unsigned ticket;
    size_t found;
    int rc = OK;

    if (!x)
        return fail(c->base.env.error, ERR_NO_MEMORY, "channi: out of memory to settle rows");
    const struct layout *layout = channi_enter(c, &ticket)->layout;
    for (size_t i = 0; i < n_cids; i++)
        add(s, layout, cids[i]);
    const uint32_t own = s->n, most = own + (uint32_t)c->params.settle;
    for (uint32_t i = 0; rc == OK && i < own; i++) {
        const size_t share = (i + 1) * (size_t)c->params.settle / own;

        rc = channi_nearest_clusters(c, x, layout, layout->clusters[s->cids[i]]->site, own + share,
                                     (size_t)c->params.assign_ef, near, distances, &found, cost);
        for (size_t j = 0; rc == OK && j < found && s->n < own + share && s->n < most; j++)
            add(s, layout, near[j]);
    }
    channi_leave(c, ticket);
    channi_scratch_give(c, x);
    return rc;
}

/* ------------------------------------------------------------------------------------ rows */

/* Each cluster's root among the members; where it has died, the live member nearest to it. false: none lives. */
static bool find_roots(struct settling *s)
{
    const struct members *m = &s->m;
    float least[WORK_MOST];

    for (size_t i = 0; i < s->w.n; i++) {
        least[i] = INFINITY;
        s->size[i] = 0;
    }
    for (uint32_t i = 0; i < m->n; i++) {
        const uint32_t from = m->from[i];
        const struct cluster *cl = s->w.clusters[from];

        if (m->dead[i] != 0)
            continue;
        const float d = m->row[i] == cl->root ? -1 : channi_distance(s->c, m->rows[i], cl->site);
        s->size[from]++;
        if (d < least[from]) {
            least[from] = d;
            s->root[from] = i;
        }
    }
    for (size_t i = 0; i < s->w.n; i++)
        if (s->size[i] == 0)
            return false;
    return true;
}

/* To the nearest root, unless that leaves a cluster too small or makes one too large. */
static void settle_row(struct settling *s, uint32_t i, double *cost)
{
    const struct channi *c = s->c;
    const uint32_t from = s->m.from[i];
    uint32_t best = from;
    float least = INFINITY;

    s->part[i] = from;
    if (s->m.dead[i] != 0 || i == s->root[from] || s->size[from] <= 2 * c->merge_min + 1)
        return;
    for (uint32_t j = 0; j < s->w.n; j++) {
        const float d = channi_distance(c, s->m.rows[i], s->w.clusters[j]->site);

        if (d < least || (d == least && j == from)) {
            least = d;
            best = j;
        }
    }
    *cost += (double)s->w.n;
    if (best == from || s->size[best] >= c->split_max)
        return;
    s->part[i] = best;
    s->size[from]--;
    s->size[best]++;
    s->moved++;
}

static int settle_rows(struct settling *s, double *cost)
{
    struct mem *mem = s->c->base.env.mem;

    s->part = mem_array(mem, s->m.n, sizeof *s->part);
    s->list = mem_array(mem, s->m.n, sizeof *s->list);
    if (!s->part || !s->list)
        return fail(s->c->base.env.error, ERR_NO_MEMORY, "channi: out of memory to settle %zu rows",
                    s->m.n);
    for (uint32_t i = 0; i < s->m.n; i++)
        settle_row(s, i, cost);
    return OK;
}

/* Those that stay come first, in their order, so that a graph that lost none goes on. */
static size_t list_part(const struct settling *s, uint32_t part, uint32_t *to)
{
    size_t n = 0;

    for (int arrived = 0; arrived < 2; arrived++)
        for (uint32_t i = 0; i < s->m.n; i++)
            if (s->part[i] == part && (s->m.from[i] != part) == arrived)
                to[n++] = i;
    return n;
}

static int carry_out(struct settling *s)
{
    struct part parts[WORK_MOST];
    const struct replacement r = { .parts = parts, .n_parts = s->w.n, .threads = 1 };
    uint32_t *at = s->list;

    for (uint32_t i = 0; i < s->w.n; i++) {
        parts[i] = (struct part){ .rows = at,
                                  .n = list_part(s, i, at),
                                  .root = s->root[i],
                                  .kind = s->w.clusters[i]->kind,
                                  .heir_of = i,
                                  .routes_of = UINT32_C(1) << i,
                                  .stays = true,
                                  .go_on = true };
        at += parts[i].n;
    }
    const int rc = channi_replace(s->c, &s->w, &s->m, &r);
    if (rc == OK)
        channi_count(&s->c->counters.settled, s->moved);
    return rc;
}

static int settle_taken(struct settling *s, double *cost)
{
    int rc = channi_gather(s->c, &s->w, &s->m);

    if (rc == OK && find_roots(s)) {
        rc = settle_rows(s, cost);
        if (rc == OK && s->moved > s->m.n_live / WORTH)
            rc = carry_out(s);
    }
    mem_free(s->c->base.env.mem, s->part);
    mem_free(s->c->base.env.mem, s->list);
    return rc;
}

int channi_settle(struct channi *c, const uint32_t *cids, size_t n_cids, double *cost)
{
    struct settling s = { .c = c };
    bool taken = false;
    int rc;

    if (c->params.settle == 0)
        return OK;
    rc = find_neighbours(&s, cids, n_cids, cost);
    if (rc == OK && s.n > 1)
        rc = channi_take(c, s.cids, s.n, &s.w, &taken);
    if (rc != OK || !taken)
        return rc;
    channi_members_init(&s.m, c);
    rc = settle_taken(&s, cost);
    channi_members_free(&s.m, c);
    channi_give(c, &s.w);
    for (uint32_t i = 0; rc == OK && i < s.n; i++)
        channi_queue(c, s.cids[i]);
    return rc;
}
