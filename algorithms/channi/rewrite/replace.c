/* replace.c - replaces clusters by others. Every change of the set of clusters is made here.
 *
 * Files are written first, concurrently with searches and commits. Then, under `write`, changes
 * made meanwhile are added and a layout with the new clusters and their routes is
 * published. Readers of older views keep the old clusters and files. All steps that can fail come
 * before the publication; until then nothing has changed. See internal.h.
 *
 * A part that is a successor keeps the cid, name and routes of its predecessor: after a split the
 * old route leads to it, even if its root is another row. Other parts take the lowest free cid and are named
 * after their root. Routes that no part takes over are dropped.
 *
 * A part that `reroutes` gets a route of its own if its root is far from the routes that it takes
 * over. Of more than alias_max routes the farthest are dropped.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/rewrite/internal.h"
#include "algorithms/channi/search/route.h"
#include "algorithms/channi/versions/view.h"
#include "algorithms/common/rows/rows.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"

/* Changes of the old clusters while files were written: appended rows go to the new cluster with the
 * nearest root, deletions are repeated. `write` is held, so no commit is half done. Only unpublished
 * clusters are changed. */

static bool catch_up_deaths(const struct channi_replacing *x, const struct channi_making *p)
{
    uint32_t n_dead = 0;

    for (size_t i = 0; i < p->part->n; i++) {
        const struct channi_row *r = &x->m->rows[p->part->rows[i]];
        const uint64_t now = r->dead ? r->dead
                                     : channi_cluster_row(x->w->clusters[r->from],
                                                          &x->m->wholes[r->from].image, r->number)
                                           .dead;

        n_dead += now != 0;
        if (now == r->dead)
            continue;
        _Atomic(uint64_t) *dead = channi_cluster_marks(x->c, p->cl);
        if (!dead)
            return false;
        atomic_store_explicit(&dead[i], now, memory_order_relaxed);
    }
    atomic_store(&p->cl->n_dead, n_dead);
    atomic_store(&p->cl->live, (uint32_t)p->part->n - n_dead);
    return true;
}

static struct channi_cluster *nearest_part(const struct channi_replacing *x, const void *row)
{
    struct channi_cluster *best = x->parts[0].cl;
    float least = INFINITY;

    for (size_t i = 0; x->r->n_parts > 1 && i < x->r->n_parts; i++) {
        const float distance = rows_distance(&x->c->base.env, row, x->parts[i].cl->site);

        if (distance < least) {
            least = distance;
            best = x->parts[i].cl;
        }
    }
    return best;
}

/* Adds the deletions and rows since the gathering to the new clusters; sets live and
   n_dead. `write` is held. */
static int catch_up(struct channi_replacing *x)
{
    const uint64_t horizon = channi_horizon(x->c);

    for (size_t i = 0; i < x->r->n_parts; i++)
        if (!catch_up_deaths(x, &x->parts[i]))
            return channi_replacing_no_memory(x);
    for (size_t i = 0; i < x->w->n; i++) {
        const struct channi_cluster *old = x->w->clusters[i];
        const uint32_t n = channi_delta_count(&old->delta);

        for (uint32_t row = x->w->seen[i]; row < n; row++) {
            const struct channi_row r = channi_cluster_row(old, NULL, old->base_n + row);

            if (r.dead && r.dead <= horizon)
                continue;
            struct channi_cluster *to = nearest_part(x, r.bytes);
            if (!channi_delta_reserve(&to->delta, 1))
                return channi_replacing_no_memory(x);
            (void)channi_delta_append(&to->delta, &r);
            (void)atomic_fetch_add(r.dead ? &to->n_dead : &to->live, 1);
            channi_count(&x->c->counters.caught_up, 1);
        }
    }
    for (size_t i = 0; i < x->r->n_parts; i++)
        channi_delta_encode(x->c, x->parts[i].cl);
    return OK;
}

/* --------------------------------------------------------------------------------- routes */

/* Squared; a route at a random member is as far from the root as the members are. */
enum { ROUTE_FAR = 4 };

/* Whether the part takes over the routes of the taken cluster i. */
static bool takes_routes(const struct channi_part *part, size_t i)
{
    return part->routes_of >> i & 1;
}

/* Whether the nearest route that the part takes over is more than twice as far from its root as its
   members are (root of the mean square). */
