/* graph.c - creating and destroying a graph, its nodes and its size; see graph.h. */
#include "algorithms/common/graph/internal.h"

#include "src/core/error.h"
#include "src/core/mem.h"

int graph_create(struct graph **out, const struct index_env *env, struct epoch *epoch,
                 const struct graph_options *options)
{
    const size_t degree = options->degree, half = degree < 8 ? degree : degree / 2;
    const size_t upper = options->upper_degree ? options->upper_degree : half;

    if (degree < GRAPH_DEGREE_MIN || degree > GRAPH_DEGREE_MAX || upper < GRAPH_DEGREE_MIN ||
        upper > GRAPH_DEGREE_MAX)
        return fail(env->error, ERR_ARGUMENT, "a graph: degree %zu (%zu above) is not in %d .. %d",
                    degree, upper, GRAPH_DEGREE_MIN, GRAPH_DEGREE_MAX);
    if (env->element != INDEX_F32 && env->element != INDEX_U8)
        return fail(env->error, ERR_DIMENSION, "a graph: rows are f32 or u8, not %s",
                    index_element_name(env->element));
    struct graph *g = mem_zalloc(env->mem, sizeof *g);
    struct graph_scratch *scratch = graph_scratch_create(env->mem);
    if (!g || !scratch) {
        mem_free(env->mem, g);
        graph_scratch_destroy(scratch);
        return fail(env->error, ERR_NO_MEMORY, "a graph: out of memory");
    }
    g->env = *env;
    g->epoch = epoch;
    g->options = *options;
    g->options.build_ef = options->build_ef ? options->build_ef : 1;
    g->options.insert_ef = options->insert_ef ? options->insert_ef : 1;
    g->row_bytes = index_row_bytes(env->element, env->dim);
    g->scratch = scratch;
    for (size_t i = 0; i < GRAPH_LAYERS; i++)
        graph_layer_init(&g->layers[i], g, i == 0 ? degree : upper, i == 0);
    pthread_mutex_init(&g->lock, NULL);
    atomic_init(&g->tree, NULL);
    *out = g;
    return OK;
}

void graph_destroy(struct graph *g)
{
    if (!g)
        return;
    epoch_drain(g->epoch); /* it may hold numbers of this graph */
    struct mem *mem = g->env.mem;
    for (size_t i = 0; i < GRAPH_LAYERS; i++)
        graph_layer_free(&g->layers[i], mem);
    graph_tree_free(g);
    graph_scratch_destroy(g->scratch);
    pthread_mutex_destroy(&g->lock);
    mem_free(mem, g);
}

size_t graph_live(const struct graph *g)
{
    return layer_live(&g->layers[0]);
}

size_t graph_capacity(const struct graph *g)
{
    return layer_count(&g->layers[0]);
}

size_t graph_layers(const struct graph *g)
{
    size_t n = GRAPH_LAYERS;

    while (n > 0 && layer_live(&g->layers[n - 1]) == 0)
        n--;
    return n;
}

struct graph_layer graph_layer_of(const struct graph *g, size_t layer)
{
    const struct layer *l = &g->layers[layer];
    struct graph_layer out = { .live = layer_live(l), .degree = l->degree };

    for (uint32_t i = 0; i < layer_count(l); i++) {
        _Atomic(uint32_t) *links = layer_links(l, i);
        size_t n = 0;

        for (size_t j = 0; layer_is_live(l, i) && j < l->degree; j++)
            n += link_at(links, j) != GRAPH_NONE;
        out.links += n;
        out.most_links = n > out.most_links ? n : out.most_links;
    }
    return out;
}

bool graph_is_live(const struct graph *g, uint32_t node)
{
    return node < graph_capacity(g) && layer_is_live(&g->layers[0], node);
}

const void *graph_row(const struct graph *g, uint32_t node)
{
    return layer_row(&g->layers[0], node);
}

size_t graph_links(const struct graph *g, uint32_t node, uint32_t *out)
{
    const struct layer *l = &g->layers[0];
    const uint32_t next = link_at(layer_links(l, node), 0);
    const size_t n = graph_edges_get(l, node, out);

    if (next == GRAPH_NONE || next == node || !layer_is_live(l, next) ||
        graph_links_to(l, node, next))
        return n;
    out[n] = next;
    return n + 1;
}

uint32_t graph_entry(const struct graph *g)
{
    return layer_entry(&g->layers[0]);
}

float graph_distance(const struct graph *g, const void *a, const void *b)
{
    return g->options.inner_product ? -g->env.kernels->ip_f32(a, b, g->env.dim)
                                    : row_distance(g, a, b);
}

uint64_t graph_row_bytes(const struct graph *g)
{
    uint64_t rows;

    (void)graph_layer_bytes(&g->layers[0], &rows);
    return rows;
}

uint64_t graph_edge_bytes(const struct graph *g)
{
    uint64_t rows, sum = graph_layer_bytes(&g->layers[0], &rows);

    for (size_t i = 1; i < GRAPH_LAYERS; i++) {
        sum += graph_layer_bytes(&g->layers[i], &rows);
        sum += rows;
    }
    size_t tree;
    (void)graph_tree_bytes(g, &tree);
    return sum + tree + sizeof *g;
}
