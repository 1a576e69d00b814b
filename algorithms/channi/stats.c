/* stats.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_stats(const struct index *a0, struct stat_sink *a1)
{
    return ERR_UNSUPPORTED;
}

int channi_memory(const struct index *a0, struct memory_use *a1)
{
    return ERR_UNSUPPORTED;
}

int channi_assign(const struct index *a0, const uint64_t *ids, size_t n, size_t level,
                  uint64_t *cluster)
{
    return ERR_UNSUPPORTED;
}

int channi_cluster_count(const struct index *a0, size_t level, size_t *clusters)
{
    return ERR_UNSUPPORTED;
}

int channi_medoids(const struct index *a0, size_t level, uint64_t *ids)
{
    return ERR_UNSUPPORTED;
}
