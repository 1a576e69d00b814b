/* check.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_check(const struct index *a0, struct stat_sink *a1)
{
    return ERR_UNSUPPORTED;
}
