/* check.c - everything channi.h says stays true, by a walk over routes, clusters, rows and files.
 *
 * (a) each live id is in exactly one live cluster, and `places` says where, both ways; (b) the root is a
 * row of its cluster, as root_id says, and was alive when the file was written unless none was; the site
 * is as far from the routes as is known; (c) a file is named after a route; (d) a route leads to a live cluster that knows of it, or was
 * dropped, so there are no chains; each cluster has a route; (e) graphs: links in range, none to itself
 * or twice, all nodes within reach, of a cluster's from its root, of the routes' from its entry: the
 * ring of each layer guarantees it; (f) files: hashes, none missing, none too many; (g) live and dead are
 * counted rightly; (h) versions: nothing was born or died after the newest; (i) the cache's own; (j) once
 * nothing is queued, no cluster is past split_max unless a split was refused. The share of rows that a
 * search for themselves finds is told, not judged.
 */
#include "algorithms/channi/check.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>

#include "src/core/mem.h"
#include "src/core/param.h"

int check_broken(const struct check *c, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail(c->s->base.env.error, ERR_INVARIANT, "channi: %s", text);
}

/* ------------------------------------------------------------------------------- routes */

static bool knows(const struct cluster *cl, uint32_t route)
{
    uint32_t low = 0, high = cl->n_routes;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (cl->routes[middle] < route)
            low = middle + 1;
        else
            high = middle;
    }
    return low < cl->n_routes && cl->routes[low] == route;
}

static int check_route(const struct check *c, uint32_t route)
{
    const struct channi *s = c->s;
    const struct layout *l = c->layout;
    const uint32_t cid = l->routes->cid[route];
    const uint64_t phash = *(const uint64_t *)stable_at(&s->route_phash, route);
    uint64_t filed = UINT64_MAX;

    if (!idmap_get(&s->by_phash, phash, &filed) || filed != route)
        return check_broken(c, "route %u: its phash %016" PRIx64 " is filed under %" PRIu64, route,
                            phash, filed);
    if (cid == CID_NONE)
        return OK;
    if (cid >= l->n_clusters || !l->clusters[cid])
        return check_broken(c, "route %u leads to cluster %u, which is not there", route, cid);
    if (!knows(l->clusters[cid], route))
        return check_broken(c, "route %u leads to cluster %u, which does not list it", route, cid);
    return OK;
}

/* The number in layer 0 of the node that searches begin at. */
static uint32_t lowest_of_entry(const struct graph_image *g)
{
    uint32_t at = g->entry;

    for (uint32_t level = g->n_layers; level-- > 1;)
        at = g->layers[level].below[at];
    return at;
}

static int check_routes(const struct check *c)
{
    const struct channi *s = c->s;
    const struct routes *r = c->layout->routes;
    int rc = OK;

    if (r->n == 0 || r->n != s->n_routes || r->graph.n != r->n)
        return check_broken(c, "%u routes in the layout, %u nodes in their graph, %u in all", r->n,
                            r->graph.n, s->n_routes);
    /* There may be none: then the next addition begins with the image. Nothing is ever removed. */
    if (s->top && (graph_live(s->top) != graph_capacity(s->top) || graph_live(s->top) != r->n))
        return check_broken(c, "the graph of %u routes has %zu nodes, %zu of them live", r->n,
                            graph_capacity(s->top), graph_live(s->top));
    for (uint32_t i = 0; rc == OK && i < r->n; i++)
        rc = check_route(c, i);
    if (rc == OK)
        rc = check_image(c, &r->graph, lowest_of_entry(&r->graph), "routes", r->n);
    return rc == OK && s->top ? graph_check(s->top) : rc;
}

/* ------------------------------------------------------------------------------ layouts */

static int check_routes_of(const struct check *c, const struct cluster *cl)
{
    const struct routes *r = c->layout->routes;

    if (cl->n_routes == 0)
        return check_broken(c, "cluster %u has no route", cl->cid);
    for (uint32_t i = 0; i < cl->n_routes; i++) {
        const uint32_t route = cl->routes[i];

        if (route >= r->n || (i > 0 && route <= cl->routes[i - 1]))
            return check_broken(c, "cluster %u: its route %u is none, or out of order", cl->cid,
                                route);
        if (r->cid[route] != cl->cid)
            return check_broken(c, "cluster %u lists route %u, which leads to %u", cl->cid, route,
                                r->cid[route]);
    }
    return OK;
}

