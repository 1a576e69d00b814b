/* check_rows.c - for check(): a cluster's file, graph, rows and root. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/channi/check.h"
#include "algorithms/channi/upkeep.h"
#include "src/core/mem.h"

/* ------------------------------------------------------------------------------- graphs */

static uint32_t link_of(const struct graph_image *g, uint32_t level, size_t at)
{
    if (!g->narrow)
        return ((const uint32_t *)g->layers[level].links)[at];
    const uint16_t link = ((const uint16_t *)g->layers[level].links)[at];
    return link == UINT16_MAX ? GRAPH_NONE : link;
}

/* Link 0 is the ring's, and may lead where an edge leads too. */
static int check_links(const struct check *c, const struct graph_image *g, uint32_t level,
                       uint32_t i, const char *of, uint64_t which)
{
    const size_t degree = g->layers[level].degree, first = i * degree;

    for (size_t j = 0; j < degree; j++) {
        const uint32_t to = link_of(g, level, first + j);

        if (to == GRAPH_NONE)
            continue;
        if (to >= g->layers[level].n || to == i)
            return check_broken(c, "graph of %s %" PRIu64 ": layer %u: a link of %u to %u of %u",
                                of, which, level, i, to, g->layers[level].n);
        for (size_t other = 1; other < j; other++)
            if (link_of(g, level, first + other) == to)
                return check_broken(c, "graph of %s %" PRIu64 ": layer %u: %u has an edge twice",
                                    of, which, level, i);
    }
    return OK;
}

int check_image(const struct check *c, const struct graph_image *g, uint32_t from, const char *of,
                uint64_t which)
{
    size_t reached = 0;
    int rc = OK;

    for (uint32_t level = 0; level < g->n_layers; level++)
        for (uint32_t i = 0; rc == OK && i < g->layers[level].n; i++)
            rc = check_links(c, g, level, i, of, which);
    if (rc == OK)
        rc = graph_image_reach(g, c->s->base.env.mem, from, &reached, c->s->base.env.error);
    if (rc == OK && reached != g->n)
        rc = check_broken(c, "graph of %s %" PRIu64 ": %zu of %u nodes are within reach of %u", of,
                          which, reached, g->n, from);
    return rc;
}

/* --------------------------------------------------------------------------------- rows */

struct row {
    uint32_t number; /* in its cluster */
    uint64_t id, born, dead;
    const unsigned char *bytes;
};

/* Rows of one cluster by what they are. */
struct tally {
    uint32_t live, dead, voids;
};

static void sample(struct check *c, const struct row *row)
{
    const size_t row_bytes = c->s->row_bytes;

    if (c->live % c->every != 0 || c->n_samples == CHECK_SAMPLES)
        return;
    memcpy(c->rows + c->n_samples * row_bytes, row->bytes, row_bytes);
    c->ids[c->n_samples++] = row->id;
}

/* As each live row's id has its place here, no two rows have one id. */
static int check_row(struct check *c, const struct cluster *cl, const struct row *row,
                     struct tally *tally)
{
    struct place at = { CID_NONE, 0 };

    if (row->born == ROW_VOID) {
        tally->voids++;
        return OK;
    }
    if (row->born > c->version || row->dead > c->version)
        return check_broken(c,
                            "cluster %u, row %u: born at %" PRIu64 ", dead at %" PRIu64
                            ", but the newest version is %" PRIu64,
                            cl->cid, row->number, row->born, row->dead, c->version);
    if (row->dead > 0 && row->dead < row->born)
        return check_broken(c, "cluster %u, row %u: dead at %" PRIu64 ", born at %" PRIu64, cl->cid,
                            row->number, row->dead, row->born);
    if (row->dead > 0) {
        tally->dead++;
        return OK;
    }
    if (!channi_place_of(c->s, row->id, &at) || at.cid != cl->cid || at.row != row->number)
        return check_broken(c,
                            "cluster %u, row %u: id %" PRIu64
                            " is live here, but its place is row %u of cluster %u",
                            cl->cid, row->number, row->id, at.row, at.cid);
    sample(c, row);
    tally->live++;
    c->live++;
    return OK;
}

static int check_base_rows(struct check *c, const struct cluster *cl, const struct image *image,
                           struct tally *tally)
{
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < image->n; i++) {
        const struct row row = { i, image->ids[i], image->born ? image->born[i] : 0,
                                 cluster_base_dead(cl, image, i),
                                 image->rows + i * c->s->row_bytes };
        rc = check_row(c, cl, &row, tally);
    }
    return rc;
}

static int check_delta_rows(struct check *c, const struct cluster *cl, struct tally *tally)
{
    const uint32_t n = delta_count(&cl->delta);
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < n; i++) {
        const struct delta_row d = delta_at(&cl->delta, i);
        const struct row row = { cl->base_n + i, d.id, atomic_load(d.born), atomic_load(d.dead),
                                 d.row };
        rc = check_row(c, cl, &row, tally);
    }
    return rc;
}

