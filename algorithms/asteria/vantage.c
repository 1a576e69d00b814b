/* vantage.c - not written yet. */
#include "algorithms/asteria/model.h"

int vantage_learn(float **out, const struct index_env *env, size_t m, size_t out_dim,
                  const float *z, size_t n, uint64_t seed)
{
    (void)out;
    (void)m;
    (void)out_dim;
    (void)z;
    (void)n;
    (void)seed;
    return fail(env->error, ERR_UNSUPPORTED, "asteria: train: vantages are not written yet");
}