static int check_size(struct check *c, const struct cluster *cl)
{
    struct channi *s = c->s;
    const uint32_t live = atomic_load(&((struct cluster *)(uintptr_t)cl)->live);
    const struct channi_seat *seat =
        cl->cid < s->seats.capacity ? stable_at(&s->seats, cl->cid) : NULL;
    const uint32_t tried = seat ? atomic_load(&((struct channi_seat *)(uintptr_t)seat)->tried) : 0;

    if (cl->kind == CLUSTER_DEFERRED)
        return OK;
    c->largest = live > c->largest ? live : c->largest;
    c->most_routes = cl->n_routes > c->most_routes ? cl->n_routes : c->most_routes;
    c->over += live > s->split_max;
    c->under += live < s->merge_min;
    c->refused += live > s->split_max && tried > 0;
    if (live <= s->split_max || tried > 0 || s->params.maintenance != CHANNI_AT_COMMIT ||
        channi_queued(s) > 0 || atomic_load(&s->counters.job_errors) > 0)
        return OK;
    return check_broken(c, "cluster %u: %u live rows, past split_max = %u, and no split is queued",
                        cl->cid, live, s->split_max);
}

static int check_one(struct check *c, uint32_t cid)
{
    const struct cluster *cl = c->layout->clusters[cid];
    const bool deferred = cl->kind == CLUSTER_DEFERRED;
    int rc = OK;

    if (cl->cid != cid)
        return check_broken(c, "cluster %u is filed under %u", cl->cid, cid);
    if (cl->born_ver > c->version)
        return check_broken(c, "cluster %u was founded after version %" PRIu64, cid, c->version);
    if (deferred != !c->layout->routes || (deferred && cl->base))
        return check_broken(c, "cluster %u is of kind %d, %s a file, %s routes", cid, cl->kind,
                            cl->base ? "has" : "has not", c->layout->routes ? "among" : "without");
    if (!cl->base && cl->base_n > 0)
        return check_broken(c, "cluster %u has %u rows in a file, and no file", cid, cl->base_n);
    if (!deferred)
        rc = check_routes_of(c, cl);
    if (rc == OK)
        rc = check_cluster(c, cl);
    return rc == OK ? check_size(c, cl) : rc;
}

static int check_clusters(struct check *c)
{
    const struct layout *l = c->layout;
    size_t n = 0;
    int rc = OK;

    for (uint32_t cid = 0; rc == OK && cid < l->n_clusters; cid++) {
        if (!l->clusters[cid])
            continue;
        n++;
        rc = check_one(c, cid);
    }
    if (rc == OK && !l->routes && (n != 1 || !l->clusters[0] || c->s->top))
        rc = check_broken(c, "%zu clusters before the build, when there is but cluster 0", n);
    if (rc == OK && c->live != channi_live(c->s))
        rc = check_broken(c, "%zu live rows, but %zu ids have a place", c->live, channi_live(c->s));
    return rc;
}

static int check_ood(const struct check *c)
{
    const struct layout *l = c->layout;
    size_t n = 0;

    for (uint32_t cid = 0; cid < l->n_clusters; cid++)
        n += l->clusters[cid] && l->clusters[cid]->kind == CLUSTER_OOD;
    if (n != l->n_ood)
        return check_broken(c, "%zu OOD clusters, but %u are listed", n, l->n_ood);
    for (uint32_t i = 0; i < l->n_ood; i++) {
        const uint32_t cid = l->ood[i];

        if (cid >= l->n_clusters || !l->clusters[cid] || l->clusters[cid]->kind != CLUSTER_OOD ||
            (i > 0 && cid <= l->ood[i - 1]))
            return check_broken(c, "cluster %u is listed as OOD, and is not, or out of order", cid);
    }
    return OK;
}

static int check_pins(const struct check *c)
{
    const struct channi *s = c->s;

    for (size_t i = 0; i < s->n_pins; i++)
        if (s->pins[i].version > c->version || s->pins[i].view->version != s->pins[i].version ||
            s->pins[i].times == 0)
            return check_broken(c, "pin %zu: of version %" PRIu64 ", its view is of %" PRIu64, i,
                                s->pins[i].version, s->pins[i].view->version);
    return OK;
}

/* -------------------------------------------------------------------------- routability */

/* One that is not there may have given way to others at the same distance. */
static bool is_found(uint64_t id, const uint64_t *ids, const float *distances, size_t k)
{
    for (size_t i = 0; i < k; i++)
        if (ids[i] == id)
            return true;
    return distances[k - 1] == 0;
}

