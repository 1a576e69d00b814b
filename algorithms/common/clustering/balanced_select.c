/* balanced_select.c - heads from a tree of clusters (SPANN, SPTAG's SelectHead).
 *
 * From the leaves up, a node weighs 1 plus what its children pass on. If that is at least
 * select_threshold, its centre becomes a head; if it is more than split_threshold, so do the
 * centres of its weight / split_factor heaviest children. A node with a head passes on nothing to
 * its parent, any other node its weight. A greater select_threshold needs a lower split_threshold
 * for the same number of heads: all pairs are tried, and the one whose number of heads is nearest
 * to the wanted one is used.
 *
 * A node of identical rows gives one head at most: more would be in the same place. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/clustering/balanced.h"
#include "src/core/error.h"
#include "src/core/mem.h"

struct thresholds {
    size_t select, split, factor;
};

struct tree_child {
    uint32_t node, weight;
};

struct selector {
    const struct balanced_tree *tree;
    struct mem_group memory; /* of the arrays below */
    uint32_t *inner;         /* nodes with children, descending */
    size_t n_inner;
    uint32_t *left;              /* per node: the weight it passes on to its parent */
    struct tree_child *children; /* max(fanout, leaf) */
    bool *chosen;                /* per node: its centre is a head; NULL while counting */
};

static bool identical(const struct balanced_tree *tree, const struct balanced_node *node)
{
    return node->n > tree->fanout && node->n > tree->leaf;
}

static int heaviest_first(const void *a, const void *b)
{
    const struct tree_child *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* Chooses the centres of the heaviest children of a node that weighs `weight`; returns
   their number. */
static size_t choose_children(struct selector *s, const struct balanced_node *node, size_t weight,
                              size_t factor)
{
    size_t n = 0, wanted = (weight + factor - 1) / factor;

    for (uint32_t c = node->first; c < node->first + node->n; c++)
        if (s->left[c] > 0)
            s->children[n++] = (struct tree_child){ c, s->left[c] };
    wanted = wanted < n ? wanted : n;
    if (s->chosen) {
        qsort(s->children, n, sizeof *s->children, heaviest_first);
        for (size_t i = 0; i < wanted; i++)
            s->chosen[s->children[i].node] = true;
    }
    return wanted;
}

static size_t choose_of(struct selector *s, uint32_t at, const struct thresholds *t)
{
    const struct balanced_node *node = &s->tree->nodes[at];
    size_t weight = 1, heads = 0;

    for (uint32_t c = node->first; c < node->first + node->n; c++)
        weight += s->left[c];
    s->left[at] = (uint32_t)weight;
    if (weight < t->select)
        return 0;
    s->left[at] = 0;
    heads = 1;
    if (s->chosen)
        s->chosen[at] = true;
    if (weight > t->split && !identical(s->tree, node))
        heads += choose_children(s, node, weight, t->factor);
    return heads;
}

/* Returns the number of heads for these thresholds, and marks them in s->chosen unless that
   is NULL. */
static size_t choose_all(struct selector *s, const struct thresholds *t)
{
    size_t heads = 0;

    for (size_t i = 0; i < s->tree->n; i++)
        s->left[i] = 1;
    for (size_t i = 0; i < s->n_inner; i++)
        heads += choose_of(s, s->inner[i], t);
    return heads;
}

static double miss(size_t heads, double wanted)
{
    return fabs((double)heads - wanted);
}

/* Finds the split threshold from `low` on that comes nearest to `wanted`; a greater one gives
   fewer heads. */
static size_t bisect(struct selector *s, struct thresholds *t, double wanted)
{
    size_t low = t->select, high = s->tree->n + 1;

    while (high - low > 1) { /* too many or just enough at low, too few at high */
        t->split = low + (high - low) / 2;
        if ((double)choose_all(s, t) >= wanted)
            low = t->split;
        else
            high = t->split;
    }
    t->split = high;
    const size_t few = choose_all(s, t);
    t->split = low;
    const size_t many = choose_all(s, t);
    if (miss(few, wanted) >= miss(many, wanted))
        return many;
    t->split = high;
    return few;
}

/* Finds the thresholds that are not given. */
static struct thresholds find(struct selector *s, const struct head_selection *o, double wanted)
{
    const double n = (double)s->tree->n;
    const double each = n / fmin(fmax(wanted, 1), fmax(n, 1)); /* rows per head */
    const size_t first = o->select_threshold > 2 ? o->select_threshold : 2;
    const size_t most = o->select_threshold ? first : 2 * (size_t)ceil(each) + 2;
    struct thresholds best = { 0 };
    double nearest = INFINITY;

    for (size_t select = first; select <= most; select += 1 + select / 32) {
        struct thresholds t = { select, o->split_threshold, o->split_factor };
        if (!t.factor)
            t.factor = (size_t)fmax(1, round(each));
        const double now = miss(t.split ? choose_all(s, &t) : bisect(s, &t, wanted), wanted);
        if (now < nearest) {
            nearest = now;
            best = t;
        }
    }
    return best;
}

static bool selector_create(struct selector *s, const struct index_env *env,
                            const struct balanced_tree *tree)
{
    const size_t widest = tree->fanout > tree->leaf ? tree->fanout : tree->leaf;

    *s = (struct selector){ .tree = tree, .memory.mem = env->mem };
    for (size_t i = 0; i < tree->n; i++)
        s->n_inner += tree->nodes[i].n > 0;
    s->inner = mem_group_array(&s->memory, s->n_inner, sizeof *s->inner);
    s->left = mem_group_array(&s->memory, tree->n, sizeof *s->left);
    s->children = mem_group_array(&s->memory, widest, sizeof *s->children);
    if (s->memory.failed)
        return false;
    for (size_t i = tree->n, at = 0; i-- > 0;)
        if (tree->nodes[i].n > 0)
            s->inner[at++] = (uint32_t)i;
    return true;
}

/* The centres of the marked nodes, in the order of nodes, in which siblings are adjacent. */
static uint32_t *chosen_rows(const struct selector *s, struct mem *mem, size_t heads)
{
    uint32_t *rows = mem_array(mem, heads, sizeof *rows);
    size_t n = 0;

    for (size_t i = 0; rows && i < s->tree->n; i++)
        if (s->chosen[i])
            rows[n++] = s->tree->nodes[i].centre;
    return rows;
}

int balanced_select(const struct balanced_tree *tree, const struct index_env *env,
                    const struct head_selection *options, uint32_t **rows, size_t *n)
{
    struct selector s;
    int rc = OK;

    *rows = NULL;
    *n = 0;
    if (selector_create(&s, env, tree)) {
        const struct thresholds t = find(&s, options, options->ratio * (double)tree->n);
        s.chosen = mem_group_zalloc(&s.memory, tree->n, sizeof *s.chosen);
        if (s.chosen) {
            *n = choose_all(&s, &t);
            if (*n == 0 && tree->n > 0)
                s.chosen[(*n)++] = true;
            *rows = chosen_rows(&s, env->mem, *n);
        }
    }
    if (!*rows) {
        *n = 0;
        rc = fail(env->error, ERR_NO_MEMORY, "heads of %zu rows: out of memory", tree->n);
    }
    mem_group_free(&s.memory);
    return rc;
}
