/* generation.c - not written yet. */
#include "algorithms/asteria/bucket.h"

int generation_create(struct generation **a0, const struct index_env *a1, struct model *a2)
{
    (void)a0;
    (void)a1;
    (void)a2;
    return ERR_UNSUPPORTED;
}

void generation_destroy(const struct index_env *a0, struct generation *a1)
{
    (void)a0;
    (void)a1;
}

uint32_t generation_find(const struct generation *a0, uint32_t address)
{
    (void)a0;
    (void)address;
    return 0;
}

int generation_reserve(struct generation *a0, const struct index_env *a1, uint32_t address,
                       size_t n, size_t n_slots, uint32_t *bucket)
{
    (void)a0;
    (void)a1;
    (void)address;
    (void)n;
    (void)n_slots;
    (void)bucket;
    return ERR_UNSUPPORTED;
}

uint64_t generation_bytes(const struct generation *a0, uint64_t *codes)
{
    (void)a0;
    (void)codes;
    return 0;
}
