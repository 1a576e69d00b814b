/* clusters.c - the tree's leaves and prefixes as clusters of ids. */
#include <inttypes.h>

#include "algorithms/asteria/asteria.h"
#include "src/core/mem.h"

static int find(const struct asteria *a, uint64_t id, uint32_t *slot)
{
    if (slot_table_get(&a->slots, a->ids, id, slot))
        return OK;
    return fail(a->base.env.error, ERR_UNKNOWN_ID,
                "asteria: clusters: id %" PRIu64 " is not stored", id);
}

static int expect_tree(const struct asteria *a)
{
    return a->bec ? OK
                  : fail(a->base.env.error, ERR_UNTRAINED,
                         "asteria: clusters: there are none before train()");
}

/* Rows that an older model's buckets still have are where the newer one's address would lead them. */
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
    const struct model *model = a->generations[a->now]->model;

    if (n->p)
        return OK;
    n->row = mem_alloc(env->mem, element_row_bytes(env->element, env->dim));
    n->unit = mem_array(env->mem, env->dim, sizeof(float));
    n->z = mem_array(env->mem, model->turn->out_dim, sizeof(float));
    n->p = mem_array(env->mem, model->m, sizeof(float));
    if (n->row && n->unit && n->z && n->p)
        return OK;
    return fail(env->error, ERR_NO_MEMORY, "asteria: clusters: out of memory to encode a row");
}

static int leaf_of(struct asteria *a, uint32_t slot, struct newcomer *n, uint32_t *leaf)
{
    const struct model *model = a->generations[a->now]->model;
    const void *row = NULL;
    int rc = OK;

    if (bec_has(a->bec, slot)) {
        *leaf = bec_leaf(a->bec, slot);
        return OK;
    }
    rc = newcomer_reserve(a, n);
    if (rc == OK)
        rc = tier_get(a->tier, slot, n->row, &row);
    if (rc != OK)
        return rc;
    model_turn(model, a->base.env.kernels, asteria_unit(&a->base.env, row, n->unit), n->z);
    model_hash(model, a->base.env.kernels, n->z, n->p);
    *leaf = bec_leaf_of(a->bec, ecc_decode(model->ecc, n->p));
    return OK;
}

static int assign_locked(struct asteria *a, const uint64_t *ids, size_t n, size_t level,
                         uint64_t *cluster)
{
    struct mem *mem = a->base.env.mem;
    struct newcomer newcomer = { 0 };
    int rc = expect_tree(a);

    if (rc != OK)
        return rc;
    uint32_t *numbers = mem_array(mem, bec_leaves_end(a->bec), sizeof *numbers);
    if (!numbers)
        return fail(a->base.env.error, ERR_NO_MEMORY,
                    "asteria: clusters: out of memory to number them");
    bec_numbers(a->bec, level, numbers);
    for (size_t i = 0; i < n && rc == OK; i++) {
        uint32_t slot = 0, leaf = 0;
        rc = find(a, ids[i], &slot);
        if (rc == OK)
            rc = leaf_of(a, slot, &newcomer, &leaf);
        if (rc == OK)
            cluster[i] = numbers[leaf];
    }
    newcomer_free(a, &newcomer);
    mem_free(mem, numbers);
    return rc;
}

static int asteria_assign(const struct index *index, const uint64_t *ids, size_t n, size_t level,
                          uint64_t *cluster)
{
    struct asteria *a = asteria_of(index);

    pthread_rwlock_rdlock(&a->lock);
    const int rc = assign_locked(a, ids, n, level, cluster);
    pthread_rwlock_unlock(&a->lock);
    return rc;
}

static int asteria_cluster_count(const struct index *index, size_t level, size_t *clusters)
{
    struct asteria *a = asteria_of(index);

    pthread_rwlock_rdlock(&a->lock);
    const int rc = expect_tree(a);
    if (rc == OK)
        *clusters = bec_count(a->bec, level);
    pthread_rwlock_unlock(&a->lock);
    return rc;
}

/* ID_NONE: the cluster is empty. */
static int asteria_medoids(const struct index *index, size_t level, uint64_t *ids)
{
    struct asteria *a = asteria_of(index);
    struct mem *mem = a->base.env.mem;

    pthread_rwlock_rdlock(&a->lock);
    int rc = expect_tree(a);
    const size_t n = rc == OK ? bec_count(a->bec, level) : 0;
    uint32_t *slots = rc == OK ? mem_array(mem, n, sizeof *slots) : NULL;
    if (rc == OK && !slots)
        rc = fail(a->base.env.error, ERR_NO_MEMORY, "asteria: clusters: out of memory for medoids");
    if (rc == OK) {
        bec_medoids(a->bec, level, slots);
        for (size_t i = 0; i < n; i++)
            ids[i] = slots[i] == UINT32_MAX ? ID_NONE : a->ids[slots[i]];
    }
    pthread_rwlock_unlock(&a->lock);
    mem_free(mem, slots);
    return rc;
}

const struct index_cluster_ops asteria_clusters = { .assign = asteria_assign,
                                                    .count = asteria_cluster_count,
                                                    .medoids = asteria_medoids };
