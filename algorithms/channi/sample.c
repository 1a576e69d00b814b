/* sample.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_sample(const struct index_env *a0, enum channi_sampling a1, struct rng *a2,
                  const void *rows, size_t n, size_t k, uint32_t *out, double *checked)
{
    return ERR_UNSUPPORTED;
}
