/* route.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_route(struct channi *a0, struct channi_scratch *a1, const struct layout *a2,
                 const void *row, size_t ef, uint32_t *cid, double *checked)
{
    return ERR_UNSUPPORTED;
}

int channi_nearest_clusters(struct channi *a0, struct channi_scratch *a1, const struct layout *a2,
                            const void *query, size_t n, size_t ef, uint32_t *cids,
                            float *distances, size_t *found, double *checked)
{
    return ERR_UNSUPPORTED;
}

int channi_nearest_routes(struct channi *a0, struct channi_scratch *a1, const struct routes *a2,
                          const void *query, size_t n, size_t ef, uint32_t *routes,
                          float *distances, size_t *found, double *checked)
{
    return ERR_UNSUPPORTED;
}