static int tell_routability(const struct check *c, struct stat_sink *sink)
{
    const struct index_env *env = &c->s->base.env;
    enum { K = 10 };
    struct channi_knobs knobs;
    uint64_t *ids = mem_array(env->mem, CHECK_SAMPLES, K * sizeof *ids);
    float *distances = mem_array(env->mem, CHECK_SAMPLES, K * sizeof *distances);
    const struct search_request request = {
        { c->rows, c->n_samples, env->dim, env->element }, K, &knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };
    size_t found = 0;
    int rc = OK;

    param_defaults(c->s->base.ops->knobs, &knobs);
    if (!ids || !distances)
        rc = fail(env->error, ERR_NO_MEMORY, "channi: no memory to check");
    if (rc == OK && c->n_samples > 0)
        rc = channi_search(&c->s->base, &request, &result);
    for (size_t i = 0; rc == OK && i < c->n_samples; i++)
        found += is_found(c->ids[i], ids + i * K, distances + i * K, K);
    if (rc == OK && c->n_samples > 0)
        sink->value(sink->to, "routability", (double)found / (double)c->n_samples);
    mem_free(env->mem, ids);
    mem_free(env->mem, distances);
    return rc;
}

static void tell(const struct check *c, struct stat_sink *sink)
{
    sink->value(sink->to, "dead_rows", (double)c->dead);
    sink->value(sink->to, "void_rows", (double)c->voids);
    sink->value(sink->to, "largest_cluster", (double)c->largest);
    sink->value(sink->to, "clusters_over_split_max", (double)c->over);
    sink->value(sink->to, "clusters_below_merge_min", (double)c->under);
    sink->value(sink->to, "clusters_not_splittable", (double)c->refused);
    sink->value(sink->to, "clusters_damaged", (double)c->damaged);
    sink->value(sink->to, "most_routes_to_a_cluster", (double)c->most_routes);
}

/* ----------------------------------------------------------------------------- the walk */

/* Who works on clusters is waited for: he has seats, and gives up where he cannot have them. New clusters may
   come while some are his. */
static uint32_t take_seats(struct channi *s)
{
    uint32_t n = 0;

    for (;;) {
        unsigned ticket;
        const uint32_t there = channi_enter(s, &ticket)->layout->n_clusters;

        channi_leave(s, ticket);
        if (n >= there)
            return n;
        for (; n < there; n++) {
            struct channi_seat *seat = stable_at(&s->seats, n);

            while (atomic_exchange(&seat->busy, true))
                sched_yield();
        }
    }
}

static void give_seats(struct channi *s, uint32_t n)
{
    while (n-- > 0)
        atomic_store(&((struct channi_seat *)stable_at(&s->seats, n))->busy, false);
}

static int walk(struct check *c, struct stat_sink *sink)
{
    struct channi *s = c->s;
    struct mem *mem = s->base.env.mem;
    const size_t live = channi_live(s);
    int rc = OK;

    c->every = live / CHECK_SAMPLES + 1;
    c->rows = mem_array(mem, CHECK_SAMPLES, s->row_bytes);
    c->ids = mem_array(mem, CHECK_SAMPLES, sizeof *c->ids);
    if (!c->rows || !c->ids)
        rc = fail(s->base.env.error, ERR_NO_MEMORY, "channi: no memory to check");
    if (rc == OK && c->layout->routes)
        rc = check_routes(c);
    if (rc == OK)
        rc = check_clusters(c);
    if (rc == OK)
        rc = check_ood(c);
    if (rc == OK)
        rc = check_pins(c);
    if (rc == OK)
        rc = check_files(c);
    if (rc == OK)
        rc = cache_check(s->cache);
    if (rc == OK && sink) {
        tell(c, sink);
        rc = tell_routability(c, sink);
    }
    mem_free(mem, c->rows);
    mem_free(mem, c->ids);
    return rc;
}

int channi_check(const struct index *index, struct stat_sink *sink)
{
    struct channi *s = channi_of(index);
    const uint32_t seats = take_seats(s);

    pthread_mutex_lock(&s->checkpointing);
    epoch_drain(s->epoch); /* views that nobody reads any more would have files */
    pthread_mutex_lock(&s->write);
    const struct view *now = atomic_load(&s->now);
    struct check c = { .s = s, .layout = now->layout, .version = now->version };
    const int rc = walk(&c, sink);
    pthread_mutex_unlock(&s->write);
    pthread_mutex_unlock(&s->checkpointing);
    give_seats(s, seats);
    return rc;
}
