/* lire.c - maintenance = "lire": lists between two lengths, and every vector in its nearest lists.
 *
 * This is SPFresh's protocol (its section 3.3). A list longer than list_limit times the fair length
 * is split by balanced 2-means and its neighbourhood reassigned. A starved list is dissolved into
 * its neighbours. Splits come first, because they bound the lists; then the vectors of all of them
 * are refined and reassigned together.
 *
 * Cascades end: a split makes no half short enough to be dissolved, lists made since find_due()
 * last ran are not dissolved, and there are never more than LISTS_MOST times the lists that
 * training would make. */
#include "algorithms/divf/maintenance/members.h"

enum { LISTS_MOST = 4, LIVE_MIN = 4, VECTORS_PER_LIST = 8 };

bool divf_may_split(const struct divf *d, size_t list)
{
    const struct divf_list *l = d->lists.list[list];
    uint32_t refused = d->maintenance->list[list].refused;
    return !l->uniform && l->live >= LIVE_MIN && l->live > refused + refused / 4 &&
           d->lists.n < LISTS_MOST * divf_clusters_wanted(d, d->slots.ids.n) &&
           d->maintenance->n_fresh < DIVF_FRESH_MOST;
}

/* A codebook's lists may be empty because their vectors are still to come. So lists are dissolved
   only in an index that has been filled and has lost a good part. */
bool divf_may_dissolve(const struct divf *d)
{
    const struct divf_counters *c = &d->counters;
    return d->lists.n > 1 &&
           c->inserted >= VECTORS_PER_LIST * divf_clusters_wanted(d, d->slots.ids.n) &&
           4 * c->removed >= d->slots.ids.n;
}

static size_t overfull(const struct divf *d)
{
    double limit = d->params.list_limit * divf_fair_length(d);
    for (size_t i = 0; i < d->lists.n; i++)
        if ((double)d->lists.list[i]->live > limit && divf_may_split(d, i))
            return i;
    return DIVF_NO_LIST;
}

static size_t starved(const struct divf *d)
{
    double limit = d->params.merge_threshold * divf_fair_length(d);
    for (size_t i = 0; i < d->lists.n; i++)
        if ((double)d->lists.list[i]->live < limit &&
            d->maintenance->list[i].moved <= d->maintenance->checked_at)
            return i;
    return DIVF_NO_LIST;
}

int divf_after_splits(struct divf *d, struct divf_step *step, bool *did)
{
    *did = true;
    if (d->maintenance->n_fresh > 0)
        return divf_refine(d, &step->spent);
    return divf_reassign(d, &step->spent, did);
}

static int split_overfull(struct divf *d, struct divf_step *step, bool *did)
{
    size_t list = d->maintenance->splits_due ? overfull(d) : DIVF_NO_LIST;
    *did = list != DIVF_NO_LIST;
    if (*did)
        return divf_split_list(d, list, &step->spent);
    if (d->maintenance->n_fresh < DIVF_FRESH_MOST)
        d->maintenance->splits_due = false;
    return OK;
}

static int merge_starved(struct divf *d, struct divf_step *step, bool *did)
{
    size_t list = d->maintenance->merges_due && divf_may_dissolve(d) ? starved(d) : DIVF_NO_LIST;
    *did = list != DIVF_NO_LIST;
    if (*did)
        return divf_dissolve(d, list, &step->spent);
    d->maintenance->merges_due = false;
    return OK;
}

static int lire_step(struct divf *d, struct divf_step *step)
{
    bool did;
    int rc = split_overfull(d, step, &did);
    if (!rc && !did)
        rc = divf_after_splits(d, step, &did);
    if (!rc && !did)
        rc = merge_starved(d, step, &did);
    step->idle = !rc && !did;
    return rc;
}

const struct divf_policy divf_lire = { .step = lire_step, .find_due = divf_mark_due };
