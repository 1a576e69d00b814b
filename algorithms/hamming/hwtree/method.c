/* method.c - the Hamming-weight tree as a method: options, batches, reports, files, table. hwtree.h
 * describes the tree.
 *
 * Eghtedary, Kumar, Fan, Shen, Hu: Nearest neighbor search in Hamming space, online search with
 * Hamming weight tree. Departures are in docs/methods/hwtree.md. */
#include "algorithms/hamming/hwtree/hwtree.h"

#include <inttypes.h>
#include <stdio.h>

#include "algorithms/common/structure/structure.h"
#include "src/core/mem.h"

static int hwtree_create(struct index **index, const struct index_ops *ops,
                         const struct index_env *env, const void *params)
{
    struct hwtree *t = code_index_create(ops, env, sizeof *t);
    if (!t)
        return ERR_NO_MEMORY;
    t->params = *(const struct hwtree_params *)params;
    hamming_blocks_init(&t->blocks, env->mem, &hwtree_block_kind);
    for (size_t w = 0; w <= CODE_BITS; w++)
        t->roots[w] = HW_NONE;
    *index = &t->base;
    return OK;
}

static void hwtree_destroy(struct index *index)
{
    struct hwtree *t = (struct hwtree *)index;
    code_index_free(&t->codes);
    hamming_blocks_free(&t->blocks);
    mem_free(index->env.mem, t);
}

static int hwtree_memory(const struct index *index, struct memory_use *use)
{
    const struct hwtree *t = (const struct hwtree *)index;
    *use = (struct memory_use){
        .vectors = dense_rows_bytes(&t->codes.rows),
        .ids = dense_rows_ids_bytes(&t->codes.rows),
        .graph = hamming_blocks_bytes(&t->blocks),
        .other = sizeof *t + t->codes.place_capacity * sizeof *t->codes.place,
        .disk = logged_bytes(index),
    };
    return OK;
}

static const struct param param_table[] = {
    PARAM_INT(struct hwtree_params, leaf_capacity, 16384, 1, 1 << 30,
              "codes in a leaf before it splits. Fewer: fewer distances, more nodes to visit"),
    PARAM_INT(struct hwtree_params, max_depth, 6, 0, HWTREE_LEVELS - 1,
              "deepest level; at level l a node has parts of 64 >> l bits"),
    LOGGED_OPTIONS(struct hwtree_params), PARAM_END
};

/* Load inserts the codes again: answers are the same, but nodes may have split differently. */
static const struct code_method method = { .logged = { .ops = &hwtree_ops,
                                                       .version = 1,
                                                       .params = offsetof(struct hwtree, params),
                                                       .create = hwtree_create,
                                                       .destroy = hwtree_destroy,
                                                       CODE_INDEX_CALLS },
                                           .places = true,
                                           .queries = &hwtree_code_ops,
                                           .put = hwtree_put,
                                           .take = hwtree_take };

LOGGED_CALLS(&method.logged)

static void show(const struct hwtree *t, uint32_t ref, uint64_t name, unsigned level,
                 const struct structure_sink *sink)
{
    const struct hwtree_view v = hwtree_view(&t->blocks, ref);
    const bool inner = ref & HW_INNER;
    struct structure_ids ids = { .sink = sink };
    char text[17];

    if (!sink->enter(sink->to, inner ? "node" : "leaf", ref & ~HW_INNER))
        return;
    (void)snprintf(text, sizeof text, "%016" PRIx64, name);
    sink->text(sink->to, "weights", text);
    sink->number(sink->to, "depth", level);
    sink->number(sink->to, inner ? "live_below" : "live", inner ? v.block->below : v.block->n);
    for (uint32_t i = 0; !inner && i < v.block->n; i++)
        structure_ids_add(&ids, t->codes.rows.ids[v.refs[i]]);
    structure_ids_end(&ids);
    for (uint32_t i = 0; inner && i < v.capacity; i++)
        if (v.refs[i] != HW_NONE)
            show(t, v.refs[i], v.words[i], level + 1, sink);
    sink->leave(sink->to);
}

static int hwtree_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct hwtree *t = (const struct hwtree *)index;

    if (!sink->enter(sink->to, "hwtree", 0))
        return OK;
    sink->number(sink->to, "rows", (double)t->codes.rows.n);
    for (unsigned w = 0; w <= CODE_BITS; w++)
        if (t->roots[w] != HW_NONE)
            show(t, t->roots[w], w > 0 ? ~UINT64_C(0) >> (CODE_BITS - w) : 0, 0, sink);
    sink->leave(sink->to);
    return OK;
}

const struct index_ops hwtree_ops = {
    .abi = INDEX_ABI,
    .name = "hwtree",
    .summary = "64-bit codes in a tree by the weights of their parts",
    .source = "Eghtedary et al., Nearest neighbor search in Hamming space, online search with "
              "Hamming weight tree",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH,
    .params = param_table,
    .params_bytes = sizeof(struct hwtree_params),
    CODE_INDEX_OPERATIONS,
    .stats = hwtree_stats,
    .memory = hwtree_memory,
    .check = hwtree_check,
    .inspect = hwtree_inspect,
};
