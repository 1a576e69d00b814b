/* graph.c - creating and destroying a graph, its nodes and its size; see graph.h. */
#include "algorithms/common/graph/internal.h"

#include "src/core/error.h"
#include "src/core/mem.h"

/* The numbers of a layer, their memory and the ring. */

static void layer_init(struct layer *l, struct graph *g, size_t degree, bool lowest)
{
    struct mem *mem = g->env.mem;

    l->degree = degree;
    segmented_init(&l->rows, mem, g->row_bytes);
    segmented_init(&l->links, mem, degree * sizeof(uint32_t));
    segmented_init(&l->states, mem, sizeof(uint8_t));
    segmented_init(&l->removed_at, mem, sizeof(uint32_t));
    segmented_init(&l->below, mem, lowest ? 0 : sizeof(uint32_t));
    atomic_init(&l->entry, GRAPH_NONE);
    atomic_init(&l->n, 0);
    atomic_init(&l->live, 0);
    l->removed = l->leaving = l->free = l->retired = GRAPH_NONE;
    l->cursor = 0;
    pthread_mutex_init(&l->free_lock, NULL);
    l->chain = NULL;
    l->chain_capacity = 0;
}

static void layer_free(struct layer *l, struct mem *mem)
{
    segmented_free(&l->rows);
    segmented_free(&l->links);
    segmented_free(&l->states);
    segmented_free(&l->removed_at);
    segmented_free(&l->below);
    mem_free(mem, l->chain);
    pthread_mutex_destroy(&l->free_lock);
}

bool graph_layer_grow(struct layer *l, struct mem *mem, size_t n)
{
    /* reclaim(), called by the epoch, writes to the chain. */
    pthread_mutex_lock(&l->free_lock);
    bool done = mem_grow(mem, &l->chain, &l->chain_capacity, n, sizeof *l->chain);
    pthread_mutex_unlock(&l->free_lock);
    done = done && segmented_grow(&l->rows, n) && segmented_grow(&l->links, n) &&
           segmented_grow(&l->states, n) && segmented_grow(&l->removed_at, n);
    return done && (l->below.element_bytes == 0 || segmented_grow(&l->below, n));
}

bool graph_layer_reserve(struct layer *l, struct mem *mem)
{
    pthread_mutex_lock(&l->free_lock);
    const bool free = l->free != GRAPH_NONE;
    pthread_mutex_unlock(&l->free_lock);
    return free || graph_layer_grow(l, mem, layer_count(l) + 1);
}

uint32_t graph_layer_take(struct layer *l, const struct graph *g, const void *row)
{
    pthread_mutex_lock(&l->free_lock);
    uint32_t i = l->free;
    if (i != GRAPH_NONE)
        l->free = l->chain[i];
    pthread_mutex_unlock(&l->free_lock);

    const bool fresh = i == GRAPH_NONE;
    if (fresh)
        i = (uint32_t)layer_count(l);
    memcpy(segmented_at(&l->rows, i), row, g->row_bytes);
    link_set(layer_links(l, i), 0, GRAPH_NONE);
    graph_edges_set(l, i, NULL, 0);
    if (fresh)
        atomic_store_explicit(&l->n, (size_t)i + 1, memory_order_release);
    return i;
}

/* Called when no reader holds the retired numbers any more. */
static void reclaim(void *layer, struct epoch_item *item)
{
    struct layer *l = layer;

    (void)item;
    pthread_mutex_lock(&l->free_lock);
    while (l->retired != GRAPH_NONE) {
        const uint32_t i = l->retired;

        l->retired = l->chain[i];
        layer_set_state(l, i, NODE_FREE);
        l->chain[i] = l->free;
        l->free = i;
    }
    pthread_mutex_unlock(&l->free_lock);
}

bool graph_layer_retire(struct layer *l, struct epoch *epoch, uint32_t list)
{
    pthread_mutex_lock(&l->free_lock);
    const bool idle = l->retired == GRAPH_NONE;
    for (uint32_t i = list; idle && i != GRAPH_NONE; i = l->chain[i])
        layer_set_state(l, i, NODE_RETIRED);
    if (idle)
        l->retired = list;
    pthread_mutex_unlock(&l->free_lock);
    if (idle)
        epoch_retire(epoch, &l->item, reclaim, l);
    return idle;
}

void graph_ring_join(struct layer *l, uint32_t i, uint32_t near)
{
    if (near == GRAPH_NONE) {
        l->chain[i] = i;
        link_set(layer_links(l, i), 0, GRAPH_NONE);
        return;
    }
    uint32_t next = link_at(layer_links(l, near), 0);
    next = next == GRAPH_NONE ? near : next;
    l->chain[i] = near;
    l->chain[next] = i;
    link_set(layer_links(l, i), 0, next);
    link_set(layer_links(l, near), 0, i);
}

/* i keeps its own link, for searches that are at i. */
static void ring_leave(struct layer *l, uint32_t i)
{
    const uint32_t before = l->chain[i], next = link_at(layer_links(l, i), 0);

    if (next == GRAPH_NONE)
        return;
    l->chain[next] = before;
    link_set(layer_links(l, before), 0, before == next ? GRAPH_NONE : next);
}

void graph_layer_bury(struct graph *g, struct layer *l, uint32_t i)
{
    const uint32_t next = link_at(layer_links(l, i), 0);

    atomic_store_explicit(layer_removed_at(l, i), graph_removals(g), memory_order_release);
    layer_set_state(l, i, NODE_REMOVED);
    atomic_fetch_sub(&l->live, 1);
    if (layer_entry(l) == i)
        atomic_store_explicit(&l->entry, next, memory_order_release);
    ring_leave(l, i);
    l->chain[i] = l->removed;
    l->removed = i;
}

static uint64_t layer_bytes(const struct layer *l, uint64_t *rows)
{
    *rows = segmented_bytes(&l->rows);
    return segmented_bytes(&l->links) + segmented_bytes(&l->states) +
           segmented_bytes(&l->removed_at) + segmented_bytes(&l->below) +
           l->chain_capacity * sizeof *l->chain;
}

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
        layer_init(&g->layers[i], g, i == 0 ? degree : upper, i == 0);
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
        layer_free(&g->layers[i], mem);
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

    (void)layer_bytes(&g->layers[0], &rows);
    return rows;
}

uint64_t graph_edge_bytes(const struct graph *g)
{
    uint64_t rows, sum = layer_bytes(&g->layers[0], &rows);

    for (size_t i = 1; i < GRAPH_LAYERS; i++) {
        sum += layer_bytes(&g->layers[i], &rows);
        sum += rows;
    }
    size_t tree;
    (void)graph_tree_bytes(g, &tree);
    return sum + tree + sizeof *g;
}
