/* save.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_save(struct index *a0, const char *dir)
{
    return ERR_UNSUPPORTED;
}
