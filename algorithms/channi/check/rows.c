/* rows.c - for check(): a cluster's file, graph, rows and root. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/check/check.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/versions/places.h"
#include "src/core/mem.h"

/* ------------------------------------------------------------------------------- graphs */

/* Link 0 is the ring's; another edge may lead to the same node. */
static int check_links(const struct channi_checking *c, const struct graph_image *g, uint32_t level,
                       uint32_t i, const char *of, uint64_t which)
{
    const size_t degree = g->layers[level].degree, first = i * degree;

    for (size_t j = 0; j < degree; j++) {
        const uint32_t to = graph_image_link(g, level, first + j);

        if (to == GRAPH_NONE)
            continue;
        if (to >= g->layers[level].n || to == i)
            return BROKEN(c, "graph of %s %" PRIu64 ": layer %u: a link of %u to %u of %u", of,
                          which, level, i, to, g->layers[level].n);
        for (size_t other = 1; other < j; other++)
            if (graph_image_link(g, level, first + other) == to)
                return BROKEN(c, "graph of %s %" PRIu64 ": layer %u: %u has an edge twice", of,
                              which, level, i);
    }
    return OK;
}

int channi_check_image(const struct channi_checking *c, const struct graph_image *g, uint32_t from,
                       const char *of, uint64_t which)
{
    size_t reached = 0;
    int rc = OK;

    for (uint32_t level = 0; level < g->n_layers; level++)
        for (uint32_t i = 0; rc == OK && i < g->layers[level].n; i++)
            rc = check_links(c, g, level, i, of, which);
    if (rc == OK)
        rc = graph_image_reach(g, c->s->base.env.mem, from, &reached, c->s->base.env.error);
    if (rc == OK && reached != g->n)
        rc = BROKEN(c, "graph of %s %" PRIu64 ": %zu of %u nodes are within reach of %u", of, which,
                    reached, g->n, from);
    return rc;
}

/* --------------------------------------------------------------------------------- rows */

struct checked_row {
    uint32_t number; /* within its cluster */
    uint64_t id, born, dead;
    const unsigned char *bytes;
};

/* Numbers of rows in one cluster. */
struct row_counts {
    uint32_t live, dead, voids;
};

static void sample(struct channi_checking *c, const struct checked_row *row)
{
    const size_t row_bytes = c->s->row_bytes;

    if (c->live % c->every != 0 || c->n_samples == CHECK_SAMPLES)
        return;
    memcpy(c->rows + c->n_samples * row_bytes, row->bytes, row_bytes);
    c->ids[c->n_samples++] = row->id;
}

/* A live row must be at its id's place. So no two rows have the same id. */
static int check_row(struct channi_checking *c, const struct channi_cluster *cl,
                     const struct checked_row *row, struct row_counts *tally)
{
    struct channi_place at = { CID_NONE, 0 };

    if (row->born == ROW_VOID) {
        tally->voids++;
        return OK;
    }
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
    sample(c, row);
    tally->live++;
    c->live++;
    return OK;
}

static int check_base_rows(struct channi_checking *c, const struct channi_cluster *cl,
                           const struct channi_image *image, struct row_counts *tally)
{
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < image->n; i++) {
        const struct checked_row row = { i, image->ids[i], image->born ? image->born[i] : 0,
                                         channi_cluster_base_dead(cl, image, i),
                                         image->rows + i * c->s->row_bytes };
        rc = check_row(c, cl, &row, tally);
    }
    return rc;
}

static int check_delta_rows(struct channi_checking *c, const struct channi_cluster *cl,
                            struct row_counts *tally)
{
    const struct channi_delta_codes *codes = channi_delta_codes(&cl->delta);
    const uint32_t n = channi_delta_count(&cl->delta);
    int rc = OK;

    if (codes && codes->n > n)
        return BROKEN(c, "cluster %u: %u rows of its delta have codes, of %u", cl->cid, codes->n,
                      n);
    for (uint32_t i = 0; rc == OK && i < n; i++) {
        const struct channi_delta_row d = channi_delta_at(&cl->delta, i);
        const struct checked_row row = { cl->base_n + i, d.id, atomic_load(d.born),
                                         atomic_load(d.dead), d.row };
        rc = check_row(c, cl, &row, tally);
    }
    return rc;
}

