/* vacuum.c - rewrites every posting without stale entries, so that versions can restart. */
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/maintenance/work.h"

static int vacuum_postings(struct spfresh *s, struct spfresh_work *w)
{
    struct spfresh_members *m = &w->members[0];
    const size_t n = graph_capacity(s->graph);
    int rc = OK;

    for (uint32_t head = 0; rc == OK && head < n; head++) {
        if (!spfresh_is_open(s, head))
            continue;
        spfresh_lock_posting(s, head);
        rc = spfresh_load(s, head, true, m);
        if (rc == OK)
            rc = spfresh_collect(s, head, m);
        spfresh_unlock_posting(s, head);
    }
    return rc;
}

int spfresh_vacuum(struct spfresh *s)
{
    struct spfresh_work *w = NULL;
    int rc = spfresh_work_take(s, &w);

    if (rc != OK)
        return rc;
    pthread_rwlock_wrlock(&s->checkpoint_lock);
    epoch_drain(s->epoch); /* gives back all slots dropped until now */
    rc = vacuum_postings(s, w);
    if (rc == OK) {
        spfresh_slots_vacuumed(s);
        spfresh_count(&s->counters.sweeps, 1);
    }
    pthread_rwlock_unlock(&s->checkpoint_lock);
    spfresh_work_give(s, w);
    epoch_collect(s->epoch);
    return rc;
}
