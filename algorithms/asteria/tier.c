/* tier.c - not written yet. */
#include "algorithms/asteria/tier.h"

int tier_create(struct tier **a0, const struct index_env *a1, const struct asteria_params *a2)
{
    (void)a0;
    (void)a1;
    (void)a2;
    return ERR_UNSUPPORTED;
}

void tier_destroy(struct tier *a0)
{
    (void)a0;
}

int tier_reserve(struct tier *a0, size_t n)
{
    (void)a0;
    (void)n;
    return ERR_UNSUPPORTED;
}

int tier_write(struct tier *a0, const uint32_t *slots, const void *rows, size_t n)
{
    (void)a0;
    (void)slots;
    (void)rows;
    (void)n;
    return ERR_UNSUPPORTED;
}

const void *tier_resident(const struct tier *a0, uint32_t slot)
{
    (void)a0;
    (void)slot;
    return NULL;
}

int tier_fetch_create(struct tier_fetch **a0, const struct tier *a1)
{
    (void)a0;
    (void)a1;
    return ERR_UNSUPPORTED;
}

void tier_fetch_destroy(struct tier_fetch *a0)
{
    (void)a0;
}

int tier_fetch_begin(struct tier_fetch *a0, const uint32_t *slots, size_t n)
{
    (void)a0;
    (void)slots;
    (void)n;
    return ERR_UNSUPPORTED;
}

int tier_fetch_next(struct tier_fetch *a0, size_t *i, const void **row)
{
    (void)a0;
    (void)i;
    (void)row;
    return ERR_UNSUPPORTED;
}

int tier_get(const struct tier *a0, uint32_t slot, void *to, const void **row)
{
    (void)a0;
    (void)slot;
    (void)to;
    (void)row;
    return ERR_UNSUPPORTED;
}

int tier_heat(struct tier *a0, const uint32_t *slots, size_t n)
{
    (void)a0;
    (void)slots;
    (void)n;
    return ERR_UNSUPPORTED;
}

void tier_cool(struct tier *a0, const uint32_t *slots, size_t n)
{
    (void)a0;
    (void)slots;
    (void)n;
}

uint64_t tier_resident_bytes(const struct tier *a0)
{
    (void)a0;
    return 0;
}

uint64_t tier_disk_bytes(const struct tier *a0)
{
    (void)a0;
    return 0;
}

uint64_t tier_budget(const struct tier *a0)
{
    (void)a0;
    return 0;
}

bool tier_tiered(const struct tier *a0)
{
    (void)a0;
    return false;
}

uint64_t tier_reads(const struct tier *a0)
{
    (void)a0;
    return 0;
}
