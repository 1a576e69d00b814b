/* index.c - creating, growing and destroying an index. */
#include "algorithms/hamming/hwtree/hwtree.h"
#include "src/core/mem.h"

int hwtree_create(struct index **index, const struct index_ops *ops, const struct index_env *env,
                  const void *params)
{
    struct hwtree *t = mem_zalloc(env->mem, sizeof *t);
    if (!t)
        return fail(env->error, ERR_NO_MEMORY, "hwtree: out of memory for an index");
    t->base.ops = ops;
    t->base.env = *env;
    t->params = *(const struct hwtree_params *)params;
    code_store_init(&t->rows, env->mem);
    hwtree_blocks_init(&t->blocks, env->mem);
    for (size_t w = 0; w <= CODE_BITS; w++)
        t->roots[w] = HW_NONE;
    *index = &t->base;
    return OK;
}

void hwtree_destroy(struct index *index)
{
    struct hwtree *t = (struct hwtree *)index;
    struct mem *mem = index->env.mem;
    code_store_free(&t->rows);
    hwtree_blocks_free(&t->blocks);
    mem_free(mem, t->position);
    mem_free(mem, t);
}

static bool position_reserve(struct hwtree *t, size_t n)
{
    return mem_grow(t->base.env.mem, &t->position, &t->position_capacity, n, sizeof *t->position);
}

/* Grows as code_store_reserve(): to the hint if there is one, else as needed. */
bool hwtree_reserve(struct hwtree *t, const uint64_t *ids, size_t n)
{
    const size_t expected = t->base.env.expected_n, need = t->rows.n + n;
    if (!code_store_reserve(&t->rows, ids, n, expected))
        return false;
    return (need <= expected && t->position_capacity < need && position_reserve(t, expected)) ||
           position_reserve(t, need);
}

int hwtree_file_all(struct hwtree *t)
{
    int rc = OK;
    if (!position_reserve(t, t->rows.n))
        return fail(t->base.env.error, ERR_NO_MEMORY, "hwtree: out of memory for %zu codes",
                    t->rows.n);
    for (size_t row = 0; rc == OK && row < t->rows.n; row++)
        rc = hwtree_file(t, t->rows.codes[row], (uint32_t)row);
    return rc;
}
