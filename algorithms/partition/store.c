/* store.c - rows in an array, and an exact scan. */
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
    dense_rows_init(&p->store, env->mem, index_row_bytes(env->element, env->dim));
    *index = &p->base;
    return OK;
}

void partition_destroy(struct index *index)
{
    struct partition *p = (struct partition *)index;

    dense_rows_free(&p->store);
    mem_free(index->env.mem, p);
}

int partition_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    return dense_rows_insert(&((struct partition *)index)->store, index, v, ids, done);
}

int partition_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    return dense_rows_remove_ids(&((struct partition *)index)->store, index, ids, n, done);
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

        for (size_t at = 0; at < p->store.n; at += BLOCK_ROWS) {
            const size_t n = p->store.n - at < BLOCK_ROWS ? p->store.n - at : BLOCK_ROWS;

            index->env.kernels->l2sq_f32_1n(query, p->store.floats + at * dim, n, dim, distances);
            for (size_t i = 0; i < n; i++)
                if (index_filter_allows(request->filter, p->store.ids[at + i]))
                    topk_push(&nearest, distances[i], p->store.ids[at + i]);
        }
        topk_sort(&nearest);
        result->work.distances += (double)p->store.n;
        result->work.scanned += (double)p->store.n;
        result->work.bytes_read += (double)(p->store.n * dim * sizeof *p->store.floats);
    }
    return OK;
}

int partition_memory(const struct index *index, struct memory_use *use)
{
    const struct partition *p = (const struct partition *)index;

    *use = (struct memory_use){ .vectors = dense_rows_bytes(&p->store),
                                .ids = dense_rows_ids_bytes(&p->store),
                                .other = sizeof *p };
    return OK;
}

int partition_check(const struct index *index, struct stat_sink *sink)
{
    (void)sink;
    return dense_rows_check(&((const struct partition *)index)->store, index->ops->name,
                            index->env.error);
}
