/* tree.c - not written yet. */
#include "algorithms/asteria/tree.h"

int tree_create(struct tree **a0, const struct index_env *a1, const struct model *a2,
                const struct tree_options *a3)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)a3;
    return ERR_UNSUPPORTED;
}

void tree_destroy(struct tree *a0)
{
    (void)a0;
}

int tree_reserve(struct tree *a0, size_t n_slots, size_t more)
{
    (void)a0;
    (void)n_slots;
    (void)more;
    return ERR_UNSUPPORTED;
}

void tree_add(struct tree *a0, const struct tree_rows *a1, uint32_t slot, uint32_t address,
              const float *p)
{
    (void)a0;
    (void)a1;
    (void)slot;
    (void)address;
    (void)p;
}

void tree_remove(struct tree *a0, const struct tree_rows *a1, uint32_t slot)
{
    (void)a0;
    (void)a1;
    (void)slot;
}

int tree_maintain(struct tree *a0, const struct tree_rows *a1, uint64_t budget, bool *more)
{
    (void)a0;
    (void)a1;
    (void)budget;
    (void)more;
    return ERR_UNSUPPORTED;
}

size_t tree_count(const struct tree *a0, size_t level)
{
    (void)a0;
    (void)level;
    return 0;
}

uint64_t tree_cluster(const struct tree *a0, uint32_t slot, size_t level)
{
    (void)a0;
    (void)slot;
    (void)level;
    return 0;
}

void tree_medoids(const struct tree *a0, size_t level, uint32_t *slots)
{
    (void)a0;
    (void)level;
    (void)slots;
}

size_t tree_order(const struct tree *a0, const float *p, size_t most, uint32_t *addresses,
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

size_t tree_scratch_bytes(const struct tree *a0)
{
    (void)a0;
    return 0;
}

struct tree_counts tree_count_events(const struct tree *a0)
{
    (void)a0;
    return (struct tree_counts){ 0 };
}

uint64_t tree_bytes(const struct tree *a0)
{
    (void)a0;
    return 0;
}

int tree_check(const struct tree *a0, const struct tree_rows *a1, struct error *a2)
{
    (void)a0;
    (void)a1;
    (void)a2;
    return ERR_UNSUPPORTED;
}

void tree_write(const struct tree *a0, struct store_writer *a1)
{
    (void)a0;
    (void)a1;
}

int tree_read(struct tree **a0, const struct index_env *a1, const struct model *a2,
              const struct tree_options *a3, const struct store_reader *a4)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    return ERR_UNSUPPORTED;
}
