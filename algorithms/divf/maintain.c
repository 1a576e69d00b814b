/* maintain.c - when upkeep runs, and for how long. upkeep.h has the rules. */
#include "algorithms/divf/upkeep.h"

static const struct upkeep_policy *policy_of(const struct divf *d)
{
    static const struct upkeep_policy *const policies[] = {
        [DIVF_NONE] = NULL,
        [DIVF_COPENHAGEN] = &upkeep_copenhagen,
        [DIVF_LIRE] = &upkeep_lire,
        [DIVF_DEDRIFT] = &upkeep_dedrift,
        [DIVF_COST_MODEL] = &upkeep_cost_model,
    };
    const struct upkeep_policy *p = policies[d->params.maintenance];
    return p && !d->provisional ? p : NULL;
}

/* Steps until `budget` is spent. *idle: nothing is left. */
static int run(struct divf *d, const struct upkeep_policy *p, uint64_t budget, uint64_t *spent,
               bool *idle)
{
    int rc = divf_upkeep_ready(d);
    *idle = false;
    while (!rc && !*idle && *spent < budget) {
        struct upkeep_step step = { 0, false };
        rc = p->step(d, &step);
        *idle = step.idle;
        *spent += step.spent;
        d->counters.upkeep.distances += step.spent;
        d->counters.upkeep.steps += !step.idle;
    }
    return rc;
}

/* Looking costs a pass over the lists, so it waits for as many changes as there are lists. */
static void note_changes(struct divf *d, const struct upkeep_policy *p, size_t n)
{
    d->counters.upkeep.changes += n;
    if (!p->look || d->counters.upkeep.changes < d->lists.n || divf_upkeep_ready(d))
        return;
    d->counters.upkeep.changes = 0;
    p->look(d);
}

/* The vectors are all stored, whatever this returns. */
int divf_upkeep_inserted(struct divf *d, size_t n)
{
    const struct upkeep_policy *p = policy_of(d);
    int64_t *credit = &d->counters.upkeep.credit;
    uint64_t spent = 0;
    bool idle;
    if (!p)
        return OK;
    if (p->after_insert)
        return p->after_insert(d);
    note_changes(d, p, n);
    *credit += (int64_t)(n * d->lists.soft_k) * d->params.upkeep_budget;
    if (*credit <= 0)
        return OK;
    int rc = run(d, p, (uint64_t)*credit, &spent, &idle);
    *credit = idle ? 0 : *credit - (int64_t)spent;
    return rc;
}

/* Deletions leave the work to the next insertion, or to maintain(). */
void divf_upkeep_removed(struct divf *d, size_t n)
{
    const struct upkeep_policy *p = policy_of(d);
    if (p && p->step)
        note_changes(d, p, n);
}

/* Lists with dead copies first: moving one costs about what its distance would. */
static bool compact_some(struct divf *d, uint64_t budget, uint64_t *spent)
{
    for (size_t i = 0; i < d->lists.n; i++) {
        if (d->lists.list[i].rows == d->lists.list[i].live)
            continue;
        if (*spent >= budget)
            return false;
        *spent += 1 + divf_list_compact(d, i);
    }
    return true;
}

int divf_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct divf *d = divf_of(index);
    const struct upkeep_policy *p = policy_of(d);
    uint64_t most = budget > 0 ? budget : UINT64_MAX, spent = 0;
    bool idle = true;
    *more = !compact_some(d, most, &spent);
    if (*more || !p || !p->step)
        return OK;
    int rc = divf_upkeep_ready(d);
    if (!rc && p->look)
        p->look(d);
    if (!rc) {
        d->upkeep->thorough = true;
        rc = run(d, p, most, &spent, &idle);
        d->upkeep->thorough = false;
    }
    *more = !rc && !idle;
    if (!rc && idle) { /* as one that was loaded: nothing moved, nothing owed */
        upkeep_forget_moves(d);
        d->counters.upkeep.credit = 0;
        d->counters.upkeep.changes = 0;
    }
    return rc;
}