static bool wants_route(const struct channi_replacing *x, const struct channi_part *part)
{
    const void *root = x->m->rows[part->root].bytes;
    float drift = INFINITY;
    double sum = 0, live = 0;

    for (size_t i = 0; i < x->w->n; i++) {
        const struct channi_cluster *old = x->w->clusters[i];
        float to_old = INFINITY;

        if (takes_routes(part, i) && old->n_routes > 0)
            (void)channi_nearest_route(x->c, old->routes, old->n_routes, root, &to_old);
        drift = fminf(drift, to_old);
    }
    for (size_t i = 0; drift > 0 && i < part->n; i++)
        if (x->m->rows[part->rows[i]].dead == 0) {
            live++;
            sum += (double)rows_distance(&x->c->base.env, x->m->rows[part->rows[i]].bytes, root);
        }
    return (double)drift * live > ROUTE_FAR * sum;
}

/* Drops the routes beyond alias_max that are farthest from the root, but not all of them. more: 1 if
   it gets a new one. */
static void drop_surplus(const struct channi *c, struct channi_cluster *cl, const void *root,
                         uint32_t more)
{
    const size_t most = (size_t)c->params.alias_max;

    while (cl->n_routes > 0 && cl->n_routes + more > most && cl->n_routes + more > 1) {
        uint32_t worst = 0;
        float farthest = -1;

        for (uint32_t i = 0; i < cl->n_routes; i++) {
            const float d =
                rows_distance(&c->base.env, segmented_at(&c->route_rows, cl->routes[i]), root);

            if (d > farthest) {
                farthest = d;
                worst = i;
            }
        }
        cl->routes[worst] = cl->routes[--cl->n_routes];
    }
}

/* ---------------------------------------------------------------------------------- names */

/* A file keeps its predecessor's name, or is named after the route that its cluster gets. */
static void name_part(struct channi_replacing *x, struct channi_making *p)
{
    const struct channi_row *root = &x->m->rows[p->part->root];

    p->file_version = ++x->c->files;
    if (p->new_route)
        p->route_phash = channi_phash(x->c, root->id, root->bytes, p->file_version);
    p->file_phash = p->predecessor ? p->predecessor->base->phash : p->route_phash;
}

static int begin_parts(struct channi_replacing *x)
{
    struct channi *c = x->c;
    int rc = OK;

    x->parts = mem_zalloc(c->base.env.mem, x->r->n_parts * sizeof *x->parts);
    if (!x->parts)
        return channi_replacing_no_memory(x);
    for (size_t i = 0; i < x->r->n_parts; i++) {
        const struct channi_part *part = x->parts[i].part = &x->r->parts[i];

        x->parts[i].new_route = part->routes_of == 0 || (part->reroutes && wants_route(x, part));
    }
    pthread_mutex_lock(&c->write);
    const uint64_t version = atomic_load(&c->now)->version;
    for (size_t i = 0; rc == OK && i < x->r->n_parts; i++) {
        struct channi_making *p = &x->parts[i];

        p->predecessor =
            p->part->successor_of == SUCCESSOR_NONE ? NULL : x->w->clusters[p->part->successor_of];
        p->cl =
            channi_cluster_create(c, p->predecessor ? p->predecessor->cid : CID_NONE, p->part->kind,
                                  p->predecessor ? p->predecessor->born_ver : version);
        if (p->cl)
            p->cl->site = mem_zalloc(c->base.env.mem, c->row_bytes);
        rc = p->cl && p->cl->site ? OK : channi_replacing_no_memory(x);
        name_part(x, p);
    }
    pthread_mutex_unlock(&c->write);
    return rc;
}

/* --------------------------------------------------------------------------------- layout */

/* Puts the parts in place of the taken clusters. New ones get cids: first those of removed
   clusters, of this replacement too, then new ones. */
