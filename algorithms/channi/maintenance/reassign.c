/* reassign.c - after a split, moves rows of the new clusters and their neighbours to the cluster that
 * would get them if they were inserted.
 *
 * The paper divides only the rows of the split cluster. Rows of its neighbours that are nearer to a
 * new primary stay where they are, and a search that is routed to the new clusters misses them.
 * After growth to ten times the size a third of all rows are misassigned (docs/methods/channi.md).
 * So params.reassign_clusters neighbours are rewritten together with the new clusters; roots,
 * routes and names stay. This never waits: if a latch is taken, nothing is done. */
#include <math.h>
#include <string.h>

#include "algorithms/channi/maintenance/internal.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/search/route.h"
#include "algorithms/common/concurrency/throttle.h"
#include "algorithms/common/rows/rows.h"
#include "kernels/kernels.h"

enum {
    WORTH = 100,     /* at least one row in 100 must move */
    YIELD_ROWS = 256 /* rows between two waits for the throttle */
};

struct reassignment {
    struct channi *c;
    struct channi_taken w;
    uint32_t cids[WORK_MOST], n;
    uint32_t root[WORK_MOST], size[WORK_MOST]; /* roots as member indices; live rows */
    uint32_t *part; /* a member's part; then as many for members grouped by part */
    size_t moved;
    bool empties; /* also what leaves a cluster too small, which is merged then */
};

/* ------------------------------------------------------------------------------ neighbours */

static void add(struct reassignment *s, const struct channi_layout *layout, uint32_t cid)
{
    const struct channi_cluster *cl = cid < layout->n_clusters ? layout->clusters[cid] : NULL;
    bool among = false;

    for (uint32_t i = 0; i < s->n; i++)
        among |= s->cids[i] == cid;
    if (cl && cl->kind == CLUSTER_NORMAL && s->n < WORK_MOST && !among &&
        channi_cluster_live(cl) > 0)
        s->cids[s->n++] = cid;
}

/* Collects the nearest clusters of each new one, until there are params.reassign_clusters. */
static int find_neighbours(struct reassignment *s, const uint32_t *cids, size_t n_cids,
                           double *cost)
{
    struct channi *c = s->c;
    struct channi_scratch *x = scratch_pool_take(&c->scratch);
    uint32_t near[2 * WORK_MOST];
    float distances[2 * WORK_MOST];
    unsigned ticket;
    size_t found;
    int rc = OK;

    if (!x)
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot reassign rows");
    const struct channi_layout *layout = channi_enter(c, &ticket)->layout;
    for (size_t i = 0; i < n_cids; i++)
        add(s, layout, cids[i]);
    const uint32_t own = s->n, most = own + (uint32_t)c->params.reassign_clusters;
    for (uint32_t i = 0; rc == OK && i < own; i++) {
        const size_t share = (i + 1) * (size_t)c->params.reassign_clusters / own;

        rc = channi_nearest_clusters(c, x, layout, layout->clusters[s->cids[i]]->site, own + share,
                                     (size_t)c->params.assign_ef, near, distances, &found, cost);
        for (size_t j = 0; rc == OK && j < found && s->n < own + share && s->n < most; j++)
            add(s, layout, near[j]);
    }
    channi_leave(c, ticket);
    scratch_pool_give(&c->scratch, x);
    return rc;
}

/* ------------------------------------------------------------------------------------ rows */

/* Chooses the nearest cluster, unless that makes a cluster too small or too large. */
static void reassign_row(struct reassignment *s, uint32_t i, double *cost)
{
    const struct channi *c = s->c;
    const uint32_t from = s->w.members.rows[i].from;
    uint32_t best = from;
    float least = INFINITY;

    s->part[i] = from;
    if (s->w.members.rows[i].dead != 0 || i == s->root[from] ||
        (!s->empties && s->size[from] <= 2 * c->merge_min + 1))
        return;
    for (uint32_t j = 0; j < s->w.n; j++) {
        const float d =
            channi_assign_distance(c, s->w.clusters[j], s->w.members.rows[i].bytes, cost);

        if (d < least || (d == least && j == from)) {
            least = d;
            best = j;
        }
    }
    if (best == from || s->size[best] >= c->split_max)
        return;
    s->part[i] = best;
    s->size[from]--;
    s->size[best]++;
    s->moved++;
}

