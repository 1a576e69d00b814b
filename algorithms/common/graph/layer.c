/* layer.c - the numbers of a layer, their memory and the ring; see internal.h. */
#include "algorithms/common/graph/internal.h"

#include "src/core/mem.h"

void graph_layer_init(struct layer *l, struct graph *g, size_t degree, bool lowest)
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

void graph_layer_free(struct layer *l, struct mem *mem)
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

uint64_t graph_layer_bytes(const struct layer *l, uint64_t *rows)
{
    *rows = segmented_bytes(&l->rows);
    return segmented_bytes(&l->links) + segmented_bytes(&l->states) +
           segmented_bytes(&l->removed_at) + segmented_bytes(&l->below) +
           l->chain_capacity * sizeof *l->chain;
}
