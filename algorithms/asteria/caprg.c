/* caprg.c - not written yet. */
#include "algorithms/asteria/caprg.h"

int caprg_create(struct caprg **a0, const struct index_env *a1, size_t degree)
{
    (void)a0;
    (void)a1;
    (void)degree;
    return ERR_UNSUPPORTED;
}

void caprg_destroy(struct caprg *a0)
{
    (void)a0;
}

int caprg_reserve(struct caprg *a0, size_t n_slots)
{
    (void)a0;
    (void)n_slots;
    return ERR_UNSUPPORTED;
}

int caprg_add(struct caprg *a0, const struct caprg_rows *a1, uint32_t x, const uint32_t *pool,
              size_t n)
{
    (void)a0;
    (void)a1;
    (void)x;
    (void)pool;
    (void)n;
    return ERR_UNSUPPORTED;
}

int caprg_remove(struct caprg *a0, uint32_t x)
{
    (void)a0;
    (void)x;
    return ERR_UNSUPPORTED;
}

int caprg_forget(struct caprg *a0, const struct caprg_rows *a1, uint64_t budget, bool *more,
                 void (*gone)(void *to, uint32_t slot), void *to)
{
    (void)a0;
    (void)a1;
    (void)budget;
    (void)more;
    (void)gone;
    (void)to;
    return ERR_UNSUPPORTED;
}

const uint32_t *caprg_edges(const struct caprg *a0, uint32_t x, size_t *n)
{
    (void)a0;
    (void)x;
    (void)n;
    return NULL;
}

int caprg_scratch_create(struct caprg_scratch **a0, const struct caprg *a1)
{
    (void)a0;
    (void)a1;
    return ERR_UNSUPPORTED;
}

void caprg_scratch_destroy(struct caprg_scratch *a0)
{
    (void)a0;
}

int caprg_search_begin(const struct caprg *a0, struct caprg_scratch *a1)
{
    (void)a0;
    (void)a1;
    return ERR_UNSUPPORTED;
}

void caprg_met(struct caprg_scratch *a0, uint32_t slot)
{
    (void)a0;
    (void)slot;
}

int caprg_search(const struct caprg *a0, struct caprg_scratch *a1, const uint32_t *seeds,
                 const float *scores, size_t n, struct caprg_walk *a5)
{
    (void)a0;
    (void)a1;
    (void)seeds;
    (void)scores;
    (void)n;
    (void)a5;
    return ERR_UNSUPPORTED;
}

uint64_t caprg_bytes(const struct caprg *a0)
{
    (void)a0;
    return 0;
}

struct caprg_counts caprg_count(const struct caprg *a0)
{
    (void)a0;
    return (struct caprg_counts){ 0 };
}

int caprg_check(const struct caprg *a0, const struct caprg_rows *a1, struct error *a2)
{
    (void)a0;
    (void)a1;
    (void)a2;
    return ERR_UNSUPPORTED;
}

void caprg_write(const struct caprg *a0, struct store_writer *a1)
{
    (void)a0;
    (void)a1;
}

int caprg_read(struct caprg **a0, const struct index_env *a1, size_t degree,
               const struct store_reader *a3)
{
    (void)a0;
    (void)a1;
    (void)degree;
    (void)a3;
    return ERR_UNSUPPORTED;
}
