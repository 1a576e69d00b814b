/* edges.c - choosing the edges of a vertex, and coding them. */
#include <stdlib.h>

#include "algorithms/symqg/symqg.h"

/* At most 1 / ZERO_SHARE of the edges chosen by the rule have distance 0, so that equal rows are
   not linked to one another alone. */
enum { ZERO_SHARE = 4 };

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static size_t sort_and_unite(uint32_t v, uint64_t *keys, size_t n)
{
    size_t kept = 0;

    qsort(keys, n, sizeof *keys, by_key);
    for (size_t i = 0; i < n; i++) {
        if (symqg_key_vertex(keys[i]) != v && (kept == 0 || keys[i] != keys[kept - 1]))
            keys[kept++] = keys[i];
    }
    return kept;
}

/* The RNG rule: a candidate is left out if one that is kept is nearer to it than the vertex is. */
static bool is_shadowed(const struct symqg *s, uint64_t key, const uint64_t *kept, size_t n)
{
    const void *row = symqg_vertex(s, symqg_key_vertex(key));
    const float distance = symqg_key_distance(key);

    for (size_t i = 0; i < n; i++) {
        if (symqg_distance(s, symqg_vertex(s, symqg_key_vertex(kept[i])), row) < distance)
            return true;
    }
    return false;
}

size_t symqg_prune(const struct symqg *s, uint32_t v, uint64_t *keys, size_t *n)
{
    uint64_t kept[SYMQG_DEGREE_MAX], others[SYMQG_DEGREE_MAX];
    size_t n_kept = 0, n_others = 0, zeros = 0;

    *n = sort_and_unite(v, keys, *n);
    for (size_t i = 0; i < *n && n_kept < s->degree; i++) {
        const bool zero = symqg_key_distance(keys[i]) == 0;

        if ((zero && zeros >= s->degree / ZERO_SHARE) || is_shadowed(s, keys[i], kept, n_kept)) {
            if (n_others < s->degree)
                others[n_others++] = keys[i];
            continue;
        }
        zeros += zero;
        kept[n_kept++] = keys[i];
    }
    if (n_others > s->degree - n_kept)
        n_others = s->degree - n_kept;
    memcpy(keys, kept, n_kept * sizeof *keys);
    memcpy(keys + n_kept, others, n_others * sizeof *keys);
    *n = n_kept + n_others;
    return n_kept;
}

size_t symqg_edges(const struct symqg *s, uint32_t v)
{
    const uint32_t *links = symqg_links(s, v);
    size_t n = 0;

    while (n < s->degree && links[n] != SYMQG_NONE)
        n++;
    return n;
}

static void put_edge(struct symqg *s, struct symqg_scratch *x, uint32_t v, size_t i, uint32_t to)
{
    unsigned char *block = symqg_vertex(s, v) + s->blocks_at + i / RABITQ_EDGES * s->block_bytes;

    symqg_rotate(s, x, symqg_vertex(s, to), x->rotated);
    rabitq_edges_put(s->quantizer, x->rotated, x->centre, block, i % RABITQ_EDGES);
    symqg_links(s, v)[i] = to;
}

void symqg_set_edges(struct symqg *s, struct symqg_scratch *x, uint32_t v, const uint64_t *keys,
                     size_t n)
{
    unsigned char *vertex = symqg_vertex(s, v);

    for (size_t b = 0; b < s->degree / RABITQ_EDGES; b++)
        rabitq_edges_clear(s->quantizer, vertex + s->blocks_at + b * s->block_bytes);
    for (size_t i = n; i < s->degree; i++)
        symqg_links(s, v)[i] = SYMQG_NONE;
    symqg_rotate(s, x, vertex, x->centre);
    for (size_t i = 0; i < n; i++)
        put_edge(s, x, v, i, symqg_key_vertex(keys[i]));
}

void symqg_add_edge(struct symqg *s, struct symqg_scratch *x, uint32_t v, uint32_t to)
{
    const void *row = symqg_vertex(s, v);
    const uint32_t *links = symqg_links(s, v);
    uint64_t keys[SYMQG_DEGREE_MAX + 1];
    size_t n = symqg_edges(s, v);

    for (size_t i = 0; i < n; i++)
        keys[i] = symqg_key(symqg_distance(s, row, symqg_vertex(s, links[i])), links[i]);
    keys[n++] = symqg_key(symqg_distance(s, row, symqg_vertex(s, to)), to);
    (void)symqg_prune(s, v, keys, &n);
    symqg_set_edges(s, x, v, keys, n);
}
