/* dedrift.c - maintenance = "dedrift": centroids follow their lists, and lists move from empty to
 * crowded regions.
 *
 * A cycle runs each time the share cycle_every of the vectors has changed. First DeDrift-Split,
 * bounded: dedrift_lists times, the longest list is split and the shortest dissolved, as long as
 * the halves are longer than the dissolved list; the number of lists stays the same. Then
 * DeDrift-Lazy: every centroid becomes the mean of its list's vectors, and no vector moves (codes
 * that depend on a centroid are made again). Together they are the paper's hybrid; dedrift_lists =
 * 0 leaves only the lazy part. (Baranchuk and others, "DeDrift: robust similarity search under
 * content drift", 2023.) */
#include <string.h>

#include "algorithms/divf/maintenance/members.h"
#include "src/core/mem.h"

static void find_extremes(const struct divf *d, size_t *longest, size_t *shortest)
{
    *longest = *shortest = DIVF_NO_LIST;
    for (size_t i = 0; i < d->lists.n; i++) {
        uint32_t live = d->lists.list[i]->live;
        if (divf_may_split(d, i) &&
            (*longest == DIVF_NO_LIST || live > d->lists.list[*longest]->live))
            *longest = i;
        if (*shortest == DIVF_NO_LIST || live < d->lists.list[*shortest]->live)
            *shortest = i;
    }
}

/* The dissolution is planned first and made last: if the split is refused, nothing changes. */
static int trade_lists(struct divf *d, uint64_t *spent, bool *did)
{
    size_t longest, shortest;
    uint64_t splits = d->counters.splits;
    find_extremes(d, &longest, &shortest);
    *did = longest != DIVF_NO_LIST && longest != shortest &&
           d->lists.list[longest]->live > 2 * (uint64_t)d->lists.list[shortest]->live;
    if (!*did)
        return OK;
    int rc = divf_split_list(d, longest, spent);
    divf_forget_moves(d);
    if (!rc && d->counters.splits > splits)
        rc = divf_dissolve(d, shortest, spent);
    return rc;
}

static int take_mean(struct divf *d, size_t list, uint64_t *spent)
{
    const size_t live = d->lists.list[list]->live;
    int rc = divf_lists_detach(d);
    if (!rc && live > 0)
        rc = divf_list_mean(d, list, spent);
    if (rc || live == 0)
        return rc;
    divf_centroid_set(&d->lists, list, d->maintenance->mean);
    *spent += divf_codes_per_list(d) ? live : 0;
    d->counters.maintenance.refreshed++;
    return OK;
}

static int dedrift_step(struct divf *d, struct divf_step *step)
{
    struct divf_maintainer *u = d->maintenance;
    bool did = false;
    if (!u->cycling) {
        step->idle =
            (double)divf_cycle_changes(d) <= d->params.cycle_every * (double)d->slots.ids.n;
        if (step->idle)
            return OK;
        divf_cycle_begin(d);
        u->trades = (size_t)d->params.dedrift_lists;
        u->trades = u->trades < d->lists.n ? u->trades : d->lists.n; /* two may trade for ever */
    }
    if (u->trades > 0) {
        int rc = trade_lists(d, &step->spent, &did);
        if (!rc)
            u->trades = did ? u->trades - 1 : 0;
        if (rc || did)
            return rc;
    }
    int rc = take_mean(d, u->at, &step->spent);
    u->at += rc == OK;
    u->cycling = u->at < d->lists.n;
    return rc;
}

const struct divf_policy divf_dedrift = { .step = dedrift_step, .keeps_empty = true };
