/* check.c - verifies the invariants of channi.h by a walk over routes, clusters, rows and files.
 *
 * (a) each live id is in exactly one live cluster, and `places` agrees in both directions; (b) the
 * root is a row of its cluster with the id root_id, and was alive when the file was written unless
 * no row was; the site's distance to the routes is `drift`; (c) a file is named after a route; (d)
 * a route leads to a live cluster that lists it, or was dropped, so there are no chains; each
 * cluster has a route; (e) graphs: links are in range, none leads to its own node or is repeated,
 * all nodes are reachable, in a cluster from its root, among routes from the entry (the ring in
 * each layer guarantees it); (f) files: hashes are right, none is missing, none is superfluous; (g)
 * counts of live and dead rows are right; (h) no row was born or died after the newest version; (i)
 * the cache passes its own check; (j) with an empty queue, no cluster is past split_max unless a
 * split was refused. The share of rows that are found by a search for themselves is reported, but
 * is not an error.
 */
#include "algorithms/channi/check/check.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/durable/folder.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/operations.h"
#include "algorithms/channi/versions/cluster.h"
#include "algorithms/channi/versions/places.h"
#include "src/core/mem.h"
#include "src/core/param.h"

/* ----------------------------------------------------------------------------------------- files */

static bool add_layout(struct channi_files *f, const struct channi_layout *l)
{
    bool ok = true;

    for (uint32_t cid = 0; ok && cid < l->n_clusters; cid++)
        if (l->clusters[cid] && l->clusters[cid]->base)
            ok =
                channi_files_add(f, l->clusters[cid]->base->phash, l->clusters[cid]->base->version);
    return ok;
}

/* Files referred to by the newest layout, by pinned ones, or by the manifest. */
static bool add_all(struct channi_files *f, const struct channi_checking *c)
{
    const struct channi *s = c->s;
    bool ok = add_layout(f, c->layout);

    for (size_t i = 0; ok && i < s->n_snapshots; i++)
        ok = add_layout(f, s->snapshots[i].view->layout);
    for (size_t i = 0; ok && i < s->n_retained; i++)
        ok = channi_files_add(f, s->retained[i]->phash, s->retained[i]->version);
    channi_files_sort(f);
    return ok;
}

static int check_there(const struct channi_checking *c, const struct channi_files *f)
{
    const char *dir = c->s->base.env.dir;
    char path[PATH_MAX], name[CLUSTER_NAME_MAX];
    struct stat st;

    for (size_t i = 0; i < f->n; i++) {
        channi_cluster_file_name(f->list[i][0], f->list[i][1], name);
        (void)snprintf(path, sizeof path, "%.4000s/%s", dir, name);
        if (stat(path, &st) != 0)
            return BROKEN(c, "the file %s is referred to, and not there", path);
    }
    return OK;
}

static int check_files(const struct channi_checking *c)
{
    const struct index_env *env = &c->s->base.env;
    struct channi_files f = { .mem = env->mem };
    int rc = OK;

    if (!add_all(&f, c))
        rc = fail(env->error, ERR_NO_MEMORY, "channi: out of memory, cannot check");
    if (rc == OK)
        rc = check_there(c, &f);
    DIR *d = rc == OK ? opendir(env->dir) : NULL;
    if (rc == OK && !d)
        rc = fail_errno(env->error, ERR_IO, "channi: cannot read the folder %s", env->dir);
    for (const struct dirent *e = d ? readdir(d) : NULL; rc == OK && e; e = readdir(d))
        if (channi_files_lack(&f, e->d_name) && !atomic_load(&c->s->file_left))
            rc = BROKEN(c, "nothing refers to the file %s/%s", env->dir, e->d_name);
    if (d)
        (void)closedir(d);
    mem_free(f.mem, f.list);
    return rc;
}

/* ------------------------------------------------------------------------------- routes */

static bool knows(const struct channi_cluster *cl, uint32_t route)
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

static int check_route(const struct channi_checking *c, uint32_t route)
{
    const struct channi *s = c->s;
    const struct channi_layout *l = c->layout;
    const uint32_t cid = l->routes->cid[route];
    const uint64_t phash = *(const uint64_t *)segmented_at(&s->route_phash, route);
    uint64_t filed = UINT64_MAX;

    if (!idmap_get(&s->by_phash, phash, &filed) || filed != route)
        return BROKEN(c, "route %u: its phash %016" PRIx64 " is filed under %" PRIu64, route, phash,
                      filed);
    if (cid == CID_NONE)
        return OK;
    if (cid >= l->n_clusters || !l->clusters[cid])
        return BROKEN(c, "route %u leads to cluster %u, which is not there", route, cid);
    if (!knows(l->clusters[cid], route))
        return BROKEN(c, "route %u leads to cluster %u, which does not list it", route, cid);
    return OK;
}

