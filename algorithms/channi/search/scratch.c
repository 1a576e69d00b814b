/* scratch.c - a thread's memory for searching. It is pooled when idle, so that a search allocates
 * only when its needs grow. */
#include "algorithms/channi/search/scratch.h"

#include "algorithms/channi/channi.h"
#include "src/core/mem.h"

void channi_search_work_free(struct mem *mem, struct channi_search_work *w)
{
    if (!w)
        return;
    void *const all[] = {
        w->cids,    w->routes,   w->bases,           w->of,        w->images,
        w->seen,    w->prepared, w->rotated,         w->floats,    w->candidates,
        w->order,   w->sources,  w->upper_distances, w->upper_ids, w->own_distances,
        w->own_ids, w->rows,     w->hits.hits
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(mem, all[i]);
    mem_free(mem, w);
}

static bool open_scratch(void *owner, void *scratch)
{
    struct channi_scratch *x = scratch;

    x->graph = graph_scratch_create(((const struct channi *)owner)->base.env.mem);
    return x->graph;
}

static void close_scratch(struct mem *mem, void *scratch)
{
    struct channi_scratch *x = scratch;

    if (x->fetch)
        channi_fetch_destroy(x->fetch);
    channi_search_work_free(mem, x->work);
    graph_scratch_destroy(x->graph);
    mem_free(mem, x->nodes);
    mem_free(mem, x->distances);
    mem_free(mem, x->marks);
}

static uint64_t work_bytes(const struct channi_search_work *w)
{
    if (!w)
        return 0;
    return sizeof *w + w->cids_capacity * sizeof *w->cids + w->routes_capacity * sizeof *w->routes +
           w->bases_capacity * sizeof *w->bases + w->of_capacity * sizeof *w->of +
           w->seen_capacity * sizeof *w->seen + w->candidates_capacity * sizeof *w->candidates +
           w->order_capacity * sizeof *w->order + w->sources_capacity * sizeof *w->sources +
           w->rows_capacity + w->hits.capacity * sizeof *w->hits.hits;
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct channi_scratch *x = scratch;

    (void)owner;
    return graph_scratch_bytes(x->graph) + work_bytes(x->work) +
           x->nodes_capacity * sizeof *x->nodes + x->distances_capacity * sizeof *x->distances +
           x->marks_capacity;
}

const struct scratch_kind channi_scratch_kind = { sizeof(struct channi_scratch), open_scratch,
                                                  close_scratch, scratch_bytes };

bool channi_scratch_work(struct channi *c, struct channi_scratch *x)
{
    if (!x->work)
        x->work = mem_zalloc(c->base.env.mem, sizeof *x->work);
    if (x->work)
        x->work->mem = c->base.env.mem;
    return x->work;
}

bool channi_scratch_fit(struct channi *c, struct channi_scratch *x, size_t n)
{
    struct mem *mem = c->base.env.mem;

    return mem_grow(mem, &x->nodes, &x->nodes_capacity, n, sizeof *x->nodes) &&
           mem_grow(mem, &x->distances, &x->distances_capacity, n, sizeof *x->distances);
}

bool channi_scratch_marks(struct channi *c, struct channi_scratch *x, size_t n)
{
    struct mem *mem = c->base.env.mem;
    const size_t capacity = n + n / 4 + 64;

    if (n <= x->marks_capacity)
        return true;
    uint8_t *marks = mem_zalloc(mem, capacity); /* all zero between calls */
    if (!marks)
        return false;
    mem_free(mem, x->marks);
    x->marks = marks;
    x->marks_capacity = capacity;
    return true;
}
