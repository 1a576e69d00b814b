/* recover.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_load_from(struct channi **a0, const struct index_env *a1, const char *dir,
                     const struct channi_opening *a3)
{
    return ERR_UNSUPPORTED;
}

int channi_load(struct index **a0, const struct index_env *a1, const char *dir)
{
    return ERR_UNSUPPORTED;
}
