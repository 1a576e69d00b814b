/* beam.c - beam search: the candidates are one array, nearest first. The nearest unexpanded
 * candidate is expanded next, until the best `ef` are all expanded. For the beams in use, some
 * hundreds, a sorted array is faster than two heaps. */
#include "algorithms/common/graph/internal.h"

#include "src/core/mem.h"

struct graph_scratch *graph_scratch_create(struct mem *mem)
{
    struct graph_scratch *s = mem_zalloc(mem, sizeof *s);

    if (s)
        s->mem = mem;
    return s;
}

void graph_scratch_destroy(struct graph_scratch *s)
{
    if (!s)
        return;
    mem_free(s->mem, s->list.keys);
    mem_free(s->mem, s->seen);
    mem_free(s->mem, s->expanded);
    mem_free(s->mem, s->pool);
    mem_free(s->mem, s);
}

uint64_t graph_scratch_bytes(const struct graph_scratch *s)
{
    return sizeof *s + s->list.capacity * sizeof *s->list.keys + s->seen_capacity +
           (s->expanded_capacity + s->pool_capacity) * sizeof *s->list.keys;
}

bool graph_scratch_fit(struct graph_scratch *s, size_t n, size_t ef)
{
    if (!mem_grow(s->mem, &s->list.keys, &s->list.capacity, ef, sizeof *s->list.keys))
        return false;
    if (n <= s->seen_capacity)
        return true;
    const size_t capacity = n + n / 4 + 1024;
    uint8_t *seen = mem_zalloc(s->mem, capacity);
    if (!seen)
        return false;
    mem_free(s->mem, s->seen);
    s->seen = seen;
    s->seen_capacity = capacity;
    s->stamp = 0;
    return true;
}

void graph_beam_begin(struct graph_scratch *s, size_t ef)
{
    s->list.ef = ef;
    s->list.n = s->list.cursor = s->ties_max = s->n_expanded = 0;
    if (++s->stamp == 0) {
        memset(s->seen, 0, s->seen_capacity);
        s->stamp = 1;
    }
}

bool graph_beam_too_many_ties(const struct graph_scratch *s, uint64_t key, size_t at)
{
    size_t first = at, end = at;

    while (first > 0 && s->list.keys[first - 1] >> 33 == key >> 33 && end - first < s->ties_max)
        first--;
    while (end < s->list.n && s->list.keys[end] >> 33 == key >> 33 && end - first < s->ties_max)
        end++;
    return end - first >= s->ties_max;
}

/* Accepts removed nodes too: the search only begins here. */
void graph_beam_start_known(struct graph_scratch *s, uint32_t i, float distance)
{
    if (i >= s->seen_capacity || s->seen[i] == s->stamp)
        return;
    s->seen[i] = s->stamp;
    graph_beam_offer(s, i, distance);
}

void graph_beam_start(const struct graph *g, const struct layer *l, struct graph_scratch *s,
                      const void *query, uint32_t i)
{
    s->checked++;
    graph_beam_start_known(s, i, row_distance(g, query, layer_row(l, i)));
}

/* Collects the neighbours of i that were not seen before in s->fresh. Numbers added after the
   search began are beyond `seen` and are skipped. */
static size_t fresh_neighbours(const struct graph *g, const struct layer *l,
                               struct graph_scratch *s, uint32_t i)
{
    _Atomic(uint32_t) *links = layer_links(l, i);
    size_t n = 0;

    for (size_t j = 0; j < l->degree; j++) {
        const uint32_t to = link_at(links, j);

        if (to >= s->seen_capacity) {
            if (to == GRAPH_NONE && j > 0)
                break;
            continue;
        }
        if (s->seen[to] == s->stamp)
            continue;
        s->seen[to] = s->stamp;
        s->fresh[n++] = to;
        prefetch_row(g, l, to);
    }
    return n;
}

static void measure(const struct graph *g, const struct layer *l, struct graph_scratch *s,
                    const void *query, size_t n)
{
    const struct kernels *kernels = g->env.kernels;
    const size_t dim = g->env.dim;

    if (g->options.inner_product) {
        for (size_t i = 0; i < n; i++)
            s->distances[i] =
                distance_of_ip(kernels->ip_f32(query, layer_row(l, s->fresh[i]), dim));
    } else if (g->env.element == INDEX_U8) {
        for (size_t i = 0; i < n; i++)
            s->distances[i] = (float)kernels->l2sq_u8(query, layer_row(l, s->fresh[i]), dim);
    } else {
        for (size_t i = 0; i < n; i++)
            s->distances[i] = kernels->l2sq_f32(query, layer_row(l, s->fresh[i]), dim);
    }
}

static void expand(const struct graph *g, const struct layer *l, struct graph_scratch *s,
                   const void *query, uint32_t at)
{
    size_t n = fresh_neighbours(g, l, s, at);

    if (s->max_check && n > s->max_check - s->checked)
        n = s->max_check - s->checked;
    s->checked += n;
    measure(g, l, s, query, n);
    for (size_t i = 0; i < n; i++) {
        const uint64_t key = candidate_of(s->distances[i], s->fresh[i]);

        if (s->list.n == s->list.ef && key > s->list.keys[s->list.n - 1])
            continue;
        if (!layer_admits(l, s->fresh[i], s->since))
            continue;
        graph_beam_offer(s, s->fresh[i], s->distances[i]);
    }
}

void graph_beam_run(const struct graph *g, const struct layer *l, struct graph_scratch *s,
                    const void *query)
{
    while (s->list.cursor < s->list.n && !(s->max_check && s->checked >= s->max_check)) {
        const uint64_t key = s->list.keys[s->list.cursor];

        if (key & 1) {
            s->list.cursor++;
            continue;
        }
        s->list.keys[s->list.cursor++] = key | 1;
        if (s->n_expanded < s->expanded_capacity)
            s->expanded[s->n_expanded++] = key;
        if (s->list.cursor < s->list.n)
            __builtin_prefetch(
                (const void *)layer_links(l, candidate_node(s->list.keys[s->list.cursor])));
        expand(g, l, s, query, candidate_node(key));
    }
}

void graph_beam_keep_admitted(const struct layer *l, struct graph_scratch *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->list.n; i++) {
        if (layer_admits(l, candidate_node(s->list.keys[i]), s->since))
            s->list.keys[n++] = s->list.keys[i];
    }
    s->list.n = n;
}

size_t graph_beam_answer(const struct graph_scratch *s, size_t k, uint32_t *nodes, float *distances)
{
    k = k < s->list.n ? k : s->list.n;
    for (size_t i = 0; i < k; i++) {
        nodes[i] = candidate_node(s->list.keys[i]);
        distances[i] = candidate_distance(s->list.keys[i]);
    }
    return k;
}
