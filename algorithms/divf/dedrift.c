/* dedrift.c - maintenance = "dedrift": centroids follow their lists, and crowded regions get lists
 * from empty ones.
 *
 * Each time dedrift_every of the vectors have changed, a cycle runs. First DeDrift-Split, bounded:
 * dedrift_lists times the longest list is split and the shortest dissolved, as long as the halves
 * are longer than what is dissolved; the number of lists stays. Then DeDrift-Lazy: every centroid
 * becomes the mean of its list's vectors, and nobody moves (codes that depend on a centroid are
 * made anew). Both together are its hybrid; dedrift_lists = 0 leaves the lazy part alone. (Baranchuk
 * and others, "DeDrift: robust similarity search under content drift", 2023.)
 */
#include <string.h>

#include "algorithms/divf/upkeep.h"
#include "src/core/mem.h"

static uint64_t changed(const struct divf *d)
{
    return d->counters.inserted + d->counters.removed;
}

static bool cycle_due(const struct divf *d)
{
    return (double)(changed(d) - d->counters.upkeep.cycle_at) >
           d->params.dedrift_every * (double)d->slots.ids.n;
}

static void find_extremes(const struct divf *d, size_t *longest, size_t *shortest)
{
    *longest = *shortest = UPKEEP_NONE;
    for (size_t i = 0; i < d->lists.n; i++) {
        uint32_t live = d->lists.list[i].live;
        if (upkeep_may_split(d, i) &&
            (*longest == UPKEEP_NONE || live > d->lists.list[*longest].live))
            *longest = i;
        if (*shortest == UPKEEP_NONE || live < d->lists.list[*shortest].live)
            *shortest = i;
    }
}

/* The shortest goes first into the plan and last out of the index: where the split is refused,
   nothing happens. */
static int trade_lists(struct divf *d, uint64_t *spent, bool *did)
{
    size_t longest, shortest;
    uint64_t splits = d->counters.splits;
    find_extremes(d, &longest, &shortest);
    *did = longest != UPKEEP_NONE && longest != shortest &&
           d->lists.list[longest].live > 2 * (uint64_t)d->lists.list[shortest].live;
    if (!*did)
        return OK;
    int rc = upkeep_split(d, longest, spent);
    upkeep_forget_moves(d);
    if (!rc && d->counters.splits > splits)
        rc = upkeep_dissolve(d, shortest, spent);
    return rc;
}

static int take_mean(struct divf *d, size_t list, uint64_t *spent)
{
    struct upkeep *u = d->upkeep;
    size_t dim = d->base.env.dim, live = d->lists.list[list].live;
    double *sums = mem_zalloc(d->base.env.mem, dim * sizeof *sums);
    float *mean = mem_array(d->base.env.mem, dim, sizeof *mean);
    int rc = sums && mean
                 ? upkeep_room(d, live)
                 : fail(d->base.env.error, ERR_NO_MEMORY, "divf: out of memory moving a centroid");
    if (!rc && live > 0) {
        divf_list_slots(&d->lists, list, u->slots);
        for (size_t i = 0; i < live; i++) {
            const float *row = divf_vector(&d->lists, u->slots[i]);
            for (size_t j = 0; j < dim; j++)
                sums[j] += (double)row[j];
        }
        for (size_t j = 0; j < dim; j++)
            mean[j] = (float)(sums[j] / (double)live);
        divf_centroid_set(&d->lists, list, mean);
        *spent += live + (divf_codes_per_list(d) ? live : 0);
        d->counters.upkeep.refreshed++;
    }
    mem_free(d->base.env.mem, sums);
    mem_free(d->base.env.mem, mean);
    return rc;
}

static int dedrift_step(struct divf *d, struct upkeep_step *step)
{
    struct upkeep *u = d->upkeep;
    bool did = false;
    if (!u->cycling) {
        step->idle = !cycle_due(d);
        if (step->idle)
            return OK;
        u->cycling = true;
        d->counters.upkeep.cycle_at = changed(d);
        u->trades = (size_t)d->params.dedrift_lists;
        u->at = 0;
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

const struct upkeep_policy upkeep_dedrift = { .step = dedrift_step };
