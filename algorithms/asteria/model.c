/* model.c - not written yet. */
#include "algorithms/asteria/model.h"

int model_fit(struct model **a0, const struct index_env *a1, const struct asteria_params *a2,
              unsigned address_bits, const float *rows, size_t n, const struct model *from,
              uint32_t version)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)address_bits;
    (void)rows;
    (void)n;
    (void)from;
    (void)version;
    return ERR_UNSUPPORTED;
}

void model_destroy(const struct index_env *a0, struct model *a1)
{
    (void)a0;
    (void)a1;
}

size_t model_bytes(const struct model *a0)
{
    (void)a0;
    return 0;
}

void model_turn(const struct model *a0, const struct kernels *a1, const float *row, float *z)
{
    (void)a0;
    (void)a1;
    (void)row;
    (void)z;
}

void model_hash(const struct model *a0, const struct kernels *a1, const float *z, float *p)
{
    (void)a0;
    (void)a1;
    (void)z;
    (void)p;
}

int model_check(const struct model *a0, const struct index_env *a1)
{
    (void)a0;
    (void)a1;
    return ERR_UNSUPPORTED;
}

void model_write(const struct model *a0, struct store_writer *a1, char suffix)
{
    (void)a0;
    (void)a1;
    (void)suffix;
}

int model_read(struct model **a0, const struct index_env *a1, const struct store_reader *a2,
               char suffix)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)suffix;
    return ERR_UNSUPPORTED;
}

int vantage_learn(float **a0, const struct index_env *a1, size_t m, size_t out_dim, const float *z,
                  size_t n, uint64_t seed)
{
    (void)a0;
    (void)a1;
    (void)m;
    (void)out_dim;
    (void)z;
    (void)n;
    (void)seed;
    return ERR_UNSUPPORTED;
}

int calibrate(struct calibration *a0, const struct index_env *a1, const struct model *a2,
              const float *rows, size_t n, uint64_t seed)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)rows;
    (void)n;
    (void)seed;
    return ERR_UNSUPPORTED;
}
