/* bec.c - not written yet. */
#include "algorithms/asteria/bec.h"

int bec_create(struct bec **a0, const struct index_env *a1, const struct model *a2,
               const struct bec_options *a3)
{
    *a0 = NULL; /* until it is written: none */
    (void)a1;
    (void)a2;
    (void)a3;
    return OK;
}

void bec_destroy(struct bec *a0)
{
    (void)a0;
}

int bec_reserve(struct bec *a0, size_t n_slots, size_t more)
{
    (void)a0;
    (void)n_slots;
    (void)more;
    return ERR_UNSUPPORTED;
}

void bec_add(struct bec *a0, const struct bec_rows *a1, uint32_t slot, uint32_t address,
             const float *p)
{
    (void)a0;
    (void)a1;
    (void)slot;
    (void)address;
    (void)p;
}

void bec_remove(struct bec *a0, const struct bec_rows *a1, uint32_t slot)
{
    (void)a0;
    (void)a1;
    (void)slot;
}

int bec_maintain(struct bec *a0, const struct bec_rows *a1, uint64_t budget, bool *more)
{
    (void)a0;
    (void)a1;
    (void)budget;
    (void)more;
    return ERR_UNSUPPORTED;
}

size_t bec_count(const struct bec *a0, size_t level)
{
    (void)a0;
    (void)level;
    return 0;
}

uint64_t bec_cluster(const struct bec *a0, uint32_t slot, size_t level)
{
    (void)a0;
    (void)slot;
    (void)level;
    return 0;
}

void bec_medoids(const struct bec *a0, size_t level, uint32_t *slots)
{
    (void)a0;
    (void)level;
    (void)slots;
}

size_t bec_order(const struct bec *a0, const float *p, size_t most, uint32_t *addresses,
                 float *lower, void *scratch)
{
    (void)a0;
    (void)p;
    (void)most;
    (void)addresses;
    (void)lower;
    (void)scratch;
    return 0;
}

size_t bec_scratch_bytes(const struct bec *a0)
{
    (void)a0;
    return 0;
}

struct bec_counts bec_count_events(const struct bec *a0)
{
    (void)a0;
    return (struct bec_counts){ 0 };
}

uint64_t bec_bytes(const struct bec *a0)
{
    (void)a0;
    return 0;
}

int bec_check(const struct bec *a0, const struct bec_rows *a1, struct error *a2)
{
    (void)a0;
    (void)a1;
    (void)a2;
    return ERR_UNSUPPORTED;
}

void bec_write(const struct bec *a0, struct store_writer *a1)
{
    (void)a0;
    (void)a1;
}

int bec_read(struct bec **a0, const struct index_env *a1, const struct model *a2,
             const struct bec_options *a3, const struct store_reader *a4)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    return ERR_UNSUPPORTED;
}
