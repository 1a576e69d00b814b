/* mtree.c - M-tree over 64-bit codes under Hamming distance (Ciaccia, Patella, Zezula, VLDB 1997):
 * a balanced tree of balls, in which each entry of a node stores its distance to the ball's centre.
 *
 * This file has options, creation, reports, and the table. Only the rows are saved; load() builds the
 * tree again. */
#include "algorithms/hamming/mtree/mtree.h"

#include <inttypes.h>
#include <stdio.h>

#include "algorithms/common/structure/structure.h"
#include "src/core/mem.h"

static const struct param param_table[] = {
    PARAM_INT(struct mtree_params, node_capacity, 1024, 4, MTREE_CAPACITY,
              "entries per node. More: fewer nodes to visit, larger balls"),
    PARAM_CHOICE(struct mtree_params, promotion, MTREE_MM_RAD, "random|mM_RAD",
                 "how a split chooses its two routing objects: at random, or as the pair of a "
                 "sample with the smallest larger radius"),
    LOGGED_OPTIONS(struct mtree_params),
    PARAM_END_GONE("promotion_sample=take it out: 30 entries are sampled"),
};

/* ----------------------------------------------------------------------- create, destroy */

static bool split_create(struct mtree *t)
{
    struct mtree_split *s = &t->split;
    s->arrays.mem = t->base.env.mem;
    s->stride = (size_t)t->params.node_capacity + 1;
    s->codes = mem_group_array(&s->arrays, s->stride, sizeof *s->codes);
    s->refs = mem_group_array(&s->arrays, s->stride, sizeof *s->refs);
    s->order = mem_group_array(&s->arrays, s->stride, sizeof *s->order);
    s->radius = mem_group_array(&s->arrays, s->stride, sizeof *s->radius);
    s->distances = mem_group_array(&s->arrays, MTREE_SAMPLE, s->stride);
    return !s->arrays.failed;
}

static void mtree_destroy(struct index *index)
{
    struct mtree *t = (struct mtree *)index;
    struct mem *mem = index->env.mem;
    mtree_free_all(t);
    code_index_free(&t->codes);
    mem_group_free(&t->split.arrays);
    mem_free(mem, t);
}

static int mtree_create(struct index **index, const struct index_ops *ops,
                        const struct index_env *env, const void *params)
{
    struct mtree *t = code_index_create(ops, env, sizeof *t);
    if (!t)
        return ERR_NO_MEMORY;
    t->params = *(const struct mtree_params *)params;
    t->rng = rng_at(env->seed, 0);
    t->root = MTREE_NONE;
    t->first_free = UINT64_MAX;
    if (!split_create(t)) {
        mtree_destroy(&t->base);
        return fail(env->error, ERR_NO_MEMORY, "mtree: out of memory for an index");
    }
    *index = &t->base;
    return OK;
}

/* --------------------------------------------------------------------------------- reports */

struct sums {
    double entries, radii, widest;
};

static void sum_leaves(const struct mtree *t, uint32_t number, struct sums *sums)
{
    const struct mtree_node *node = mtree_at(t, number);
    for (size_t i = 0; i < node->n; i++) {
        if (node->level > 1) {
            sum_leaves(t, node->refs[i], sums);
            continue;
        }
        sums->radii += node->radius[i];
        sums->widest = node->radius[i] > sums->widest ? node->radius[i] : sums->widest;
    }
}

static int mtree_stats(const struct index *index, struct stat_sink *sink)
{
    const struct mtree *t = (const struct mtree *)index;
    const bool any = t->root != MTREE_NONE;
    const double leaves = t->n_leaves > 0 ? (double)t->n_leaves : 1;
    struct sums sums = { 0 };
    if (any && mtree_at(t, t->root)->level > 0)
        sum_leaves(t, t->root, &sums);
    sink->value(sink->to, "rows", (double)t->codes.rows.n);
    sink->value(sink->to, "nodes", (double)t->n_nodes);
    sink->value(sink->to, "leaves", (double)t->n_leaves);
    sink->value(sink->to, "depth", any ? mtree_at(t, t->root)->level + 1.0 : 0);
    sink->value(sink->to, "leaf_rows_mean", (double)t->codes.rows.n / leaves);
    sink->value(sink->to, "leaf_radius_mean", sums.radii / leaves);
    sink->value(sink->to, "leaf_radius_max", sums.widest);
    return OK;
}

static int mtree_memory(const struct index *index, struct memory_use *use)
{
    const struct mtree *t = (const struct mtree *)index;
    *use = (struct memory_use){
        .codes = dense_rows_bytes(&t->codes.rows),
        .ids = dense_rows_ids_bytes(&t->codes.rows),
        .graph = t->nodes_bytes + t->slots_capacity * sizeof *t->nodes +
                 t->codes.place_capacity * sizeof *t->codes.place,
        .other = sizeof *t + t->split.stride * (8 + 4 + 4 + 1 + MTREE_SAMPLE),
        .disk = logged_bytes(index),
    };
    return OK;
}

/* -------------------------------------------------------------------------------- save, load */

static const struct code_method method = { .logged = { .ops = &mtree_ops,
                                                       .version = 1,
                                                       .params = offsetof(struct mtree, params),
                                                       .create = mtree_create,
                                                       .destroy = mtree_destroy,
                                                       CODE_INDEX_CALLS },
                                           .places = true,
                                           .queries = &mtree_code_ops,
                                           .put = mtree_put,
                                           .take = mtree_take };

LOGGED_CALLS(&method.logged)

/* ----------------------------------------------------------------------------------- table */

/* parent, at: the entry that leads to the node; NULL: the root. */
static void show(const struct mtree *t, uint32_t number, const struct mtree_node *parent, size_t at,
                 const struct structure_sink *sink)
{
    const struct mtree_node *node = mtree_at(t, number);
    struct structure_ids ids = { .sink = sink };
    char code[17];

    if (!sink->enter(sink->to, node->level ? "node" : "leaf", number))
        return;
    sink->number(sink->to, "level", node->level);
    if (parent) {
        (void)snprintf(code, sizeof code, "%016" PRIx64, parent->codes[at]);
        sink->text(sink->to, "routing_code", code);
        sink->number(sink->to, "radius", parent->radius[at]);
    }
    sink->number(sink->to, node->level ? "entries" : "live", node->n);
    for (size_t i = 0; i < node->n && node->level == 0; i++)
        structure_ids_add(&ids, t->codes.rows.ids[node->refs[i]]);
    structure_ids_end(&ids);
    for (size_t i = 0; i < node->n && node->level > 0; i++)
        show(t, node->refs[i], node, i, sink);
    sink->leave(sink->to);
}

static int mtree_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct mtree *t = (const struct mtree *)index;

    if (!sink->enter(sink->to, "mtree", 0))
        return OK;
    sink->number(sink->to, "rows", (double)t->codes.rows.n);
    sink->number(sink->to, "nodes", (double)t->n_nodes);
    if (t->root != MTREE_NONE)
        show(t, t->root, NULL, 0, sink);
    sink->leave(sink->to);
    return OK;
}

const struct index_ops mtree_ops = {
    .abi = INDEX_ABI,
    .name = "mtree",
    .summary = "M-tree: a balanced tree of balls of codes, exact; a baseline",
    .source = "Ciaccia, Patella, Zezula, VLDB 1997",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH,
    .params = param_table,
    .params_bytes = sizeof(struct mtree_params),
    CODE_INDEX_OPERATIONS,
    .stats = mtree_stats,
    .memory = mtree_memory,
    .check = mtree_check,
    .inspect = mtree_inspect,
};
