/* search.c - not written yet. */
#include "algorithms/asteria/asteria.h"

int asteria_search(struct index *a0, const struct search_request *a1, struct search_result *a2)
{
    (void)a0;
    (void)a1;
    (void)a2;
    return ERR_UNSUPPORTED;
}

int asteria_range(struct index *a0, const struct range_request *a1, struct range_result *a2)
{
    (void)a0;
    (void)a1;
    (void)a2;
    return ERR_UNSUPPORTED;
}

void asteria_scratch_free(struct asteria *a0)
{
    (void)a0;
}

uint64_t asteria_scratch_bytes(struct asteria *a0)
{
    (void)a0;
    return 0;
}

void asteria_search_stats(const struct asteria *a0, struct stat_sink *a1)
{
    (void)a0;
    (void)a1;
}
