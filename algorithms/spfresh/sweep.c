/* sweep.c - every posting rewritten without what is stale, so that versions may begin anew. */
#include "algorithms/spfresh/jobs.h"
#include "algorithms/spfresh/upkeep.h"

static int sweep_postings(struct spfresh *s, struct spfresh_scratch *x)
{
    struct members *m = &x->members[0];
    const size_t n = graph_capacity(s->graph);
    int rc = OK;

    for (uint32_t head = 0; rc == OK && head < n; head++) {
        if (!spfresh_is_open(s, head))
            continue;
        spfresh_lock_posting(s, head);
        rc = spfresh_load(s, head, true, m);
        if (rc == OK)
            rc = upkeep_collect(s, x, head, m);
        spfresh_unlock_posting(s, head);
    }
    return rc;
}

int spfresh_sweep(struct spfresh *s)
{
    struct spfresh_scratch *x = NULL;
    int rc = spfresh_scratch_take(s, &x);

    if (rc != OK)
        return rc;
    pthread_rwlock_wrlock(&s->gate);
    epoch_drain(s->epoch); /* slots dropped before it are among the exhausted ones */
    rc = sweep_postings(s, x);
    if (rc == OK) {
        spfresh_slots_swept(s);
        spfresh_count(&s->counters.sweeps, 1);
    }
    pthread_rwlock_unlock(&s->gate);
    spfresh_scratch_give(s, x);
    epoch_collect(s->epoch);
    return rc;
}
