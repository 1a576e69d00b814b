/* codes.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_codes_make(struct channi *a0, const void *rows, size_t n, struct cluster_codes *a3)
{
    return ERR_UNSUPPORTED;
}

void channi_codes_free(struct channi *a0, struct cluster_codes *a1) {}
