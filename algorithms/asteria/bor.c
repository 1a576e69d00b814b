/* bor.c - not written yet. */
#include "algorithms/asteria/bor.h"

int bor_create(struct bor **a0, const struct index_env *a1, size_t dim, size_t passes,
               enum asteria_bor_init a4, uint64_t seed)
{
    (void)a0;
    (void)a1;
    (void)dim;
    (void)passes;
    (void)a4;
    (void)seed;
    return ERR_UNSUPPORTED;
}

void bor_destroy(const struct index_env *a0, struct bor *a1)
{
    (void)a0;
    (void)a1;
}

void bor_set_angles(struct bor *a0, const float *angles)
{
    (void)a0;
    (void)angles;
}

void bor_apply(const struct bor *a0, const struct kernels *a1, const float *row, float *z)
{
    (void)a0;
    (void)a1;
    (void)row;
    (void)z;
}

int bor_train(struct bor *a0, const struct index_env *a1, const struct turn_options *a2,
              const float *rows, size_t n, struct turn_report *a5)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)rows;
    (void)n;
    (void)a5;
    return ERR_UNSUPPORTED;
}
