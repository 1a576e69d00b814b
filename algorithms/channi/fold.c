/* fold.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_fold(struct channi *a0, uint32_t cid, double *cost, bool *busy)
{
    return ERR_UNSUPPORTED;
}
