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

/* The RNG rule: a candidate is left out if one that is kept is nearer to it than the vertex is, here
   by the factor alpha (Jayaram Subramanya et al. 2019). */
static bool is_shadowed(const struct symqg *s, uint64_t key, const uint64_t *kept, size_t n)
{
    const float alpha_sq = (float)(s->params.alpha * s->params.alpha);
    const void *row = symqg_vertex(s, symqg_key_vertex(key));
    const float distance = symqg_key_distance(key);

    for (size_t i = 0; i < n; i++) {
        if (alpha_sq * symqg_distance(s, symqg_vertex(s, symqg_key_vertex(kept[i])), row) <
            distance)
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

bool symqg_has_edge(const struct symqg *s, uint32_t v, uint32_t to)
{
    const uint32_t *links = symqg_links(s, v);
    bool has = false;

    for (size_t i = 0; i < s->degree; i++)
        has |= links[i] == to;
    return has;
}

static unsigned char *block_of(const struct symqg *s, uint32_t v, size_t i)
{
    return symqg_vertex(s, v) + s->blocks_at + i / RABITQ_EDGES * s->block_bytes;
}

static void put_edge(struct symqg *s, struct symqg_scratch *x, uint32_t v, size_t i, uint32_t to)
{
    symqg_rotate(s, x, symqg_vertex(s, to), x->rotated);
    rabitq_edges_put(s->quantizer, x->rotated, x->centre, block_of(s, v, i), i % RABITQ_EDGES);
    symqg_links(s, v)[i] = to;
}

static void drop_edge(struct symqg *s, uint32_t v, size_t i)
{
    rabitq_edges_drop(s->quantizer, block_of(s, v, i), i % RABITQ_EDGES);
    symqg_links(s, v)[i] = SYMQG_NONE;
}

/* Writes the links of the vertex that are not among the keys as SYMQG_NONE, and to `missing` the
   keys' vertices that are not among its links. Returns the number of those. */
static size_t compare_edges(uint32_t *links, size_t degree, const uint64_t *keys, size_t n,
                            uint32_t *missing)
{
    size_t n_missing = 0;
    bool stays[SYMQG_DEGREE_MAX] = { false };

    for (size_t i = 0; i < n; i++) {
        const uint32_t to = symqg_key_vertex(keys[i]);
        size_t at = 0;

        while (at < degree && links[at] != to)
            at++;
        if (at < degree)
            stays[at] = true;
        else
            missing[n_missing++] = to;
    }
    for (size_t i = 0; i < degree; i++) {
        if (!stays[i])
            links[i] = SYMQG_NONE;
    }
    return n_missing;
}

/* An edge that stays keeps its place, but for those that fill the gaps of a vertex with fewer edges
   than before. */
void symqg_set_edges(struct symqg *s, struct symqg_scratch *x, uint32_t v, const uint64_t *keys,
                     size_t n)
{
    uint32_t *links = symqg_links(s, v), missing[SYMQG_DEGREE_MAX];
    size_t had = symqg_edges(s, v);
    size_t n_missing = compare_edges(links, had, keys, n, missing);

    if (n_missing == 0 && had == n)
        return;
    symqg_rotate(s, x, symqg_vertex(s, v), x->centre);
    for (size_t i = 0; i < n; i++) {
        if (links[i] != SYMQG_NONE)
            continue;
        while (n_missing == 0 && links[--had] == SYMQG_NONE)
            ;
        if (n_missing > 0) {
            put_edge(s, x, v, i, missing[--n_missing]);
        } else {
            put_edge(s, x, v, i, links[had]);
            links[had] = SYMQG_NONE;
        }
    }
    for (size_t i = n; i < s->degree; i++)
        drop_edge(s, v, i);
}

bool symqg_relink(struct symqg *s, struct symqg_scratch *x, uint32_t v, const uint32_t *others,
                  size_t n)
{
    const void *row = symqg_vertex(s, v);
    const uint32_t *links = symqg_links(s, v);
    const size_t had = symqg_edges(s, v);
    uint64_t keys[SYMQG_DEGREE_MAX + SYMQG_MORE];
    size_t n_keys = 0;
    bool has = false;

    for (size_t i = 0; i < had + n; i++) {
        const uint32_t to = i < had ? links[i] : others[i - had];

        if (symqg_is_live(s, to))
            keys[n_keys++] = symqg_key(symqg_distance(s, row, symqg_vertex(s, to)), to);
    }
    (void)symqg_prune(s, v, keys, &n_keys);
    for (size_t i = 0; i < n_keys; i++)
        has |= n > 0 && symqg_key_vertex(keys[i]) == others[0];
    symqg_set_edges(s, x, v, keys, n_keys);
    return has;
}

void symqg_force_edge(struct symqg *s, struct symqg_scratch *x, uint32_t v, uint32_t to)
{
    const void *row = symqg_vertex(s, v);
    const uint32_t *links = symqg_links(s, v);
    const size_t n = symqg_edges(s, v);
    uint64_t farthest = 0;
    size_t at = n;

    for (size_t i = 0; n == s->degree && i < n; i++) {
        const uint64_t key = symqg_key(symqg_distance(s, row, symqg_vertex(s, links[i])), links[i]);

        at = key > farthest ? i : at;
        farthest = key > farthest ? key : farthest;
    }
    symqg_rotate(s, x, row, x->centre);
    put_edge(s, x, v, at, to);
}
