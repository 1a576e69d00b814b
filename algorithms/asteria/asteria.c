/* asteria.c - not written yet. */
#include "algorithms/asteria/asteria.h"

int asteria_create(struct index **a0, const struct index_env *a1, const void *params)
{
    (void)a0;
    (void)a1;
    (void)params;
    return ERR_UNSUPPORTED;
}

void asteria_destroy(struct index *a0)
{
    (void)a0;
}

int asteria_train(struct index *a0, struct vectors sample)
{
    (void)a0;
    (void)sample;
    return ERR_UNSUPPORTED;
}

int asteria_insert(struct index *a0, struct vectors a1, const uint64_t *ids, size_t *done)
{
    (void)a0;
    (void)a1;
    (void)ids;
    (void)done;
    return ERR_UNSUPPORTED;
}

int asteria_remove(struct index *a0, const uint64_t *ids, size_t n, size_t *done)
{
    (void)a0;
    (void)ids;
    (void)n;
    (void)done;
    return ERR_UNSUPPORTED;
}

int asteria_maintain(struct index *a0, uint64_t budget, bool *more)
{
    (void)a0;
    (void)budget;
    (void)more;
    return ERR_UNSUPPORTED;
}

int asteria_stats(const struct index *a0, struct stat_sink *a1)
{
    (void)a0;
    (void)a1;
    return ERR_UNSUPPORTED;
}

int asteria_memory(const struct index *a0, struct memory_use *a1)
{
    (void)a0;
    (void)a1;
    return ERR_UNSUPPORTED;
}

int asteria_check(const struct index *a0, struct stat_sink *a1)
{
    (void)a0;
    (void)a1;
    return ERR_UNSUPPORTED;
}

int asteria_apply_insert(struct asteria *a0, struct vectors a1, const uint64_t *ids, size_t *done)
{
    (void)a0;
    (void)a1;
    (void)ids;
    (void)done;
    return ERR_UNSUPPORTED;
}

void asteria_apply_remove(struct asteria *a0, uint64_t id)
{
    (void)a0;
    (void)id;
}

const struct index_ops asteria_ops = { .abi = INDEX_ABI, .name = "asteria" };
const struct index_cluster_ops asteria_clusters = { 0 };
