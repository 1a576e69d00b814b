/* split.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_split(struct channi *a0, uint32_t cid, double *cost, bool *busy)
{
    return ERR_UNSUPPORTED;
}

int channi_split_plan(struct channi *a0, const struct cluster *a1, const struct members *a2,
                      uint64_t seed, struct split_plan *a4, double *cost)
{
    return ERR_UNSUPPORTED;
}
