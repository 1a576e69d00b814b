/* merge.c - a cluster that has become too small goes into a near one. Nothing leaves the graph of routes:
 * both clusters' routes lead to the one that is left.
 *
 * The partner is the nearest cluster, by a search among routes from the root, with which the sum of live
 * rows is at most half of split_max. Outliers' clusters are merged with their like only until they are
 * ood_age commits old. A cluster without live rows goes to the nearest that has some, however large: it
 * brings none. Who finds no partner stays as it is, and looks again when anything has changed.
 */
#include <math.h>

#include "algorithms/channi/upkeep.h"
#include "src/core/mem.h"

/* Clusters looked at around one. */
enum { PARTNERS = 16 };

static uint32_t live_of(const struct cluster *cl)
{
    return atomic_load(&((struct cluster *)(uintptr_t)cl)->live);
}

/* -------------------------------------------------------------------------------- the partner */

static bool is_young(const struct channi *c, const struct cluster *cl, uint64_t version)
{
    return cl->kind == CLUSTER_OOD && version < cl->born_ver + (uint64_t)c->params.ood_age;
}

static bool fit(const struct channi *c, const struct cluster *a, const struct cluster *b,
                uint64_t version)
{
    const uint32_t na = live_of(a), nb = live_of(b);

    if (a == b || nb == 0)
        return false;
    if (na == 0)
        return true;
    return (uint64_t)na + nb <= c->split_max / 2 &&
           (a->kind == b->kind || (!is_young(c, a, version) && !is_young(c, b, version)));
}

/* The n nearest by route; most of them asked for at once. */
static int find_by_route(struct channi *c, struct channi_scratch *x, const struct view *view,
                         const struct cluster *cl, size_t n, uint32_t *partner, double *cost)
{
    struct mem *mem = c->base.env.mem;
    const struct layout *l = view->layout;
    uint32_t *cids = mem_array(mem, n, sizeof *cids);
    float *distances = mem_array(mem, n, sizeof *distances);
    const size_t ef = (size_t)c->params.assign_ef;
    size_t found = 0;
    int rc;

    rc = cids && distances
             ? channi_nearest_clusters(c, x, l, cl->site, n, ef, cids, distances, &found, cost)
             : fail(c->base.env.error, ERR_NO_MEMORY, "%s: no memory to find a cluster's partner",
                    c->base.ops->name);
    for (size_t i = 0; rc == OK && i < found && *partner == CID_NONE; i++)
        if (fit(c, cl, l->clusters[cids[i]], view->version))
            *partner = cids[i];
    mem_free(mem, cids);
    mem_free(mem, distances);
    return rc;
}

/* Outliers lie far from one another, but their clusters are few. */
static void find_outliers(struct channi *c, const struct view *view, const struct cluster *cl,
                          uint32_t *partner, double *cost)
{
    const struct layout *l = view->layout;
    float least = INFINITY;

    for (uint32_t i = 0; i < l->n_ood; i++) {
        const struct cluster *other = l->clusters[l->ood[i]];

        if (!other || !fit(c, cl, other, view->version))
            continue;
        const float d = channi_distance(c, cl->site, other->site);
        *cost += 1;
        if (d < least) {
            least = d;
            *partner = other->cid;
        }
    }
}

/* Inside the epoch. */
static int find_in(struct channi *c, const struct view *view, const struct cluster *cl,
                   uint32_t *partner, double *cost)
{
    const size_t all = view->layout->n_clusters;
    int rc = OK;

    if (is_young(c, cl, view->version) && live_of(cl) > 0) {
        find_outliers(c, view, cl, partner, cost);
        return OK;
    }
    struct channi_scratch *x = channi_scratch_take(c);
    if (!x)
        return fail(c->base.env.error, ERR_NO_MEMORY, "%s: no memory to find a cluster's partner",
                    c->base.ops->name);
    rc = find_by_route(c, x, view, cl, all < PARTNERS ? all : PARTNERS, partner, cost);
    if (rc == OK && *partner == CID_NONE && live_of(cl) == 0 && all > PARTNERS)
        rc = find_by_route(c, x, view, cl, all, partner, cost);
    channi_scratch_give(c, x);
    return rc;
}

/* *partner CID_NONE: there is none, which is remembered, or nothing is to be merged. */
static int find_partner(struct channi *c, uint32_t cid, uint32_t *partner, double *cost)
{
    unsigned ticket;
    int rc = OK;

    *partner = CID_NONE;
    const struct view *view = channi_enter(c, &ticket);
    const struct cluster *cl = cid < view->layout->n_clusters ? view->layout->clusters[cid] : NULL;
    if (cl && channi_needs(c, cl) == JOB_MERGE) {
        rc = find_in(c, view, cl, partner, cost);
        if (rc == OK && *partner == CID_NONE) {
            struct channi_seat *seat = stable_at(&c->seats, cid);
            atomic_store(&seat->alone, channi_stamp(view));
        }
    }
    channi_leave(c, ticket);
    return rc;
}

/* --------------------------------------------------------------------------------- the union */

/* What is made of two clusters. */
struct merger {
    struct channi *c;
    struct work_on *w;
    const struct members *m;
    size_t larger, smaller; /* of w's clusters */
    uint32_t *rows;         /* m->n */
    uint32_t *routes;       /* of both; then as many again, those dropped */
    size_t n_routes;
};

