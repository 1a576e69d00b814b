/* inspect.c - shows the clusters of the newest version, with the ids that they hold, and what
 * maintenance has to do. */
#include <stdlib.h>

#include "algorithms/channi/index.h"
#include "algorithms/common/structure/structure.h"
#include "src/core/mem.h"
#include "src/core/order.h"

/* The n live ids by ascending cid, and where those of each begin: cid << 32 | slot, sorted. */
struct grouped {
    size_t n, at; /* at: of the next cluster */
    uint64_t *keys, *ids;
    struct mem_group memory;
};

static bool group(const struct channi *c, struct grouped *g)
{
    g->keys = mem_group_array(&g->memory, channi_live(c), sizeof *g->keys);
    g->ids = mem_group_array(&g->memory, channi_live(c), sizeof *g->ids);
    if (g->memory.failed)
        return false;
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->ids[i] != INDEX_NO_ID)
            g->keys[g->n++] = (uint64_t)c->places[i].cid << 32 | i;
    qsort(g->keys, g->n, sizeof *g->keys, order_u64);
    for (size_t i = 0; i < g->n; i++)
        g->ids[i] = c->ids[(uint32_t)g->keys[i]];
    return true;
}

static void show_cluster(const struct channi *c, const struct channi_cluster *cl, struct grouped *g,
                         const struct structure_sink *sink)
{
    static const char *const kinds[] = {
        [CLUSTER_NORMAL] = "normal", [CLUSTER_OOD] = "outliers", [CLUSTER_DEFERRED] = "deferred"
    };
    const size_t first = g->at;

    while (g->at < g->n && g->keys[g->at] >> 32 == cl->cid)
        g->at++;
    if (!sink->enter(sink->to, "cluster", cl->cid))
        return;
    sink->text(sink->to, "kind", kinds[cl->kind]);
    sink->number(sink->to, "live", (double)(g->at - first));
    sink->number(sink->to, "rows_in_file", cl->base_n);
    sink->number(sink->to, "rows_in_delta", channi_delta_count(&cl->delta));
    sink->number(sink->to, "file_bytes", cl->base ? (double)cl->base->file_bytes : 0);
    sink->number(sink->to, "routes", cl->n_routes);
    sink->number(sink->to, "born_version", (double)cl->born_ver);
    if (cl->site) {
        sink->ids(sink->to, "root", &cl->root_id, 1);
        structure_row(sink, "site", &c->base.env, cl->site);
    }
    sink->ids(sink->to, "ids", g->ids + first, g->at - first);
    sink->leave(sink->to);
}

/* Holds `write`, so that no job publishes another version meanwhile. */
int channi_inspect(const struct index *index, const struct structure_sink *sink)
{
    struct channi *c = channi_of(index);
    struct grouped g = { .memory.mem = c->base.env.mem };
    const struct channi_cluster *cl;
    int rc = OK;

    if (!sink->enter(sink->to, "channi", 0))
        return OK;
    pthread_mutex_lock(&c->write);
    const struct channi_view *view = atomic_load(&c->now);
    const struct channi_layout *layout = view->layout;
    sink->number(sink->to, "rows", (double)channi_live(c));
    sink->number(sink->to, "version", (double)view->version);
    sink->number(sink->to, "routes", layout->routes ? layout->routes->n : 0);
    if (sink->enter(sink->to, "maintenance", 0)) {
        channi_health_report(c, layout, sink->number, sink->to);
        sink->leave(sink->to);
    }
    if (!group(c, &g))
        rc = CHANNI_NO_MEMORY(&c->base.env, ", cannot inspect");
    for (uint32_t next = 0; rc == OK && (cl = channi_layout_next(layout, &next));)
        show_cluster(c, cl, &g, sink);
    pthread_mutex_unlock(&c->write);
    mem_group_free(&g.memory);
    sink->leave(sink->to);
    return rc;
}
