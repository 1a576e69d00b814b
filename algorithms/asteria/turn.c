/* turn.c - not written yet. */
#include "algorithms/asteria/turn.h"

int turn_train(struct turn **a0, const struct index_env *a1, const struct turn_options *a2,
               const float *rows, size_t n, struct turn_report *report)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)rows;
    (void)n;
    (void)report;
    return ERR_UNSUPPORTED;
}

void turn_destroy(const struct index_env *a0, struct turn *a1)
{
    (void)a0;
    (void)a1;
}

size_t turn_bytes(const struct turn *a0)
{
    (void)a0;
    return 0;
}

void turn_apply(const struct turn *a0, const struct kernels *a1, const float *row, float *z)
{
    (void)a0;
    (void)a1;
    (void)row;
    (void)z;
}

double turn_defect(const struct turn *a0, const struct kernels *a1, uint64_t seed, size_t n)
{
    (void)a0;
    (void)a1;
    (void)seed;
    (void)n;
    return 0;
}

void turn_write(const struct turn *a0, struct store_writer *a1, char suffix)
{
    (void)a0;
    (void)a1;
    (void)suffix;
}

int turn_read(struct turn **a0, const struct index_env *a1, const struct store_reader *a2,
              char suffix)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)suffix;
    return ERR_UNSUPPORTED;
}
