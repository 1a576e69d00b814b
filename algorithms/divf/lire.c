/* lire.c - maintenance = "lire": lists between two lengths, and every vector in its nearest lists.
 *
 * SPFresh's protocol (its section 3.3): a list past list_limit times the fair length is split by
 * balanced 2-means and the neighbourhood reassigned; a starved one is dissolved into its
 * neighbours. Splits come first, for they bound the lists; the vectors of all of them are then
 * refined and reassigned together.
 *
 * Cascades end: a split leaves no half below the length at which lists are dissolved, lists made
 * since the last look are not dissolved, and there are never more than LISTS_MOST times the lists
 * that training would make.
 */
#include "algorithms/divf/upkeep.h"

enum { FRESH_MOST = 32, LISTS_MOST = 4, LIVE_MIN = 4, VECTORS_PER_LIST = 8 };

bool upkeep_may_split(const struct divf *d, size_t list)
{
    const struct divf_list *l = &d->lists.list[list];
    uint32_t refused = d->upkeep->list[list].refused;
    return !l->uniform && l->live >= LIVE_MIN && l->live > refused + refused / 4 &&
           d->lists.n < LISTS_MOST * divf_clusters_wanted(d, d->slots.ids.n) &&
           d->upkeep->n_fresh < FRESH_MOST;
}

/* Lists that a codebook has for vectors still to come are empty, not starved: only an index that
   has been filled and has lost a good part dissolves. */
bool upkeep_may_dissolve(const struct divf *d)
{
    const struct divf_counters *c = &d->counters;
    return d->lists.n > 1 &&
           c->inserted >= VECTORS_PER_LIST * divf_clusters_wanted(d, d->slots.ids.n) &&
           4 * c->removed >= d->slots.ids.n;
}

static size_t overfull(const struct divf *d)
{
    double limit = d->params.list_limit * upkeep_fair(d);
    for (size_t i = 0; i < d->lists.n; i++)
        if ((double)d->lists.list[i].live > limit && upkeep_may_split(d, i))
            return i;
    return UPKEEP_NONE;
}

static size_t starved(const struct divf *d)
{
    double limit = d->params.merge_threshold * upkeep_fair(d);
    for (size_t i = 0; i < d->lists.n; i++)
        if ((double)d->lists.list[i].live < limit && d->upkeep->list[i].moved <= d->upkeep->looked)
            return i;
    return UPKEEP_NONE;
}

int upkeep_settle(struct divf *d, struct upkeep_step *step, bool *did)
{
    *did = true;
    if (d->upkeep->n_fresh > 0)
        return upkeep_refine(d, &step->spent);
    return upkeep_reassign(d, &step->spent, did);
}

static int split_overfull(struct divf *d, struct upkeep_step *step, bool *did)
{
    size_t list = d->upkeep->splits_due ? overfull(d) : UPKEEP_NONE;
    *did = list != UPKEEP_NONE;
    if (*did)
        return upkeep_split(d, list, &step->spent);
    if (d->upkeep->n_fresh < FRESH_MOST)
        d->upkeep->splits_due = false;
    return OK;
}

static int merge_starved(struct divf *d, struct upkeep_step *step, bool *did)
{
    size_t list = d->upkeep->merges_due && upkeep_may_dissolve(d) ? starved(d) : UPKEEP_NONE;
    *did = list != UPKEEP_NONE;
    if (*did)
        return upkeep_dissolve(d, list, &step->spent);
    d->upkeep->merges_due = false;
    return OK;
}

static int lire_step(struct divf *d, struct upkeep_step *step)
{
    bool did;
    int rc = split_overfull(d, step, &did);
    if (!rc && !did)
        rc = upkeep_settle(d, step, &did);
    if (!rc && !did)
        rc = merge_starved(d, step, &did);
    step->idle = !rc && !did;
    return rc;
}

const struct upkeep_policy upkeep_lire = { .step = lire_step, .look = upkeep_look };
