/* merge.c - merges a small posting into a neighbour's; removes an empty one.
 *
 * The head with more live entries survives. It gets all entries before the other head leaves the
 * graph. Vectors that are farther from the survivor than from the removed head may belong
 * elsewhere, and are candidates for a move. */
#include <string.h>

#include "algorithms/spfresh/maintenance/work.h"

enum { PARTNERS = 64 };

struct merger {
    struct spfresh *s;
    struct spfresh_work *w;
    uint32_t head, partner;
    size_t live;
    struct job_run *run;
    bool merged;
};

static size_t size_of(const struct spfresh *s, uint32_t head)
{
    return atomic_load(&spfresh_head(s, head)->size);
}

/* ------------------------------------------------------------------------ the small posting */

static size_t pages_of(const struct spfresh *s, size_t entries)
{
    return (spfresh_codec_bytes(s->codec, entries) + POSTING_PAGE - 1) / POSTING_PAGE;
}

/* Rewriting pays if a quarter of the entries is stale, in memory a sixteenth, or a page is saved:
   searches read whole pages. */
static bool is_worth_it(const struct spfresh *s, size_t entries, size_t kept)
{
    const size_t share = s->params.store == POSTING_MEMORY ? 16 : 4;

    return share * (entries - kept) >= entries || pages_of(s, kept) < pages_of(s, entries);
}

/* Examines the posting. *low: it must be merged; then its head's row is in w->rows. Otherwise
   rewrites it if that pays. */
static int examine(struct merger *m, bool *low)
{
    struct spfresh *s = m->s;
    struct spfresh_members *kept = &m->w->members[0];
    int rc;

    *low = false;
    if (!spfresh_is_open(s, m->head))
        return OK;
    const size_t size = size_of(s, m->head);
    rc = spfresh_load(s, m->head, true, kept);
    if (rc != OK)
        return rc;
    m->run->cost += (double)size;
    m->live = kept->n;
    const bool alone = graph_live(s->graph) < 2;
    if (kept->n == 0 && s->params.merge && !alone) {
        rc = spfresh_remove_head(s, m->head);
        m->merged = rc == OK;
        spfresh_count(&s->counters.merges, m->merged);
        return rc;
    }
    *low = kept->n <= s->merge_limit && s->params.merge && !alone;
    if (*low) {
        rc = spfresh_work_reserve(s, m->w, kept->n);
        if (rc == OK)
            memcpy(m->w->rows, graph_row(s->graph, m->head), spfresh_row_bytes(s));
    }
    if (rc == OK && is_worth_it(s, size, kept->n))
        rc = spfresh_collect(s, m->head, kept);
    return rc;
}

/* Finds the nearest open head whose posting has space for both. */
static int find_partner(struct merger *m, bool *found)
{
    struct spfresh *s = m->s;
    struct spfresh_scratch *x = m->w->scratch;
    const unsigned ticket = epoch_enter(s->epoch);
    const int rc = spfresh_nearest(s, x, m->w->rows, PARTNERS + 1, 0, 0, &m->run->cost);

    *found = false;
    for (size_t i = 0; rc == OK && i < x->n_heads && !*found; i++)
        if (x->heads[i] != m->head && spfresh_is_open(s, x->heads[i]) &&
            m->live + size_of(s, x->heads[i]) < s->limit) {
            m->partner = x->heads[i];
            *found = true;
        }
    epoch_leave(s->epoch, ticket);
    return rc;
}

/* ---------------------------------------------------------------------------------- joining */

/* A coming and a current entry of one vector are two. */
static uint64_t key_of(const struct spfresh_members *m, size_t i)
{
    return (uint64_t)m->slots[i] << 16 | m->versions[i];
}

/* Collects all entries of `stays`, and those of `goes` that are not in it. Vectors of `goes` that
   are farther from the survivor than from the removed head become candidates (members[3]), whether
   `stays` has them or not: a third head may be nearer. */
