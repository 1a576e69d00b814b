/* scratch.c - the memory that one thread needs to search. */
#include "algorithms/common/graph_index/graph_index.h"
#include "src/core/mem.h"

static void scratch_destroy(void *owner, void *scratch)
{
    struct mem *mem = owner;
    struct graph_index_scratch *x = scratch;

    graph_scratch_destroy(x->graph);
    mem_free(mem, x->nodes);
    mem_free(mem, x->distances);
    mem_free(mem, x->lifted);
    mem_free(mem, x);
}

static struct graph_index_scratch *scratch_create(struct mem *mem)
{
    struct graph_index_scratch *x = mem_zalloc(mem, sizeof *x);

    if (x)
        x->graph = graph_scratch_create(mem);
    if (x && !x->graph) {
        scratch_destroy(mem, x);
        x = NULL;
    }
    return x;
}

struct graph_index_scratch *graph_index_scratch_take(struct graph_index *h)
{
    struct graph_index_scratch *x = scratch_pool_take(&h->scratch);

    return x ? x : scratch_create(h->base.env.mem);
}

void graph_index_scratch_free(struct graph_index *h)
{
    scratch_pool_free(&h->scratch, scratch_destroy, h->base.env.mem);
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct graph_index_scratch *x = scratch;

    (void)owner;
    return sizeof *x + graph_scratch_bytes(x->graph) + x->nodes_capacity * sizeof *x->nodes +
           (x->distances_capacity + x->lifted_capacity) * sizeof *x->distances;
}

uint64_t graph_index_scratch_bytes(struct graph_index *h)
{
    return scratch_pool_bytes(&h->scratch, scratch_bytes, NULL);
}
