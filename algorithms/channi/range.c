/* range.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_range(struct index *a0, const struct range_request *a1, struct range_result *a2)
{
    return ERR_UNSUPPORTED;
}
