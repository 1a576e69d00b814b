/* build.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_build_if_due(struct channi *a0)
{
    return ERR_UNSUPPORTED;
}
