/* search.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_search(struct index *a0, const struct search_request *a1, struct search_result *a2)
{
    return ERR_UNSUPPORTED;
}

int channi_search_as_of(struct index *a0, uint64_t version, const struct search_request *a2,
                        struct search_result *a3)
{
    return ERR_UNSUPPORTED;
}

int channi_search_where(struct index *a0, const struct search_request *a1,
                        struct attribute_range a2, struct search_result *a3)
{
    return ERR_UNSUPPORTED;
}

void channi_search_work_free(struct mem *mem, struct search_work *work) {}

uint64_t channi_search_work_bytes(const struct search_work *work)
{
    return 0;
}