/* The node in layer 0 below the entry point, where searches begin. */
static uint32_t lowest_of_entry(const struct graph_image *g)
{
    uint32_t at = g->entry;

    for (uint32_t level = g->n_layers; level-- > 1;)
        at = g->layers[level].below[at];
    return at;
}

static int check_routes(const struct channi_checking *c)
{
    const struct channi *s = c->s;
    const struct channi_routes *r = c->layout->routes;
    int rc = OK;

    if (r->n == 0 || r->n != s->n_routes || r->graph.n != r->n)
        return BROKEN(c, "%u routes in the layout, %u nodes in their graph, %u in all", r->n,
                      r->graph.n, s->n_routes);
    /* `top` may be NULL: then the next addition rebuilds it from the image. Nodes are
       never removed. */
    if (s->top && (graph_live(s->top) != graph_capacity(s->top) || graph_live(s->top) != r->n))
        return BROKEN(c, "the graph of %u routes has %zu nodes, %zu of them live", r->n,
                      graph_capacity(s->top), graph_live(s->top));
    for (uint32_t i = 0; rc == OK && i < r->n; i++)
        rc = check_route(c, i);
    if (rc == OK)
        rc = channi_check_image(c, &r->graph, lowest_of_entry(&r->graph), "routes", r->n);
    return rc == OK && s->top ? graph_check(s->top) : rc;
}

/* ------------------------------------------------------------------------------ layouts */

static int check_routes_of(const struct channi_checking *c, const struct channi_cluster *cl)
{
    const struct channi_routes *r = c->layout->routes;

    if (cl->n_routes == 0)
        return BROKEN(c, "cluster %u has no route", cl->cid);
    for (uint32_t i = 0; i < cl->n_routes; i++) {
        const uint32_t route = cl->routes[i];

        if (route >= r->n || (i > 0 && route <= cl->routes[i - 1]))
            return BROKEN(c, "cluster %u: its route %u is invalid, or out of order", cl->cid,
                          route);
        if (r->cid[route] != cl->cid)
            return BROKEN(c, "cluster %u lists route %u, which leads to %u", cl->cid, route,
                          r->cid[route]);
    }
    return OK;
}

static int check_size(struct channi_checking *c, const struct channi_cluster *cl)
{
    struct channi *s = c->s;
    const uint32_t live = atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->live);
    const struct channi_latch *latch =
        cl->cid < s->latches.capacity ? segmented_at(&s->latches, cl->cid) : NULL;
    const uint32_t tried =
        latch ? atomic_load(&((struct channi_latch *)(uintptr_t)latch)->tried) : 0;

    if (cl->kind == CLUSTER_DEFERRED)
        return OK;
    c->largest = live > c->largest ? live : c->largest;
    c->most_routes = cl->n_routes > c->most_routes ? cl->n_routes : c->most_routes;
    c->refused += live > s->split_max && tried > 0;
    if (live <= s->split_max || tried > 0 || s->maintenance != CHANNI_INLINE ||
        channi_queued(s) > 0 || atomic_load(&s->counters.job_errors) > 0)
        return OK;
    return BROKEN(c, "cluster %u: %u live rows, past split_max = %u, and no split is queued",
                  cl->cid, live, s->split_max);
}

static int check_one(struct channi_checking *c, uint32_t cid)
{
    const struct channi_cluster *cl = c->layout->clusters[cid];
    const bool deferred = cl->kind == CLUSTER_DEFERRED;
    int rc = OK;

    if (cl->cid != cid)
        return BROKEN(c, "cluster %u is filed under %u", cl->cid, cid);
    if (cl->born_ver > c->version)
        return BROKEN(c, "cluster %u was founded after version %" PRIu64, cid, c->version);
    if (deferred != !c->layout->routes || (deferred && cl->base))
        return BROKEN(c, "cluster %u is of kind %d, %s a file, %s routes", cid, cl->kind,
                      cl->base ? "has" : "has not", c->layout->routes ? "among" : "without");
    if (!cl->base && cl->base_n > 0)
        return BROKEN(c, "cluster %u has %u rows in a file, and no file", cid, cl->base_n);
    if (!deferred)
        rc = check_routes_of(c, cl);
    if (rc == OK)
        rc = channi_check_cluster(c, cl);
    return rc == OK ? check_size(c, cl) : rc;
}

static int check_clusters(struct channi_checking *c)
{
    const struct channi_layout *l = c->layout;
    size_t n = 0;
    int rc = OK;

    for (uint32_t cid = 0; rc == OK && cid < l->n_clusters; cid++) {
        if (!l->clusters[cid])
            continue;
        n++;
        rc = check_one(c, cid);
    }
    if (rc == OK && !l->routes && (n != 1 || !l->clusters[0] || c->s->top))
        rc = BROKEN(c, "%zu clusters before the build, when there is but cluster 0", n);
    if (rc == OK && c->live != channi_live(c->s))
        rc = BROKEN(c, "%zu live rows, but %zu ids have a place", c->live, channi_live(c->s));
    return rc;
}

