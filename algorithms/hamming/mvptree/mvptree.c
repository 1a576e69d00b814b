/* mvptree.c - multi-vantage-point tree over 64-bit codes under Hamming distance (Bozkaya and
 * Ozsoyoglu, SIGMOD 1997), grown by insertion as in the hftrie author's implementation.
 *
 * This file has options, creation, reports, and the table. Only the rows are saved; load() builds
 * the tree of all rows at once. */
#include "algorithms/hamming/mvptree/mvptree.h"

#include <inttypes.h>

#include "algorithms/common/structure/structure.h"
#include "src/core/mem.h"

static const struct param param_table[] = {
    PARAM_INT(struct mvptree_params, branch_factor, 2, 2, 16,
              "parts that a vantage point's distances are divided into. The fan-out of a node, at "
              "most 256, is branch_factor to the power of vantage_points"),
    PARAM_INT(struct mvptree_params, vantage_points, 2, 1, MVP_POINTS, "vantage points per node"),
    PARAM_INT(struct mvptree_params, path_length, 0, 0, TREE_PATH,
              "distances to vantage points on its path that a leaf stores per row, a byte each. "
              "More: fewer distances computed, more bytes read"),
    PARAM_INT(struct mvptree_params, leaf_capacity, MVP_LEAF, 8, MVP_LEAF,
              "rows in a leaf before it is divided"),
    LOGGED_OPTIONS(struct mvptree_params),
    PARAM_END,
};

/* ----------------------------------------------------------------------- create, destroy */

/* branch_factor to the power of vantage_points; 0: too many. */
static size_t fan_out_of(const struct mvptree_params *p)
{
    size_t fan_out = 1;
    for (int64_t i = 0; i < p->vantage_points; i++)
        fan_out *= (size_t)p->branch_factor;
    return fan_out <= MVP_FAN_OUT ? fan_out : 0;
}

static int mvptree_create(struct index **index, const struct index_ops *ops,
                          const struct index_env *env, const void *params)
{
    const struct mvptree_params *p = params;
    if (fan_out_of(p) == 0)
        return fail(env->error, ERR_ARGUMENT,
                    "mvptree: branch_factor %" PRId64 " to the power of vantage_points %" PRId64
                    " is more than %d children",
                    p->branch_factor, p->vantage_points, MVP_FAN_OUT);
    struct mvptree *t = code_index_create(ops, env, sizeof *t);
    if (!t)
        return ERR_NO_MEMORY;
    t->params = *p;
    t->m = (size_t)p->branch_factor;
    t->v = (size_t)p->vantage_points;
    t->fan_out = fan_out_of(p);
    t->path_length = (size_t)p->path_length;
    t->rng = rng_at(env->seed, 0);
    *index = &t->base;
    return OK;
}

static void mvptree_destroy(struct index *index)
{
    struct mvptree *t = (struct mvptree *)index;
    struct mem *mem = index->env.mem;
    if (t->root)
        mvptree_free_below(t, t->root);
    code_index_free(&t->codes);
    mem_free(mem, t);
}

/* --------------------------------------------------------------------------------- reports */

static int mvptree_stats(const struct index *index, struct stat_sink *sink)
{
    const struct mvptree *t = (const struct mvptree *)index;
    size_t depth = 0, in_leaves = 0, dead = 0, largest = 0;
    for (struct mvptree_node *node = t->root; node; node = mvptree_next(t, node, NULL)) {
        const size_t level = node->parent ? node->parent->depth + 2 : 1;
        depth = level > depth ? level : depth;
        if (node->leaf) {
            const size_t n = ((const struct mvptree_leaf *)node)->n;
            in_leaves += n;
            largest = n > largest ? n : largest;
        }
    }
    if (t->root && !t->root->leaf)
        dead = ((const struct mvptree_inner *)t->root)->dead;
    sink->value(sink->to, "rows", (double)t->codes.rows.n);
    sink->value(sink->to, "nodes", (double)(t->n_inner + t->n_leaves));
    sink->value(sink->to, "leaves", (double)t->n_leaves);
    sink->value(sink->to, "depth", (double)depth);
    sink->value(sink->to, "leaf_rows_mean",
                t->n_leaves ? (double)in_leaves / (double)t->n_leaves : 0);
    sink->value(sink->to, "leaf_rows_max", (double)largest);
    sink->value(sink->to, "dead_points", (double)dead);
    return OK;
}

