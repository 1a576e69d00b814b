/* clusters.c - clusters of rows: the leaves and prefixes of the BEC-tree. */
#include <inttypes.h>

#include "algorithms/asteria/asteria.h"
#include "src/core/mem.h"

static const struct asteria_bec *tree_of(const struct asteria *a)
{
    return a->generations[a->now]->bec;
}

static int no_memory(const struct asteria *a)
{
    return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: clusters: out of memory");
}

/* The leaf of a row that the tree does not have: a query, or a row that is still in an older
   model's bucket. It is the one that the newer model's address leads to. */
static int leaf_of_row(const struct asteria *a, const void *row, struct asteria_batch *b,
                       uint32_t *leaf)
{
    b->rows = row;
    b->n = 1;
    const int rc = asteria_batch_encode(b);

    if (rc == OK)
        *leaf = asteria_bec_leaf_of(tree_of(a), b->encodings[0].address);
    return rc;
}

/* read: a row's bytes. */
static int leaf_of_id(struct asteria *a, uint64_t id, struct asteria_batch *b, void *read,
                      uint32_t *leaf)
{
    const void *row = NULL;
    uint32_t slot;

    if (!slot_table_get(&a->slots, a->ids, id, &slot))
        return fail(a->base.env.error, ERR_UNKNOWN_ID,
                    "asteria: clusters: id %" PRIu64 " is not stored", id);
    *leaf = asteria_bec_leaf(tree_of(a), slot);
    if (*leaf != UINT32_MAX)
        return OK;
    const int rc = asteria_rows_get(a->rows, slot, read, &row);
    return rc == OK ? leaf_of_row(a, row, b, leaf) : rc;
}

/* The level with the number of clusters nearest to the target. A coarser level has fewer. */
static size_t level_of(const struct asteria *a, const struct cluster_request *request,
                       size_t levels)
{
    size_t best = 0, least = SIZE_MAX;

    if (request->target == 0)
        return request->level < levels ? request->level : levels - 1;
    for (size_t level = 0; level < levels; level++) {
        const size_t n = asteria_bec_count(tree_of(a), level);
        const size_t apart = n > request->target ? n - request->target : request->target - n;

        if (apart < least) {
            least = apart;
            best = level;
        }
    }
    return best;
}

static int assign(struct asteria *a, const struct cluster_request *request, const uint32_t *numbers,
                  struct cluster_result *result)
{
    const struct vectors v = request->vectors;
    const size_t row_bytes = index_row_bytes(v.element, v.dim);
    struct asteria_batch batch;
    uint32_t leaf = 0;
    int rc = asteria_batch_begin(&batch, a, 1);
    void *read = mem_group_array(&batch.memory, 1, batch.row_bytes);

    if (rc == OK && !read)
        rc = no_memory(a);
    for (size_t i = 0; i < request->n && rc == OK; i++) {
        rc = leaf_of_id(a, request->ids[i], &batch, read, &leaf);
        if (rc == OK)
            result->of_ids[i] = numbers[leaf];
    }
    for (size_t i = 0; i < v.n && rc == OK; i++) {
        rc = leaf_of_row(a, (const char *)v.rows + i * row_bytes, &batch, &leaf);
        if (rc == OK)
            result->of_vectors[i] = numbers[leaf];
    }
    mem_group_free(&batch.memory);
    return rc;
}

static int cluster_locked(struct asteria *a, const struct cluster_request *request,
                          struct cluster_result *result)
{
    struct mem *mem = a->base.env.mem;

    if (!a->generations[a->now])
        return fail(a->base.env.error, ERR_UNTRAINED,
                    "asteria: clusters: there are no clusters before train()");
    result->levels = asteria_bec_levels(tree_of(a));
    result->level = level_of(a, request, result->levels);
    result->clusters = asteria_bec_count(tree_of(a), result->level);
    /* Also the medoids' slots: there are no more clusters than nodes. */
    uint32_t *numbers = mem_array(mem, asteria_bec_leaves_end(tree_of(a)), sizeof *numbers);
    if (!numbers)
        return no_memory(a);
    asteria_bec_numbers(tree_of(a), result->level, numbers);
    int rc = assign(a, request, numbers, result);
    if (rc == OK)
        asteria_bec_medoids(tree_of(a), result->level, numbers);
    /* A cluster whose rows are all in an older model's buckets has no medoid. */
    for (size_t i = 0; i < result->clusters && rc == OK; i++)
        if (numbers[i] != UINT32_MAX)
            rc = result->medoid(result->to, i, a->ids[numbers[i]]);
    mem_free(mem, numbers);
    return rc;
}

int asteria_cluster(struct index *index, const struct cluster_request *request,
                    struct cluster_result *result)
{
    struct asteria *a = asteria_of(index);

    pthread_rwlock_rdlock(&a->lock);
    const int rc = cluster_locked(a, request, result);
    pthread_rwlock_unlock(&a->lock);
    return rc;
}
