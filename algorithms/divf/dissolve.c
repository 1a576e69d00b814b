/* dissolve.c - a list goes: each of its vectors to the nearest list that does not hold it yet. */
#include <string.h>

#include "algorithms/divf/upkeep.h"

/* Of the lists nearest to a vector, in order, the first without a copy of it; UINT32_MAX: all have
   one. */
static uint32_t first_without(const struct divf *d, uint32_t slot, const uint32_t *lists, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!divf_slot_in_list(&d->lists, slot, lists[i]))
            return lists[i];
    return UINT32_MAX;
}

int upkeep_dissolve_plan(struct divf *d, size_t list, size_t *n, uint64_t *spent)
{
    struct upkeep *u = d->upkeep;
    struct centroids centroids = divf_centroids(&d->lists);
    size_t s =
        (size_t)d->params.soft_k + 1 < d->lists.n ? (size_t)d->params.soft_k + 1 : d->lists.n;
    int rc = upkeep_room(d, d->lists.list[list].live);
    if (rc)
        return rc;
    *n = divf_list_slots(&d->lists, list, u->slots);
    for (size_t first = 0; first < *n; first += NEAREST_ROWS) {
        size_t count = *n - first < NEAREST_ROWS ? *n - first : NEAREST_ROWS;
        upkeep_gather(d, u->slots + first, count);
        nearest_rows(u->nearest, d->base.env.kernels, &centroids, u->rows, count, s, u->answer);
        for (size_t i = 0; i < count; i++)
            u->to[first + i] = first_without(d, u->slots[first + i], u->answer + i * s, s);
    }
    *spent += *n * d->lists.n;
    return OK;
}

int upkeep_dissolve_do(struct divf *d, size_t list, size_t n)
{
    int rc = n > 0 ? upkeep_refile(d, list, d->upkeep->slots, d->upkeep->to, n) : OK;
    if (rc)
        return rc;
    upkeep_list_remove(d, list);
    d->counters.upkeep.merges++;
    return OK;
}

int upkeep_dissolve(struct divf *d, size_t list, uint64_t *spent)
{
    size_t n;
    int rc = upkeep_dissolve_plan(d, list, &n, spent);
    return rc ? rc : upkeep_dissolve_do(d, list, n);
}
