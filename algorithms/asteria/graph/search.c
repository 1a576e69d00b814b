/* search.c - beam search in the graph. */
#include "algorithms/asteria/graph/internal.h"

#include "src/core/order.h"

void asteria_caprg_scratch_free(struct asteria_caprg_scratch *s, struct mem *mem)
{
    mem_free(mem, s->marks);
    mem_free(mem, s->list.keys);
}

int asteria_caprg_begin(const struct asteria_caprg *g, struct asteria_caprg_scratch *s, size_t beam)
{
    const size_t known = s->marks_capacity;
    const bool grown =
        mem_grow(g->env.mem, &s->marks, &s->marks_capacity, g->n_slots, sizeof *s->marks);

    if (s->marks_capacity > known)
        memset(s->marks + known, 0, s->marks_capacity - known);
    s->met = (uint8_t)(s->met + 2);
    if (s->met == 0) { /* marks of 127 searches ago would be valid again */
        if (s->marks_capacity > 0)
            memset(s->marks, 0, s->marks_capacity);
        s->met = 2;
    }
    if (grown && candidate_list_begin(&s->list, g->env.mem, beam))
        return OK;
    return fail(g->env.error, ERR_NO_MEMORY,
                "asteria: graph: a beam of %zu over %zu slots: out of memory", beam, g->n_slots);
}

static void offer(struct candidate_list *l, float score, uint32_t slot)
{
    const uint64_t key = order_key_f32(score, slot << 1);

    if (!(score < INFINITY))
        return;
    const size_t at = candidate_list_place(l, key);
    if (at < l->ef && !(at < l->n && (l->keys[at] | 1) == (key | 1)))
        candidate_list_put(l, at, key);
}

static uint32_t next_of(struct candidate_list *l)
{
    l->cursor = candidate_list_next(l, l->cursor);
    if (l->cursor == l->n)
        return CAPRG_NONE;
    l->keys[l->cursor] |= 1;
    return (uint32_t)l->keys[l->cursor++] >> 1;
}

/* Prefetches the edges of the node expanded next, unless a nearer one is met now. Always inlined:
   gcc deletes the call of a function that only prefetches, as one without effects. */
static inline __attribute__((always_inline)) void prefetch_next(const struct asteria_caprg *g,
                                                                const struct candidate_list *l)
{
    if (l->cursor < l->n) {
        const char *links = (const char *)caprg_links(g, (uint32_t)l->keys[l->cursor] >> 1);

        for (size_t at = 0; at < g->degree * sizeof(uint32_t); at += 64)
            __builtin_prefetch(links + at);
    }
}

static void expand(const struct asteria_caprg *g, struct asteria_caprg_scratch *s, uint32_t x,
                   struct asteria_caprg_beam *walk)
{
    const uint32_t *links = caprg_links(g, x);
    size_t n = 0;

    for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++) {
        s->fresh[n] = links[i];
        n += s->marks[links[i]] != s->met;
    }
    walk->hops++;
    prefetch_next(g, &s->list);
    if (n == 0)
        return;
    walk->score(walk->to, s->fresh, n, s->scores);
    walk->scored += n;
    for (size_t i = 0; i < n; i++) {
        s->marks[s->fresh[i]] = s->met;
        offer(&s->list, s->scores[i], s->fresh[i]);
    }
}

void asteria_caprg_search(const struct asteria_caprg *g, struct asteria_caprg_scratch *s,
                          const uint32_t *seeds, const float *scores, size_t n,
                          struct asteria_caprg_beam *walk)
{
    struct candidate_list *l = &s->list;

    for (size_t i = 0; i < n; i++) {
        s->marks[seeds[i]] = s->met;
        offer(l, scores[i], seeds[i]);
    }
    for (uint32_t x = next_of(l); x != CAPRG_NONE; x = next_of(l))
        expand(g, s, x, walk);
}
