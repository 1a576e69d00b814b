/* replace.c - clusters replaced by others: all that changes which clusters there are goes through here.
 *
 * Files are written first, beside searches and commits; then, under `write`, what changed meanwhile is
 * carried over and a layout is published that has the new clusters and their routes. Readers of older
 * views keep the old ones, and their files. All that can fail comes before the publication, and up to
 * it nothing that anybody knows has changed but names that are held; see replace.h.
 *
 * A part that is an heir keeps the cid, the name and the routes of the cluster it goes on from: after a
 * split the old route leads to it, whatever its root is now. Other parts take a cid that is free, the least
 * first, and are named after their root. Routes of a cluster that no part takes over are dropped.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/replace.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

static int no_memory(const struct replacing *x)
{
    return fail(x->c->base.env.error, ERR_NO_MEMORY,
                "channi: out of memory to replace %zu clusters by %zu", x->w->n, x->r->n_parts);
}

/* ---------------------------------------------------------------------------------- names */

/* The routes the part takes over from cluster i of those worked on. */
static bool takes_routes(const struct part *part, size_t i)
{
    return part->heir_of == i || (part->routes_of >> i & 1);
}

static const uint32_t *first_route(const struct replacing *x, const struct part *part)
{
    for (size_t i = 0; i < x->w->n; i++)
        if (takes_routes(part, i) && x->w->clusters[i]->n_routes > 0)
            return x->w->clusters[i]->routes;
    return NULL;
}

/* A phash that nobody else is given before the route is there, or the replacement has failed. */
static int hold_phash(struct replacing *x, struct making *p)
{
    struct channi *c = x->c;
    const uint32_t root = p->part->root;

    p->route_phash = channi_phash(c, x->m->ids[root], x->m->rows[root]);
    if (!idmap_put(&c->by_phash, p->route_phash, PHASH_HELD))
        return no_memory(x);
    p->held = true;
    return OK;
}

/* A file is named after a route to it: the one it had, or the one it gets. */
static int name_part(struct replacing *x, struct making *p)
{
    struct channi *c = x->c;
    const struct part *part = p->part;
    const uint32_t *route = first_route(x, part);

    p->file_version = ++c->files;
    if (part->new_route && part->n > 0) {
        const int rc = hold_phash(x, p);

        if (rc != OK)
            return rc;
    }
    if (p->heir && p->heir->base)
        p->file_phash = p->heir->base->phash;
    else if (route)
        p->file_phash = *(const uint64_t *)stable_at(&c->route_phash, *route);
    else if (p->held)
        p->file_phash = p->route_phash;
    else
        return fail(c->base.env.error, ERR_INVARIANT,
                    "channi: a cluster of %zu rows would have no route", part->n);
    return OK;
}

static int begin_parts(struct replacing *x)
{
    struct channi *c = x->c;
    int rc = OK;

    x->parts = mem_zalloc(c->base.env.mem, x->r->n_parts * sizeof *x->parts);
    if (!x->parts)
        return no_memory(x);
    pthread_mutex_lock(&c->write);
    const uint64_t version = atomic_load(&c->now)->version;
    for (size_t i = 0; rc == OK && i < x->r->n_parts; i++) {
        struct making *p = &x->parts[i];

        p->part = &x->r->parts[i];
        p->heir = p->part->heir_of == HEIR_NONE ? NULL : x->w->clusters[p->part->heir_of];
        p->cl = replace_cluster(c, p->heir ? p->heir->cid : CID_NONE, p->part->kind,
                                p->heir ? p->heir->born_ver : version);
        rc = p->cl ? name_part(x, p) : no_memory(x);
    }
    pthread_mutex_unlock(&c->write);
    return rc;
}

/* --------------------------------------------------------------------------------- layout */

static bool has_heir(const struct replacing *x, size_t i)
{
    for (size_t j = 0; j < x->r->n_parts; j++)
        if (x->r->parts[j].heir_of == i)
            return true;
    return false;
}

/* Cids for the new parts: those of clusters that are no more, of this replacement too, then new ones. */
static int give_cids(struct replacing *x, struct layout *layout)
{
    struct channi *c = x->c;
    uint32_t next = 0;

    for (size_t i = 0; i < x->w->n; i++)
        if (!has_heir(x, i))
            layout_set(c, layout, x->w->clusters[i]->cid, NULL);
    for (size_t i = 0; i < x->r->n_parts; i++) {
        struct cluster *cl = x->parts[i].cl;

        if (x->parts[i].heir)
            continue;
        while (next < layout->n_clusters && layout->clusters[next])
            next++;
        cl->cid = next++;
    }
    return layout_reserve(c, layout, next > layout->n_clusters ? next : layout->n_clusters)
               ? OK
               : no_memory(x);
}

