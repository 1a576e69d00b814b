/* merge.c - a posting that has run low joins a neighbour's; one that is empty vanishes.
 *
 * Of the two the head with more live entries stays. It holds all before the other is taken off the
 * graph. Vectors that are farther from it than they were from the other may belong elsewhere.
 */
#include <string.h>

#include "algorithms/spfresh/jobs.h"
#include "algorithms/spfresh/upkeep.h"
#include "src/core/mem.h"

enum { PARTNERS = 64 };

struct merger {
    struct spfresh *s;
    struct spfresh_scratch *x;
    uint32_t head, partner;
    size_t live;
    struct job_cost *cost;
};

static size_t size_of(const struct spfresh *s, uint32_t head)
{
    return atomic_load(&spfresh_head(s, head)->size);
}

/* ------------------------------------------------------------------------- the starved one */

static int take_away(struct merger *m)
{
    const int rc = spfresh_remove_head(m->s, m->head);

    spfresh_count(&m->s->counters.merges, rc == OK);
    return rc;
}

static size_t pages_of(const struct spfresh *s, size_t entries)
{
    return (codec_bytes(s->codec, entries) + POSTING_PAGE - 1) / POSTING_PAGE;
}

/* Searches read pages whole. */
static bool is_worth_it(const struct spfresh *s, size_t entries, size_t kept)
{
    return 4 * (entries - kept) >= entries || pages_of(s, kept) < pages_of(s, entries);
}

/* *low: it has to be merged, and its head's row is at u->rows. Else it is rewritten where a quarter is
   stale, or a page can be saved. */
static int look_at(struct merger *m, bool *low)
{
    struct spfresh *s = m->s;
    struct members *kept = &m->x->members[0];
    int rc;

    *low = false;
    if (!spfresh_is_open(s, m->head))
        return OK;
    const size_t size = size_of(s, m->head);
    rc = spfresh_load(s, m->head, true, kept);
    if (rc != OK)
        return rc;
    m->cost->distances += (double)size;
    m->live = kept->n;
    const bool alone = graph_live(s->graph) < 2;
    if (kept->n == 0 && s->params.merge && !alone)
        return take_away(m);
    *low = kept->n <= s->merge_limit && s->params.merge && !alone;
    if (*low) {
        rc = upkeep_ready(s, m->x, kept->n);
        if (rc == OK)
            memcpy(m->x->upkeep->rows, graph_row(s->graph, m->head), spfresh_row_bytes(s));
    }
    if (rc == OK && is_worth_it(s, size, kept->n))
        rc = upkeep_collect(s, m->x, m->head, kept);
    return rc;
}

/* The nearest with room. */
static int find_partner(struct merger *m, bool *found)
{
    struct spfresh *s = m->s;
    struct spfresh_scratch *x = m->x;
    const unsigned ticket = epoch_enter(s->epoch);
    const int rc = spfresh_nearest(s, x, x->upkeep->rows, PARTNERS + 1, 0, 0, &m->cost->distances);

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

/* All of `stays`, and of `goes` what is not in it; that is listed as well if it has become farther
   from its head: members[3]. An entry under way and the current one of the same vector are two. */
static int unite(struct merger *m, const struct members *stays, const struct members *goes,
                 uint32_t survivor, uint32_t gone)
{
    struct spfresh *s = m->s;
    struct upkeep *u = m->x->upkeep;
    struct members *all = &m->x->members[2];

    marks_clear(&u->marks);
    all->n = m->x->members[3].n = 0;
    if (!members_reserve(all, stays->n + goes->n))
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < stays->n; i++) {
        if (!marks_set(&u->marks, stays->slots[i], 0))
            return ERR_NO_MEMORY;
        members_add(all, stays->slots[i], stays->versions[i], stays->rows + i * stays->row_bytes);
    }
    upkeep_distances(s, u, graph_row(s->graph, survivor), goes->rows, goes->n, u->distances[0]);
    upkeep_distances(s, u, graph_row(s->graph, gone), goes->rows, goes->n, u->distances[1]);
    m->cost->distances += 2 * (double)goes->n;
    for (size_t i = 0; i < goes->n; i++) {
        const unsigned char *row = goes->rows + i * goes->row_bytes;
        size_t same = marks_get(&u->marks, goes->slots[i]) == UNMARKED ? stays->n : 0;

        while (same < stays->n &&
               (stays->slots[same] != goes->slots[i] || stays->versions[same] != goes->versions[i]))
            same++;
        if (same < stays->n)
            continue;
        members_add(all, goes->slots[i], goes->versions[i], row);
        if (u->distances[0][i] > u->distances[1][i] &&
            !upkeep_candidate(m->x, goes->slots[i], goes->versions[i], row, survivor))
            return ERR_NO_MEMORY;
    }
    return OK;
}

/* Both locked. */
static int join(struct merger *m)
{
    struct spfresh *s = m->s;
    const struct members *a = &m->x->members[0], *b = &m->x->members[1];
    int rc = spfresh_load(s, m->head, true, &m->x->members[0]);

    if (rc == OK)
        rc = spfresh_load(s, m->partner, true, &m->x->members[1]);
    if (rc != OK || a->n > s->merge_limit || a->n + b->n >= s->limit)
        return rc;
    rc = upkeep_ready(s, m->x, a->n > b->n ? a->n : b->n);
    if (rc != OK)
        return rc;
    const bool first = a->n > b->n;
    const uint32_t survivor = first ? m->head : m->partner;
    const uint32_t gone = first ? m->partner : m->head;
    rc = unite(m, first ? a : b, first ? b : a, survivor, gone);
    if (rc != OK)
        return fail(s->base.env.error, rc, "%s: no memory to merge two postings",
                    s->base.ops->name);
    epoch_wait(s->epoch, atomic_load(&s->last_move)); /* as upkeep_collect() */
    rc = spfresh_put(s, survivor, &m->x->members[2]);
    if (rc != OK)
        return rc;
    rc = spfresh_remove_head(s, gone);
    if (rc == OK) {
        spfresh_count(&s->counters.merges, 1);
    } else { /* both hold them until it is tried again */
        atomic_store(&s->repeats, true);
        m->x->members[3].n = 0;
    }
    return rc;
}

/* Mergers take turns: two of them could take the last two heads away. */
int spfresh_merge(struct spfresh *s, struct spfresh_scratch *x, const struct job *job,
                  struct job_cost *cost)
{
    struct merger m = { .s = s, .x = x, .head = job->what, .cost = cost };
    bool low = false, found = false;

    x->members[3].n = 0;
    jobs_lock_merge(s);
    spfresh_lock_posting(s, m.head);
    int rc = look_at(&m, &low);
    spfresh_unlock_posting(s, m.head);
    if (rc == OK && low)
        rc = find_partner(&m, &found);
    if (rc == OK && found) {
        const uint32_t both[2] = { m.head, m.partner };

        spfresh_lock_postings(s, both, 2);
        if (spfresh_is_open(s, m.head) && spfresh_is_open(s, m.partner))
            rc = join(&m);
        spfresh_unlock_postings(s, both, 2);
    }
    jobs_unlock_merge(s);
    return rc == OK && x->members[3].n > 0 ? upkeep_reassign_all(s, x, job->depth, cost) : rc;
}