static int set_clusters(struct channi_replacing *x, struct channi_layout *layout)
{
    struct channi *c = x->c;
    uint32_t next = 0;

    if (!channi_layout_reserve(c, layout, layout->n_clusters + (uint32_t)x->r->n_parts))
        return channi_replacing_no_memory(x);
    for (size_t i = 0; i < x->w->n; i++)
        channi_layout_set(c, layout, x->w->clusters[i]->cid, NULL);
    for (int new = 0; new < 2; new ++)
        for (size_t i = 0; i < x->r->n_parts; i++) {
            struct channi_cluster *cl = x->parts[i].cl;

            if ((x->parts[i].predecessor == NULL) != new)
                continue;
            while (new &&next < layout->n_clusters && layout->clusters[next])
                next++;
            cl->cid = new ? next : cl->cid;
            channi_cluster_ref(cl); /* the layout's reference; ours is released at the end */
            channi_layout_set(c, layout, cl->cid, cl);
        }
    return OK;
}

/* Collects a part's routes, and sorts them. If it gets a new route, that is number `next`, greater than all
   others. */
static bool collect_routes(const struct channi_replacing *x, const struct channi_making *p,
                           uint32_t next)
{
    struct channi_cluster *cl = p->cl;
    size_t most = p->new_route;

    for (size_t i = 0; i < x->w->n; i++)
        most += takes_routes(p->part, i) ? x->w->clusters[i]->n_routes : 0;
    cl->routes = mem_array(x->c->base.env.mem, most, sizeof *cl->routes);
    if (!cl->routes)
        return false;
    for (size_t i = 0; i < x->w->n; i++)
        for (uint32_t j = 0; takes_routes(p->part, i) && j < x->w->clusters[i]->n_routes; j++)
            cl->routes[cl->n_routes++] = x->w->clusters[i]->routes[j];
    if (p->part->reroutes)
        drop_surplus(x->c, cl, x->m->rows[p->part->root].bytes, p->new_route);
    qsort(cl->routes, cl->n_routes, sizeof *cl->routes, order_u32);
    if (p->new_route)
        cl->routes[cl->n_routes++] = next;
    return true;
}

/* Lets the old routes lead to the parts that took them over, and drops the others. */
static void redirect(const struct channi_replacing *x, struct channi_routes *routes)
{
    for (size_t i = 0; i < x->w->n; i++) {
        const struct channi_cluster *old = x->w->clusters[i];

        for (uint32_t j = 0; j < old->n_routes; j++)
            routes->cid[old->routes[j]] = CID_NONE;
    }
    for (size_t i = 0; i < x->r->n_parts; i++) {
        const struct channi_cluster *cl = x->parts[i].cl;

        for (uint32_t j = 0; j < cl->n_routes; j++)
            routes->cid[cl->routes[j]] = cl->cid;
    }
}

/* Whether no route changes, as in a compaction; then they need not be copied. */
static bool routes_stay(const struct channi_replacing *x)
{
    for (size_t i = 0; i < x->r->n_parts; i++) {
        const struct channi_making *p = &x->parts[i];

        if (p->new_route || !p->predecessor ||
            p->part->routes_of != UINT32_C(1) << p->part->successor_of ||
            p->cl->n_routes != p->predecessor->n_routes)
            return false;
    }
    return x->r->n_parts == x->w->n;
}

static int next_routes(struct channi_replacing *x, struct channi_layout *layout)
{
    struct mem *mem = x->c->base.env.mem;
    struct channi_new_route *new = mem_array(mem, x->r->n_parts, sizeof *new);
    const uint32_t n_old = layout->routes ? layout->routes->n : 0;
    size_t n = 0;
    int rc = new ? OK : channi_replacing_no_memory(x);

    for (size_t i = 0; rc == OK && i < x->r->n_parts; i++) {
        const struct channi_making *p = &x->parts[i];

        if (!collect_routes(x, p, n_old + (uint32_t)n))
            rc = channi_replacing_no_memory(x);
        if (p->new_route)
            new[n++] = (struct channi_new_route){ p->cl->site, p->route_phash, p->cl->cid };
    }
    if (rc == OK && !(layout->routes && routes_stay(x))) {
        struct channi_routes *routes;

        rc = channi_routes_add(x->c, layout->routes, new, n, x->r->top, &routes);
        if (rc == OK) {
            redirect(x, routes);
            channi_routes_unref(x->c, layout->routes);
            layout->routes = routes;
        }
    }
    mem_free(mem, new);
    for (size_t i = 0; rc == OK && i < x->r->n_parts; i++) {
        struct channi_cluster *cl = x->parts[i].cl;

        if (cl->n_routes > 0)
            (void)channi_nearest_route(x->c, cl->routes, cl->n_routes, cl->site, &cl->drift);
    }
    return rc;
}