static int unite(struct merger *m, const struct spfresh_members *stays,
                 const struct spfresh_members *goes, uint32_t survivor, uint32_t gone)
{
    struct spfresh *s = m->s;
    struct spfresh_work *w = m->w;
    struct spfresh_members *all = &m->w->members[2];

    key_set_clear(&w->marked);
    all->n = m->w->members[3].n = 0;
    if (!spfresh_members_reserve(all, stays->n + goes->n) ||
        !key_set_reserve(&w->marked, w->mem, stays->n + goes->n))
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < stays->n; i++) {
        (void)key_set_add(&w->marked, key_of(stays, i));
        spfresh_members_add(all, stays->slots[i], stays->versions[i],
                            stays->rows + i * stays->row_bytes);
    }
    spfresh_work_distances(s, w, graph_row(s->graph, survivor), goes->rows, goes->n,
                           w->distances[0]);
    spfresh_work_distances(s, w, graph_row(s->graph, gone), goes->rows, goes->n, w->distances[1]);
    m->run->cost += 2 * (double)goes->n;
    for (size_t i = 0; i < goes->n; i++) {
        const unsigned char *row = goes->rows + i * goes->row_bytes;
        const size_t n = w->marked.n;

        if (key_set_add(&w->marked, key_of(goes, i)) == n)
            spfresh_members_add(all, goes->slots[i], goes->versions[i], row);
        if (w->distances[0][i] > w->distances[1][i] &&
            !spfresh_work_add_candidate(m->w, goes->slots[i], goes->versions[i], row, survivor))
            return ERR_NO_MEMORY;
    }
    return OK;
}

/* Called with both postings locked. */
static int join(struct merger *m)
{
    struct spfresh *s = m->s;
    const struct spfresh_members *a = &m->w->members[0], *b = &m->w->members[1];
    int rc = spfresh_load(s, m->head, true, &m->w->members[0]);

    if (rc == OK)
        rc = spfresh_load(s, m->partner, true, &m->w->members[1]);
    if (rc != OK || a->n > s->merge_limit || a->n + b->n >= s->limit)
        return rc;
    rc = spfresh_work_reserve(s, m->w, a->n > b->n ? a->n : b->n);
    if (rc != OK)
        return rc;
    const bool first = a->n > b->n;
    const uint32_t survivor = first ? m->head : m->partner;
    const uint32_t gone = first ? m->partner : m->head;
    rc = unite(m, first ? a : b, first ? b : a, survivor, gone);
    if (rc != OK)
        return fail(s->base.env.error, rc, "%s: out of memory, cannot merge two postings",
                    s->base.ops->name);
    epoch_wait(s->epoch, atomic_load(&s->last_move)); /* as in spfresh_collect() */
    rc = spfresh_put(s, survivor, &m->w->members[2]);
    if (rc != OK)
        return rc;
    rc = spfresh_remove_head(s, gone);
    m->merged = rc == OK;
    spfresh_count(&s->counters.merges,
                  m->merged); /* spfresh_file() reads it under a lock of these */
    if (!m->merged) {         /* both postings hold the entries until the merge is retried */
        atomic_store(&s->repeats, true);
        m->w->members[3].n = 0;
    }
    return rc;
}

/* Holds s->merging: two merges at once could remove the last two heads. */
int spfresh_merge(struct spfresh *s, struct spfresh_work *w, const struct spfresh_job *job,
                  struct job_run *run)
{
    struct merger m = { .s = s, .w = w, .head = job->what, .run = run };
    bool low = false, found = false;
    const uint64_t start = spfresh_now(s);

    w->members[3].n = 0;
    pthread_mutex_lock(&s->merging);
    spfresh_lock_posting(s, m.head);
    int rc = examine(&m, &low);
    spfresh_unlock_posting(s, m.head);
    if (rc == OK && low)
        rc = find_partner(&m, &found);
    if (rc == OK && found) {
        spfresh_lock_two(s, m.head, m.partner);
        if (spfresh_is_open(s, m.head) && spfresh_is_open(s, m.partner))
            rc = join(&m);
        spfresh_unlock_two(s, m.head, m.partner);
    }
    pthread_mutex_unlock(&s->merging);
    if (m.merged)
        (void)spfresh_lap(s, SPFRESH_PHASE_MERGE, start);
    return rc == OK && w->members[3].n > 0 ? spfresh_reassign_all(s, w, run) : rc;
}
