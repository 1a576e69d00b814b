/* split.c - dividing a full node of the M-tree.
 *
 * Promotion: two of the node's codes become routing objects, "random" or, "mM_RAD", the pair of a
 * sample that minimises the larger of the two covering radii (the paper's m_RAD policies try all
 * pairs or a sample of them). Partition: generalised hyperplane, each entry to the nearer of the
 * two. Entries equally near to both make the sizes even, and no half has less than an eighth, so
 * nodes of equal codes are divided too. */
#include <string.h>

#include "algorithms/hamming/mtree/mtree.h"
#include "kernels/kernels.h"

#define LEAST_SHARE 8 /* a half has at least 1 / LEAST_SHARE of the entries */

struct halves {
    size_t a, b; /* candidates promoted */
    size_t cut;  /* order[0 .. cut-1] go to a */
};

static void gather(struct mtree *t, const struct mtree_node *node, uint64_t code, uint32_t ref,
                   uint8_t radius)
{
    struct mtree_split *s = &t->split;
    const size_t n = node->n;
    memcpy(s->codes, node->codes, n * sizeof *s->codes);
    memcpy(s->refs, node->refs, n * sizeof *s->refs);
    if (node->level)
        memcpy(s->radius, node->radius, n);
    else
        memset(s->radius, 0, n);
    s->codes[n] = code;
    s->refs[n] = ref;
    s->radius[n] = radius;
    s->n = n + 1;
}

static const uint8_t *distances_of(const struct mtree_split *s, size_t candidate)
{
    return s->distances + candidate * s->stride;
}

/* The larger of the two covering radii if these two are promoted. */
static unsigned larger_radius(const struct mtree_split *s, size_t i, size_t j)
{
    const uint8_t *a = distances_of(s, i), *b = distances_of(s, j);
    uint8_t most = 0;
    for (size_t e = 0; e < s->n; e++) {
        const uint8_t near = a[e] < b[e] ? a[e] : b[e];
        const uint8_t reach = (uint8_t)(near + s->radius[e]);
        most = reach > most ? reach : most;
    }
    return most;
}

static struct halves promote(struct mtree *t)
{
    struct mtree_split *s = &t->split;
    uint64_t sample[MTREE_SAMPLE];
    size_t n = t->params.promotion == MTREE_RANDOM ? 2 : MTREE_SAMPLE;
    n = n < s->n ? n : s->n;
    rng_sample(&t->rng, s->n, n, sample);
    for (size_t i = 0; i < n; i++) {
        s->candidates[i] = (uint32_t)sample[i];
        t->base.env.kernels->hamming_b64_1n(s->codes[sample[i]], s->codes, s->n,
                                            s->distances + i * s->stride);
    }
    struct halves best = { 0, 1, 0 };
    unsigned least = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            const unsigned radius = larger_radius(s, i, j);
            if (radius >= least)
                continue;
            least = radius;
            best = (struct halves){ i, j, 0 };
        }
    }
    return best;
}

/* Orders entries by how much nearer they are to a than to b; a counting sort, so equals keep
   their order. */
static void partition(struct mtree_split *s, struct halves *h)
{
    const uint8_t *a = distances_of(s, h->a), *b = distances_of(s, h->b);
    uint32_t first[2 * CODE_BITS + 2] = { 0 };
    for (size_t e = 0; e < s->n; e++)
        first[CODE_BITS + a[e] - b[e] + 1]++;
    for (size_t d = 1; d < 2 * CODE_BITS + 2; d++)
        first[d] += first[d - 1];
    const size_t nearer = first[CODE_BITS], not_further = first[CODE_BITS + 1];
    for (size_t e = 0; e < s->n; e++)
        s->order[first[CODE_BITS + a[e] - b[e]]++] = (uint32_t)e;
    const size_t least = s->n / LEAST_SHARE > 0 ? s->n / LEAST_SHARE : 1;
    h->cut = s->n / 2;
    h->cut = h->cut < nearer ? nearer : h->cut > not_further ? not_further : h->cut;
    h->cut = h->cut < least ? least : h->cut > s->n - least ? s->n - least : h->cut;
}

