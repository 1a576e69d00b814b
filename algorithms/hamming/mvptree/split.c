/* split.c - a leaf over its limit becomes an inner node with leaves (Bozkaya and Ozsoyoglu's
 * construction, section 4.2, on the leaf's rows).
 *
 * The first vantage point is a random row, each next one the row farthest from those before it.
 * Cuts are the quantiles of the distances; they are integers, so equal distances stay together and
 * parts may be uneven. If a division would put seven eighths of the rows into one child, the leaf
 * stays and is tried again at twice the number of rows, unless these are all equal: equal codes
 * form a leaf of any size. insert.c rebuilds subtrees that insertions unbalance later. */
#include <string.h>

#include "algorithms/hamming/mvptree/mvptree.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

#define BINS  (CODE_BITS + 1)
#define TRIES 3 /* choices of a first vantage point before a leaf stays undivided */

struct mvptree_division {
    size_t n;
    size_t points[MVP_POINTS]; /* positions of the vantage points in the leaf */
    uint8_t *distances;        /* [point][row] */
    uint8_t *child;            /* of each row */
    uint8_t cuts[MVP_FAN_OUT];
    uint32_t counts[MVP_FAN_OUT]; /* rows of each child, without vantage points */
};

/* ------------------------------------------------------------------------ vantage points */

static bool is_point(const struct mvptree_division *d, size_t points, size_t row)
{
    bool is = false;
    for (size_t i = 0; i < points; i++)
        is |= d->points[i] == row;
    return is;
}

