/* check.c - verifies the invariants of channi.h by a walk over routes, clusters, rows and files.
 *
 * (a) each live id is in exactly one live cluster, and `places` agrees in both directions; (b) the
 * root is a row of its cluster with the id root_id, and was alive when the file was written unless
 * no row was; the site's distance to the routes is `drift`; (c) a file is named after a route; (d)
 * a route leads to a live cluster that lists it, or was dropped, so there are no chains; each
 * cluster has a route; (e) the graphs of routes and clusters pass graph_image_check(); (f) files: hashes are right, none is missing, none is superfluous; (g)
 * counts of live and dead rows are right; (h) no row was born or died after the newest version; (i)
 * the cache passes its own check; (j) with an empty queue, no cluster is past split_max unless a
 * split was refused. The share of rows that are found by a search for themselves is reported, but
 * is not an error.
 */
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/search/route.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/param.h"

enum { CHECK_SAMPLES = 200 };

/* The index cannot change meanwhile: all latches are taken, `write` is held. */
struct channi_checking {
    struct channi *s;
    const struct channi_layout *layout;
    uint64_t version;
    size_t live, dead;    /* rows */
    size_t largest;       /* live rows of a cluster */
    struct idmap phashes; /* of the routes */
    /* An even sample of live rows; the check searches for each. */
    unsigned char *rows;
    uint64_t ids[CHECK_SAMPLES];
    size_t n_samples, every;
};

/* Sets the message. Returns ERR_INVARIANT. */
#define BROKEN(c, ...) fail((c)->s->base.env.error, ERR_INVARIANT, "channi: " __VA_ARGS__)

/* --------------------------------------------------------------------------------- rows */

/* Numbers of rows in one cluster. */
struct row_counts {
    uint32_t live, dead;
};

/* A live row must be at its id's place. So no two rows have the same id. */
static int check_row(struct channi_checking *c, const struct channi_cluster *cl,
                     const struct channi_row *row, struct row_counts *tally)
{
    struct channi_place at = { CID_NONE, 0 };

    if (row->born > c->version || row->dead > c->version)
        return BROKEN(c,
                      "cluster %u, row %u: born at %" PRIu64 ", dead at %" PRIu64
                      ", but the newest version is %" PRIu64,
                      cl->cid, row->number, row->born, row->dead, c->version);
    if (row->dead > 0 && row->dead < row->born)
        return BROKEN(c, "cluster %u, row %u: dead at %" PRIu64 ", born at %" PRIu64, cl->cid,
                      row->number, row->dead, row->born);
    if (row->dead > 0) {
        tally->dead++;
        return OK;
    }
    if (!channi_place_of(c->s, row->id, &at) || at.cid != cl->cid || at.row != row->number)
        return BROKEN(c,
                      "cluster %u, row %u: id %" PRIu64
                      " is live here, but its place is row %u of cluster %u",
                      cl->cid, row->number, row->id, at.row, at.cid);
    if (c->live % c->every == 0 && c->n_samples < CHECK_SAMPLES) {
        memcpy(c->rows + c->n_samples * c->s->row_bytes, row->bytes, c->s->row_bytes);
        c->ids[c->n_samples++] = row->id;
    }
    tally->live++;
    c->live++;
    return OK;
}

/* --------------------------------------------------------------------------------- root */

static int check_root(const struct channi_checking *c, const struct channi_cluster *cl,
                      const struct channi_image *image)
{
    const uint32_t root = image->root;
    bool alive = false;
    float drift = cl->drift;

    if (root != cl->base->root)
        return BROKEN(c, "cluster %u: its root is row %u, its file's is row %u", cl->cid,
                      cl->base->root, root);
    if (cl->root_id != image->ids[root])
        return BROKEN(c, "cluster %u: the root's id is %" PRIu64 ", its row's %" PRIu64, cl->cid,
                      cl->root_id, image->ids[root]);
    /* The root may be another row by now, but the site's distance to the routes is recorded. */
    if (cl->n_routes > 0)
        (void)channi_nearest_route(c->s, cl->routes, cl->n_routes, cl->site, &drift);
    if (!(fabsf(drift - cl->drift) <= 1e-4F * cl->drift)) /* kernels sum in other orders */
        return BROKEN(c, "cluster %u: its site is not %g from its nearest route", cl->cid,
                      sqrt((double)cl->drift));
    for (uint32_t i = 0; image->dead && i < image->n; i++)
        alive |= image->dead[i] == 0;
    if (alive && image->dead[root] != 0)
        return BROKEN(c, "cluster %u: its root was dead when it was written, and others not",
                      cl->cid);
    return OK;
}

/* -------------------------------------------------------------------------------- files */

static int check_contents(struct channi_checking *c, const struct channi_cluster *cl,
                          const struct channi_image *image)
{
    const struct channi_base *base = cl->base;

    if (image->n != cl->base_n || image->n == 0)
        return BROKEN(c, "cluster %u: %u rows, but %u in its file", cl->cid, cl->base_n, image->n);
    if (!idmap_get(&c->phashes, base->phash, NULL))
        return BROKEN(c, "cluster %u: its file's name, %016" PRIx64 ", is not a route's", cl->cid,
                      base->phash);
    const int rc = check_root(c, cl, image);
    return rc == OK && image->has_graph
               ? graph_image_check(&image->graph, channi_base_name(base).text, c->s->base.env.error)
               : rc;
}

