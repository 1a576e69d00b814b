/* range_hits.c - adding and delivering the answers of a range search. */
#include <stdlib.h>

#include "algorithms/common/rows/range_hits.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/order.h"

int range_hits_add(struct range_hits *h, const struct index_env *env, uint64_t id, float distance)
{
    if (!mem_grow(env->mem, &h->hits, &h->capacity, h->n + 1, sizeof *h->hits))
        return fail(env->error, ERR_NO_MEMORY, "range: out of memory after %zu answers", h->n);
    h->hits[h->n++] = (struct range_hit){ id, distance };
    return OK;
}

void range_hits_drop_repeats(struct range_hits *h)
{
    size_t n = 0;

    if (h->n > 1)
        qsort(h->hits, h->n, sizeof *h->hits, order_u64);
    for (size_t i = 0; i < h->n; i++)
        if (n == 0 || h->hits[n - 1].id != h->hits[i].id)
            h->hits[n++] = h->hits[i];
    h->n = n;
}

int range_hits_deliver(const struct range_hits *h, size_t query, struct range_result *result)
{
    int rc = OK;

    for (size_t i = 0; rc == OK && i < h->n; i++)
        rc = result->found(result->to, query, h->hits[i].id, h->hits[i].distance);
    return rc;
}
