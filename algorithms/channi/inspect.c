/* inspect.c - shows the clusters of the newest version, with the ids that they hold, and what
 * maintenance has to do. */
#include "algorithms/channi/channi.h"
#include "algorithms/channi/operations.h"
#include "algorithms/channi/stats/stats.h"
#include "algorithms/common/structure/structure.h"
#include "src/core/mem.h"

/* The live ids by cluster: those of cid are at ids[starts[cid]] to ids[starts[cid + 1] - 1]. */
struct grouped {
    size_t *starts;
    uint64_t *ids;
};

static bool group(const struct channi *c, uint32_t n_clusters, struct grouped *g)
{
    struct mem *mem = c->base.env.mem;

    g->starts = mem_zalloc(mem, ((size_t)n_clusters + 2) * sizeof *g->starts);
    g->ids = mem_array(mem, channi_live(c) + 1, sizeof *g->ids);
    if (!g->starts || !g->ids)
        return false;
    /* starts[cid + 2] counts, then starts[cid + 1] is where the next id of cid goes. */
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->ids[i] != INDEX_NO_ID)
            g->starts[c->places[i].cid + 2]++;
    for (uint32_t cid = 0; cid < n_clusters; cid++)
        g->starts[cid + 2] += g->starts[cid + 1];
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->ids[i] != INDEX_NO_ID)
            g->ids[g->starts[c->places[i].cid + 1]++] = c->ids[i];
    return true;
}

static const char *kind_of(const struct channi_cluster *cl)
{
    return cl->kind == CLUSTER_OOD        ? "outliers"
           : cl->kind == CLUSTER_DEFERRED ? "deferred"
                                          : "normal";
}

static void show_cluster(const struct channi *c, const struct channi_cluster *cl,
                         const struct grouped *g, const struct structure_sink *sink)
{
    const size_t first = g->starts[cl->cid], n = g->starts[cl->cid + 1] - first;

    if (!sink->enter(sink->to, "cluster", cl->cid))
        return;
    sink->text(sink->to, "kind", kind_of(cl));
    sink->number(sink->to, "live", (double)n);
    sink->number(sink->to, "rows_in_file", cl->base_n);
    sink->number(sink->to, "rows_in_delta", channi_delta_count(&cl->delta));
    sink->number(sink->to, "file_bytes", cl->base ? (double)cl->base->file_bytes : 0);
    sink->number(sink->to, "routes", cl->n_routes);
    sink->number(sink->to, "born_version", (double)cl->born_ver);
    if (cl->site) {
        sink->ids(sink->to, "root", &cl->root_id, 1);
        structure_row(sink, "site", &c->base.env, cl->site);
    }
    sink->ids(sink->to, "ids", g->ids + first, n);
    sink->leave(sink->to);
}

static void show_maintenance(struct channi *c, const struct channi_layout *layout,
                             const struct structure_sink *sink)
{
    if (!sink->enter(sink->to, "maintenance", 0))
        return;
    channi_health_report(c, layout, sink->number, sink->to);
    sink->leave(sink->to);
}

static void show(struct channi *c, const struct channi_view *view, const struct grouped *g,
                 const struct structure_sink *sink)
{
    const struct channi_layout *layout = view->layout;

    sink->number(sink->to, "rows", (double)channi_live(c));
    sink->number(sink->to, "version", (double)view->version);
    sink->number(sink->to, "routes", layout->routes ? layout->routes->n : 0);
    show_maintenance(c, layout, sink);
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        if (layout->clusters[cid])
            show_cluster(c, layout->clusters[cid], g, sink);
}

/* Holds `write`, so that no job publishes another version meanwhile. */
int channi_inspect(const struct index *index, const struct structure_sink *sink)
{
    struct channi *c = channi_of(index);
    struct grouped g = { 0 };
    int rc = OK;

    if (!sink->enter(sink->to, "channi", 0))
        return OK;
    pthread_mutex_lock(&c->write);
    const struct channi_view *view = atomic_load(&c->now);
    if (group(c, view->layout->n_clusters, &g))
        show(c, view, &g, sink);
    else
        rc = fail(c->base.env.error, ERR_NO_MEMORY, "channi: out of memory, cannot inspect");
    pthread_mutex_unlock(&c->write);
    mem_free(c->base.env.mem, g.starts);
    mem_free(c->base.env.mem, g.ids);
    sink->leave(sink->to);
    return rc;
}
