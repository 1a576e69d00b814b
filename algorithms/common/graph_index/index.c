/* index.c - creating and destroying an index. */
#include <string.h>

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
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct graph_index_scratch *x = scratch;

    (void)owner;
    return graph_scratch_bytes(x->graph) + x->nodes_capacity * sizeof *x->nodes +
           x->distances_capacity * sizeof *x->distances;
}

/* of the pool graph_index->scratch */
static const struct scratch_kind graph_index_scratch_kind = { sizeof(struct graph_index_scratch),
                                                              open_scratch, close_scratch,
                                                              scratch_bytes };

struct graph_options graph_index_options(const struct graph_index *h)
{
    struct graph_options options = h->kind->options(h->params);

    options.inner_product = h->base.env.metric == INDEX_IP;
    options.seed = h->base.env.seed;
    return options;
}

static int create_graph(struct graph_index *h)
{
    const struct index_env env = h->base.env;

    h->epoch = epoch_create(env.mem);
    if (!h->epoch)
        return fail(env.error, ERR_NO_MEMORY, "%s: out of memory for an index", h->base.ops->name);
    const struct graph_options options = graph_index_options(h);
    return graph_create(&h->graph, &env, h->epoch, &options);
}

int graph_index_create(struct index **index, const struct index_ops *ops,
                       const struct graph_index_kind *kind, const struct index_env *env,
                       const void *params)
{
    struct graph_index *h = mem_zalloc(env->mem, sizeof *h + ops->params_bytes);

    if (!h)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory for an index", ops->name);
    h->base = (struct index){ .ops = ops, .env = *env };
    h->kind = kind;
    memcpy(h->params, params, ops->params_bytes);
    slot_table_init(&h->nodes, env->mem);
    pthread_mutex_init(&h->lock, NULL);
    scratch_pool_init(&h->scratch, &graph_index_scratch_kind, env->mem, h);
    atomic_init(&h->ids, NULL);
    atomic_init(&h->n_deleted, 0);
    atomic_init(&h->n_marked, 0);
    const int rc = create_graph(h);
    if (rc != OK) {
        graph_index_destroy(&h->base);
        return rc;
    }
    *index = &h->base;
    return OK;
}

void graph_index_destroy(struct index *index)
{
    struct graph_index *h = (struct graph_index *)index;
    struct mem *mem = index->env.mem;

    scratch_pool_free(&h->scratch);
    graph_destroy(h->graph);
    epoch_destroy(h->epoch);
    slot_table_free(&h->nodes);
    epoch_array_free(mem, (void *)(uintptr_t)graph_index_ids(h));
    mem_free(mem, h->deleted);
    pthread_mutex_destroy(&h->lock);
    mem_free(mem, h);
}