/* --------------------------------------------------------------------------------- root */

static bool any_alive(const struct channi_image *image)
{
    for (uint32_t i = 0; i < image->n; i++)
        if (!image->dead || image->dead[i] == 0)
            return true;
    return false;
}

/* The root may be another row by now, but the site's distance to the routes is recorded. */
static bool site_is_wrong(const struct channi *s, const struct channi_cluster *cl)
{
    float d;

    if (cl->n_routes == 0)
        return false;
    (void)channi_nearest_route(s, cl->routes, cl->n_routes, cl->site, &d);
    return !(fabsf(d - cl->drift) <= 1e-4F * cl->drift); /* kernels sum in other orders */
}

static int check_root(const struct channi_checking *c, const struct channi_cluster *cl,
                      const struct channi_image *image)
{
    const uint32_t root = cl->root;

    if (root >= cl->base_n || root != image->root)
        return BROKEN(c, "cluster %u: its root is row %u of %u, its file's is row %u", cl->cid,
                      root, cl->base_n, image->root);
    if (cl->root_id != image->ids[root])
        return BROKEN(c, "cluster %u: the root's id is %" PRIu64 ", its row's %" PRIu64, cl->cid,
                      cl->root_id, image->ids[root]);
    if (site_is_wrong(c->s, cl))
        return BROKEN(c, "cluster %u: its site is not %g from its nearest route", cl->cid,
                      sqrt((double)cl->drift));
    if (image->dead && image->dead[root] != 0 && any_alive(image))
        return BROKEN(c, "cluster %u: its root was dead when it was written, and others not",
                      cl->cid);
    return OK;
}

/* -------------------------------------------------------------------------------- files */

static int check_contents(struct channi_checking *c, const struct channi_cluster *cl,
                          const struct channi_image *image, struct row_counts *tally)
{
    const struct channi *s = c->s;
    const struct channi_base *base = cl->base;
    uint64_t route = UINT64_MAX;
    int rc = OK;

    if (image->n != cl->base_n || base->n != cl->base_n || image->n == 0)
        return BROKEN(c, "cluster %u: %u rows, but %u in its file", cl->cid, cl->base_n, image->n);
    if (!idmap_get(&s->by_phash, base->phash, &route) || route >= s->n_routes)
        return BROKEN(c, "cluster %u: its file's name, %016" PRIx64 ", is not a route's", cl->cid,
                      base->phash);
    if (image->has_graph && image->graph.n != image->n)
        return BROKEN(c, "cluster %u: %u rows, but %u nodes in its graph", cl->cid, image->n,
                      image->graph.n);
    rc = check_root(c, cl, image);
    if (rc == OK && image->has_graph)
        rc = channi_check_image(c, &image->graph, image->root, "cluster", cl->cid);
    return rc == OK ? check_base_rows(c, cl, image, tally) : rc;
}

static int check_base(struct channi_checking *c, const struct channi_cluster *cl,
                      struct row_counts *tally)
{
    struct channi *s = c->s;
    struct channi_whole_file whole;
    int rc = channi_cache_whole(s->cache, cl->base, &whole);

    if (rc == OK) {
        rc = check_contents(c, cl, &whole.image, tally);
        channi_cache_whole_done(s->cache, &whole);
    }
    return rc;
}

int channi_check_cluster(struct channi_checking *c, const struct channi_cluster *cl)
{
    struct channi_cluster *atomics = (struct channi_cluster *)(uintptr_t)cl;
    const uint32_t live = atomic_load(&atomics->live), dead = atomic_load(&atomics->n_dead);
    struct row_counts tally = { 0 };
    int rc = cl->base ? check_base(c, cl, &tally) : OK;

    if (rc == OK)
        rc = check_delta_rows(c, cl, &tally);
    c->dead += tally.dead;
    c->voids += tally.voids;
    /* A void row belongs to no id and may be counted as dead. */
    if (rc == OK && (live != tally.live || dead < tally.dead || dead > tally.dead + tally.voids))
        rc = BROKEN(c, "cluster %u: %u live and %u dead rows, but %u and %u are counted", cl->cid,
                    tally.live, tally.dead, live, dead);
    return rc;
}
