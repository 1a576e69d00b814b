/* compact.c - rewrites a cluster's file, with the rows of its delta and without its dead rows.
 *
 * A live root stays. If the root has died, the live member nearest to the site replaces it, but
 * site and routes stay: rows were assigned by the site, and moving it would leave a fifth of them,
 * and of the neighbours' rows, misassigned. A cluster whose rows have left the site moves to the
 * member nearest to their mean. */
#include "algorithms/channi/maintenance/internal.h"
#include "algorithms/channi/maintenance/maintenance.h"

int channi_compact(struct channi *c, uint32_t cid, double *cost, bool *busy)
{
    struct channi_taken w;
    bool moved = false;
    int rc;

    if (!channi_rewrite_begin(c, cid, JOB_COMPACT, &w, busy, &rc))
        return rc;
    const struct channi_members *m = &w.members;
    const struct channi_cluster *cl = w.clusters[0];
    if (rc == OK && m->n_live > 0) {
        struct channi_part part = { .kind = cl->kind, .routes_of = 1, .reroutes = true };
        uint32_t live;

        moved = channi_shape_of(cl) == SHAPE_LEFT;
        part.stays = !moved;
        *cost += 2 * (double)m->n; /* one pass is for the route */
        if (moved) {
            rc = channi_choose_root(c, m, &part.root, cost);
        } else {
            channi_find_roots(c, &w, &part.root, &live);
            *cost += m->rows[part.root].number == cl->base->root ? 0 : (double)live;
        }
        if (rc == OK)
            rc = channi_replace_by_one(c, &w, &part);
        channi_count(&c->counters.compactions, rc == OK);
    }
    channi_give(c, &w);
    if (rc == OK && moved)
        rc = channi_reassign(c, &cid, 1, cost);
    if (rc == OK)
        channi_queue(c, cid); /* the new file may show that it must be moved or split */
    return rc;
}
