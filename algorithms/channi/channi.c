/* channi.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_open(struct channi **a0, const struct index_env *a1, const struct channi_params *a2,
                const struct channi_opening *a3)
{
    return ERR_UNSUPPORTED;
}

int channi_create_with(struct channi **a0, const struct index_env *a1,
                       const struct channi_params *a2, const struct channi_opening *a3)
{
    return ERR_UNSUPPORTED;
}

int channi_start(struct channi *a0)
{
    return ERR_UNSUPPORTED;
}

void channi_stop(struct channi *a0) {}

void channi_destroy(struct index *a0) {}
