/* check.c - traverses all nodes: check() tests every invariant of hwtree.h, stats() counts nodes
 * and codes by level. */
#include "algorithms/hamming/hwtree/hwtree.h"

#include <inttypes.h>

struct level_sums {
    size_t inner[HWTREE_LEVELS], leaves[HWTREE_LEVELS], codes[HWTREE_LEVELS];
    size_t largest; /* the largest leaf */
};

/* `level`: of the top's children. */
static void walk(const struct hwtree_node *top, unsigned level, struct level_sums *seen)
{
    for (uint32_t i = 0; i < top->n; i++) {
        const struct hwtree_node *node = hwtree_children(top)[i];
        if (node->inner) {
            seen->inner[level]++;
            walk(node, level + 1, seen);
            continue;
        }
        seen->leaves[level]++;
        seen->codes[level] += node->n;
        seen->largest = node->n > seen->largest ? node->n : seen->largest;
    }
}

int hwtree_stats(const struct index *index, struct stat_sink *sink)
{
    const struct hwtree *t = (const struct hwtree *)index;
    struct level_sums seen = { 0 };
    size_t inner = 0, leaves = 0, depth = 0;
    if (t->root)
        walk(t->root, 0, &seen);
    for (size_t l = 0; l < HWTREE_LEVELS; l++) {
        inner += seen.inner[l];
        leaves += seen.leaves[l];
        depth = seen.leaves[l] > 0 ? l : depth;
        sink->cell(sink->to, "levels", l, "inner_nodes", (double)seen.inner[l]);
        sink->cell(sink->to, "levels", l, "leaves", (double)seen.leaves[l]);
        sink->cell(sink->to, "levels", l, "codes", (double)seen.codes[l]);
    }
    sink->value(sink->to, "n_vectors", (double)t->codes.rows.n);
    sink->value(sink->to, "inner_nodes", (double)inner);
    sink->value(sink->to, "leaves", (double)leaves);
    sink->value(sink->to, "depth", (double)depth);
    sink->value(sink->to, "largest_leaf", (double)seen.largest);
    sink->value(sink->to, "codes_per_leaf",
                leaves > 0 ? (double)t->codes.rows.n / (double)leaves : 0);
    return OK;
}

/* ------------------------------------------------------------------------ check */

struct audit {
    const struct hwtree *t;
    struct error *error;
    size_t bytes;
};

static int check_leaf(const struct audit *a, const struct hwtree_node *leaf, uint64_t name,
                      unsigned level)
{
    const struct hwtree *t = a->t;
    if (leaf->n == 0 || leaf->n > leaf->capacity)
        return fail(a->error, ERR_INVARIANT,
                    "hwtree: a leaf of level %u holds %" PRIu32 " codes in a capacity of %" PRIu32,
                    level, leaf->n, leaf->capacity);
    if (leaf->n > t->params.leaf_capacity && level < t->params.max_depth)
        return fail(a->error, ERR_INVARIANT,
                    "hwtree: a leaf of level %u holds %" PRIu32 " codes and did not split", level,
                    leaf->n);
    for (uint32_t i = 0; i < leaf->n; i++) {
        const uint32_t row = hwtree_rows(leaf)[i];
        if (row >= t->codes.rows.n || t->codes.rows.codes[row] != leaf->words[i] ||
            t->codes.place[row] != i)
            return fail(a->error, ERR_INVARIANT,
                        "hwtree: code %016" PRIx64 " at %" PRIu32 " of a leaf is not row %" PRIu32
                        "'s, or that row's position is another",
                        leaf->words[i], i, row);
        if (hwtree_name(leaf->words[i], level) != name)
            return fail(a->error, ERR_INVARIANT,
                        "hwtree: code %016" PRIx64 " lies in the leaf of weights %016" PRIx64
                        " of level %u",
                        leaf->words[i], name, level);
    }
    return OK;
}

/* The node's children are of `level`. */
static int check_inner(struct audit *a, const struct hwtree_node *node, uint64_t name,
                       unsigned level)
{
    size_t below = 0;
    if (level > a->t->params.max_depth)
        return fail(a->error, ERR_INVARIANT, "hwtree: children of level %u", level);
    for (uint32_t i = 0; i < node->n; i++) {
        const struct hwtree_node *child = hwtree_children(node)[i];
        const uint64_t word = node->words[i];
        if ((i > 0 && word <= node->words[i - 1]) ||
            (level > 0 && hwtree_name(word, level - 1) != name))
            return fail(a->error, ERR_INVARIANT,
                        "hwtree: child %016" PRIx64 " of level %u of %016" PRIx64
                        " is not its own, or not found",
                        word, level, name);
        const int rc = child->inner ? check_inner(a, child, word, level + 1)
                                    : check_leaf(a, child, word, level);
        if (rc != OK)
            return rc;
        a->bytes += hwtree_node_bytes(child);
        below += child->inner ? child->below : child->n;
    }
    if ((level > 0 && node->n == 0) || below != node->below)
        return fail(a->error, ERR_INVARIANT,
                    "hwtree: a node over level %u has %" PRIu32 " children and %zu codes, its "
                    "head says %" PRIu32,
                    level, node->n, below, node->below);
    return OK;
}

/* A row's leaf and position follow from its code and its place. So no row can occur twice if every
   pair of a leaf agrees with its row, and none is missing if the numbers are equal. */
int hwtree_check(const struct index *index, struct stat_sink *sink)
{
    const struct hwtree *t = (const struct hwtree *)index;
    struct audit a = { t, index->env.error, t->root ? hwtree_node_bytes(t->root) : 0 };
    (void)sink;
    int rc = dense_rows_check(&t->codes.rows, "hwtree", index->env.error);
    if (rc == OK && t->codes.rows.n > t->codes.place_capacity)
        rc = fail(a.error, ERR_INVARIANT, "hwtree: %zu rows, capacity for the positions of %zu",
                  t->codes.rows.n, t->codes.place_capacity);
    if (rc == OK && t->root)
        rc = check_inner(&a, t->root, 0, 0);
    const uint32_t codes = t->root ? t->root->below : 0;
    if (rc == OK && codes != t->codes.rows.n)
        rc = fail(a.error, ERR_INVARIANT, "hwtree: the leaves hold %" PRIu32 " codes of %zu", codes,
                  t->codes.rows.n);
    if (rc == OK && a.bytes != t->pool.used)
        rc = fail(a.error, ERR_INVARIANT, "hwtree: nodes have %zu bytes, blocks in use %zu",
                  a.bytes, t->pool.used);
    return rc;
}
