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

/* The beam has space for one more than ef, so that the last one need not be tested for. */
static void offer(struct symqg_scratch *x, uint64_t key)
{
    const uint64_t *place = x->keys;

    for (size_t n = x->n; n > 0; n /= 2) { /* without branches, which would be mispredicted */
        const size_t half = n - n / 2;

        place += half & (0 - (size_t)(place[half - 1] < key));
    }
    const size_t low = (size_t)(place - x->keys);
    if (low == x->ef)
        return;
    x->n -= x->n == x->ef;
    memmove(x->keys + low + 1, x->keys + low, (x->n - low) * sizeof *x->keys);
    x->keys[low] = key;
    x->n++;
    x->cursor = low < x->cursor ? low : x->cursor;
}

/* The position of the nearest candidate that is not expanded; x->n: none. */
static size_t next_from(const struct symqg_scratch *x, size_t at)
{
    while (at < x->n && (x->keys[at] & 1))
        at++;
    return at;
}

static void expand(const struct symqg *s, struct symqg_scratch *x, const void *row, uint32_t v)
{
    _Alignas(64) float estimate[RABITQ_EDGES];
    const unsigned char *vertex = symqg_vertex(s, v);
    const uint32_t *links = symqg_links(s, v);
    const float distance = symqg_distance(s, row, vertex);

    x->expanded[x->n_expanded++] = symqg_key(distance, v);
    for (size_t b = 0; b < s->degree / RABITQ_EDGES; b++, links += RABITQ_EDGES) {
        const float limit = x->n == x->ef ? symqg_key_distance(x->keys[x->n - 1]) : INFINITY;
        uint32_t near =
            rabitq_edges_scan(s->quantizer, x->query, distance,
                              vertex + s->blocks_at + b * s->block_bytes, limit, estimate);

        for (; near; near &= near - 1) {
            const size_t i = (size_t)__builtin_ctz(near);
            const float e = estimate[i] > 0 ? estimate[i] : 0;

            if (!is_visited(x, links[i]))
                offer(x, symqg_key(e, links[i]));
        }
    }
}

static bool begin(const struct symqg *s, struct symqg_scratch *x, size_t ef)
{
    struct mem *mem = s->base.env.mem;

    x->n = x->cursor = x->n_expanded = 0;
    x->ef = ef;
    return mem_grow(mem, &x->keys, &x->keys_capacity, ef + 1, sizeof *x->keys);
}

static void forget_visited(struct symqg_scratch *x)
{
    for (size_t i = 0; i < x->n_expanded; i++)
        x->visited[symqg_key_vertex(x->expanded[i]) / 64] = 0;
}

int symqg_beam(const struct symqg *s, struct symqg_scratch *x, const void *row, size_t ef)
{
    struct mem *mem = s->base.env.mem;
    bool fits = begin(s, x, ef);

    if (fits) {
        symqg_rotate(s, x, row, x->rotated);
        rabitq_edges_query(s->quantizer, x->rotated, x->query);
        offer(x, symqg_key(0, s->entry));
    }
    while (fits && (x->cursor = next_from(x, x->cursor)) < x->n) {
        const uint32_t v = symqg_key_vertex(x->keys[x->cursor]);

        x->keys[x->cursor] |= 1;
        if (is_visited(x, v))
            continue;
        const size_t ahead = next_from(x, x->cursor + 1);
        if (ahead < x->n)
            prefetch_vertex(s, symqg_key_vertex(x->keys[ahead]));
        x->visited[v / 64] |= UINT64_C(1) << (v % 64);
        fits = mem_grow(mem, &x->expanded, &x->expanded_capacity, x->n_expanded + 1,
                        sizeof *x->expanded);
        if (fits)
            expand(s, x, row, v);
        else
            x->visited[v / 64] = 0;
    }
    forget_visited(x);
    return fits ? OK
                : fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu candidates",
                       ef);
}
