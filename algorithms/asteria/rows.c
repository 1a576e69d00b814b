/* rows.c - not written yet. */
#include "algorithms/asteria/rows.h"

int rows_create(struct rows **a0, const struct index_env *a1, const struct asteria_params *a2)
{
    (void)a0;
    (void)a1;
    (void)a2;
    return ERR_UNSUPPORTED;
}

void rows_destroy(struct rows *a0)
{
    (void)a0;
}

int rows_reserve(struct rows *a0, size_t n)
{
    (void)a0;
    (void)n;
    return ERR_UNSUPPORTED;
}

int rows_write(struct rows *a0, const uint32_t *slots, const void *rows, size_t n)
{
    (void)a0;
    (void)slots;
    (void)rows;
    (void)n;
    return ERR_UNSUPPORTED;
}

const void *rows_resident(const struct rows *a0, uint32_t slot)
{
    (void)a0;
    (void)slot;
    return NULL;
}

int rows_fetch_create(struct rows_fetch **a0, const struct rows *a1)
{
    (void)a0;
    (void)a1;
    return ERR_UNSUPPORTED;
}

void rows_fetch_destroy(struct rows_fetch *a0)
{
    (void)a0;
}

int rows_fetch_begin(struct rows_fetch *a0, const uint32_t *slots, size_t n)
{
    (void)a0;
    (void)slots;
    (void)n;
    return ERR_UNSUPPORTED;
}

int rows_fetch_next(struct rows_fetch *a0, size_t *i, const void **row)
{
    (void)a0;
    (void)i;
    (void)row;
    return ERR_UNSUPPORTED;
}

int rows_get(const struct rows *a0, uint32_t slot, void *to, const void **row)
{
    (void)a0;
    (void)slot;
    (void)to;
    (void)row;
    return ERR_UNSUPPORTED;
}

int rows_heat(struct rows *a0, const uint32_t *slots, size_t n)
{
    (void)a0;
    (void)slots;
    (void)n;
    return ERR_UNSUPPORTED;
}

void rows_cool(struct rows *a0, const uint32_t *slots, size_t n)
{
    (void)a0;
    (void)slots;
    (void)n;
}

uint64_t rows_resident_bytes(const struct rows *a0)
{
    (void)a0;
    return 0;
}

uint64_t rows_disk_bytes(const struct rows *a0)
{
    (void)a0;
    return 0;
}

uint64_t rows_budget(const struct rows *a0)
{
    (void)a0;
    return 0;
}

bool rows_tiered(const struct rows *a0)
{
    (void)a0;
    return false;
}

uint64_t rows_reads(const struct rows *a0)
{
    (void)a0;
    return 0;
}
