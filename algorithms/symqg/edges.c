/* edges.c - choosing the edges of a vertex, and coding them. */
#include <stdlib.h>

#include "algorithms/symqg/symqg.h"
#include "src/core/order.h"

/* At most 1 / ZERO_SHARE of the edges chosen by the rule have distance 0, so that equal rows are
   not linked to one another alone. */
enum { ZERO_SHARE = 4 };

/* Few keys, as of a vertex that gets an edge, are inserted one after another: with qsort() alone
   tests/unit/symqg takes 6 % longer. */
void symqg_sort_keys(uint64_t *keys, size_t n)
{
    enum { FEW = 72 };

    if (n > FEW) {
        qsort(keys, n, sizeof *keys, order_u64);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        const uint64_t key = keys[i];
        size_t at = i;

        for (; at > 0 && keys[at - 1] > key; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

static size_t sort_and_unite(uint32_t v, uint64_t *keys, size_t n)
{
    size_t kept = 0;

    symqg_sort_keys(keys, n);
    for (size_t i = 0; i < n; i++) {
        if (candidate_node(keys[i]) != v && (kept == 0 || keys[i] != keys[kept - 1]))
            keys[kept++] = keys[i];
    }
    return kept;
}

/* The RNG rule: a candidate is left out if one that is kept is nearer to it than the vertex is, here
   by the factor alpha (Jayaram Subramanya et al. 2019). */
static bool is_shadowed(const struct symqg *s, uint64_t key, const uint64_t *kept, size_t n)
{
    const float alpha_sq = (float)(s->params.alpha * s->params.alpha);
    const void *row = symqg_vertex(s, candidate_node(key));
    const float distance = candidate_distance(key);

    for (size_t i = 0; i < n; i++) {
        if (alpha_sq * symqg_distance(s, symqg_vertex(s, candidate_node(kept[i])), row) < distance)
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
        const bool zero = candidate_distance(keys[i]) == 0;

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
    latch_take(&s->latches[v]);
    rabitq_edges_put(s->quantizer, x->rotated, x->centre, block_of(s, v, i), i % RABITQ_EDGES);
    symqg_links(s, v)[i] = to;
    latch_give(&s->latches[v]);
}

static void mark_rule(const struct symqg *s, uint32_t v, size_t i, bool chosen)
{
    uint32_t *word = symqg_rule(s, v) + i / RABITQ_EDGES;
    const uint32_t bit = UINT32_C(1) << i % RABITQ_EDGES;

    *word = chosen ? *word | bit : *word & ~bit;
}

static bool is_rule(const struct symqg *s, uint32_t v, size_t i)
{
    return symqg_rule(s, v)[i / RABITQ_EDGES] >> i % RABITQ_EDGES & 1;
}

static void drop_edge(struct symqg *s, uint32_t v, size_t i)
{
    latch_take(&s->latches[v]);
    rabitq_edges_drop(s->quantizer, block_of(s, v, i), i % RABITQ_EDGES);
    symqg_links(s, v)[i] = SYMQG_NONE;
    latch_give(&s->latches[v]);
    mark_rule(s, v, i, false);
}

enum { NO_KEY = UINT16_MAX };

/* Sets the key of each of the vertex's places, or NO_KEY, and the keys that have no place. Returns
   the number of those. */
static size_t find_places(const uint32_t *links, size_t had, const uint64_t *keys, size_t n,
                          uint16_t *key_of, uint16_t *missing)
{
    size_t n_missing = 0;

    for (size_t i = 0; i < SYMQG_DEGREE_MAX; i++)
        key_of[i] = NO_KEY;
    for (size_t j = 0; j < n; j++) {
        const uint32_t to = candidate_node(keys[j]);
        size_t at = 0;

        while (at < had && links[at] != to)
            at++;
        if (at < had)
            key_of[at] = (uint16_t)j;
        else
            missing[n_missing++] = (uint16_t)j;
    }
    return n_missing;
}

/* An edge that stays keeps its place, but for those that fill the gaps of a vertex with fewer edges
   than before. */
void symqg_set_edges(struct symqg *s, struct symqg_scratch *x, uint32_t v, const uint64_t *keys,
                     size_t n_rule, size_t n)
{
    uint16_t key_of[SYMQG_DEGREE_MAX], missing[SYMQG_DEGREE_MAX];
    size_t had = symqg_edges(s, v);
    size_t n_missing = find_places(symqg_links(s, v), had, keys, n, key_of, missing);

    if (n_missing > 0 || had != n)
        symqg_rotate(s, x, symqg_vertex(s, v), x->centre);
    for (size_t i = 0; i < n; i++) {
        if (key_of[i] == NO_KEY) {
            while (n_missing == 0 && key_of[--had] == NO_KEY)
                ;
            key_of[i] = n_missing > 0 ? missing[--n_missing] : key_of[had];
            put_edge(s, x, v, i, candidate_node(keys[key_of[i]]));
        }
        mark_rule(s, v, i, key_of[i] < n_rule);
    }
    for (size_t i = n; i < s->degree; i++)
        drop_edge(s, v, i);
}

void symqg_relink(struct symqg *s, struct symqg_scratch *x, uint32_t v, const uint32_t *others,
                  size_t n)
{
    const void *row = symqg_vertex(s, v);
    const uint32_t *links = symqg_links(s, v);
    const size_t had = symqg_edges(s, v);
    uint64_t keys[SYMQG_DEGREE_MAX + SYMQG_MORE];
    size_t n_keys = 0;

    for (size_t i = 0; i < had + n; i++) {
        const uint32_t to = i < had ? links[i] : others[i - had];

        if (symqg_is_live(s, to))
            keys[n_keys++] = candidate_of(symqg_distance(s, row, symqg_vertex(s, to)), to);
    }
    const size_t n_rule = symqg_prune(s, v, keys, &n_keys);
    symqg_set_edges(s, x, v, keys, n_rule, n_keys);
}

/* Whether the rule chooses the edge with this key beside those that it has chosen. */
static bool rule_chooses(const struct symqg *s, uint32_t v, uint64_t key, const uint64_t *keys,
                         size_t n)
{
    const bool zero = candidate_distance(key) == 0;
    size_t zeros = 0;

    for (size_t i = 0; i < n; i++) {
        if (!is_rule(s, v, i) || keys[i] > key || !symqg_is_live(s, candidate_node(keys[i])))
            continue;
        zeros += candidate_distance(keys[i]) == 0;
        if (is_shadowed(s, key, keys + i, 1))
            return false;
    }
    return !zero || zeros < s->degree / ZERO_SHARE;
}

/* The place that another edge may take: that of a removed vertex, of the farthest edge that the rule
   has not chosen, or of the farthest of all; s->degree if that edge stays. With `must` none stays. */
static size_t place_for(const struct symqg *s, uint32_t v, uint64_t key, bool chosen, bool must,
                        const uint64_t *keys, size_t n)
{
    size_t spare = s->degree, last = 0;

    if (n < s->degree)
        return n;
    for (size_t i = 0; i < n; i++) {
        if (!symqg_is_live(s, candidate_node(keys[i])))
            return i;
        if (!is_rule(s, v, i) && (spare == s->degree || keys[i] > keys[spare]))
            spare = i;
        last = keys[i] > keys[last] ? i : last;
    }
    if (spare < s->degree)
        return chosen || must || keys[spare] > key ? spare : s->degree;
    return must || (chosen && keys[last] > key) ? last : s->degree;
}

/* The edges of a vertex while others are added. */
struct held {
    uint64_t keys[SYMQG_DEGREE_MAX];
    size_t n;
    bool centred; /* x->centre is of this vertex */
};

/* Returns whether the vertex has the edge. */
static bool add_edge(struct symqg *s, struct symqg_scratch *x, uint32_t v, struct held *held,
                     uint32_t to, bool must)
{
    const void *row = symqg_vertex(s, v);
    const uint64_t key = candidate_of(symqg_distance(s, row, symqg_vertex(s, to)), to);
    const bool chosen = rule_chooses(s, v, key, held->keys, held->n);

    for (size_t i = 0; chosen && i < held->n; i++) {
        if (is_rule(s, v, i) && held->keys[i] > key && is_shadowed(s, held->keys[i], &key, 1))
            mark_rule(s, v, i, false);
    }
    const size_t at = place_for(s, v, key, chosen, must, held->keys, held->n);
    if (at == s->degree)
        return false;
    if (!held->centred)
        symqg_rotate(s, x, row, x->centre);
    put_edge(s, x, v, at, to);
    mark_rule(s, v, at, chosen || must);
    held->centred = true;
    held->keys[at] = key;
    held->n += at == held->n;
    return true;
}

size_t symqg_add_edges(struct symqg *s, struct symqg_scratch *x, uint32_t v, const uint32_t *others,
                       size_t n, bool must)
{
    const uint32_t *links = symqg_links(s, v);
    struct held held = { .n = symqg_edges(s, v) };
    size_t has = 0;

    for (size_t i = 0; i < held.n; i++)
        held.keys[i] = candidate_of(
            symqg_distance(s, symqg_vertex(s, v), symqg_vertex(s, links[i])), links[i]);
    for (size_t i = 0; i < n; i++)
        has += symqg_has_edge(s, v, others[i]) || add_edge(s, x, v, &held, others[i], must);
    return has;
}
