/* graph_edges.c - which edges a number has; see graph_layer.h. */
#include "algorithms/common/graph_layer.h"

#include <stdlib.h>

/* Of a list's length, the share that may be at distance 0. */
enum { ZERO_SHARE = 4 };

/* Of the RNG rule where a removed node leaves a gap, times the graph's own: with 1, rows that are
   replaced or removed cost a point of recall and more (docs/methods/hnsw.md), with 1.2 a removal takes
   twice as long. */
#define RECONNECT_FACTOR 1.1F

/* Relative neighbourhood rule (Toussaint 1980) with a factor, on squared distances as SPTAG has it. */
static bool is_shadowed(const struct graph *g, const struct layer *l, uint64_t key,
                        const uint32_t *kept, size_t n, float factor)
{
    const void *row = layer_row(l, key_node(key));
    const float distance = key_distance(key);

    for (size_t i = 0; i < n; i++) {
        if (factor * row_distance(g, layer_row(l, kept[i]), row) < distance)
            return true;
    }
    return false;
}

size_t edges_select(const struct graph *g, const struct layer *l, const uint64_t *keys, size_t n,
                    size_t room, uint32_t *out)
{
    size_t taken = 0, zeros = 0;

    for (size_t i = 0; i < n && taken < room; i++) {
        const bool zero = key_distance(keys[i]) == 0;

        if (i + 2 < n)
            prefetch_row(g, l, key_node(keys[i + 2]));
        if (zero && zeros >= l->degree / ZERO_SHARE)
            continue;
        if (is_shadowed(g, l, keys[i], out, taken, (float)g->options.rng_factor))
            continue;
        zeros += zero;
        out[taken++] = key_node(keys[i]);
    }
    return taken;
}

void edges_set(struct layer *l, uint32_t i, const uint32_t *to, size_t n)
{
    _Atomic(uint32_t) *links = layer_links(l, i);

    for (size_t j = 0; j < n; j++)
        link_set(links, j + 1, to[j]);
    for (size_t j = n + 1; j < l->degree; j++)
        link_set(links, j, GRAPH_NONE);
}

size_t edges_get(const struct layer *l, uint32_t i, uint32_t *out)
{
    _Atomic(uint32_t) *links = layer_links(l, i);
    size_t n = 0;

    for (size_t j = 1; j < l->degree; j++) {
        const uint32_t to = link_at(links, j);

        if (to == GRAPH_NONE)
            break;
        if (layer_is_live(l, to))
            out[n++] = to;
    }
    return n;
}

static bool holds(const uint32_t *list, size_t n, uint32_t i)
{
    for (size_t j = 0; j < n; j++) {
        if (list[j] == i)
            return true;
    }
    return false;
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Keys of the distances from i, ascending. */
static void keys_from(const struct graph *g, const struct layer *l, uint32_t i,
                      const uint32_t *list, size_t n, uint64_t *keys)
{
    for (size_t j = 0; j < n; j++)
        prefetch_row(g, l, list[j]);
    for (size_t j = 0; j < n; j++)
        keys[j] = key_of(row_distance(g, layer_row(l, i), layer_row(l, list[j])), list[j]);
    qsort(keys, n, sizeof *keys, by_key);
}

void edges_add(const struct graph *g, struct layer *l, uint32_t i, const uint32_t *more, size_t n)
{
    uint32_t list[2 * GRAPH_DEGREE_MAX];
    uint64_t keys[2 * GRAPH_DEGREE_MAX];
    const size_t room = l->degree - 1;
    size_t held = edges_get(l, i, list);

    for (size_t j = 0; j < n; j++) {
        if (more[j] == i || holds(list, held, more[j]))
            continue;
        list[held++] = more[j];
        if (held < 2 * l->degree && j + 1 < n)
            continue;
        if (held > room) {
            keys_from(g, l, i, list, held, keys);
            held = edges_select(g, l, keys, held, room, list);
        }
    }
    if (held > room) {
        keys_from(g, l, i, list, held, keys);
        held = edges_select(g, l, keys, held, room, list);
    }
    edges_set(l, i, list, held);
}

/* What i has stays; the gap is filled by the nearest that nothing i has is nearer to than i is. */
void edges_reconnect(const struct graph *g, struct layer *l, uint32_t i, uint32_t removed)
{
    uint32_t list[GRAPH_DEGREE_MAX], offered[GRAPH_DEGREE_MAX];
    uint64_t keys[GRAPH_DEGREE_MAX];
    const size_t room = l->degree - 1;
    size_t held = edges_get(l, i, list), n = 0;
    const size_t found = edges_get(l, removed, offered);

    for (size_t j = 0; j < found; j++) {
        if (offered[j] != i && !holds(list, held, offered[j]))
            offered[n++] = offered[j];
    }
    keys_from(g, l, i, offered, n, keys);
    for (size_t j = 0; j < n && held < room; j++) {
        if (!is_shadowed(g, l, keys[j], list, held,
                         RECONNECT_FACTOR * (float)g->options.rng_factor))
            list[held++] = key_node(keys[j]);
    }
    edges_set(l, i, list, held);
}

bool links_to(const struct layer *l, uint32_t i, uint32_t to)
{
    _Atomic(uint32_t) *links = layer_links(l, i);

    for (size_t j = 1; j < l->degree; j++) {
        if (link_at(links, j) == to)
            return true;
    }
    return false;
}
