/* clusters.c - clusters of rows: the leaves and prefixes of the BEC-tree. */
#include <inttypes.h>

#include "algorithms/asteria/buckets/encode.h"
#include "src/core/mem.h"

static int no_memory(const struct asteria *a)
{
    return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: clusters: out of memory");
}

/* Buffers to encode a row that the tree does not have: a query, or a row that is still in an older
   model's bucket. Its cluster is the one that the newer model's address leads to. */
struct newcomer {
    void *row;
    float *unit, *z, *p;
};

static void newcomer_free(const struct asteria *a, struct newcomer *n)
{
    struct mem *mem = a->base.env.mem;

    mem_free(mem, n->row);
    mem_free(mem, n->unit);
    mem_free(mem, n->z);
    mem_free(mem, n->p);
}

static int newcomer_reserve(const struct asteria *a, struct newcomer *n)
{
    const struct index_env *env = &a->base.env;
    const struct asteria_model *model = a->generations[a->now]->model;

    if (n->p)
        return OK;
    n->row = mem_alloc(env->mem, index_row_bytes(env->element, env->dim));
    n->unit = mem_array(env->mem, env->dim, sizeof(float));
    n->z = mem_array(env->mem, model->rotation->out_dim, sizeof(float));
    n->p = mem_array(env->mem, model->m, sizeof(float));
    return n->row && n->unit && n->z && n->p ? OK : no_memory(a);
}

static uint32_t leaf_of_row(const struct asteria *a, const void *row, struct newcomer *n)
{
    const struct asteria_model *model = a->generations[a->now]->model;

    asteria_model_rotate(model, a->base.env.kernels, asteria_unit(&a->base.env, row, n->unit),
                         n->z);
    asteria_model_hash(model, a->base.env.kernels, n->z, n->p);
    return asteria_bec_leaf_of(a->bec, asteria_ecc_decode(model->ecc, n->p));
}

static int leaf_of_id(struct asteria *a, uint64_t id, struct newcomer *n, uint32_t *leaf)
{
    const void *row = NULL;
    uint32_t slot;

    if (!slot_table_get(&a->slots, a->ids, id, &slot))
        return fail(a->base.env.error, ERR_UNKNOWN_ID,
                    "asteria: clusters: id %" PRIu64 " is not stored", id);
    if (asteria_bec_has(a->bec, slot)) {
        *leaf = asteria_bec_leaf(a->bec, slot);
        return OK;
    }
    int rc = newcomer_reserve(a, n);
    if (rc == OK)
        rc = asteria_rows_get(a->rows, slot, n->row, &row);
    if (rc == OK)
        *leaf = leaf_of_row(a, row, n);
    return rc;
}

/* The level with the number of clusters nearest to the target. A coarser level has fewer. */
static size_t level_of(const struct asteria *a, const struct cluster_request *request,
                       size_t levels)
{
    size_t best = 0, least = SIZE_MAX;

    if (request->target == 0)
        return request->level < levels ? request->level : levels - 1;
    for (size_t level = 0; level < levels; level++) {
        const size_t n = asteria_bec_count(a->bec, level);
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
    struct newcomer newcomer = { 0 };
    int rc = v.n > 0 ? newcomer_reserve(a, &newcomer) : OK;

    for (size_t i = 0; i < request->n && rc == OK; i++) {
        uint32_t leaf = 0;

        rc = leaf_of_id(a, request->ids[i], &newcomer, &leaf);
        if (rc == OK)
            result->of_ids[i] = numbers[leaf];
    }
    for (size_t i = 0; i < v.n && rc == OK; i++)
        result->of_vectors[i] =
            numbers[leaf_of_row(a, (const char *)v.rows + i * row_bytes, &newcomer)];
    newcomer_free(a, &newcomer);
    return rc;
}

/* A cluster whose rows are all in an older model's buckets has no medoid. */
static int report_medoids(const struct asteria *a, uint32_t *slots, struct cluster_result *result)
{
    int rc = OK;

    asteria_bec_medoids(a->bec, result->level, slots);
    for (size_t i = 0; i < result->clusters && rc == OK; i++)
        if (slots[i] != UINT32_MAX)
            rc = result->medoid(result->to, i, a->ids[slots[i]]);
    return rc;
}

static int cluster_locked(struct asteria *a, const struct cluster_request *request,
                          struct cluster_result *result)
{
    struct mem *mem = a->base.env.mem;

    if (!a->bec)
        return fail(a->base.env.error, ERR_UNTRAINED,
                    "asteria: clusters: there are no clusters before train()");
    result->levels = asteria_bec_levels(a->bec);
    result->level = level_of(a, request, result->levels);
    result->clusters = asteria_bec_count(a->bec, result->level);
    /* Also the medoids' slots: there are no more clusters than nodes. */
    uint32_t *numbers = mem_array(mem, asteria_bec_leaves_end(a->bec), sizeof *numbers);
    if (!numbers)
        return no_memory(a);
    asteria_bec_numbers(a->bec, result->level, numbers);
    int rc = assign(a, request, numbers, result);
    if (rc == OK)
        rc = report_medoids(a, numbers, result);
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
