/* members.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_take(struct channi *a0, const uint32_t *cids, size_t n, struct work_on *a3, bool *taken)
{
    return ERR_UNSUPPORTED;
}

void channi_give(struct channi *a0, struct work_on *a1) {}

int channi_gather(struct channi *a0, struct work_on *a1, struct members *a2)
{
    return ERR_UNSUPPORTED;
}

void channi_members_init(struct members *a0, struct channi *a1) {}

void channi_members_free(struct members *a0, struct channi *a1) {}