static int merger_open(struct merger *g, struct channi *c, struct work_on *w,
                       const struct members *m)
{
    struct mem *mem = c->base.env.mem;

    *g = (struct merger){ .c = c, .w = w, .m = m };
    g->larger = live_of(w->clusters[1]) > live_of(w->clusters[0]);
    g->smaller = !g->larger;
    g->n_routes = (size_t)w->clusters[0]->n_routes + w->clusters[1]->n_routes;
    g->rows = mem_array(mem, m->n, sizeof *g->rows);
    g->routes = mem_array(mem, 2 * g->n_routes, sizeof *g->routes);
    return g->rows && g->routes ? OK
                                : fail(c->base.env.error, ERR_NO_MEMORY,
                                       "%s: no memory to merge clusters", c->base.ops->name);
}

static void merger_close(struct merger *g)
{
    mem_free(g->c->base.env.mem, g->rows);
    mem_free(g->c->base.env.mem, g->routes);
}

/* The larger one's rows first: its graph can be gone on with. */
static void list_rows(const struct merger *g)
{
    size_t n = 0;

    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < g->m->n; i++)
            if ((g->m->from[i] == g->larger) == (pass == 0))
                g->rows[n++] = (uint32_t)i;
}

/* Those that go on to lead here come first in routes[], those that lead nowhere any more after them. */
static void choose_routes(struct merger *g, struct part *part, struct replacement *r)
{
    const struct cluster *larger = g->w->clusters[g->larger], *smaller = g->w->clusters[g->smaller];
    uint32_t *dropped = g->routes + g->n_routes;
    const void *root = g->m->rows[part->root];
    size_t n = 0;

    for (uint32_t i = 0; i < larger->n_routes; i++)
        g->routes[n++] = larger->routes[i];
    for (uint32_t i = 0; i < smaller->n_routes; i++)
        if (g->c->params.alias)
            g->routes[n++] = smaller->routes[i];
        else
            dropped[r->n_dropped++] = smaller->routes[i];
    part->new_route = upkeep_wants_route(g->c, g->m, part->rows, part->n, part->root, g->routes, n);
    r->n_dropped +=
        upkeep_surplus(g->c, g->routes, n, part->new_route, root, dropped + r->n_dropped);
    r->dropped = dropped;
}

static enum cluster_kind kind_of(const struct merger *g)
{
    return g->w->clusters[0]->kind == CLUSTER_OOD && g->w->clusters[1]->kind == CLUSTER_OOD
               ? CLUSTER_OOD
               : CLUSTER_NORMAL;
}

static void count(const struct merger *g, const struct part *part, const struct replacement *r)
{
    struct channi *c = g->c;
    const size_t smaller = g->w->clusters[g->smaller]->n_routes;

    channi_count(&c->counters.merges, 1);
    channi_count(&c->counters.reroutes, part->new_route);
    channi_count(&c->counters.aliases, c->params.alias ? smaller : 0);
    channi_count(&c->counters.aliases_dropped, r->n_dropped);
}

static int unite(struct merger *g, double *cost)
{
    struct part part = { .rows = g->rows,
                         .n = g->m->n,
                         .kind = kind_of(g),
                         .heir_of = (uint32_t)g->larger,
                         .routes_of = g->c->params.alias ? 3 : 1u << g->larger,
                         .go_on = true };
    struct replacement r = { .parts = &part, .n_parts = 1, .threads = 1 };
    int rc;

    list_rows(g);
    if ((rc = upkeep_choose_root(g->c, g->m, &part.root, cost)) != OK)
        return rc;
    choose_routes(g, &part, &r);
    *cost += (double)g->m->n;
    rc = channi_replace(g->c, g->w, g->m, &r);
    if (rc == OK)
        count(g, &part, &r);
    return rc;
}

/* ------------------------------------------------------------------------------------ doing it */

/* As they are now that nobody else has them. */
static bool still_fit(struct channi *c, const struct work_on *w, uint32_t cid)
{
    const size_t at = w->clusters[1]->cid == cid;

    return channi_needs(c, w->clusters[at]) == JOB_MERGE &&
           fit(c, w->clusters[at], w->clusters[!at], w->view->version);
}

static int merge_taken(struct channi *c, struct work_on *w, double *cost)
{
    struct members m;
    struct merger g;
    int rc;

    channi_members_init(&m, c);
    rc = channi_gather(c, w, &m);
    if (rc == OK && m.n_live > 0) {
        rc = merger_open(&g, c, w, &m);
        if (rc == OK)
            rc = unite(&g, cost);
        merger_close(&g);
    }
    channi_members_free(&m, c);
    return rc;
}

int channi_merge(struct channi *c, uint32_t cid, double *cost, bool *busy)
{
    uint32_t cids[2] = { cid, CID_NONE };
    struct work_on w;
    bool taken;
    int rc;

    rc = find_partner(c, cid, &cids[1], cost);
    if (rc != OK)
        return rc;
    if (cids[1] != CID_NONE) {
        rc = channi_take(c, cids, 2, &w, &taken);
        *busy = rc == OK && !taken;
        if (rc != OK || !taken)
            return rc;
        if (still_fit(c, &w, cid))
            rc = merge_taken(c, &w, cost);
        channi_give(c, &w);
    }
    for (size_t i = 0; rc == OK && i < 2; i++)
        if (cids[i] != CID_NONE)
            channi_queue(c, cids[i]);
    return rc;
}
