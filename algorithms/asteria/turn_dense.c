/* turn_dense.c - not written yet. */
#include "algorithms/asteria/turn_dense.h"

#include "src/core/error.h"

int turn_dense_train(struct turn *a0, const struct index_env *env, const struct turn_options *a2,
                     const float *rows, size_t n)
{
    (void)a0;
    (void)a2;
    (void)rows;
    (void)n;
    return fail(env->error, ERR_UNSUPPORTED, "asteria: train: dense rotations are not written yet");
}