static bool is_dropped(const struct replacement *r, uint32_t route)
{
    for (size_t i = 0; i < r->n_dropped; i++)
        if (r->dropped[i] == route)
            return true;
    return false;
}

/* A new part's route, if it gets one, is `next`: greater than those there are. */
static bool collect_routes(const struct replacing *x, const struct making *p, uint32_t next)
{
    struct cluster *cl = p->cl;
    size_t most = p->held;

    for (size_t i = 0; i < x->w->n; i++)
        most += takes_routes(p->part, i) ? x->w->clusters[i]->n_routes : 0;
    cl->routes = mem_array(x->c->base.env.mem, most, sizeof *cl->routes);
    if (!cl->routes)
        return false;
    for (size_t i = 0; i < x->w->n; i++) {
        const struct cluster *old = x->w->clusters[i];

        for (uint32_t j = 0; takes_routes(p->part, i) && j < old->n_routes; j++) {
            uint32_t at = cl->n_routes;

            if (is_dropped(x->r, old->routes[j]))
                continue;
            for (; at > 0 && cl->routes[at - 1] > old->routes[j]; at--)
                cl->routes[at] = cl->routes[at - 1];
            cl->routes[at] = old->routes[j];
            cl->n_routes++;
        }
    }
    if (p->held)
        cl->routes[cl->n_routes++] = next;
    return true;
}

/* Old routes lead where the parts that took them over are; the others of the old clusters nowhere. */
static void redirect(const struct replacing *x, struct routes *routes)
{
    for (size_t i = 0; i < x->w->n; i++) {
        const struct cluster *old = x->w->clusters[i];

        for (uint32_t j = 0; j < old->n_routes; j++)
            routes->cid[old->routes[j]] = CID_NONE;
    }
    for (size_t i = 0; i < x->r->n_dropped; i++)
        routes->cid[x->r->dropped[i]] = CID_NONE;
    for (size_t i = 0; i < x->r->n_parts; i++) {
        const struct cluster *cl = x->parts[i].cl;

        for (uint32_t j = 0; j < cl->n_routes; j++)
            routes->cid[cl->routes[j]] = cl->cid;
    }
}

static void set_drift(const struct replacing *x, struct cluster *cl)
{
    cl->drift = cl->n_routes > 0 ? INFINITY : 0;
    for (uint32_t i = 0; i < cl->n_routes; i++) {
        const void *row = stable_at(&x->c->route_rows, cl->routes[i]);

        cl->drift = fminf(cl->drift, channi_distance(x->c, row, cl->site));
    }
}

/* A fold leaves all routes as they are: then they need not be made again. */
static bool routes_stay(const struct replacing *x, const struct routes *routes)
{
    size_t before = 0, after = 0;

    for (size_t i = 0; i < x->w->n; i++)
        before += x->w->clusters[i]->n_routes;
    for (size_t i = 0; i < x->r->n_parts; i++) {
        const struct cluster *cl = x->parts[i].cl;

        if (x->parts[i].held)
            return false;
        for (uint32_t j = 0; j < cl->n_routes; j++, after++)
            if (routes->cid[cl->routes[j]] != cl->cid)
                return false;
    }
    return before == after;
}

static int change_routes(struct replacing *x, struct layout *layout, const void *const *rows,
                         const uint64_t *phashes, const uint32_t *cids, size_t n)
{
    struct channi *c = x->c;
    struct routes *routes;
    const int rc = channi_routes_add(c, layout->routes, rows, phashes, cids, n, &routes);

    if (rc != OK)
        return rc;
    /* The names held for the new routes are the routes' from here on. */
    for (size_t i = 0; i < x->r->n_parts; i++)
        x->parts[i].held = false;
    redirect(x, routes);
    if (layout->routes)
        routes_unref(c, layout->routes);
    layout->routes = routes;
    return OK;
}

static int next_routes(struct replacing *x, struct layout *layout)
{
    struct channi *c = x->c;
    struct mem *mem = c->base.env.mem;
    const size_t most = x->r->n_parts;
    const void **rows = mem_array(mem, most, sizeof *rows);
    uint64_t *phashes = mem_array(mem, most, sizeof *phashes);
    uint32_t *cids = mem_array(mem, most, sizeof *cids);
    const uint32_t n_old = layout->routes ? layout->routes->n : 0;
    size_t n = 0;
    int rc = rows && phashes && cids ? OK : no_memory(x);

    for (size_t i = 0; rc == OK && i < x->r->n_parts; i++) {
        const struct making *p = &x->parts[i];

        if (!collect_routes(x, p, n_old + (uint32_t)n))
            rc = no_memory(x);
        if (!p->held)
            continue;
        rows[n] = p->cl->site;
        phashes[n] = p->route_phash;
        cids[n++] = p->cl->cid;
    }
    if (rc == OK && !(layout->routes && routes_stay(x, layout->routes)))
        rc = change_routes(x, layout, rows, phashes, cids, n);
    mem_free(mem, rows);
    mem_free(mem, phashes);
    mem_free(mem, cids);
    for (size_t i = 0; rc == OK && i < x->r->n_parts; i++)
        set_drift(x, x->parts[i].cl);
    return rc;
}

