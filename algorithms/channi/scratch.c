/* scratch.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

struct channi_scratch *channi_scratch_take(struct channi *a0)
{
    return NULL;
}

void channi_scratch_give(struct channi *a0, struct channi_scratch *a1) {}

void channi_scratch_free(struct channi *a0) {}

uint64_t channi_scratch_bytes(struct channi *a0)
{
    return 0;
}

bool channi_scratch_fit(struct channi *a0, struct channi_scratch *a1, size_t n)
{
    return 0;
}