static int check_ood(const struct channi_checking *c)
{
    const struct channi_layout *l = c->layout;
    size_t n = 0;

    for (uint32_t cid = 0; cid < l->n_clusters; cid++)
        n += l->clusters[cid] && l->clusters[cid]->kind == CLUSTER_OOD;
    if (n != l->n_ood)
        return BROKEN(c, "%zu OOD clusters, but %u are listed", n, l->n_ood);
    for (uint32_t i = 0; i < l->n_ood; i++) {
        const uint32_t cid = l->ood[i];

        if (cid >= l->n_clusters || !l->clusters[cid] || l->clusters[cid]->kind != CLUSTER_OOD ||
            (i > 0 && cid <= l->ood[i - 1]))
            return BROKEN(c, "cluster %u is listed as OOD, and is not, or out of order", cid);
    }
    return OK;
}

static int check_pins(const struct channi_checking *c)
{
    const struct channi *s = c->s;

    for (size_t i = 0; i < s->n_snapshots; i++)
        if (s->snapshots[i].version > c->version ||
            s->snapshots[i].view->version != s->snapshots[i].version || s->snapshots[i].times == 0)
            return BROKEN(c, "pin %zu: of version %" PRIu64 ", its view is of %" PRIu64, i,
                          s->snapshots[i].version, s->snapshots[i].view->version);
    return OK;
}

/* -------------------------------------------------------------------------- routability */

/* A row that is not in the answer may have been displaced by others at distance 0. */
static bool is_found(uint64_t id, const uint64_t *ids, const float *distances, size_t k)
{
    for (size_t i = 0; i < k; i++)
        if (ids[i] == id)
            return true;
    return distances[k - 1] == 0;
}

static int report_routability(const struct channi_checking *c, struct stat_sink *sink)
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
        rc = fail(env->error, ERR_NO_MEMORY, "channi: out of memory, cannot check");
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

static void report_counts(const struct channi_checking *c, struct stat_sink *sink)
{
    sink->value(sink->to, "dead_rows", (double)c->dead);
    sink->value(sink->to, "void_rows", (double)c->voids);
    sink->value(sink->to, "largest_cluster", (double)c->largest);
    sink->value(sink->to, "clusters_not_splittable", (double)c->refused);
    sink->value(sink->to, "most_routes_to_a_cluster", (double)c->most_routes);
}

/* ----------------------------------------------------------------------------- the walk */

/* Takes the latches of all clusters. Waits for their holders, which give up if they need another
   latch. Holders may add clusters meanwhile. */
static uint32_t take_latches(struct channi *s)
{
    uint32_t n = 0;

    for (;;) {
        unsigned ticket;
        const uint32_t there = channi_enter(s, &ticket)->layout->n_clusters;

        channi_leave(s, ticket);
        if (n >= there)
            return n;
        for (; n < there; n++) {
            struct channi_latch *latch = segmented_at(&s->latches, n);

            while (atomic_exchange(&latch->busy, true))
                sched_yield();
        }
    }
}

static int walk(struct channi_checking *c, struct stat_sink *sink)
{
    struct channi *s = c->s;
    struct mem *mem = s->base.env.mem;
    const size_t live = channi_live(s);
    int rc = OK;

    c->every = live / CHECK_SAMPLES + 1;
    c->rows = mem_array(mem, CHECK_SAMPLES, s->row_bytes);
    c->ids = mem_array(mem, CHECK_SAMPLES, sizeof *c->ids);
    if (!c->rows || !c->ids)
        rc = fail(s->base.env.error, ERR_NO_MEMORY, "channi: out of memory, cannot check");
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
        rc = channi_cache_check(s->cache);
    if (rc == OK && sink) {
        report_counts(c, sink);
        rc = report_routability(c, sink);
    }
    mem_free(mem, c->rows);
    mem_free(mem, c->ids);
    return rc;
}

int channi_check(const struct index *index, struct stat_sink *sink)
{
    struct channi *s = channi_of(index);
    uint32_t latches = take_latches(s);

    pthread_mutex_lock(&s->durable.checkpointing);
    epoch_drain(s->epoch); /* unread views would still have files */
    pthread_mutex_lock(&s->write);
    const struct channi_view *now = atomic_load(&s->now);
    struct channi_checking c = { .s = s, .layout = now->layout, .version = now->version };
    const int rc = walk(&c, sink);
    pthread_mutex_unlock(&s->write);
    pthread_mutex_unlock(&s->durable.checkpointing);
    while (latches-- > 0)
        atomic_store(&((struct channi_latch *)segmented_at(&s->latches, latches))->busy, false);
    return rc;
}