/* Sets points and distances; false: all codes are equal. */
static bool choose_points(struct mvptree *t, const struct mvptree_leaf *leaf,
                          struct mvptree_division *d)
{
    uint8_t *nearest = d->child; /* distance to the nearest point so far; d->child is not in
                                    use yet */
    size_t next = (size_t)rng_below(&t->rng, d->n);
    memset(nearest, UINT8_MAX, d->n);
    for (size_t i = 0; i < t->v; i++) {
        uint8_t *distances = d->distances + i * d->n;
        int furthest = -1;
        d->points[i] = next;
        t->base.env.kernels->hamming_b64_1n(leaf->codes[next], leaf->codes, d->n, distances);
        for (size_t e = 0; e < d->n; e++)
            nearest[e] = distances[e] < nearest[e] ? distances[e] : nearest[e];
        for (size_t e = 0; e < d->n; e++) {
            if (nearest[e] <= furthest || is_point(d, i + 1, e))
                continue;
            furthest = nearest[e];
            next = e;
        }
        if (i == 0 && furthest == 0)
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------------------------- cuts */

/* m - 1 quantiles: cut j is the least distance that j / m of the rows do not exceed. */
static void quantiles(const uint32_t counts[BINS], size_t m, uint8_t *cuts)
{
    size_t total = 0, below = 0;
    unsigned distance = 0;
    for (size_t b = 0; b < BINS; b++)
        total += counts[b];
    for (size_t j = 1; j < m; j++) {
        while (distance < CODE_BITS && (below + counts[distance]) * m < j * total)
            below += counts[distance++];
        cuts[j - 1] = (uint8_t)distance;
    }
}

/* Divides every part by the distances to vantage point i. */
static void cut_parts(const struct mvptree *t, struct mvptree_division *d, size_t i, size_t parts,
                      uint8_t *cuts)
{
    uint32_t counts[MVP_FAN_OUT / 2][BINS], all[BINS] = { 0 };
    const uint8_t *distances = d->distances + i * d->n;
    memset(counts, 0, parts * sizeof *counts);
    for (size_t e = 0; e < d->n; e++) {
        counts[d->child[e]][distances[e]]++;
        all[distances[e]]++;
    }
    for (size_t p = 0; p < parts; p++) {
        bool any = false;
        for (size_t b = 0; b < BINS; b++)
            any |= counts[p][b] > 0;
        quantiles(any ? counts[p] : all, t->m, cuts + p * (t->m - 1));
    }
    for (size_t e = 0; e < d->n; e++) {
        const uint8_t *own = cuts + d->child[e] * (t->m - 1);
        size_t branch = 0;
        for (size_t j = 0; j < t->m - 1; j++)
            branch += distances[e] > own[j];
        d->child[e] = (uint8_t)(d->child[e] * t->m + branch);
    }
}

static void cut(const struct mvptree *t, struct mvptree_division *d)
{
    uint8_t *cuts = d->cuts;
    memset(d->child, 0, d->n);
    for (size_t i = 0, parts = 1; i < t->v; i++, parts *= t->m) {
        cut_parts(t, d, i, parts, cuts);
        cuts += parts * (t->m - 1);
    }
    memset(d->counts, 0, sizeof d->counts);
    for (size_t e = 0; e < d->n; e++)
        d->counts[d->child[e]]++;
    for (size_t i = 0; i < t->v; i++)
        d->counts[d->child[d->points[i]]]--;
}

/* Whether the largest child leaves enough rows to the others, or never needs to be
   divided itself. */
static bool worth_it(const struct mvptree *t, const struct mvptree_leaf *leaf,
                     const struct mvptree_division *d)
{
    size_t largest = 0, first = SIZE_MAX;
    for (size_t c = 1; c < t->fan_out; c++)
        largest = d->counts[c] > d->counts[largest] ? c : largest;
    const size_t n = d->n - t->v;
    if (d->counts[largest] <= n - n / 8)
        return true;
    for (size_t e = 0; e < d->n; e++) {
        if (d->child[e] != largest || is_point(d, t->v, e))
            continue;
        first = first == SIZE_MAX ? e : first;
        if (leaf->codes[e] != leaf->codes[first])
            return false;
    }
    return true;
}

/* -------------------------------------------------------------------------------- nodes */

/* Makes the inner node with its empty leaves; NULL: out of memory. */
static struct mvptree_inner *make_nodes(struct mvptree *t, const struct mvptree_leaf *leaf,
                                        const struct mvptree_division *d)
{
    struct mvptree_inner *inner = mvptree_inner_new(t);
    if (!inner)
        return NULL;
    inner->head.parent = leaf->head.parent;
    inner->depth = leaf->head.parent ? leaf->head.parent->depth + 1 : 0;
    for (size_t c = 0; c < t->fan_out; c++) {
        if (d->counts[c] == 0)
            continue;
        struct mvptree_leaf *child =
            mvptree_leaf_new(t, mvptree_path_below(t, inner), mvptree_leaf_capacity(d->counts[c]));
        if (!child) {
            mvptree_free_below(t, &inner->head);
            return NULL;
        }
        mvptree_link(t, inner, (uint32_t)c, &child->head);
    }
    return inner;
}

static void move_rows(struct mvptree *t, const struct mvptree_leaf *leaf,
                      const struct mvptree_division *d, struct mvptree_inner *inner)
{
    uint8_t path[TREE_PATH + MVP_POINTS];
    for (size_t e = 0; e < d->n; e++) {
        if (is_point(d, t->v, e))
            continue;
        const size_t c = d->child[e];
        for (size_t j = 0; j < leaf->n_path; j++)
            path[j] = leaf->path[j * leaf->capacity + e];
        for (size_t i = 0; i < t->v; i++)
            path[leaf->n_path + i] = d->distances[i * d->n + e];
        mvptree_widen(t, inner, c, path + leaf->n_path);
        mvptree_leaf_append(t, (struct mvptree_leaf *)inner->children[c], leaf->codes[e],
                            leaf->rows[e], path);
    }
    for (size_t i = 0; i < t->v; i++) {
        inner->codes[i] = leaf->codes[d->points[i]];
        inner->rows[i] = leaf->rows[d->points[i]];
    }
    memcpy(inner->cuts, d->cuts, t->fan_out - 1);
    inner->live = inner->weighed = d->n;
}

/* NULL: it stays a leaf, because memory is short or distances differ too little. */
static struct mvptree_inner *divide(struct mvptree *t, struct mvptree_leaf *leaf)
{
    struct mem *mem = t->base.env.mem;
    struct mvptree_division d = { .n = leaf->n };
    struct mvptree_inner *inner = NULL;
    d.distances = mem_array(mem, d.n, t->v + 1);
    if (!d.distances)
        return NULL;
    d.child = d.distances + t->v * d.n;
    bool divides = false;
    for (size_t i = 0; i < TRIES && !divides && choose_points(t, leaf, &d); i++) {
        cut(t, &d);
        divides = worth_it(t, leaf, &d);
    }
    if (divides && (inner = make_nodes(t, leaf, &d))) {
        move_rows(t, leaf, &d, inner);
        mvptree_link(t, leaf->head.parent, leaf->head.slot, &inner->head);
        mvptree_node_free(t, &leaf->head);
    } else if (!divides) {
        leaf->limit = 2 * d.n;
    }
    mem_free(mem, d.distances);
    return inner;
}

void mvptree_divide(struct mvptree *t, struct mvptree_node *node)
{
    const struct mvptree_inner *above = node->parent;
    while (node) {
        struct mvptree_leaf *leaf = node->leaf ? (struct mvptree_leaf *)node : NULL;
        struct mvptree_inner *inner = leaf && leaf->n > leaf->limit ? divide(t, leaf) : NULL;
        node = mvptree_next(t, inner ? &inner->head : node, above);
    }
}
