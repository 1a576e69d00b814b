/* edges.c - selection of a number's edges; see internal.h. */
#include "algorithms/common/graph/internal.h"
#include "src/core/order.h"

#include <stdlib.h>

/* At most 1 / ZERO_SHARE of the edges may have distance 0. */
enum { ZERO_SHARE = 4 };

/* Factor on the graph's own RNG factor when the neighbours of a removed node are reconnected. With
   1, replacing all rows costs up to 2.6 points of recall more (docs/methods/hnsw.md); with 1.2 a
   removal takes 1.25 times as long. */
#define RECONNECT_FACTOR 1.1F

/* Relative neighbourhood rule (Toussaint 1980) with a factor, on squared distances as in SPTAG. */
static bool is_shadowed(const struct graph *g, const struct layer *l, uint64_t key,
                        const uint32_t *kept, size_t n, float factor)
{
    const void *row = layer_row(l, candidate_node(key));
    const float distance = candidate_distance(key);

    for (size_t i = 0; i < n; i++) {
        if (factor * row_distance(g, layer_row(l, kept[i]), row) < distance)
            return true;
    }
    return false;
}

/* The same rule on inner products, as in DiskANN's index in memory: a kept row shadows another whose
   product with it is more than alpha times that with the node. `factor` is alpha's square. A row equal
   to a kept one has no edge either. */
static bool is_shadowed_by_ip(const struct graph *g, const struct layer *l, uint64_t key,
                              const uint32_t *kept, size_t n, float factor)
{
    const void *row = layer_row(l, candidate_node(key));
    const float most = sqrtf(factor) * ip_of_distance(candidate_distance(key));

    for (size_t i = 0; i < n; i++) {
        const void *other = layer_row(l, kept[i]);

        if (g->env.kernels->ip_f32(other, row, g->env.dim) > most ||
            memcmp(other, row, g->row_bytes) == 0)
            return true;
    }
    return false;
}

static bool shadowed(const struct graph *g, const struct layer *l, uint64_t key,
                     const uint32_t *kept, size_t n, float factor)
{
    return g->options.inner_product ? is_shadowed_by_ip(g, l, key, kept, n, factor)
                                    : is_shadowed(g, l, key, kept, n, factor);
}

static bool holds(const uint32_t *list, size_t n, uint32_t i)
{
    for (size_t j = 0; j < n; j++) {
        if (list[j] == i)
            return true;
    }
    return false;
}

/* Selects further keys by the rule with this factor, after `taken` were selected. */
static size_t select_by(const struct graph *g, const struct layer *l, const uint64_t *keys,
                        size_t n, size_t capacity, float factor, size_t taken, uint32_t *out)
{
    const size_t before = taken;
    size_t zeros = 0;

    for (size_t i = 0; i < n && taken < capacity; i++) {
        const bool zero = candidate_distance(keys[i]) == 0;

        if (i + 2 < n)
            prefetch_row(g, l, candidate_node(keys[i + 2]));
        if (zero && (before > 0 || zeros >= l->degree / ZERO_SHARE))
            continue;
        if (holds(out, before, candidate_node(keys[i])) ||
            shadowed(g, l, keys[i], out, taken, factor))
            continue;
        zeros += zero;
        out[taken++] = candidate_node(keys[i]);
    }
    return taken;
}

size_t graph_edges_select(const struct graph *g, const struct layer *l, const uint64_t *keys,
                          size_t n, size_t capacity, uint32_t *out)
{
    const float factor = (float)g->options.rng_factor;

    if (g->options.kind != GRAPH_VAMANA)
        return select_by(g, l, keys, n, capacity, factor, 0, out);
    /* With alpha at once, near candidates can fill the list, and no long edge is left. */
    const size_t taken = select_by(g, l, keys, n, capacity, 1, 0, out);
    return factor > 1 ? select_by(g, l, keys, n, capacity, factor, taken, out) : taken;
}

void graph_edges_set(struct layer *l, uint32_t i, const uint32_t *to, size_t n)
{
    _Atomic(uint32_t) *links = layer_links(l, i);

    for (size_t j = 0; j < n; j++)
        link_set(links, j + 1, to[j]);
    for (size_t j = n + 1; j < l->degree; j++)
        link_set(links, j, GRAPH_NONE);
}

