/* check.c - traverses all nodes: check() tests every invariant of hwtree.h, stats() counts nodes
 * and codes by level. */
#include "algorithms/hamming/hwtree/hwtree.h"

#include <inttypes.h>

struct level_sums {
    size_t inner[HWTREE_LEVELS], leaves[HWTREE_LEVELS], codes[HWTREE_LEVELS];
    size_t largest; /* the largest leaf */
};

static void walk(const struct hwtree *t, uint32_t node, unsigned level, struct level_sums *seen)
{
    const struct hwtree_view v = hwtree_view(&t->blocks, node);
    if (!(node & HW_INNER)) {
        seen->leaves[level]++;
        seen->codes[level] += v.block->n;
        seen->largest = v.block->n > seen->largest ? v.block->n : seen->largest;
        return;
    }
    seen->inner[level]++;
    for (uint32_t i = 0; i < v.capacity; i++)
        if (v.refs[i] != HW_NONE)
            walk(t, v.refs[i], level + 1, seen);
}

int hwtree_stats(const struct index *index, struct stat_sink *sink)
{
    const struct hwtree *t = (const struct hwtree *)index;
    struct level_sums seen = { 0 };
    size_t inner = 0, leaves = 0, depth = 0;
    for (size_t w = 0; w <= CODE_BITS; w++)
        if (t->roots[w] != HW_NONE)
            walk(t, t->roots[w], 0, &seen);
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
    size_t blocks;
};

static int check_leaf(const struct audit *a, const struct hwtree_view *v, uint64_t name,
                      unsigned level)
{
    const struct hwtree *t = a->t;
    const uint32_t n = v->block->n;
    if (n == 0 || n > v->capacity)
        return fail(a->error, ERR_INVARIANT,
                    "hwtree: a leaf of level %u holds %" PRIu32 " codes in a capacity of %" PRIu32,
                    level, n, v->capacity);
    if (n > t->params.leaf_capacity && level < t->params.max_depth)
        return fail(a->error, ERR_INVARIANT,
                    "hwtree: a leaf of level %u holds %" PRIu32 " codes and did not split", level,
                    n);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t row = v->refs[i];
        if (row >= t->codes.rows.n || t->codes.rows.codes[row] != v->words[i] ||
            t->codes.place[row] != i)
            return fail(a->error, ERR_INVARIANT,
                        "hwtree: code %016" PRIx64 " at %" PRIu32 " of a leaf is not row %" PRIu32
                        "'s, or that row's position is another",
                        v->words[i], i, row);
        if (hwtree_name(v->words[i], level) != name)
            return fail(a->error, ERR_INVARIANT,
                        "hwtree: code %016" PRIx64 " lies in the leaf of weights %016" PRIx64
                        " of level %u",
                        v->words[i], name, level);
    }
    return OK;
}

static int check_node(struct audit *a, uint32_t node, uint64_t name, unsigned level, size_t *codes)
{
    const struct hwtree_view v = hwtree_view(&a->t->blocks, node);
    a->blocks++;
    *codes = v.block->n;
    if (!(node & HW_INNER))
        return check_leaf(a, &v, name, level);
    uint32_t children = 0;
    size_t below = 0;
    if (level >= a->t->params.max_depth)
        return fail(a->error, ERR_INVARIANT, "hwtree: a node of level %u has children", level);
    for (uint32_t i = 0; i < v.capacity; i++) {
        if (v.refs[i] == HW_NONE)
            continue;
        children++;
        if (hwtree_name(v.words[i], level) != name || hwtree_child_place(&v, v.words[i]) != i)
            return fail(a->error, ERR_INVARIANT,
                        "hwtree: child %016" PRIx64 " of %016" PRIx64
                        " of level %u is not its own, or not found",
                        v.words[i], name, level);
        size_t more = 0;
        const int rc = check_node(a, v.refs[i], v.words[i], level + 1, &more);
        if (rc != OK)
            return rc;
        below += more;
    }
    if (children == 0 || children != v.block->n || below != v.block->below)
        return fail(a->error, ERR_INVARIANT,
                    "hwtree: a node of level %u has %" PRIu32 " children and %zu codes, its head "
                    "says %" PRIu32 " and %" PRIu32,
                    level, children, below, v.block->n, v.block->below);
    *codes = below;
    return OK;
}

/* A row's leaf and position follow from its code and its entry in `position`. So no row can
   occur twice if every pair of a leaf agrees with its row, and none is missing if the numbers
   are equal. */
int hwtree_check(const struct index *index, struct stat_sink *sink)
{
    const struct hwtree *t = (const struct hwtree *)index;
    struct audit a = { .t = t, .error = index->env.error };
    size_t codes = 0;
    (void)sink;
    int rc = dense_rows_check(&t->codes.rows, "hwtree", index->env.error);
    if (rc == OK && t->codes.rows.n > t->codes.place_capacity)
        rc = fail(a.error, ERR_INVARIANT, "hwtree: %zu rows, capacity for the positions of %zu",
                  t->codes.rows.n, t->codes.place_capacity);
    for (unsigned w = 0; rc == OK && w <= CODE_BITS; w++) {
        size_t more = 0;
        const uint64_t name = w > 0 ? ~UINT64_C(0) >> (CODE_BITS - w) : 0;
        if (t->roots[w] != HW_NONE)
            rc = check_node(&a, t->roots[w], name, 0, &more);
        codes += more;
    }
    if (rc == OK && codes != t->codes.rows.n)
        rc = fail(a.error, ERR_INVARIANT, "hwtree: the leaves hold %zu codes of %zu", codes,
                  t->codes.rows.n);
    if (rc == OK && a.blocks != t->blocks.n_used)
        rc = fail(a.error, ERR_INVARIANT, "hwtree: %zu nodes, %zu blocks in use", a.blocks,
                  t->blocks.n_used);
    return rc == OK ? hamming_blocks_check(&t->blocks, "hwtree", a.error) : rc;
}
