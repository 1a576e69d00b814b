/* maintain.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_maintain(struct index *a0, uint64_t budget, bool *more)
{
    return ERR_UNSUPPORTED;
}
