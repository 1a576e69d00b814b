/* txn.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_begin(struct index *a0)
{
    return ERR_UNSUPPORTED;
}

int channi_commit(struct index *a0, uint64_t *version)
{
    return ERR_UNSUPPORTED;
}

int channi_rollback(struct index *a0)
{
    return ERR_UNSUPPORTED;
}

int channi_insert(struct index *a0, struct vectors a1, const uint64_t *ids, size_t *done)
{
    return ERR_UNSUPPORTED;
}

int channi_insert_with(struct index *a0, struct vectors a1, const uint64_t *ids,
                       const uint32_t *attributes, size_t *done)
{
    return ERR_UNSUPPORTED;
}

int channi_remove(struct index *a0, const uint64_t *ids, size_t n, size_t *done)
{
    return ERR_UNSUPPORTED;
}

void channi_txn_drop(struct channi *s) {}