/* Sorts positions first .. end-1 of `order` by distance to the promoted code. */
static void sort_by_distance(struct mtree_split *s, size_t first, size_t end, const uint8_t *by,
                             uint32_t *sorted)
{
    uint32_t start[CODE_BITS + 2] = { 0 };
    for (size_t i = first; i < end; i++)
        start[by[s->order[i]] + 1]++;
    for (size_t d = 1; d < CODE_BITS + 2; d++)
        start[d] += start[d - 1];
    for (size_t i = first; i < end; i++)
        sorted[start[by[s->order[i]]]++] = s->order[i];
}

/* Writes a half's entries into a node; returns its covering radius. */
static uint8_t fill(struct mtree *t, uint32_t number, size_t first, size_t end, size_t candidate)
{
    const struct mtree_split *s = &t->split;
    struct mtree_node *node = mtree_at(t, number);
    const uint8_t *by = distances_of(s, candidate);
    uint32_t sorted[MTREE_CAPACITY + 1];
    sort_by_distance(&t->split, first, end, by, sorted);
    node->n = (uint32_t)(end - first);
    node->sorted = node->level ? 0 : node->n;
    for (size_t i = 0; i < node->n; i++) {
        const uint32_t e = sorted[i];
        node->codes[i] = s->codes[e];
        node->refs[i] = s->refs[e];
        node->to_parent[i] = by[e];
        if (node->level) {
            node->radius[i] = s->radius[e];
            mtree_at(t, s->refs[e])->parent = number;
        } else {
            t->codes.place[s->refs[e]] = number;
        }
    }
    /* The radius of the rows themselves; max(to_parent + radius) would soon reach 64. */
    return (uint8_t)mtree_reach(t, number, s->codes[s->candidates[candidate]], 0);
}

static void entry_set(struct mtree_node *node, size_t at, uint64_t code, uint32_t ref,
                      uint8_t radius, uint8_t to_parent)
{
    node->codes[at] = code;
    node->refs[at] = ref;
    node->radius[at] = radius;
    node->to_parent[at] = to_parent;
}

static void new_root(struct mtree *t, uint32_t root, uint32_t a, uint32_t b)
{
    mtree_at(t, root)->parent = MTREE_NONE;
    mtree_at(t, root)->n = 2;
    mtree_at(t, a)->parent = mtree_at(t, b)->parent = root;
    t->root = root;
}

/* The distance between a code and the routing object of a node. */
static uint8_t to_routing(const struct mtree *t, uint32_t number, uint64_t code)
{
    const struct mtree_node *node = mtree_at(t, number);
    if (node->parent == MTREE_NONE)
        return 0;
    const struct mtree_node *above = mtree_at(t, node->parent);
    return (uint8_t)__builtin_popcountll(code ^ above->codes[mtree_find(above, number)]);
}

void mtree_divide(struct mtree *t, uint32_t number, uint64_t code, uint32_t ref, uint32_t spare)
{
    uint8_t radius = 0;
    for (;;) {
        struct mtree_node *node = mtree_at(t, number);
        const uint32_t other = spare, up = node->parent;
        spare = mtree_at(t, other)->parent;
        gather(t, node, code, ref, radius);
        struct halves h = promote(t);
        partition(&t->split, &h);
        const uint64_t code_a = t->split.codes[t->split.candidates[h.a]];
        const uint64_t code_b = t->split.codes[t->split.candidates[h.b]];
        const uint8_t radius_a = fill(t, number, 0, h.cut, h.a);
        const uint8_t radius_b = fill(t, other, h.cut, t->split.n, h.b);
        if (node->level == 0) { /* may fail; then they keep their capacity */
            (void)mtree_node_fit(t, number, mtree_leaf_capacity(t, h.cut));
            (void)mtree_node_fit(t, other, mtree_leaf_capacity(t, t->split.n - h.cut));
        }
        if (up == MTREE_NONE) {
            entry_set(mtree_at(t, spare), 0, code_a, number, radius_a, 0);
            entry_set(mtree_at(t, spare), 1, code_b, other, radius_b, 0);
            new_root(t, spare, number, other);
            return;
        }
        struct mtree_node *above = mtree_at(t, up);
        entry_set(above, mtree_find(above, number), code_a, number, radius_a,
                  to_routing(t, up, code_a));
        mtree_at(t, other)->parent = up;
        if (above->n < above->capacity) {
            entry_set(above, above->n++, code_b, other, radius_b, to_routing(t, up, code_b));
            return;
        }
        number = up;
        code = code_b;
        ref = other;
        radius = radius_b;
    }
}