/* Checks a cluster's file, rows and root, and counts the rows. */
static int check_cluster(struct channi_checking *c, const struct channi_cluster *cl)
{
    struct channi_cluster *atomics = (struct channi_cluster *)(uintptr_t)cl;
    const uint32_t live = atomic_load(&atomics->live), dead = atomic_load(&atomics->n_dead);
    struct row_counts tally = { 0 };
    struct channi_whole_file whole = { 0 };
    int rc = cl->base ? channi_cache_whole(c->s->cache, cl->base, &whole) : OK;

    if (rc != OK)
        return rc;
    rc = cl->base ? check_contents(c, cl, &whole.image) : OK;
    const struct channi_delta_codes *codes = channi_delta_codes(&cl->delta);
    const uint32_t n = channi_delta_count(&cl->delta);
    if (rc == OK && codes && codes->n > n)
        rc = BROKEN(c, "cluster %u: %u rows of its delta have codes, of %u", cl->cid, codes->n, n);
    for (uint32_t i = 0; rc == OK && i < cl->base_n + n; i++) {
        const struct channi_row row = channi_cluster_row(cl, &whole.image, i);

        rc = check_row(c, cl, &row, &tally);
    }
    channi_cache_whole_done(c->s->cache, &whole);
    c->dead += tally.dead;
    if (rc == OK && (live != tally.live || dead != tally.dead))
        rc = BROKEN(c, "cluster %u: %u live and %u dead rows, but %u and %u are counted", cl->cid,
                    tally.live, tally.dead, live, dead);
    return rc;
}

/* ----------------------------------------------------------------------------------------- files */

/* Adds a file, which must be there, to the set of those referred to. */
static int check_file(const struct channi_checking *c, const struct channi_base *base,
                      struct idmap *files)
{
    const struct index_env *env = &c->s->base.env;
    char path[PATH_MAX];
    struct stat st;
    int rc = channi_cluster_file_path(env, base->phash, base->version, path);

    if (rc == OK && stat(path, &st) != 0)
        rc = BROKEN(c, "the file %s is referred to, and not there", path);
    if (rc == OK && !idmap_put(files, channi_file_key(base->phash, base->version), 0))
        rc = CHANNI_NO_MEMORY(env, ", cannot check");
    return rc;
}

static int check_files_of(const struct channi_checking *c, const struct channi_layout *l,
                          struct idmap *files)
{
    const struct channi_cluster *cl;
    int rc = OK;

    for (uint32_t next = 0; rc == OK && (cl = channi_layout_next(l, &next));)
        rc = cl->base ? check_file(c, cl->base, files) : OK;
    return rc;
}

/* Files are referred to by the newest layout, by pinned ones, or by the manifest. */
static int check_files(const struct channi_checking *c)
{
    const struct channi *s = c->s;
    const struct index_env *env = &s->base.env;
    struct idmap files;

    idmap_init(&files, env->mem);
    int rc = check_files_of(c, c->layout, &files);
    for (size_t i = 0; rc == OK && i < s->n_snapshots; i++)
        rc = check_files_of(c, s->snapshots[i].view->layout, &files);
    for (size_t i = 0; rc == OK && i < s->n_retained; i++)
        rc = check_file(c, s->retained[i], &files);
    DIR *d = rc == OK ? opendir(env->dir) : NULL;
    if (rc == OK && !d)
        rc = fail_errno(env->error, ERR_IO, "channi: cannot read the folder %s", env->dir);
    for (const struct dirent *e = d ? readdir(d) : NULL; rc == OK && e; e = readdir(d))
        if (channi_files_lack(&files, e->d_name) && !atomic_load(&s->file_left))
            rc = BROKEN(c, "nothing refers to the file %s/%s", env->dir, e->d_name);
    if (d)
        (void)closedir(d);
    idmap_free(&files);
    return rc;
}

/* ------------------------------------------------------------------------------- routes */

static int check_route(struct channi_checking *c, uint32_t route)
{
    const struct channi_layout *l = c->layout;
    const uint32_t cid = l->routes->cid[route];
    const uint64_t phash = *(const uint64_t *)segmented_at(&c->s->route_phash, route);

    if (idmap_get(&c->phashes, phash, NULL))
        return BROKEN(c, "route %u: its phash %016" PRIx64 " is another's, too", route, phash);
    if (!idmap_put(&c->phashes, phash, route))
        return CHANNI_NO_MEMORY(&c->s->base.env, ", cannot check");
    if (cid != CID_NONE && (cid >= l->n_clusters || !l->clusters[cid] ||
                            !bsearch(&route, l->clusters[cid]->routes, l->clusters[cid]->n_routes,
                                     sizeof route, order_u32)))
        return BROKEN(c, "route %u leads to cluster %u, which is not there or does not list it",
                      route, cid);
    return OK;
}

