/* maintain.c - when maintenance runs, and for how long. members.h describes the rules. */
#include "algorithms/divf/maintenance/members.h"

static const struct divf_policy *policy_of(const struct divf *d)
{
    static const struct divf_policy *const policies[] = {
        [DIVF_NONE] = NULL,
        [DIVF_COPENHAGEN] = &divf_copenhagen,
        [DIVF_LIRE] = &divf_lire,
        [DIVF_DEDRIFT] = &divf_dedrift,
        [DIVF_COST_MODEL] = &divf_cost_model,
        [DIVF_ADA_IVF] = &divf_ada_ivf,
    };
    const struct divf_policy *p = policies[d->params.maintenance];
    return p && !d->provisional ? p : NULL;
}

/* Takes steps until `budget` is spent. *idle: nothing is left to do. */
static int run(struct divf *d, const struct divf_policy *p, uint64_t budget, uint64_t *spent,
               bool *idle)
{
    int rc = divf_maintenance_ready(d);
    *idle = false;
    while (!rc && !*idle && *spent < budget) {
        struct divf_step step = { 0, false };
        rc = p->step(d, &step);
        divf_lists_publish(d);
        *idle = step.idle;
        *spent += step.spent;
        d->counters.maintenance.distances += step.spent;
        d->counters.maintenance.steps += !step.idle;
    }
    return rc;
}

/* find_due() costs a pass over the lists, so it runs after as many changes as there are lists. */
static void note_changes(struct divf *d, const struct divf_policy *p, size_t n)
{
    d->counters.maintenance.changes += n;
    if (!p->find_due || d->counters.maintenance.changes < d->lists.n || divf_maintenance_ready(d))
        return;
    d->counters.maintenance.changes = 0;
    p->find_due(d);
}

/* The vectors are stored, whatever this returns. */
int divf_maintenance_inserted(struct divf *d, size_t n)
{
    const struct divf_policy *p = policy_of(d);
    int64_t *credit = &d->counters.maintenance.credit;
    uint64_t spent = 0;
    bool idle;
    if (!p)
        return OK;
    if (p->after_insert)
        return p->after_insert(d);
    note_changes(d, p, n);
    *credit += (int64_t)n * d->params.soft_k * d->params.maintenance_budget;
    if (*credit <= 0)
        return OK;
    int rc = run(d, p, (uint64_t)*credit, &spent, &idle);
    *credit = idle ? 0 : *credit - (int64_t)spent;
    return rc;
}

/* Deletions leave the work to the next insertion, or to maintain(). */
void divf_maintenance_removed(struct divf *d, size_t n)
{
    const struct divf_policy *p = policy_of(d);
    if (p && p->step)
        note_changes(d, p, n);
}

/* Compacts lists with dead copies: moving a copy costs about as much as a distance. */
static bool compact_some(struct divf *d, uint64_t budget, uint64_t *spent)
{
    for (size_t i = 0; i < d->lists.n; i++) {
        if (d->lists.list[i]->rows == d->lists.list[i]->live)
            continue;
        if (*spent >= budget)
            return false;
        *spent += 1 + divf_list_compact(d, i);
    }
    return true;
}

/* Removes empty lists while there are more lists than training would make. From the last list on,
   since the last one takes the number of one that is removed. */
static int drop_empty(struct divf *d)
{
    const size_t wanted = divf_clusters_wanted(d, d->slots.ids.n);
    int rc = OK;
    for (size_t i = d->lists.n; !rc && i-- > 0 && d->lists.n > wanted && divf_may_dissolve(d);)
        if (d->lists.list[i]->live == 0)
            rc = divf_dissolve_do(d, i, 0);
    divf_lists_publish(d);
    return rc;
}

int divf_maintenance_run(struct divf *d, uint64_t budget, bool *more)
{
    const struct divf_policy *p = policy_of(d);
    uint64_t most = budget > 0 ? budget : UINT64_MAX, spent = 0;
    bool idle = true;
    *more = !compact_some(d, most, &spent);
    if (*more || !p)
        return OK;
    int rc = p->step ? divf_maintenance_ready(d) : OK;
    if (!rc && !p->keeps_empty)
        rc = drop_empty(d);
    if (!p->step)
        return rc;
    if (!rc && p->find_due)
        p->find_due(d);
    if (!rc) {
        d->maintenance->thorough = true;
        rc = run(d, p, most, &spent, &idle);
        d->maintenance->thorough = false;
    }
    *more = !rc && !idle;
    if (!rc && idle) { /* as in an index that was just loaded */
        divf_forget_moves(d);
        d->counters.maintenance.credit = 0;
        d->counters.maintenance.changes = 0;
    }
    return rc;
}