static int carry_out(struct reassignment *s)
{
    struct channi_part parts[WORK_MOST];
    const struct channi_replacement r = { .parts = parts, .n_parts = s->w.n, .threads = 1 };
    uint32_t *at = s->part + s->w.members.n;

    for (uint32_t i = 0; i < s->w.n; i++) {
        size_t n = 0;

        /* Rows that stay come first, in file order, so that the file's graph can be extended. */
        for (int arrived = 0; arrived < 2; arrived++)
            for (uint32_t j = 0; j < s->w.members.n; j++)
                if (s->part[j] == i && (s->w.members.rows[j].from != i) == arrived)
                    at[n++] = j;
        parts[i] = (struct channi_part){ .rows = at,
                                         .n = n,
                                         .root = s->root[i],
                                         .kind = s->w.clusters[i]->kind,
                                         .successor_of = i,
                                         .routes_of = UINT32_C(1) << i,
                                         .stays = true,
                                         .go_on = true };
        at += n;
    }
    const int rc = channi_replace(s->c, &s->w, &r);
    if (rc == OK)
        channi_count(&s->c->counters.reassigned, s->moved);
    return rc;
}

/* Does nothing if a cluster has no live row. */
static int reassign(struct reassignment *s, double *cost)
{
    struct channi *c = s->c;
    const struct channi_members *m = &s->w.members;

    if (s->n < 2 || !channi_take(c, s->cids, s->n, &s->w))
        return OK;
    int rc = channi_gather(c, &s->w);
    bool all = rc == OK;
    if (all)
        channi_find_roots(c, &s->w, s->root, s->size);
    for (size_t i = 0; i < s->w.n; i++)
        all = all && s->size[i] > 0;
    if (all) {
        s->part = mem_array(c->base.env.mem, 2 * m->n, sizeof *s->part);
        if (!s->part)
            rc = CHANNI_NO_MEMORY(&c->base.env, ", cannot reassign %zu rows", m->n);
        for (uint32_t i = 0; s->part && i < m->n; i++) {
            reassign_row(s, i, cost);
            if (i % YIELD_ROWS == 0)
                throttle_wait();
        }
    }
    if (rc == OK && s->moved > m->n_live / WORTH)
        rc = carry_out(s);
    mem_free(c->base.env.mem, s->part);
    channi_give(c, &s->w);
    for (uint32_t i = 0; rc == OK && i < s->n; i++)
        channi_queue(c, s->cids[i]);
    return rc;
}

int channi_reassign(struct channi *c, const uint32_t *cids, size_t n, double *cost)
{
    struct reassignment s = { .c = c };

    if (c->params.reassign_clusters == 0)
        return OK;
    const int rc = find_neighbours(&s, cids, n, cost);
    return rc == OK ? reassign(&s, cost) : rc;
}

/* Whether a row of the cluster's delta is nearer to one of the first n clusters than to its own. */
static bool has_misassigned(const struct reassignment *s, const struct channi_layout *layout,
                            const struct channi_cluster *cl, size_t n, double *cost)
{
    const uint32_t rows = channi_delta_count(&cl->delta);

    for (uint32_t i = 0; i < rows; i++) {
        const struct channi_row r = channi_cluster_row(cl, NULL, cl->base_n + i);

        if (r.dead)
            continue;
        const float own = channi_assign_distance(s->c, cl, r.bytes, cost);
        for (size_t j = 0; j < n; j++)
            if (channi_assign_distance(s->c, layout->clusters[s->cids[j]], r.bytes, cost) < own)
                return true;
    }
    return false;
}

/* Adds clusters that have such rows, or wait for the same split, from *next on. */
static void find_arrived(struct reassignment *s, size_t n, uint32_t *next, double *cost)
{
    unsigned ticket;
    const struct channi_layout *layout = channi_enter(s->c, &ticket)->layout;
    bool all = true;

    for (size_t i = 0; i < n; i++)
        all = all && s->cids[i] < layout->n_clusters && layout->clusters[s->cids[i]];
    for (; *next < layout->n_clusters && s->n < WORK_MOST; ++*next) {
        const struct channi_cluster *cl = layout->clusters[*next];

        if (all && cl &&
            (channi_shape_of(cl) == SHAPE_BEYOND || has_misassigned(s, layout, cl, n, cost)))
            add(s, layout, *next);
    }
    channi_leave(s->c, ticket);
}

int channi_reassign_arrived(struct channi *c, const uint32_t *cids, size_t n, double *cost)
{
    int rc = OK;

    n = n < WORK_MOST / 2 ? n : WORK_MOST / 2;
    for (uint32_t next = 0; rc == OK && c->params.reassign_clusters > 0;) {
        struct reassignment s = { .c = c, .n = (uint32_t)n, .empties = true };

        memcpy(s.cids, cids, n * sizeof *cids);
        find_arrived(&s, n, &next, cost);
        if (s.n == n)
            break;
        rc = reassign(&s, cost);
    }
    return rc;
}
