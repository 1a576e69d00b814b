/* merge.c - moves all recent rows into the file, and removes the deleted ones from it: by a streaming
 * merge, or, if more rows change than stay, by building the file anew. */
#include <string.h>

#include "algorithms/vamana_disk/vamana_disk.h"

#include "src/core/mem.h"

/* All live rows, as they were inserted. */
struct gathering {
    const struct vamana_disk *h;
    const struct vamana_disk_part *part;
    unsigned char *rows;
    uint64_t *ids;
    size_t n, row_bytes;
};

static void gather(struct gathering *g, uint64_t id, const void *row)
{
    memcpy(g->rows + g->n * g->row_bytes, row, g->row_bytes);
    g->ids[g->n++] = id;
}

static int gather_record(void *to, uint32_t node, const unsigned char *record)
{
    struct gathering *g = to;
    const uint64_t id = vamana_disk_id(g->part, node);

    if (id != INDEX_NO_ID)
        gather(g, id, record);
    return OK;
}

static int gather_all(struct gathering *g, const struct vamana_disk_view *view)
{
    struct index_env *env = &((struct vamana_disk *)(uintptr_t)g->h)->base.env;
    const struct graph_index *recent = view->recent;
    const size_t n = vamana_disk_live(view->part) + recent->nodes.n;

    g->part = view->part;
    g->row_bytes = index_row_bytes(env->element, env->dim);
    g->rows = mem_array(env->mem, n, g->row_bytes);
    g->ids = mem_array(env->mem, n, sizeof *g->ids);
    if (!g->rows || !g->ids)
        return fail(env->error, ERR_NO_MEMORY, "vamana-disk: out of memory for %zu rows", n);
    for (uint32_t i = 0; i < graph_capacity(recent->graph); i++)
        if (graph_is_live(recent->graph, i) && graph_index_id_of(recent, i) != INDEX_NO_ID)
            gather(g, graph_index_id_of(recent, i), graph_row(recent->graph, i));
    return vamana_disk_read_all(view->part, gather_record, g);
}

/* A graph in memory of all live rows. */
static int link_all(struct vamana_disk *h, const struct vamana_disk_view *view,
                    struct graph_index **out)
{
    struct gathering g = { .h = h };
    size_t done;
    int rc = gather_all(&g, view);

    if (rc == OK)
        rc = vamana_disk_recent_create(h, out);
    if (rc == OK)
        rc = graph_index_insert(
            &(*out)->base, (struct vectors){ g.rows, g.n, h->base.env.dim, h->base.env.element },
            g.ids, &done);
    mem_free(h->base.env.mem, g.rows);
    mem_free(h->base.env.mem, g.ids);
    return rc;
}

/* Where nothing on disk stays, the recent rows have their graph already. */
static int build(struct vamana_disk *h, const struct vamana_disk_view *view,
                 struct graph_index *empty, struct vamana_disk_part **part)
{
    struct graph_index *all = NULL;
    bool more;
    int rc = vamana_disk_live(view->part) > 0 ? link_all(h, view, &all)
                                              : graph_index_maintain(&view->recent->base, 0, &more);

    if (rc == OK)
        rc = vamana_disk_build(h, all ? all : view->recent, empty, part);
    if (all)
        graph_index_destroy(&all->base);
    return rc;
}

int vamana_disk_merge(struct vamana_disk *h)
{
    const struct vamana_disk_view *view = vamana_disk_view_of(h);
    const size_t live = vamana_disk_live(view->part);
    const size_t changes = view->part->n - live + view->recent->nodes.n;
    struct graph_index *empty = NULL;
    struct vamana_disk_part *part = NULL;
    int rc = vamana_disk_recent_create(h, &empty);

    if (rc == OK && live > 0 && live >= changes)
        rc = vamana_disk_stream(h, view, empty, &part);
    else if (rc == OK)
        rc = build(h, view, empty, &part);
    if (rc == OK) {
        atomic_fetch_add(&h->merges, 1);
        rc = vamana_disk_show(h, part, empty);
        mem_trim();
    } else if (empty) {
        graph_index_destroy(&empty->base);
    }
    return rc;
}