/* ---------------------------------------------------------------------------- publication */

/* The cid's cluster is another one, or has another file. */
static void reset_seat(const struct replacing *x, const struct making *p)
{
    struct channi_seat *seat = stable_at(&x->c->seats, p->cl->cid);
    uint32_t kept = 0;

    for (size_t i = 0; i < p->part->n; i++)
        kept += x->m->dead[p->part->rows[i]] != 0;
    atomic_store(&seat->kept, kept);
    if (p->heir)
        return;
    atomic_store(&seat->tried, 0);
    atomic_store(&seat->alone, 0);
}

static void put_clusters(struct replacing *x, struct layout *layout)
{
    for (size_t i = 0; i < x->r->n_parts; i++) {
        struct making *p = &x->parts[i];

        cluster_ref(p->cl); /* the layout's; ours goes at the end */
        layout_set(x->c, layout, p->cl->cid, p->cl);
        reset_seat(x, p);
    }
}

static void set_places(const struct replacing *x)
{
    for (size_t i = 0; i < x->r->n_parts; i++) {
        const struct making *p = &x->parts[i];
        const struct cluster *cl = p->cl;
        _Atomic(uint64_t) *dead = atomic_load(&((struct cluster *)(uintptr_t)cl)->dead);
        const uint32_t n = delta_count(&cl->delta);

        for (uint32_t row = 0; row < cl->base_n; row++) {
            const uint32_t member = p->part->rows[row];

            if (!x->m->dead[member] && !(dead && atomic_load(&dead[row])))
                channi_place_set(x->c, x->m->ids[member], (struct place){ cl->cid, row });
        }
        for (uint32_t row = 0; row < n; row++) {
            const struct delta_row r = delta_at(&cl->delta, row);

            if (!atomic_load(r.dead))
                channi_place_set(x->c, r.id, (struct place){ cl->cid, cl->base_n + row });
        }
    }
}

/* `write` is held. */
static int publish(struct replacing *x)
{
    struct channi *c = x->c;
    const struct view *now = atomic_load(&c->now);
    const struct routes *old = now->layout->routes;
    struct layout *layout = NULL;
    int rc = replace_carry(x);

    if (rc != OK)
        return rc;
    layout = layout_copy(c, now->layout);
    rc = layout ? give_cids(x, layout) : no_memory(x);
    if (rc == OK)
        rc = next_routes(x, layout);
    if (rc == OK) {
        put_clusters(x, layout);
        rc = layout_find_ood(c, layout) ? channi_publish(c, now->version, layout) : no_memory(x);
    }
    if (rc != OK) {
        if (layout)
            layout_unref(c, layout);
        channi_routes_undo(c, old);
        return rc;
    }
    set_places(x);
    return OK;
}

static void end(struct replacing *x)
{
    struct channi *c = x->c;

    pthread_mutex_lock(&c->write);
    for (size_t i = 0; x->parts && i < x->r->n_parts; i++)
        if (x->parts[i].held)
            (void)idmap_remove(&c->by_phash, x->parts[i].route_phash, NULL);
    pthread_mutex_unlock(&c->write);
    for (size_t i = 0; x->parts && i < x->r->n_parts; i++)
        if (x->parts[i].cl)
            cluster_unref(c, x->parts[i].cl);
    mem_free(c->base.env.mem, x->parts);
    pool_destroy(x->alone);
}

int channi_replace(struct channi *c, struct work_on *w, const struct members *m,
                   const struct replacement *r)
{
    struct replacing x = { .c = c, .w = w, .m = m, .r = r };
    int rc;

    if (r->n_parts == 0)
        return fail(c->base.env.error, ERR_ARGUMENT,
                    "channi: %zu clusters replaced by none: rows to come need one", w->n);
    rc = begin_parts(&x);

    if (rc == OK)
        rc = replace_make(&x);
    if (rc == OK) {
        pthread_mutex_lock(&c->write);
        rc = publish(&x);
        pthread_mutex_unlock(&c->write);
    }
    for (size_t i = 0; rc == OK && r->cids && i < r->n_parts; i++)
        r->cids[i] = x.parts[i].cl->cid;
    end(&x);
    return rc;
}
