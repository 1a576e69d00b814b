/* neighbours.c - after a split, finds vectors whose nearest head may have changed, by SPFresh's two
 * necessary conditions (arXiv 2410.14452, section 3.3). o is the old head, A_1 and A_2 are the new
 * ones.
 *
 *   C1  v went from o to A_own, and d(v, o) < d(v, A_own). All other heads were farther than o, but
 *       some may be nearer than A_own. (The paper requires this of both A_i. We follow the released
 *       code; both are the same if v went to the nearer one.) We add the vectors that balance put
 *       into the farther half.
 *   C2  v is in a posting near o, with head B: min d(v, A_i) < d(v, o) and min d(v, A_i) < d(v, B).
 *
 * C2 skips vectors that already have a copy in the nearer A_i: members of o also filed under B.
 */
#include <string.h>

#include "algorithms/spfresh/maintenance/work.h"

enum { CANDIDATE = 2 }; /* marks 0 and 1: o's members, by half */

static int no_memory(const struct spfresh_division *d)
{
    return spfresh_no_memory(d->s,
                             "out of memory, cannot reassign the vectors near a split posting");
}

/* Submits an entry only if it is current. Otherwise another move of the vector is under way. */
static bool submit(struct spfresh_division *d, const struct spfresh_members *m, size_t i,
                   uint32_t from)
{
    const uint32_t slot = m->slots[i];

    if (spfresh_version(d->s, slot) != m->versions[i])
        return true;
    return spfresh_marks_set(d->w, slot, CANDIDATE) &&
           spfresh_work_add_candidate(d->w, slot, m->versions[i], m->rows + i * m->row_bytes, from);
}

static void distances(struct spfresh_division *d, const struct spfresh_members *m)
{
    for (size_t h = 0; h < d->n; h++)
        spfresh_work_distances(d->s, d->w, spfresh_division_row(d, h), m->rows, m->n,
                               d->w->distances[h]);
    spfresh_work_distances(d->s, d->w, spfresh_division_row(d, 2), m->rows, m->n,
                           d->w->distances[2]);
    d->run->cost += (double)((d->n + 1) * m->n);
}

/* -------------------------------------------------------------------------------------- C1 */

static int own_members(struct spfresh_division *d, size_t half)
{
    const struct spfresh_members *m = &d->w->members[1 + half];
    const float *own = d->w->distances[half], *old = d->w->distances[2];
    const float *other = d->w->distances[d->n == 2 ? !half : half];

    distances(d, m);
    for (size_t i = 0; i < m->n; i++)
        if ((old[i] < own[i] || other[i] < own[i]) && !submit(d, m, i, d->heads[half]))
            return no_memory(d);
    return OK;
}

static int mark_members(struct spfresh_division *d)
{
    for (size_t half = 0; half < d->n; half++) {
        const struct spfresh_members *m = &d->w->members[1 + half];

        for (size_t i = 0; i < m->n; i++)
            if (!spfresh_marks_set(d->w, m->slots[i], (uint8_t)half))
                return no_memory(d);
    }
    return OK;
}

/* -------------------------------------------------------------------------------------- C2 */

/* Reads the current entries, with their rows. */
static int read_posting(struct spfresh_division *d, const unsigned char *bytes, size_t n_bytes,
                        struct spfresh_members *m)
{
    struct spfresh *s = d->s;
    const size_t n = spfresh_codec_count(s->codec, bytes, n_bytes);
    size_t to = 0;
    int rc;

    m->n = 0;
    if (!spfresh_members_reserve(m, n))
        return no_memory(d);
    rc = spfresh_codec_decode(s->codec, bytes, n_bytes, n, m);
    if (rc != OK || !spfresh_has_row_file(s))
        return rc;
    for (size_t i = 0; i < m->n; i++) {
        m->slots[to] = m->slots[i];
        m->versions[to] = m->versions[i];
        to += spfresh_version(s, m->slots[i]) == m->versions[i];
    }
    m->n = to;
    return row_store_get(s->rows, m->slots, m->n, m->rows);
}

static int one_neighbour(struct spfresh_division *d, uint32_t head, const struct spfresh_members *m)
{
    struct spfresh_work *w = d->w;
    float *const *at = w->distances;
    int rc = spfresh_work_reserve(d->s, d->w, m->n);

    if (rc != OK)
        return rc;
    distances(d, m);
    spfresh_work_distances(d->s, w, graph_row(d->s->graph, head), m->rows, m->n, at[WORK_PRESENT]);
    d->run->cost += (double)m->n;
    for (size_t i = 0; i < m->n; i++) {
        const uint8_t nearer = d->n == 2 && at[1][i] < at[0][i];
        const float least = at[nearer][i];

        if (!(least < at[2][i] && least < at[WORK_PRESENT][i]))
            continue;
        const uint8_t mark = spfresh_marks_get(w, m->slots[i]);
        if (mark != CANDIDATE && mark != nearer && !submit(d, m, i, head))
            return no_memory(d);
    }
    spfresh_count(&d->s->counters.reassign_scanned, m->n);
    return OK;
}

/* Finds the heads nearest to the old one, without the new ones. */
static int find_neighbours(struct spfresh_division *d)
{
    struct spfresh_scratch *x = d->w->scratch;
    const size_t wanted = (size_t)d->s->params.reassign_heads;
    size_t n = 0;
    const int rc =
        spfresh_nearest(d->s, x, spfresh_division_row(d, 2), wanted + 3, 0, 0, &d->run->cost);

    for (size_t i = 0; rc == OK && i < x->n_heads && n < wanted; i++)
        if (x->heads[i] != d->old && x->heads[i] != d->heads[0] &&
            !(d->n == 2 && x->heads[i] == d->heads[1]))
            x->heads[n++] = x->heads[i];
    x->n_heads = n;
    return rc;
}

static int scan_neighbours(struct spfresh_division *d)
{
    struct spfresh_scratch *x = d->w->scratch;
    struct spfresh_members *m = &d->w->members[0];
    int rc = find_neighbours(d);

    if (rc == OK)
        rc = posting_read(x->reader, x->heads, x->n_heads, NULL);
    for (size_t i = 0; rc == OK && i < x->n_heads; i++) {
        const unsigned char *bytes = NULL;
        size_t n_bytes = 0;

        rc = posting_next(x->reader, &bytes, &n_bytes);
        if (rc == OK && n_bytes > 0)
            rc = read_posting(d, bytes, n_bytes, m);
        if (rc == OK && n_bytes > 0)
            rc = one_neighbour(d, x->heads[i], m);
    }
    return rc;
}

/* -------------------------------------------------------------------------------- together */

/* The scan is inside one epoch, so that rows of heads removed meanwhile stay readable. Moves come
   after it, because they retire objects. Candidates found before an error are still moved. */
int spfresh_division_reassign(struct spfresh_division *d)
{
    const struct spfresh_params *p = &d->s->params;
    const bool second = p->condition2 && p->reassign_heads > 0;
    int rc = OK;

    if (!p->condition1 && !second)
        return OK;
    key_set_clear(&d->w->marked);
    d->w->members[3].n = 0;
    const unsigned ticket = epoch_enter(d->s->epoch);
    rc = mark_members(d);
    for (size_t half = 0; rc == OK && p->condition1 && half < d->n; half++)
        rc = own_members(d, half);
    if (rc == OK && second)
        rc = scan_neighbours(d);
    epoch_leave(d->s->epoch, ticket);
    const int moved = spfresh_reassign_all(d->s, d->w, d->run);
    return rc == OK ? moved : rc;
}
