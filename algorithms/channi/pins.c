/* pins.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_snapshot(struct index *a0, uint64_t *version)
{
    return ERR_UNSUPPORTED;
}

int channi_release(struct index *a0, uint64_t version)
{
    return ERR_UNSUPPORTED;
}

int channi_view_of(struct channi *a0, uint64_t version, struct view **a2)
{
    return ERR_UNSUPPORTED;
}

uint64_t channi_horizon(struct channi *a0)
{
    return 0;
}