size_t graph_edges_get(const struct layer *l, uint32_t i, uint32_t *out)
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

void graph_keys_from(const struct graph *g, const struct layer *l, uint32_t i, const uint32_t *list,
                     size_t n, uint64_t *keys)
{
    for (size_t j = 0; j < n; j++)
        prefetch_row(g, l, list[j]);
    for (size_t j = 0; j < n; j++)
        keys[j] = candidate_of(row_distance(g, layer_row(l, i), layer_row(l, list[j])), list[j]);
    qsort(keys, n, sizeof *keys, order_u64);
}

void graph_edges_add(const struct graph *g, struct layer *l, uint32_t i, const uint32_t *more,
                     size_t n)
{
    uint32_t list[2 * GRAPH_DEGREE_MAX];
    uint64_t keys[2 * GRAPH_DEGREE_MAX];
    const size_t capacity = l->degree - 1;
    size_t held = graph_edges_get(l, i, list);

    for (size_t j = 0; j < n; j++) {
        if (more[j] == i || holds(list, held, more[j]))
            continue;
        list[held++] = more[j];
        if (held < 2 * l->degree && j + 1 < n)
            continue;
        if (held > capacity) {
            graph_keys_from(g, l, i, list, held, keys);
            held = graph_edges_select(g, l, keys, held, capacity, list);
        }
    }
    if (held > capacity) {
        graph_keys_from(g, l, i, list, held, keys);
        held = graph_edges_select(g, l, keys, held, capacity, list);
    }
    graph_edges_set(l, i, list, held);
}

/* The farthest of i's edges, or `other` if that is farther. */
static float farthest(const struct graph *g, const struct layer *l, uint32_t i,
                      const uint32_t *list, size_t n, uint32_t other)
{
    float most = row_distance(g, layer_row(l, i), layer_row(l, other));

    for (size_t j = 0; j < n; j++) {
        const float distance = row_distance(g, layer_row(l, i), layer_row(l, list[j]));

        most = distance > most ? distance : most;
    }
    return most;
}

/* The share of i's edges that led to removed numbers; some do. */
static double share_lost(const struct layer *l, uint32_t i, size_t held)
{
    size_t end = 1;

    while (end < l->degree && link_at(layer_links(l, i), end) != GRAPH_NONE)
        end++;
    return 1 - (double)held / (double)(end - 1);
}

/* Keeps i's other edges. The gap is filled with the nearest candidates that the RNG rule allows, none of
   them farther than all that i had: else long edges are handed on from one removal to the next, and in
   the end lead to the same few numbers. */
void graph_edges_reconnect(struct graph *g, struct layer *l, uint32_t i, uint32_t removed,
                           const uint32_t *candidates, size_t n)
{
    uint32_t list[GRAPH_DEGREE_MAX], offered[AROUND_MAX];
    uint64_t keys[AROUND_MAX];
    const size_t capacity = l->degree - 1;
    size_t held = graph_edges_get(l, i, list), more = 0;

    g->edges_lost += g->options.inner_product ? share_lost(l, i, held) : 0;
    for (size_t j = 0; j < n; j++) {
        if (candidates[j] != i && !holds(list, held, candidates[j]))
            offered[more++] = candidates[j];
    }
    graph_keys_from(g, l, i, offered, more, keys);
    /* By inner product a row's only edge may lead to a longer row: the next longest is then its nearest. */
    const float limit =
        g->options.inner_product ? INFINITY : farthest(g, l, i, list, held, removed);
    for (size_t j = 0; j < more && held < capacity && candidate_distance(keys[j]) <= limit; j++) {
        if (!shadowed(g, l, keys[j], list, held, RECONNECT_FACTOR * (float)g->options.rng_factor))
            list[held++] = candidate_node(keys[j]);
    }
    graph_edges_set(l, i, list, held);
}

bool graph_links_to(const struct layer *l, uint32_t i, uint32_t to)
{
    _Atomic(uint32_t) *links = layer_links(l, i);

    for (size_t j = 1; j < l->degree; j++) {
        if (link_at(links, j) == to)
            return true;
    }
    return false;
}
