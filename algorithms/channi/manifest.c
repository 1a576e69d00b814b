/* manifest.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_checkpoint(struct channi *a0)
{
    return ERR_UNSUPPORTED;
}

bool channi_checkpoint_due(const struct channi *a0)
{
    return 0;
}
