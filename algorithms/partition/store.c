/* store.c - rows in an array, and an exact scan. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/partition/partition.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/topk.h"

enum { BLOCK_ROWS = 256 };

const struct index_space partition_spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                                { INDEX_F32, INDEX_COS },
                                                INDEX_SPACES_END };

int partition_create(struct index **index, const struct index_ops *ops, const struct index_env *env,
                     const void *params)
{
    struct partition *p = mem_zalloc(env->mem, sizeof *p);

    if (!p)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory for an index", ops->name);
    p->base.ops = ops;
    p->base.env = *env;
    p->params = *(const struct partition_params *)params;
    slot_table_init(&p->slot_of, env->mem);
    *index = &p->base;
    return OK;
}

void partition_destroy(struct index *index)
{
    struct partition *p = (struct partition *)index;
    struct mem *mem = index->env.mem;

    mem_free(mem, p->rows);
    mem_free(mem, p->ids);
    slot_table_free(&p->slot_of);
    mem_free(mem, p);
}

int partition_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct partition *p = (struct partition *)index;
    struct mem *mem = index->env.mem;

    *done = 0;
    if (v.n >= UINT32_MAX - p->n ||
        !mem_grow(mem, &p->rows, &p->rows_capacity, (p->n + v.n) * v.dim, sizeof *p->rows) ||
        !mem_grow(mem, &p->ids, &p->ids_capacity, p->n + v.n, sizeof *p->ids) ||
        !slot_table_reserve(&p->slot_of, p->ids, ids, v.n))
        return fail(index->env.error, ERR_NO_MEMORY, "%s: out of memory for %zu more rows",
                    index->ops->name, v.n);
    memcpy(p->rows + p->n * v.dim, v.rows, v.n * v.dim * sizeof *p->rows);
    memcpy(p->ids + p->n, ids, v.n * sizeof *ids);
    for (size_t i = 0; i < v.n; i++)
        slot_table_put(&p->slot_of, ids[i], (uint32_t)(p->n + i));
    p->n += v.n;
    *done = v.n;
    return OK;
}

int partition_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct partition *p = (struct partition *)index;
    const size_t dim = index->env.dim;

    for (*done = 0; *done < n; ++*done) {
        uint32_t slot;

        if (!slot_table_remove(&p->slot_of, p->ids, ids[*done], &slot))
            return fail(index->env.error, ERR_UNKNOWN_ID, "%s: id %" PRIu64 " is not stored",
                        index->ops->name, ids[*done]);
        const size_t last = --p->n;
        if (slot == last)
            continue;
        memcpy(p->rows + slot * dim, p->rows + last * dim, dim * sizeof *p->rows);
        p->ids[slot] = p->ids[last];
        slot_table_move(&p->slot_of, p->ids[slot], (uint32_t)last, slot);
    }
    return OK;
}

int partition_search(struct index *index, const struct search_request *request,
                     struct search_result *result)
{
    const struct partition *p = (const struct partition *)index;
    const size_t k = request->k, dim = index->env.dim;
    float distances[BLOCK_ROWS];

    for (size_t q = 0; q < request->queries.n; q++) {
        const float *query = (const float *)request->queries.rows + q * dim;
        struct topk nearest = topk_begin(k, result->distances + q * k, result->ids + q * k);

        for (size_t at = 0; at < p->n; at += BLOCK_ROWS) {
            const size_t n = p->n - at < BLOCK_ROWS ? p->n - at : BLOCK_ROWS;

            index->env.kernels->l2sq_f32_1n(query, p->rows + at * dim, n, dim, distances);
            for (size_t i = 0; i < n; i++)
                if (index_filter_allows(request->filter, p->ids[at + i]))
                    topk_push(&nearest, distances[i], p->ids[at + i]);
        }
        topk_sort(&nearest);
        result->work.distances += (double)p->n;
        result->work.scanned += (double)p->n;
        result->work.bytes_read += (double)(p->n * dim * sizeof *p->rows);
    }
    return OK;
}

int partition_memory(const struct index *index, struct memory_use *use)
{
    const struct partition *p = (const struct partition *)index;

    *use = (struct memory_use){ .vectors = p->rows_capacity * sizeof *p->rows,
                                .ids = p->ids_capacity * sizeof *p->ids +
                                       slot_table_bytes(&p->slot_of),
                                .other = sizeof *p };
    return OK;
}

int partition_check(const struct index *index, struct stat_sink *sink)
{
    const struct partition *p = (const struct partition *)index;

    (void)sink;
    if (p->slot_of.n != p->n)
        return fail(index->env.error, ERR_INVARIANT, "%s: %zu rows, but the map has %zu ids",
                    index->ops->name, p->n, p->slot_of.n);
    for (size_t i = 0; i < p->n; i++) {
        uint32_t slot = UINT32_MAX;

        if (!slot_table_get(&p->slot_of, p->ids, p->ids[i], &slot) || slot != i)
            return fail(index->env.error, ERR_INVARIANT,
                        "%s: position %zu holds id %" PRIu64 ", which the map has at %" PRIu32,
                        index->ops->name, i, p->ids[i], slot);
    }
    return OK;
}
