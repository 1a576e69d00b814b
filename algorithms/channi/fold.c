/* fold.c - a cluster's file written anew, with what its delta holds and without what has died.
 *
 * The root stays while it lives. Where it has died the live member nearest to the mean of all is the new
 * one; the routes stay where they are.
 */
#include "algorithms/channi/upkeep.h"
#include "src/core/mem.h"

/* Among the members; new if the old one has died. */
static int choose_root(struct channi *c, const struct cluster *cl, const struct members *m,
                       uint32_t *root, double *cost)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->row[i] == cl->root && m->dead[i] == 0) {
            *root = (uint32_t)i;
            return OK;
        }
    return upkeep_choose_root(c, m, root, cost);
}

static int rewrite(struct channi *c, struct work_on *w, const struct members *m,
                   struct replacement *r, struct part *part, double *cost)
{
    const struct cluster *cl = w->clusters[0];
    uint32_t *copy = NULL, root = 0;
    bool wants = false;
    int rc = choose_root(c, cl, m, &root, cost);

    if (rc != OK)
        return rc;
    part->root = root;
    part->go_on = true;
    if (m->row[root] != cl->root) {
        wants = upkeep_wants_route(c, m, part->rows, part->n, root, cl->routes, cl->n_routes);
        *cost += (double)part->n;
        copy = mem_array(c->base.env.mem, 2 * cl->n_routes, sizeof *copy);
        if (!copy)
            return fail(c->base.env.error, ERR_NO_MEMORY, "%s: no memory to choose routes",
                        c->base.ops->name);
        for (uint32_t i = 0; i < cl->n_routes; i++)
            copy[i] = cl->routes[i];
        r->n_dropped =
            upkeep_surplus(c, copy, cl->n_routes, wants, m->rows[root], copy + cl->n_routes);
        r->dropped = copy + cl->n_routes;
        part->new_route = wants;
    }
    rc = channi_replace(c, w, m, r);
    if (rc == OK && wants)
        channi_count(&c->counters.reroutes, 1);
    if (rc == OK)
        channi_count(&c->counters.aliases_dropped, r->n_dropped);
    mem_free(c->base.env.mem, copy);
    return rc;
}

static int fold_members(struct channi *c, struct work_on *w, const struct members *m, double *cost)
{
    struct mem *mem = c->base.env.mem;
    uint32_t *all = mem_array(mem, m->n, sizeof *all);
    struct part part = {
        .rows = all, .n = m->n, .kind = w->clusters[0]->kind, .heir_of = 0, .routes_of = 1
    };
    struct replacement r = { .parts = &part, .n_parts = 1, .threads = 1 };
    int rc = OK;

    if (!all)
        return fail(c->base.env.error, ERR_NO_MEMORY, "%s: no memory to fold a cluster",
                    c->base.ops->name);
    for (size_t i = 0; i < m->n; i++)
        all[i] = (uint32_t)i;
    *cost += (double)m->n;
    rc = rewrite(c, w, m, &r, &part, cost);
    mem_free(mem, all);
    if (rc == OK)
        channi_count(&c->counters.folds, 1);
    return rc;
}

int channi_fold(struct channi *c, uint32_t cid, double *cost, bool *busy)
{
    struct work_on w;
    struct members m;
    int rc;

    if (!upkeep_begin(c, cid, JOB_FOLD, &w, &m, busy, &rc))
        return rc;
    if (rc == OK && m.n_live > 0)
        rc = fold_members(c, &w, &m, cost);
    upkeep_end(c, &w, &m);
    return rc;
}