static int mvptree_memory(const struct index *index, struct memory_use *use)
{
    const struct mvptree *t = (const struct mvptree *)index;
    *use = (struct memory_use){
        .codes = dense_rows_bytes(&t->codes.rows),
        .ids = dense_rows_ids_bytes(&t->codes.rows),
        .graph = t->nodes_bytes + t->codes.place_capacity * sizeof *t->codes.place,
        .other = sizeof *t,
        .disk = logged_bytes(index),
    };
    return OK;
}

/* -------------------------------------------------------------------------------- save, load */

/* One leaf of all rows, which is then divided: the paper's construction. */
static int fill(struct index *index)
{
    struct mvptree *t = (struct mvptree *)index;
    const size_t n = t->codes.rows.n;
    if (n == 0)
        return OK;
    const int rc = code_index_reserve_places(index, n);
    if (rc != OK)
        return rc;
    struct mvptree_leaf *leaf = mvptree_leaf_new(t, 0, mvptree_leaf_capacity(n));
    if (!leaf)
        return fail(t->base.env.error, ERR_NO_MEMORY,
                    "mvptree: out of memory, cannot load %zu rows", n);
    mvptree_link(t, NULL, 0, &leaf->head);
    for (size_t row = 0; row < n; row++)
        mvptree_leaf_append(t, leaf, t->codes.rows.codes[row], (uint32_t)row, NULL);
    mvptree_divide(t, &leaf->head);
    return OK;
}

static const struct code_method method = { .logged = { .ops = &mvptree_ops,
                                                       .version = 1,
                                                       .params = offsetof(struct mvptree, params),
                                                       .create = mvptree_create,
                                                       .destroy = mvptree_destroy,
                                                       CODE_INDEX_CALLS },
                                           .places = true,
                                           .queries = &mvptree_code_ops,
                                           .put = mvptree_put,
                                           .take = mvptree_take,
                                           .fill = fill };

LOGGED_CALLS(&method.logged)

/* ----------------------------------------------------------------------------------- table */

static void show_leaf(const struct mvptree *t, const struct mvptree_leaf *leaf,
                      const struct structure_sink *sink)
{
    struct structure_ids ids = { .sink = sink };

    sink->number(sink->to, "live", leaf->n);
    for (uint32_t i = 0; i < leaf->n; i++)
        structure_ids_add(&ids, t->codes.rows.ids[leaf->rows[i]]);
    structure_ids_end(&ids);
}

/* The ids of a node are those of its vantage points. */
static void show_points(const struct mvptree *t, const struct mvptree_inner *inner,
                        const struct structure_sink *sink)
{
    struct structure_ids ids = { .sink = sink };
    size_t live = 0;

    for (size_t i = 0; i < t->v; i++)
        live += inner->rows[i] != MVP_DEAD;
    sink->number(sink->to, "depth", inner->depth);
    sink->number(sink->to, "live", (double)live);
    sink->number(sink->to, "live_below", (double)(inner->live - live));
    for (size_t i = 0; i < t->v; i++)
        if (inner->rows[i] != MVP_DEAD)
            structure_ids_add(&ids, t->codes.rows.ids[inner->rows[i]]);
    structure_ids_end(&ids);
}

/* Nodes are numbered in preorder. */
static void show(const struct mvptree *t, const struct mvptree_node *node, uint64_t *number,
                 const struct structure_sink *sink)
{
    if (!sink->enter(sink->to, node->leaf ? "leaf" : "node", (*number)++))
        return;
    if (node->leaf) {
        show_leaf(t, (const struct mvptree_leaf *)node, sink);
    } else {
        const struct mvptree_inner *inner = (const struct mvptree_inner *)node;

        show_points(t, inner, sink);
        for (size_t c = 0; c < t->fan_out; c++)
            if (inner->children[c])
                show(t, inner->children[c], number, sink);
    }
    sink->leave(sink->to);
}

static int mvptree_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct mvptree *t = (const struct mvptree *)index;
    uint64_t number = 0;

    if (!sink->enter(sink->to, "mvptree", 0))
        return OK;
    sink->number(sink->to, "rows", (double)t->codes.rows.n);
    sink->number(sink->to, "nodes", (double)(t->n_inner + t->n_leaves));
    if (t->root)
        show(t, t->root, &number, sink);
    sink->leave(sink->to);
    return OK;
}

const struct index_ops mvptree_ops = {
    .abi = INDEX_ABI,
    .name = "mvptree",
    .summary = "multi-vantage-point tree over codes, exact; a baseline",
    .source = "Bozkaya and Ozsoyoglu, SIGMOD 1997",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH,
    .params = param_table,
    .params_bytes = sizeof(struct mvptree_params),
    CODE_INDEX_OPERATIONS,
    .stats = mvptree_stats,
    .memory = mvptree_memory,
    .check = mvptree_check,
    .inspect = mvptree_inspect,
};