/* ---------------------------------------------------------------------------- publication */

/* Resets the state that described the cid's old cluster or its old file. */
static void reset_latch(const struct channi_replacing *x, const struct channi_making *p,
                        uint64_t version)
{
    struct channi_latch *latch = segmented_at(&x->c->latches, p->cl->cid);
    const uint32_t live = atomic_load(&p->cl->live), made = atomic_load(&latch->made),
                   was = p->predecessor ? channi_cluster_live(p->predecessor) : 0;
    uint32_t kept = 0;

    for (size_t i = 0; i < p->part->n; i++)
        kept += x->m->rows[p->part->rows[i]].dead != 0;
    atomic_store(&latch->retained_dead, kept);
    atomic_store(&latch->retained_at, version);
    if (!p->predecessor || x->w->n != x->r->n_parts)
        atomic_store(&latch->made, live);
    else if (x->w->n > 1) /* a reassignment */
        atomic_store(&latch->made, made > was ? made - was + live : live);
    if (p->predecessor)
        return;
    atomic_store(&latch->tried, 0);
    atomic_store(&latch->alone, 0);
}

static void set_places(const struct channi_replacing *x)
{
    for (size_t i = 0; i < x->r->n_parts; i++) {
        const struct channi_making *p = &x->parts[i];
        const struct channi_cluster *cl = p->cl;
        _Atomic(uint64_t) *dead = atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->dead);
        const uint32_t n = channi_delta_count(&cl->delta);

        for (uint32_t row = 0; row < cl->base_n; row++) {
            const uint32_t member = p->part->rows[row];

            if (!x->m->rows[member].dead && !(dead && atomic_load(&dead[row])))
                channi_place_set(x->c, x->m->rows[member].id,
                                 (struct channi_place){ cl->cid, row });
        }
        for (uint32_t row = cl->base_n; row < cl->base_n + n; row++) {
            const struct channi_row r = channi_cluster_row(cl, NULL, row);

            if (!r.dead)
                channi_place_set(x->c, r.id, (struct channi_place){ cl->cid, row });
        }
    }
}

/* Called with `write` held. */
static int publish(struct channi_replacing *x)
{
    struct channi *c = x->c;
    const struct channi_view *now = atomic_load(&c->now);
    const uint32_t n_routes = c->n_routes;
    struct channi_layout *layout = NULL;
    struct channi_view *view = NULL;
    int rc = catch_up(x);

    if (rc != OK)
        return rc;
    layout = channi_layout_copy(c, now->layout);
    rc = layout ? set_clusters(x, layout) : channi_replacing_no_memory(x);
    if (rc == OK)
        rc = next_routes(x, layout);
    if (rc == OK) {
        view = channi_layout_find_ood(c, layout) ? channi_view_make(c) : NULL;
        rc = view ? OK : channi_replacing_no_memory(x);
    }
    if (rc != OK) {
        channi_layout_unref(c, layout);
        c->n_routes = n_routes;
        return rc;
    }
    for (size_t i = 0; i < x->r->n_parts; i++) {
        reset_latch(x, &x->parts[i], now->version);
        channi_count(&c->counters.reroutes, x->parts[i].new_route && x->parts[i].part->reroutes);
    }
    channi_show(c, view, now->version, layout);
    set_places(x);
    return OK;
}

int channi_replace(struct channi *c, struct channi_taken *w, const struct channi_replacement *r)
{
    struct channi_replacing x = { .c = c, .w = w, .m = &w->members, .r = r };
    int rc = begin_parts(&x);

    if (rc == OK)
        rc = parallel_for(c->base.env.pool, r->threads, r->n_parts, 1, channi_replace_make, &x);
    if (rc == OK) {
        pthread_mutex_lock(&c->write);
        rc = publish(&x);
        pthread_mutex_unlock(&c->write);
    }
    for (size_t i = 0; rc == OK && r->cids && i < r->n_parts; i++)
        r->cids[i] = x.parts[i].cl->cid;
    for (size_t i = 0; x.parts && i < r->n_parts; i++)
        channi_cluster_unref(c, x.parts[i].cl);
    mem_free(c->base.env.mem, x.parts);
    return rc;
}
