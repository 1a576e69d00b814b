/* neighbours.c - after a split: whose nearest head may have changed, by SPFresh's two necessary
 * conditions (arXiv 2410.14452, section 3.3). o: the old head, A_1, A_2: the new ones.
 *
 *   C1  v went from o to A_own, and d(v, o) < d(v, A_own): all other heads were farther than o, but some
 *       may be nearer than A_own. (The paper asks it of both A_i; the released code as here, which
 *       is the same where v went to the nearer one.) Also where balance has put v into the farther one.
 *   C2  v is in a posting near o, with head B: min d(v, A_i) < d(v, o) and min d(v, A_i) < d(v, B).
 *
 * Left out of C2 are vectors with a copy in the nearer A_i already: o's members that were filed under B
 * as well.
 */
#include <string.h>

#include "algorithms/spfresh/upkeep.h"

enum { CANDIDATE = 2 }; /* marks: 0 and 1 are o's members, by half */

static int no_memory(const struct division *d)
{
    return fail(d->s->base.env.error, ERR_NO_MEMORY,
                "%s: no memory to reassign the vectors near a split posting", d->s->base.ops->name);
}

/* Only what is current: another move of a vector is under way else. */
static bool submit(struct division *d, const struct members *m, size_t i, uint32_t from)
{
    const uint32_t slot = m->slots[i];

    if (spfresh_version(d->s, slot) != m->versions[i])
        return true;
    return marks_set(&d->u->marks, slot, CANDIDATE) &&
           upkeep_candidate(d->x, slot, m->versions[i], m->rows + i * m->row_bytes, from);
}

static void distances(struct division *d, const struct members *m)
{
    for (size_t h = 0; h < d->n; h++)
        upkeep_distances(d->s, d->u, division_row(d, h), m->rows, m->n, d->u->distances[h]);
    upkeep_distances(d->s, d->u, division_row(d, 2), m->rows, m->n, d->u->distances[2]);
    d->cost->distances += (double)((d->n + 1) * m->n);
}

/* -------------------------------------------------------------------------------------- C1 */

static int own_members(struct division *d, size_t half)
{
    const struct members *m = &d->x->members[1 + half];
    const float *own = d->u->distances[half], *old = d->u->distances[2];
    const float *other = d->u->distances[d->n == 2 ? !half : half];

    distances(d, m);
    for (size_t i = 0; i < m->n; i++)
        if ((old[i] < own[i] || other[i] < own[i]) && !submit(d, m, i, d->heads[half]))
            return no_memory(d);
    return OK;
}

static int mark_members(struct division *d)
{
    for (size_t half = 0; half < d->n; half++) {
        const struct members *m = &d->x->members[1 + half];

        for (size_t i = 0; i < m->n; i++)
            if (!marks_set(&d->u->marks, m->slots[i], (uint8_t)half))
                return no_memory(d);
    }
    return OK;
}

/* -------------------------------------------------------------------------------------- C2 */

/* The entries that are current, with their rows. */
static int read_posting(struct division *d, const unsigned char *bytes, size_t n_bytes,
                        struct members *m)
{
    struct spfresh *s = d->s;
    const size_t n = codec_count(s->codec, bytes, n_bytes);
    size_t to = 0;
    int rc;

    m->n = 0;
    if (!members_reserve(m, n))
        return no_memory(d);
    rc = codec_decode(s->codec, bytes, n_bytes, n, m);
    if (rc != OK || !codec_has_rows(s->codec))
        return rc;
    for (size_t i = 0; i < m->n; i++) {
        m->slots[to] = m->slots[i];
        m->versions[to] = m->versions[i];
        to += spfresh_version(s, m->slots[i]) == m->versions[i];
    }
    m->n = to;
    return codec_rows_get(s->codec, m->slots, m->n, m->rows);
}

static int one_neighbour(struct division *d, uint32_t head, const struct members *m)
{
    struct upkeep *u = d->u;
    float *const *at = u->distances;
    int rc = upkeep_ready(d->s, d->x, m->n);

    if (rc != OK)
        return rc;
    distances(d, m);
    upkeep_distances(d->s, u, graph_row(d->s->graph, head), m->rows, m->n, at[WORK_PRESENT]);
    d->cost->distances += (double)m->n;
    for (size_t i = 0; i < m->n; i++) {
        const uint8_t nearer = d->n == 2 && at[1][i] < at[0][i];
        const float least = at[nearer][i];

        if (!(least < at[2][i] && least < at[WORK_PRESENT][i]))
            continue;
        const uint8_t mark = marks_get(&u->marks, m->slots[i]);
        if (mark != CANDIDATE && mark != nearer && !submit(d, m, i, head))
            return no_memory(d);
    }
    spfresh_count(&d->s->counters.reassign_scanned, m->n);
    return OK;
}

/* The heads nearest to the old one, without the new ones. */
static int find_neighbours(struct division *d)
{
    struct spfresh_scratch *x = d->x;
    const size_t wanted = (size_t)d->s->params.reassign_heads;
    size_t n = 0;
    const int rc =
        spfresh_nearest(d->s, x, division_row(d, 2), wanted + 3, 0, 0, &d->cost->distances);

    for (size_t i = 0; rc == OK && i < x->n_heads && n < wanted; i++)
        if (x->heads[i] != d->old && x->heads[i] != d->heads[0] &&
            !(d->n == 2 && x->heads[i] == d->heads[1]))
            x->heads[n++] = x->heads[i];
    x->n_heads = n;
    return rc;
}

static int scan_neighbours(struct division *d)
{
    static const struct posting_read_options all = { 0, 0 };
    struct spfresh_scratch *x = d->x;
    struct members *m = &x->members[0];
    int rc = find_neighbours(d);

    if (rc == OK)
        rc = posting_read(x->reader, x->heads, x->n_heads, &all);
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

/* Inside one epoch: rows of heads that die meanwhile can be read. Moves come after it, for they retire
   things. Who was found before a failure is moved all the same. */
int division_settle(struct division *d)
{
    const struct spfresh_params *p = &d->s->params;
    const bool second = p->condition2 && p->reassign_heads > 0;
    int rc = OK;

    if (!p->condition1 && !second)
        return OK;
    marks_clear(&d->u->marks);
    d->x->members[3].n = 0;
    const unsigned ticket = epoch_enter(d->s->epoch);
    rc = mark_members(d);
    for (size_t half = 0; rc == OK && p->condition1 && half < d->n; half++)
        rc = own_members(d, half);
    if (rc == OK && second)
        rc = scan_neighbours(d);
    epoch_leave(d->s->epoch, ticket);
    const int moved = upkeep_reassign_all(d->s, d->x, d->depth, d->cost);
    return rc == OK ? moved : rc;
}
