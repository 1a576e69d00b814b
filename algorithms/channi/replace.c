/* replace.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_replace(struct channi *a0, struct work_on *a1, const struct members *a2,
                   const struct replacement *a3)
{
    return ERR_UNSUPPORTED;
}
