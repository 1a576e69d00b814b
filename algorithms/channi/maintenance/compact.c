/* compact.c - rewrites a cluster's file, with the rows of its delta and without its dead rows.
 *
 * A live root stays. If the root has died, the live member nearest to the site replaces it, but
 * site and routes stay: rows were assigned by the site, and moving it would leave a fifth of them,
 * and of the neighbours' rows, misassigned. A cluster whose rows have left the site moves to the
 * member nearest to their mean. */
#include <math.h>

#include "algorithms/channi/channi.h"
#include "algorithms/channi/maintenance/division.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/common/rows/rows.h"
#include "src/core/mem.h"

/* Finds the cluster's root among the members. false: it has died. */
static bool find_root(const struct channi_cluster *cl, const struct channi_members *m,
                      uint32_t *root)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->row[i] == cl->root && m->dead[i] == 0) {
            *root = (uint32_t)i;
            return true;
        }
    return false;
}

static uint32_t nearest_to_site(const struct channi *c, const struct channi_cluster *cl,
                                const struct channi_members *m, double *cost)
{
    uint32_t nearest = 0;
    float least = INFINITY;

    for (uint32_t i = 0; i < m->n; i++) {
        const float d =
            m->dead[i] == 0 ? rows_distance(&c->base.env, m->rows[i], cl->site) : INFINITY;

        if (d < least) {
            least = d;
            nearest = i;
        }
    }
    *cost += (double)m->n_live;
    return nearest;
}

/* The site, and the root if it has died. Rows that have left their site get one in their middle. */
static int choose_site(struct channi *c, const struct channi_cluster *cl,
                       const struct channi_members *m, struct channi_part *part, double *cost)
{
    part->stays = channi_shape_of(cl) != SHAPE_LEFT;
    if (!part->stays)
        return channi_choose_root(c, m, &part->root, cost);
    if (!find_root(cl, m, &part->root))
        part->root = nearest_to_site(c, cl, m, cost);
    return OK;
}

static int compact_members(struct channi *c, struct channi_taken *w, const struct channi_members *m,
                           double *cost)
{
    struct mem *mem = c->base.env.mem;
    uint32_t *all = mem_array(mem, m->n, sizeof *all);
    struct channi_part part = { .rows = all,
                                .n = m->n,
                                .kind = w->clusters[0]->kind,
                                .successor_of = 0,
                                .routes_of = 1,
                                .reroutes = true,
                                .go_on = true };
    const struct channi_replacement r = { .parts = &part, .n_parts = 1, .threads = 1 };

    if (!all)
        return fail(c->base.env.error, ERR_NO_MEMORY, "%s: out of memory, cannot compact a cluster",
                    c->base.ops->name);
    for (size_t i = 0; i < m->n; i++)
        all[i] = (uint32_t)i;
    *cost += 2 * (double)m->n; /* one pass is for the route */
    int rc = choose_site(c, w->clusters[0], m, &part, cost);
    if (rc == OK)
        rc = channi_replace(c, w, m, &r);
    mem_free(mem, all);
    if (rc == OK)
        channi_count(&c->counters.compactions, 1);
    return rc;
}

int channi_compact(struct channi *c, uint32_t cid, double *cost, bool *busy)
{
    struct channi_taken w;
    struct channi_members m;
    bool moved = false;
    int rc;

    if (!channi_rewrite_begin(c, cid, JOB_COMPACT, &w, &m, busy, &rc))
        return rc;
    if (rc == OK && m.n_live > 0) {
        moved = channi_shape_of(w.clusters[0]) == SHAPE_LEFT;
        rc = compact_members(c, &w, &m, cost);
    }
    channi_rewrite_end(c, &w, &m);
    if (rc == OK && moved)
        rc = channi_reassign(c, &cid, 1, cost);
    if (rc == OK)
        channi_queue(c, cid); /* the new file may show that it must be moved or split */
    return rc;
}