/* --------------------------------------------------------------------------------- root */

static bool any_alive(const struct image *image)
{
    for (uint32_t i = 0; i < image->n; i++)
        if (!image->dead || image->dead[i] == 0)
            return true;
    return false;
}

/* Its root may be another row by now, but how far it is from its routes is known. */
static bool site_is_wrong(const struct channi *s, const struct cluster *cl)
{
    float d;

    if (cl->n_routes == 0)
        return false;
    (void)upkeep_nearest_route(s, cl->routes, cl->n_routes, cl->site, &d);
    return !(fabsf(d - cl->drift) <= 1e-4F * cl->drift); /* other kernels sum in another order */
}

static int check_root(const struct check *c, const struct cluster *cl, const struct image *image)
{
    const uint32_t root = cl->root;

    if (root >= cl->base_n || root != image->root)
        return check_broken(c, "cluster %u: its root is row %u of %u, its file's is row %u",
                            cl->cid, root, cl->base_n, image->root);
    if (cl->root_id != image->ids[root])
        return check_broken(c, "cluster %u: the root's id is %" PRIu64 ", its row's %" PRIu64,
                            cl->cid, cl->root_id, image->ids[root]);
    if (site_is_wrong(c->s, cl))
        return check_broken(c, "cluster %u: its site is not %g from its nearest route", cl->cid,
                            sqrt((double)cl->drift));
    if (image->dead && image->dead[root] != 0 && any_alive(image))
        return check_broken(c, "cluster %u: its root was dead when it was written, and others not",
                            cl->cid);
    return OK;
}

/* -------------------------------------------------------------------------------- files */

static int check_contents(struct check *c, const struct cluster *cl, const struct image *image,
                          struct tally *tally)
{
    const struct channi *s = c->s;
    const struct base *base = cl->base;
    uint64_t route = UINT64_MAX;
    int rc = OK;

    if (image->n != cl->base_n || base->n != cl->base_n || image->n == 0)
        return check_broken(c, "cluster %u: %u rows, but %u in its file", cl->cid, cl->base_n,
                            image->n);
    if (!idmap_get(&s->by_phash, base->phash, &route) || route >= s->n_routes)
        return check_broken(c, "cluster %u: its file's name, %016" PRIx64 ", is no route's",
                            cl->cid, base->phash);
    if (image->has_graph && image->graph.n != image->n)
        return check_broken(c, "cluster %u: %u rows, but %u nodes in its graph", cl->cid, image->n,
                            image->graph.n);
    rc = check_root(c, cl, image);
    if (rc == OK && image->has_graph)
        rc = check_image(c, &image->graph, image->root, "cluster", cl->cid);
    return rc == OK ? check_base_rows(c, cl, image, tally) : rc;
}

/* Damage is an error, but where the index is to go on without: then its rows are as many as were counted. */
static int check_base(struct check *c, const struct cluster *cl, struct tally *tally, bool *damaged)
{
    struct channi *s = c->s;
    struct error aside = { 0 };
    struct whole whole;
    struct error *before = s->params.degraded ? error_divert(&aside) : NULL;
    int rc = cache_whole(s->cache, cl->base, &whole);

    if (s->params.degraded)
        (void)error_divert(before);
    if (rc == OK) {
        rc = check_contents(c, cl, &whole.image, tally);
        cache_whole_done(s->cache, &whole);
        return rc;
    }
    if (!s->params.degraded)
        return rc;
    *damaged = rc == ERR_CORRUPT || rc == ERR_NOT_FOUND || rc == ERR_IO;
    return *damaged ? OK : fail(s->base.env.error, rc, "%s", aside.text);
}

int check_cluster(struct check *c, const struct cluster *cl)
{
    struct cluster *atomics = (struct cluster *)(uintptr_t)cl;
    const uint32_t live = atomic_load(&atomics->live), dead = atomic_load(&atomics->n_dead);
    struct tally tally = { 0 };
    bool damaged = false;
    int rc = cl->base ? check_base(c, cl, &tally, &damaged) : OK;

    if (rc == OK)
        rc = check_delta_rows(c, cl, &tally);
    c->dead += tally.dead;
    c->voids += tally.voids;
    if (rc == OK && damaged) {
        c->damaged++;
        c->live += live - tally.live;
        return OK;
    }
    /* Void rows are nobody's: they may be counted as dead. */
    if (rc == OK && (live != tally.live || dead < tally.dead || dead > tally.dead + tally.voids))
        rc = check_broken(c, "cluster %u: %u live and %u dead rows, but %u and %u are counted",
                          cl->cid, tally.live, tally.dead, live, dead);
    return rc;
}