static int check_routes(struct channi_checking *c)
{
    const struct channi *s = c->s;
    const struct channi_routes *r = c->layout->routes;
    int rc = OK;

    if (r->n == 0 || r->n != s->n_routes || r->graph.n != r->n)
        return BROKEN(c, "%u routes in the layout, %u nodes in their graph, %u in all", r->n,
                      r->graph.n, s->n_routes);
    for (uint32_t i = 0; rc == OK && i < r->n; i++)
        rc = check_route(c, i);
    if (rc == OK)
        rc = graph_image_check(&r->graph, "the routes", s->base.env.error);
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
    const uint32_t live = channi_cluster_live(cl);
    struct channi_latch *latch = segmented_at(&s->latches, cl->cid);
    const uint32_t tried = atomic_load(&latch->tried);

    if (cl->kind == CLUSTER_DEFERRED)
        return OK;
    c->largest = live > c->largest ? live : c->largest;
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
    if (deferred != !c->layout->routes || deferred != !cl->base)
        return BROKEN(c, "cluster %u is of kind %d, %s a file, %s routes", cid, cl->kind,
                      cl->base ? "has" : "has not", c->layout->routes ? "among" : "without");
    if (!deferred)
        rc = check_routes_of(c, cl);
    if (rc == OK)
        rc = check_cluster(c, cl);
    return rc == OK ? check_size(c, cl) : rc;
}

static int check_clusters(struct channi_checking *c)
{
    const struct channi_layout *l = c->layout;
    size_t n = 0;
    int rc = OK;

    for (uint32_t cid = 0; rc == OK && cid < l->n_clusters; cid++)
        if (l->clusters[cid]) {
            n++;
            rc = check_one(c, cid);
        }
    if (rc == OK && !l->routes && (n != 1 || !l->clusters[0]))
        rc = BROKEN(c, "%zu clusters before the build, when there is but cluster 0", n);
    if (rc == OK && c->live != channi_live(c->s))
        rc = BROKEN(c, "%zu live rows, but %zu ids have a place", c->live, channi_live(c->s));
    return rc;
}

static int check_ood(const struct channi_checking *c)
{
    const struct channi_layout *l = c->layout;
    const struct channi_cluster *cl;
    uint32_t n = 0;

    for (uint32_t next = 0; (cl = channi_layout_next(l, &next));)
        if (cl->kind == CLUSTER_OOD && (n == l->n_ood || l->ood[n++] != cl->cid))
            return BROKEN(c, "cluster %u is not listed as OOD, or out of order", cl->cid);
    return n == l->n_ood ? OK : BROKEN(c, "%u OOD clusters, but %u are listed", n, l->n_ood);
}

/* -------------------------------------------------------------------------- routability */

static int report_routability(const struct channi_checking *c, struct stat_sink *sink)
{
    const struct index_env *env = &c->s->base.env;
    enum { K = 10 };
    struct channi_knobs knobs;
    uint64_t ids[CHECK_SAMPLES * K];
    float distances[CHECK_SAMPLES * K];
    const struct search_request request = {
        { c->rows, c->n_samples, env->dim, env->element }, K, &knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };
    size_t found = 0;
    int rc = OK;

    param_defaults(c->s->base.ops->knobs, &knobs);
    if (c->n_samples > 0)
        rc = channi_search(&c->s->base, &request, &result);
    for (size_t i = 0; rc == OK && i < c->n_samples; i++) {
        /* A row that is not in the answer may have been displaced by others at distance 0. */
        bool is_found = distances[i * K + K - 1] == 0;
        for (size_t j = 0; j < K; j++)
            is_found |= ids[i * K + j] == c->ids[i];
        found += is_found;
    }
    if (rc == OK && c->n_samples > 0)
        sink->value(sink->to, "routability", (double)found / (double)c->n_samples);
    return rc;
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

    idmap_init(&c->phashes, mem);
    c->every = live / CHECK_SAMPLES + 1;
    c->rows = mem_array(mem, CHECK_SAMPLES, s->row_bytes);
    if (!c->rows)
        rc = CHANNI_NO_MEMORY(&s->base.env, ", cannot check");
    if (rc == OK && c->layout->routes)
        rc = check_routes(c);
    if (rc == OK)
        rc = check_clusters(c);
    if (rc == OK)
        rc = check_ood(c);
    for (size_t i = 0; rc == OK && i < s->n_snapshots; i++) {
        const struct channi_snapshot *pin = &s->snapshots[i];

        if (pin->version > c->version || pin->view->version != pin->version || pin->times == 0)
            rc = BROKEN(c, "pin %zu: of version %" PRIu64 ", its view is of %" PRIu64, i,
                        pin->version, pin->view->version);
    }
    if (rc == OK)
        rc = check_files(c);
    if (rc == OK)
        rc = channi_cache_check(s->cache);
    if (rc == OK && sink) {
        sink->value(sink->to, "dead_rows", (double)c->dead);
        sink->value(sink->to, "largest_cluster", (double)c->largest);
        rc = report_routability(c, sink);
    }
    idmap_free(&c->phashes);
    mem_free(mem, c->rows);
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
