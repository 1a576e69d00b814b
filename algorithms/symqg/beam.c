/* beam.c - the search of the graph: the exact distance of a row is computed when its vertex is
 * expanded, so that no rerank follows.
 *
 * The beam holds estimates. A vertex that several expanded ones lead to has several estimates, and
 * may be in the beam several times: a poor estimate is made up for by a better one. It is expanded
 * once. */
#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"
#include "src/core/mem.h"

static bool is_visited(const struct symqg_scratch *x, uint32_t v)
{
    return x->visited[v / 64] >> (v % 64) & 1;
}

static inline void prefetch_vertex(const struct symqg *s, uint32_t v)
{
    const unsigned char *at = symqg_vertex(s, v);
    const size_t bytes = s->stride < 4096 ? s->stride : 4096;

    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(at + i);
}

/* Under the vertex's latch. */
static void expand(const struct symqg *s, struct symqg_scratch *x, const void *row, uint32_t v)
{
    _Alignas(64) float estimate[RABITQ_EDGES];
    struct candidate_list *l = &x->list;
    const unsigned char *vertex = symqg_vertex(s, v);
    const uint32_t *links = symqg_links(s, v);
    const float distance = symqg_distance(s, row, vertex);

    x->expanded[x->n_expanded++] = candidate_of(symqg_is_live(s, v) ? distance : INFINITY, v);
    for (size_t b = 0; b < s->degree / RABITQ_EDGES; b++, links += RABITQ_EDGES) {
        const float limit = l->n == l->ef ? candidate_distance(l->keys[l->n - 1]) : INFINITY;
        uint32_t near =
            rabitq_edges_scan(s->quantizer, x->query, distance,
                              vertex + s->blocks_at + b * s->block_bytes, limit, estimate);

        for (; near; near &= near - 1) {
            const size_t i = (size_t)__builtin_ctz(near);
            const float e = estimate[i] > 0 ? estimate[i] : 0;

            if (!is_visited(x, links[i]))
                candidate_list_offer(l, candidate_of(e, links[i]));
        }
    }
}

int symqg_beam(const struct symqg *s, struct symqg_scratch *x, const void *row, size_t ef)
{
    struct mem *mem = s->base.env.mem;
    struct candidate_list *l = &x->list;
    bool fits = candidate_list_begin(l, mem, ef);

    x->n_expanded = 0;
    if (fits) {
        symqg_rotate(s, x, row, x->rotated);
        rabitq_edges_query(s->quantizer, x->rotated, x->query);
        candidate_list_offer(l, candidate_of(0, s->entry));
    }
    while (fits && (l->cursor = candidate_list_next(l, l->cursor)) < l->n) {
        const uint32_t v = candidate_node(l->keys[l->cursor]);

        l->keys[l->cursor] |= 1;
        if (is_visited(x, v))
            continue;
        const size_t ahead = candidate_list_next(l, l->cursor + 1);
        if (ahead < l->n)
            prefetch_vertex(s, candidate_node(l->keys[ahead]));
        x->visited[v / 64] |= UINT64_C(1) << (v % 64);
        fits = mem_grow(mem, &x->expanded, &x->expanded_capacity, x->n_expanded + 1,
                        sizeof *x->expanded);
        if (fits) {
            latch_take_shared(&s->latches[v]);
            expand(s, x, row, v);
            latch_give_shared(&s->latches[v]);
        } else {
            x->visited[v / 64] = 0;
        }
    }
    for (size_t i = 0; i < x->n_expanded; i++)
        x->visited[candidate_node(x->expanded[i]) / 64] = 0;
    return fits ? OK
                : fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu candidates",
                       ef);
}
