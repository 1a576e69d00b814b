/* maintain.c - maintenance, and what removals do of it. Each step may cause work for the next: a
 * newer model, re-encoding, rewriting buckets, links, clusters, hot rows.
 *
 * Removals do a part of the graph's compaction, as for buckets (buckets/bucket.c): once half as
 * many nodes wait to be taken out as are live, each removal takes some out. This reads no row.
 */
#include "algorithms/asteria/buckets/bucket.h"
#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/maintenance/maintenance.h"
#include "algorithms/asteria/rows/slots.h"

enum {
    WAITING_SHARE = 2, /* the graph is swept when dead nodes are 1/2 of the live ones */
    /* Budget of the sweep per removal and edge: more than the sweep costs per node taken
       out (asteria_caprg_gather() considers at most 17 x degree candidates, for twice as
       many nodes). */
    BUDGET_AN_EDGE = 40,
    BUDGET_AT_ONCE = 4096, /* while the lock is held */
};

bool asteria_graph_is_due(const struct asteria *a)
{
    return a->graph && asteria_caprg_sweep_is_due(a->graph, WAITING_SHARE);
}

void asteria_compact_graph(struct asteria *a, size_t removed)
{
    uint64_t budget = (uint64_t)removed * (uint64_t)a->params.degree * BUDGET_AN_EDGE;

    for (bool more = true; more && budget > 0;) {
        const uint64_t some = budget < BUDGET_AT_ONCE ? budget : BUDGET_AT_ONCE;
        uint64_t spent = 0;

        asteria_change_begin(a);
        more = asteria_caprg_sweep(a->graph, WAITING_SHARE, some, &spent);
        asteria_change_end(a);
        budget -= some;
    }
}

/* ------------------------------------------------------------------------- the steps */

/* Positions compacted away since the last rewrite count, too. */
static bool is_due(const struct asteria *a, const struct asteria_bucket *b)
{
    const double gone = (double)b->gone + (b->n - b->live);

    return gone > a->params.compact_share * ((double)b->gone + b->n) ||
           (gone > 0 && b->live == 0) || asteria_bucket_is_due(b);
}

/* Rewrites buckets from which many rows were removed, or which have doubled. */
static int compact(struct asteria_maintenance *u)
{
    struct asteria *a = u->a;
    int rc = OK;

    for (uint32_t i = 0; rc == OK; i++) {
        asteria_change_begin(a);
        struct asteria_generation *g = a->generations[a->now];
        const bool there = i < g->n, due = there && is_due(a, &g->buckets[i]);

        if (due && !asteria_maintenance_goes_on(u)) {
            u->more = true;
        } else if (due) {
            u->spent += (uint64_t)g->buckets[i].live + 1;
            rc = asteria_bucket_rewrite(a, g, i);
        }
        asteria_change_end(a);
        if (!there || u->more)
            break;
    }
    return rc;
}

static int keep_tree_and_hot_rows(struct asteria_maintenance *u)
{
    struct asteria *a = u->a;
    bool more = false, cold = false;
    int rc = OK;

    if (!asteria_maintenance_goes_on(u)) {
        u->more = true; /* not checked */
        return OK;
    }
    asteria_change_begin(a);
    if (a->bec)
        rc = asteria_bec_maintain(a->bec, asteria_maintenance_left(u), &more);
    asteria_change_end(a);
    asteria_change_begin(a);
    if (rc == OK)
        rc = asteria_rows_refresh_hot_set(a, asteria_maintenance_left(u), &cold);
    asteria_change_end(a);
    u->more |= more || cold;
    return rc;
}

int asteria_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct asteria *a = asteria_of(index);
    struct asteria_maintenance u = { .a = a, .budget = budget };
    int rc = OK;

    *more = false;
    if (!a->trained)
        return OK;
    rc = asteria_maintenance_refit(&u);
    if (rc == OK)
        rc = asteria_maintenance_reencode(&u);
    if (rc == OK)
        rc = compact(&u);
    if (rc == OK)
        rc = asteria_maintenance_link(&u);
    if (rc == OK)
        rc = keep_tree_and_hot_rows(&u);
    *more = u.more;
    return rc;
}
