/* reassign.c - moves: a vector gets entries of the next version in the postings it belongs to now,
 * then the version is published, and the old entries are stale. At any moment there is a current one.
 */
#include "algorithms/spfresh/jobs.h"
#include "algorithms/spfresh/upkeep.h"

enum { ATTEMPTS = 8 };

struct move {
    struct spfresh *s;
    struct spfresh_scratch *x;
    uint32_t slot, from, depth;
    unsigned version;
    const void *row;
};

/* ------------------------------------------------------------------------- where it is now */

/* *at: its place among x->members[0]; their number if the posting has no such entry. */
static int find_entry(struct spfresh *s, struct spfresh_scratch *x, uint32_t head, uint32_t slot,
                      unsigned version, size_t *at)
{
    struct members *m = &x->members[0];
    int rc = OK;

    m->n = *at = 0;
    spfresh_lock_posting(s, head);
    if (spfresh_is_open(s, head))
        rc = spfresh_load(s, head, true, m);
    spfresh_unlock_posting(s, head);
    while (rc == OK && *at < m->n && (m->slots[*at] != slot || m->versions[*at] != version))
        ++*at;
    return rc;
}

static bool is_chosen(const struct choice *c, uint32_t head)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->heads[i] == head)
            return true;
    return false;
}

/* It may stay if the posting it was found in is still one of its own, and the nearest head's has it
   too: a copy far away does not make up for one that is missing there. */
static int may_stay(const struct move *m, const struct choice *c, bool *stay)
{
    size_t at = 0;
    int rc = OK;

    *stay = c->n == 0 || c->heads[0] == m->from;
    if (!*stay && is_chosen(c, m->from)) {
        rc = find_entry(m->s, m->x, c->heads[0], m->slot, m->version, &at);
        *stay = rc == OK && at < m->x->members[0].n;
    }
    return rc;
}

/* ---------------------------------------------------------------------------------- moving */

/* A search that begins after the mark finds the new entries; before what must wait for the others comes. */
static void note_move(struct spfresh *s, uint32_t slot)
{
    const uint64_t mark = epoch_mark(s->epoch);
    uint64_t last = atomic_load(&s->last_move);

    atomic_store(&s->moved[slot % SPFRESH_STRIPES], mark);
    while (last < mark && !atomic_compare_exchange_weak(&s->last_move, &last, mark))
        ;
}

/* Under the next version. A failure after the first entry is no reason to take it back: that is the
   nearest head's, so the move is done with fewer copies. */
static int move_up(const struct move *m, const struct choice *c, size_t *done)
{
    const int rc = spfresh_file(m->s, c, m->slot, m->version + 1, m->row, m->depth + 1, done);

    if (*done > 0) {
        note_move(m->s, m->slot);
        spfresh_set_version(m->s, m->slot, m->version + 1);
    }
    return rc;
}

/* No next version: under a slot that begins anew. */
static int move_over(const struct move *m, const struct choice *c, size_t *done)
{
    struct spfresh *s = m->s;
    uint32_t fresh = SLOT_NONE;
    int rc = spfresh_slot_renew(s, m->slot, &fresh);

    *done = 0;
    if (rc != OK)
        return rc;
    const unsigned version = spfresh_version(s, fresh) & ~VERSION_DELETED;
    if (codec_has_rows(s->codec))
        rc = codec_rows_put(s->codec, &fresh, &m->row, 1);
    if (rc == OK) {
        spfresh_set_version(s, fresh, version);
        rc = spfresh_file(s, c, fresh, version, m->row, m->depth + 1, done);
    }
    if (*done == 0)
        spfresh_set_version(s, fresh, version | VERSION_DELETED);
    if (*done > 0) /* a search that has passed the new entries may still come to the old */
        epoch_wait(s->epoch, epoch_mark(s->epoch));
    spfresh_slot_renewed(s, m->slot, fresh, *done > 0);
    return rc;
}

/* Heads that die between choice and append are left out; if all did, others are chosen. The slot's lock
   is held. */
static int move_locked(const struct move *m, struct job_cost *cost)
{
    struct spfresh *s = m->s;
    struct choice c = { .n = 0 };
    size_t done = 0;
    bool stay = spfresh_version(s, m->slot) != m->version;
    int rc = OK;

    if (!stay) /* a search that began before the last move would be two behind after this one */
        epoch_wait(s->epoch, atomic_load(&s->moved[m->slot % SPFRESH_STRIPES]));
    for (int attempt = 0; rc == OK && !stay && done == 0 && attempt < ATTEMPTS; attempt++) {
        rc = spfresh_choose(s, m->x, m->row, &c, &cost->distances);
        if (rc == OK)
            rc = may_stay(m, &c, &stay);
        if (rc == OK && !stay)
            rc = m->version < spfresh_version_max(s) ? move_up(m, &c, &done)
                                                     : move_over(m, &c, &done);
    }
    spfresh_count(&s->counters.reassign_aborted, rc == OK && done == 0);
    spfresh_count(&s->counters.reassign_done, done > 0);
    return rc;
}

int upkeep_move(struct spfresh *s, struct spfresh_scratch *x, uint32_t slot, unsigned version,
                uint32_t from, const void *row, uint32_t depth, struct job_cost *cost)
{
    const struct move m = { s, x, slot, from, depth, version, row };

    spfresh_lock_slot(s, slot);
    const int rc = move_locked(&m, cost);
    spfresh_unlock_slot(s, slot);
    return rc;
}

/* ------------------------------------------------------------------------------------ jobs */

/* The posting it was seen in may have been split or merged since: it is let be then, as it was filed
   anew. */
int spfresh_reassign(struct spfresh *s, struct spfresh_scratch *x, const struct job *job,
                     struct job_cost *cost)
{
    struct members *kept = &x->members[3];
    size_t at = 0;
    int rc = OK;

    x->members[0].n = 0;
    if (spfresh_version(s, job->what) == job->version)
        rc = find_entry(s, x, job->from, job->what, job->version, &at);
    if (rc == OK && at == x->members[0].n) {
        spfresh_count(&s->counters.reassign_aborted, 1);
        return OK;
    }
    kept->n = 0;
    if (rc == OK && !members_reserve(kept, 1))
        rc = fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory to move a vector",
                  s->base.ops->name);
    if (rc != OK)
        return rc;
    members_add(kept, job->what, job->version, x->members[0].rows + at * kept->row_bytes);
    return upkeep_move(s, x, job->what, job->version, job->from, kept->rows, job->depth, cost);
}

/* After a failure, what is left waits for the next attempt. */
int upkeep_reassign_all(struct spfresh *s, struct spfresh_scratch *x, uint32_t depth,
                        struct job_cost *cost)
{
    struct members *m = &x->members[3];
    int rc = OK;

    spfresh_count(&s->counters.reassign_submitted, m->n);
    for (size_t i = 0; i < m->n; i++) {
        const struct job later = { .kind = JOB_REASSIGN,
                                   .what = m->slots[i],
                                   .version = m->versions[i],
                                   .depth = depth,
                                   .from = x->upkeep->from[i] };

        if ((rc != OK || cost->distances >= cost->limit) && jobs_push(s, &later, true))
            continue;
        if (rc == OK)
            rc = upkeep_move(s, x, later.what, later.version, later.from,
                             m->rows + i * m->row_bytes, depth, cost);
    }
    return rc;
}
