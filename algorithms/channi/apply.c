/* apply.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_apply(struct channi *a0, const struct change *a1, size_t n, uint64_t *version)
{
    return ERR_UNSUPPORTED;
}
