/* reassign.c - moves a vector: appends entries of the next version to the postings where it now
 * belongs, then publishes that version. This makes the old entries stale. There is a current entry
 * at every moment. */
#include "algorithms/spfresh/maintenance/work.h"

enum { ATTEMPTS = 8 };

struct move {
    struct spfresh *s;
    struct spfresh_work *w;
    uint32_t slot, from;
    unsigned version;
    const void *row;
};

/* ------------------------------------------------------------------------ present posting */

/* *at: the entry's index in w->members[0], or members[0].n if the posting has no such entry. */
static int find_entry(struct spfresh *s, struct spfresh_work *w, uint32_t head, uint32_t slot,
                      unsigned version, size_t *at)
{
    struct spfresh_members *m = &w->members[0];
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

/* A vector may stay if its present posting is among the chosen ones and the nearest head's posting
   has it too. A copy in a distant posting does not replace one missing in the nearest. */
static int may_stay(const struct move *m, const struct spfresh_choice *c, bool *stay)
{
    size_t at = 0;
    bool chosen = false;
    int rc = OK;

    for (size_t i = 0; i < c->n; i++)
        chosen |= c->heads[i] == m->from;
    *stay = c->n == 0 || c->heads[0] == m->from;
    if (!*stay && chosen) {
        rc = find_entry(m->s, m->w, c->heads[0], m->slot, m->version, &at);
        *stay = rc == OK && at < m->w->members[0].n;
    }
    return rc;
}

/* ---------------------------------------------------------------------------------- moving */

/* Moves by raising the version. An error after the first entry does not undo the move: the vector
   just has fewer copies. */
static int move_up(const struct move *m, const struct spfresh_choice *c, size_t *done)
{
    struct spfresh *s = m->s;
    const int rc = spfresh_file(s, c, m->slot, m->version + 1, m->row, done);

    if (*done == 0)
        return rc;
    /* Searches that begin after the mark find the new entries. Later steps wait for the searches
       that began before it. */
    const uint64_t mark = epoch_mark(s->epoch);
    uint64_t last = atomic_load(&s->last_move);
    atomic_store(&s->moved[m->slot % SPFRESH_STRIPES], mark);
    while (last < mark && !atomic_compare_exchange_weak(&s->last_move, &last, mark))
        ;
    spfresh_set_version(s, m->slot, m->version + 1);
    if (rc == OK && *done < c->n)
        spfresh_file_again(s, c, m->slot, m->version + 1);
    return rc;
}

/* Moves to a new slot, because the version cannot grow any more. */
static int move_over(const struct move *m, const struct spfresh_choice *c, size_t *done)
{
    struct spfresh *s = m->s;
    uint32_t fresh = SLOT_NONE;
    int rc = spfresh_slot_renew(s, m->slot, &fresh);

    *done = 0;
    if (rc != OK)
        return rc;
    const unsigned version = spfresh_version(s, fresh) & ~VERSION_DELETED;
    if (spfresh_has_row_file(s))
        rc = row_store_put(s->rows, &fresh, &m->row, 1);
    if (rc == OK) {
        spfresh_set_version(s, fresh, version);
        rc = spfresh_file(s, c, fresh, version, m->row, done);
    }
    if (*done == 0)
        spfresh_set_version(s, fresh, version | VERSION_DELETED);
    if (*done > 0) /* a search may miss the new entries and read the old ones later */
        epoch_wait(s->epoch, epoch_mark(s->epoch));
    spfresh_slot_renewed(s, m->slot, fresh, *done > 0);
    return rc;
}

/* Skips heads that died between choice and append; if all did, chooses again. The slot's
   lock is held. */
static int move_locked(const struct move *m, struct job_run *run)
{
    struct spfresh *s = m->s;
    struct spfresh_choice c = { .n = 0 };
    size_t done = 0;
    bool stay = spfresh_version(s, m->slot) != m->version;
    int rc = OK;

    if (!stay) /* a search from before the last move would be two versions behind */
        epoch_wait(s->epoch, atomic_load(&s->moved[m->slot % SPFRESH_STRIPES]));
    for (int attempt = 0; rc == OK && !stay && done == 0 && attempt < ATTEMPTS; attempt++) {
        rc = spfresh_choose(s, m->w->scratch, m->row, &c, &run->cost);
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

static int move(struct spfresh *s, struct spfresh_work *w, uint32_t slot, unsigned version,
                uint32_t from, const void *row, struct job_run *run)
{
    const struct move m = { s, w, slot, from, version, row };
    const uint64_t start = spfresh_now(s);

    spfresh_lock_slot(s, slot);
    const int rc = move_locked(&m, run);
    spfresh_unlock_slot(s, slot);
    (void)spfresh_lap(s, SPFRESH_PHASE_REASSIGN, start);
    return rc;
}

/* ------------------------------------------------------------------------------------ jobs */

/* If the posting was split or merged since the job was queued, the vector was filed again then, and
   the job is dropped. */
int spfresh_reassign(struct spfresh *s, struct spfresh_work *w, const struct spfresh_job *job,
                     struct job_run *run)
{
    struct spfresh_members *kept = &w->members[3];
    size_t at = 0;
    int rc = OK;

    w->members[0].n = 0;
    if (spfresh_version(s, job->what) == job->version)
        rc = find_entry(s, w, job->from, job->what, job->version, &at);
    if (rc == OK && at == w->members[0].n) {
        spfresh_count(&s->counters.reassign_aborted, 1);
        return OK;
    }
    kept->n = 0;
    if (rc == OK && !spfresh_members_reserve(kept, 1))
        rc = spfresh_no_memory(s, "out of memory, cannot move a vector");
    if (rc != OK)
        return rc;
    spfresh_members_add(kept, job->what, job->version, w->members[0].rows + at * kept->row_bytes);
    return move(s, w, job->what, job->version, job->from, kept->rows, run);
}

/* After an error, the remaining moves are queued. */
int spfresh_reassign_all(struct spfresh *s, struct spfresh_work *w, struct job_run *run)
{
    struct spfresh_members *m = &w->members[3];
    int rc = OK;

    spfresh_count(&s->counters.reassign_submitted, m->n);
    for (size_t i = 0; i < m->n; i++) {
        const struct spfresh_job later = { .kind = SPFRESH_JOB_REASSIGN,
                                           .what = m->slots[i],
                                           .version = m->versions[i],
                                           .from = w->from[i] };

        if ((rc != OK || run->cost >= run->limit) && spfresh_queue_move(s, later))
            continue;
        if (rc == OK)
            rc = move(s, w, later.what, later.version, later.from, m->rows + i * m->row_bytes, run);
    }
    return rc;
}
