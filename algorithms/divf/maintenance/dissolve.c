/* dissolve.c - dissolving a list: each of its vectors moves to the nearest list without a copy
   of it. */
#include <string.h>

#include "algorithms/divf/maintenance/members.h"

/* The first of the n nearest lists without a copy of the vector; UINT32_MAX: all have one. */
static uint32_t first_without(const struct divf *d, uint32_t slot, const uint32_t *lists, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!divf_slot_in_list(&d->lists, slot, lists[i]))
            return lists[i];
    return UINT32_MAX;
}

int divf_dissolve_plan(struct divf *d, size_t list, size_t *n, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    struct centroids centroids = divf_centroids(&d->lists);
    size_t s =
        (size_t)d->params.soft_k + 1 < d->lists.n ? (size_t)d->params.soft_k + 1 : d->lists.n;
    int rc = divf_maintenance_reserve(d, d->lists.list[list]->live);
    if (rc)
        return rc;
    *n = divf_list_slots(&d->lists, list, u->slots);
    for (size_t first = 0; first < *n; first += NEAREST_ROWS) {
        size_t count = *n - first < NEAREST_ROWS ? *n - first : NEAREST_ROWS;
        divf_gather_rows(d, u->slots + first, count);
        nearest_rows(u->nearest, d->env.kernels, &centroids, u->rows, count, s, u->answer);
        for (size_t i = 0; i < count; i++)
            u->to[first + i] = first_without(d, u->slots[first + i], u->answer + i * s, s);
    }
    *spent += *n * d->lists.n;
    return OK;
}

int divf_dissolve_do(struct divf *d, size_t list, size_t n)
{
    int rc = divf_lists_detach(d);
    if (!rc && n > 0)
        rc = divf_refile(d, list, d->maintenance->slots, d->maintenance->to, n);
    if (rc)
        return rc;
    if (d->maintenance)
        divf_maintenance_list_remove(d, list);
    else
        divf_list_remove(&d->lists, list);
    d->counters.maintenance.merges++;
    return OK;
}

int divf_dissolve(struct divf *d, size_t list, uint64_t *spent)
{
    size_t n;
    int rc = divf_dissolve_plan(d, list, &n, spent);
    return rc ? rc : divf_dissolve_do(d, list, n);
}
