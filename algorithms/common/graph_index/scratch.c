/* scratch.c - the memory that one thread needs to search. */
#include "algorithms/common/graph_index/graph_index.h"
#include "src/core/mem.h"

static bool open_scratch(void *owner, void *scratch)
{
    struct graph_index_scratch *x = scratch;

    x->graph = graph_scratch_create(((const struct graph_index *)owner)->base.env.mem);
    return x->graph;
}

static void close_scratch(struct mem *mem, void *scratch)
{
    struct graph_index_scratch *x = scratch;

    graph_scratch_destroy(x->graph);
    mem_free(mem, x->nodes);
    mem_free(mem, x->distances);
    mem_free(mem, x->lifted);
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct graph_index_scratch *x = scratch;

    (void)owner;
    return graph_scratch_bytes(x->graph) + x->nodes_capacity * sizeof *x->nodes +
           (x->distances_capacity + x->lifted_capacity) * sizeof *x->distances;
}

const struct scratch_kind graph_index_scratch_kind = { sizeof(struct graph_index_scratch),
                                                       open_scratch, close_scratch, scratch_bytes };
