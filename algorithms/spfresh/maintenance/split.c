/* split.c - splits a posting past its limit in two; only rewrites it if that is enough. Then finds
 * the vectors whose nearest head may have changed, and moves them.
 *
 * Balanced 2-means gives two means; the members nearest to them become the new heads. Then each
 * member goes to the nearer head, as an insert would. The balanced halves are kept only if this
 * would leave one half nearly empty.
 *
 * The new heads can be found before the old one is removed, and the old posting stays readable for
 * searches that found it, so no search misses both. Members that are all equal cannot be split.
 * They get a head of their own, at distance 0, and the posting grows past the limit. The split is
 * tried again when the posting has twice as many live members. */
#include <math.h>
#include <string.h>

#include "algorithms/common/clustering/balanced.h"
#include "algorithms/spfresh/maintenance/work.h"
#include "src/core/rng.h"

/* The nearest-head assignment is used only if each half gets at least 1 / SHARE_LEAST
   of the members. */
enum { SHARE_LEAST = 8 };

/* A half keeps the old head if its own head is within this share of its members' mean distance from
   the old head. Values from .0125 to .2 give the same counts: mostly it is the same member. */
#define REUSE_HEAD_RADIUS .05

/* A posting under split. Has the rows of the new heads and of the old one. */
struct division {
    struct spfresh *s;
    struct spfresh_work *w;
    uint32_t old, heads[2]; /* one of them may be `old` */
    size_t n;               /* new heads; 1: all members are equal */
    struct job_run *run;
};

/* Of head i; 2: the old one. */
static unsigned char *row_of(const struct division *d, size_t i)
{
    return d->w->rows + i * spfresh_row_bytes(d->s);
}

/* ---------------------------------------------------------------------------- new centres */

/* Converts dim floats to an element row; for u8, rounds to the nearest value. */
static void mean_row(const struct spfresh *s, const float *centre, unsigned char *row)
{
    const size_t dim = s->base.env.dim;

    if (s->base.env.element == INDEX_F32) {
        memcpy(row, centre, dim * sizeof *centre);
        return;
    }
    for (size_t j = 0; j < dim; j++) {
        const float x = centre[j] + .5F;
        row[j] = (unsigned char)(x < 0 ? 0 : x > 255 ? 255 : x);
    }
}

/* Makes the member nearest to a side's mean its head, as the build does. The mean itself is nearer
   to everything around it than any member is. Beside heads that are members, it would attract
   their vectors and starve their postings, and vectors filed later would get few copies (the RNG
   rule takes means to be alike). */
static void to_member(const struct division *d, const struct spfresh_members *m, size_t side)
{
    const size_t row_bytes = spfresh_row_bytes(d->s);
    unsigned char *head = row_of(d, side);
    float *from_mean = d->w->distances[side];
    size_t nearest = m->n;

    mean_row(d->s, d->w->centres + side * d->s->base.env.dim, head);
    spfresh_work_distances(d->s, d->w, head, m->rows, m->n, from_mean);
    for (size_t i = 0; i < m->n; i++)
        if (d->w->sides[i] == side && (nearest == m->n || from_mean[i] < from_mean[nearest]))
            nearest = i;
    memcpy(head, m->rows + nearest * row_bytes, row_bytes);
}

/* The mean distance of a side's members from the old head; not squared. */
static double mean_distance(const struct spfresh_work *w, size_t n, uint8_t side)
{
    double sum = 0;
    size_t members = 0;

    for (size_t i = 0; i < n; i++)
        if (w->sides[i] == side) {
            sum += sqrt((double)w->distances[2][i]);
            members++;
        }
    return members > 0 ? sum / (double)members : 0;
}

/* Which half can keep the old head: the one whose new head is nearer to it, and near
   enough. 2: none. */
static size_t half_of_old(const struct division *d, size_t n)
{
    float moved[2];
    const size_t row_bytes = spfresh_row_bytes(d->s);

    spfresh_work_distances(d->s, d->w, row_of(d, 2), d->w->rows, 2, moved);
    const size_t nearer = moved[1] < moved[0];
    if (sqrt((double)moved[nearer]) > REUSE_HEAD_RADIUS * mean_distance(d->w, n, (uint8_t)nearer))
        return 2;
    memcpy(row_of(d, nearer), row_of(d, 2), row_bytes);
    return nearer;
}

/* If both heads are the same point, replaces one by the member farthest from it. */
static void separate(const struct division *d, const struct spfresh_members *m, size_t kept)
{
    const size_t row_bytes = spfresh_row_bytes(d->s);
    size_t farthest = 0;

    if (memcmp(row_of(d, 0), row_of(d, 1), row_bytes) != 0)
        return;
    spfresh_work_distances(d->s, d->w, row_of(d, 0), m->rows, m->n, d->w->distances[0]);
    for (size_t i = 1; i < m->n; i++)
        if (d->w->distances[0][i] > d->w->distances[0][farthest])
            farthest = i;
    memcpy(row_of(d, kept == 1 ? 0 : 1), m->rows + farthest * row_bytes, row_bytes);
}

/* ---------------------------------------------------------------------------------- sides */

static void to_nearer(const struct division *d, const struct spfresh_members *m)
{
    struct spfresh_work *w = d->w;
    size_t second = 0;

    for (size_t h = 0; h < 2; h++)
        spfresh_work_distances(d->s, w, row_of(d, h), m->rows, m->n, w->distances[h]);
    for (size_t i = 0; i < m->n; i++)
        second += w->distances[1][i] < w->distances[0][i] ||
                  (w->distances[1][i] == w->distances[0][i] && w->sides[i]);
    const size_t smaller = second < m->n - second ? second : m->n - second;
    if (smaller == 0 || smaller < m->n / SHARE_LEAST)
        return;
    for (size_t i = 0; i < m->n; i++)
        if (w->distances[0][i] != w->distances[1][i])
            w->sides[i] = w->distances[1][i] < w->distances[0][i];
}

static int take_sides(const struct division *d, const struct spfresh_members *m)
{
    struct spfresh_members *halves = d->w->members + 1;
    size_t n[2] = { 0, 0 };

    for (size_t i = 0; i < m->n; i++)
        n[d->w->sides[i]]++;
    for (size_t h = 0; h < 2; h++) {
        halves[h].n = 0;
        if (!spfresh_members_reserve(&halves[h], n[h]))
            return spfresh_no_memory(d->s, "out of memory, cannot split a posting");
    }
    for (size_t i = 0; i < m->n; i++)
        spfresh_members_add(&halves[d->w->sides[i]], m->slots[i], m->versions[i],
                            m->rows + i * m->row_bytes);
    return OK;
}

/* ------------------------------------------------------------------------------ new heads */

/* Removes a new head again, unless another thread has filed something there. Then the head stays,
   and with it second copies of its members. */
static void undo_head(struct spfresh *s, uint32_t head, size_t n)
{
    spfresh_lock_posting(s, head);
    const bool ours = spfresh_is_open(s, head) && atomic_load(&spfresh_head(s, head)->size) == n;
    if (!ours || spfresh_remove_head(s, head) != OK)
        atomic_store(&s->repeats, true);
    spfresh_unlock_posting(s, head);
}

/* Keeps the old head for one half. Its posting is rewritten once no search is left that may look
   there for the other half. */
static int shrink_old(struct division *d, size_t kept, uint32_t *undo)
{
    struct spfresh *s = d->s;
    const struct spfresh_members *halves = d->w->members + 1;
    int rc = spfresh_add_head(s, row_of(d, !kept), &halves[!kept], &d->heads[!kept]);

    if (rc != OK)
        return rc;
    epoch_drain(s->epoch);
    d->heads[kept] = d->old;
    rc = spfresh_put(s, d->old, &halves[kept]);
    if (rc != OK)
        undo[!kept] = d->heads[!kept];
    else
        spfresh_count(&s->counters.same_head, 1);
    return rc;
}

static int replace_old(struct division *d, uint32_t *undo)
{
    struct spfresh *s = d->s;
    const struct spfresh_members *halves = d->w->members + 1;
    int rc = OK;

    for (size_t h = 0; rc == OK && h < d->n; h++) {
        rc = spfresh_add_head(s, row_of(d, h), &halves[h], &d->heads[h]);
        if (rc == OK)
            undo[h] = d->heads[h];
    }
    return rc == OK ? spfresh_remove_head(s, d->old) : rc;
}

static void set_refused(struct spfresh *s, uint32_t head, size_t n)
{
    struct spfresh_head *h = spfresh_head(s, head);

    atomic_store(&h->refused, (uint32_t)n);
    (void)atomic_fetch_or(&h->flags, HEAD_UNSPLITTABLE);
}

/* All members are the same point. */
static int give_own_head(struct division *d, const struct spfresh_members *m, uint32_t *undo)
{
    struct spfresh *s = d->s;
    const size_t row_bytes = spfresh_row_bytes(s);

    spfresh_count(&s->counters.even_splits, 1);
    if (memcmp(m->rows, row_of(d, 2), row_bytes) == 0) {
        d->n = 0;
        set_refused(s, d->old, m->n);
        return spfresh_collect(s, d->old, m);
    }
    memcpy(row_of(d, 0), m->rows, row_bytes);
    memset(d->w->sides, 0, m->n);
    d->n = 1;
    int rc = take_sides(d, m);
    if (rc == OK)
        rc = replace_old(d, undo);
    if (rc == OK)
        set_refused(s, d->heads[0], m->n);
    return rc;
}

/* --------------------------------------------------------------------------------- a split */

static int divide(struct division *d, const struct spfresh_members *m, uint32_t *undo)
{
    struct spfresh *s = d->s;
    const struct index_env *env = &s->base.env;
    const struct balanced_options options = { .fanout = 2,
                                              .leaf = 1,
                                              .samples = (size_t)s->params.samples,
                                              .iterations = 100,
                                              .balance =
                                                  s->params.balance < 0 ? 1 : s->params.balance,
                                              .seed = rng_mix(env->seed, d->old) };
    const struct vectors rows = { m->rows, m->n, env->dim, env->element };
    bool even = false;
    int rc = spfresh_work_reserve(s, d->w, m->n);

    if (rc != OK)
        return rc;
    d->n = 2;
    memcpy(row_of(d, 2), graph_row(s->graph, d->old), spfresh_row_bytes(s));
    rc = balanced_halves(env, &options, rows, d->w->sides, d->w->centres, &even);
    if (rc != OK)
        return rc;
    /* An estimate of the passes of 2-means over both centres. */
    d->run->cost += 18 * (double)m->n;
    if (even)
        return give_own_head(d, m, undo);
    for (size_t h = 0; h < 2; h++)
        to_member(d, m, h);
    spfresh_work_distances(s, d->w, row_of(d, 2), m->rows, m->n, d->w->distances[2]);
    const size_t kept = half_of_old(d, m->n);
    separate(d, m, kept);
    to_nearer(d, m);
    rc = take_sides(d, m);
    if (rc == OK)
        rc = kept < 2 ? shrink_old(d, kept, undo) : replace_old(d, undo);
    return rc;
}

/* Whether a rewrite is enough, or an earlier split of nearly the same members found
   them all equal. */
static bool is_enough(struct spfresh *s, uint32_t head, const struct spfresh_members *m)
{
    struct spfresh_head *h = spfresh_head(s, head);

    if (m->n <= s->limit) {
        (void)atomic_fetch_and(&h->flags, ~(uint32_t)HEAD_UNSPLITTABLE);
        return true;
    }
    return atomic_load(&h->flags) & HEAD_UNSPLITTABLE && m->n / 2 < atomic_load(&h->refused);
}

static int split_locked(struct division *d, uint32_t *undo)
{
    struct spfresh *s = d->s;
    struct spfresh_members *m = &d->w->members[0];
    int rc;

    if (!spfresh_is_open(s, d->old) || atomic_load(&spfresh_head(s, d->old)->size) <= s->limit)
        return OK;
    rc = spfresh_load(s, d->old, true, m);
    if (rc != OK)
        return rc;
    d->run->cost += (double)m->n;
    if (is_enough(s, d->old, m))
        return spfresh_collect(s, d->old, m);
    rc = divide(d, m, undo);
    if (rc != OK)
        d->n = 0;
    return rc;
}

/* ------------------------------------------------------------------------------ candidates */

/* The vectors whose nearest head may have changed, by SPFresh's two necessary conditions (arXiv
 * 2410.14452, section 3.3). o is the old head, A_1 and A_2 are the new ones.
 *
 *   C1  v went from o to A_own, and d(v, o) < d(v, A_own). All other heads were farther than o, but
 *       some may be nearer than A_own. (The paper requires this of both A_i. We follow the released
 *       code; both are the same if v went to the nearer one.) We add the vectors that balance put
 *       into the farther half.
 *   C2  v is in a posting near o, with head B: min d(v, A_i) < d(v, o) and min d(v, A_i) < d(v, B).
 *
 * C2 skips vectors that already have a copy in the nearer A_i: members of o also filed under B. */

/* Marks of slots: 0 and 1: o's members, by half. */
enum { CANDIDATE = 2, UNMARKED = 255 };

/* Sets or replaces a slot's mark. false: out of memory. */
static bool set_mark(struct spfresh_work *w, uint32_t slot, uint8_t mark)
{
    const size_t n = w->marked.n + 1;

    if (!key_set_reserve(&w->marked, w->mem, n) ||
        !mem_grow(w->mem, &w->marks, &w->marks_capacity, n, sizeof *w->marks))
        return false;
    w->marks[key_set_add(&w->marked, slot)] = mark;
    return true;
}

static uint8_t mark_of(const struct spfresh_work *w, uint32_t slot)
{
    const size_t at = w->marked.bits ? key_set_find(&w->marked, slot) : w->marked.n;

    return at < w->marked.n ? w->marks[at] : UNMARKED;
}

static int no_memory(const struct division *d)
{
    return spfresh_no_memory(d->s,
                             "out of memory, cannot reassign the vectors near a split posting");
}

/* Submits an entry only if it is current. Otherwise another move of the vector is under way. */
static bool submit(struct division *d, const struct spfresh_members *m, size_t i, uint32_t from)
{
    const uint32_t slot = m->slots[i];

    if (spfresh_version(d->s, slot) != m->versions[i])
        return true;
    return set_mark(d->w, slot, CANDIDATE) &&
           spfresh_work_add_candidate(d->w, slot, m->versions[i], m->rows + i * m->row_bytes, from);
}

static void distances(struct division *d, const struct spfresh_members *m)
{
    for (size_t h = 0; h < d->n; h++)
        spfresh_work_distances(d->s, d->w, row_of(d, h), m->rows, m->n, d->w->distances[h]);
    spfresh_work_distances(d->s, d->w, row_of(d, 2), m->rows, m->n, d->w->distances[2]);
    d->run->cost += (double)((d->n + 1) * m->n);
}

/* C1 */

static int own_members(struct division *d, size_t half)
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

/* C2 */

/* Reads the current entries, with their rows. */
static int read_posting(struct division *d, const unsigned char *bytes, size_t n_bytes,
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

static int one_neighbour(struct division *d, uint32_t head, const struct spfresh_members *m)
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
        const uint8_t mark = mark_of(w, m->slots[i]);
        if (mark != CANDIDATE && mark != nearer && !submit(d, m, i, head))
            return no_memory(d);
    }
    spfresh_count(&d->s->counters.reassign_scanned, m->n);
    return OK;
}

/* Finds the heads nearest to the old one, without the new ones. */
static int find_neighbours(struct division *d)
{
    struct spfresh_scratch *x = d->w->scratch;
    const size_t wanted = (size_t)d->s->params.reassign_heads;
    size_t n = 0;
    const int rc = spfresh_nearest(d->s, x, row_of(d, 2), wanted + 3, 0, 0, &d->run->cost);

    for (size_t i = 0; rc == OK && i < x->n_heads && n < wanted; i++)
        if (x->heads[i] != d->old && x->heads[i] != d->heads[0] &&
            !(d->n == 2 && x->heads[i] == d->heads[1]))
            x->heads[n++] = x->heads[i];
    x->n_heads = n;
    return rc;
}

static int scan_neighbours(struct division *d)
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

/* The scan is inside one epoch, so that rows of heads removed meanwhile stay readable. Moves come
   after it, because they retire objects. Candidates found before an error are still moved. */
static int reassign(struct division *d)
{
    const struct spfresh_params *p = &d->s->params;
    const bool second = p->condition2 && p->reassign_heads > 0;
    int rc = OK;

    if (!p->condition1 && !second)
        return OK;
    key_set_clear(&d->w->marked);
    d->w->members[3].n = 0;
    const unsigned ticket = epoch_enter(d->s->epoch);
    for (size_t half = 0; half < d->n; half++) {
        const struct spfresh_members *m = &d->w->members[1 + half];

        for (size_t i = 0; rc == OK && i < m->n; i++)
            rc = set_mark(d->w, m->slots[i], (uint8_t)half) ? OK : no_memory(d);
    }
    for (size_t half = 0; rc == OK && p->condition1 && half < d->n; half++)
        rc = own_members(d, half);
    if (rc == OK && second)
        rc = scan_neighbours(d);
    epoch_leave(d->s->epoch, ticket);
    const int moved = spfresh_reassign_all(d->s, d->w, d->run);
    return rc == OK ? moved : rc;
}

int spfresh_split(struct spfresh *s, struct spfresh_work *w, const struct spfresh_job *job,
                  struct job_run *run)
{
    struct division d = { .s = s, .w = w, .old = job->what, .run = run };
    const struct spfresh_members *halves = w->members + 1;
    uint32_t undo[2] = { GRAPH_NONE, GRAPH_NONE };
    const uint64_t start = spfresh_now(s);

    spfresh_lock_posting(s, d.old);
    const int rc = split_locked(&d, undo);
    spfresh_unlock_posting(s, d.old);
    for (size_t h = 0; rc != OK && h < 2; h++)
        if (undo[h] != GRAPH_NONE)
            undo_head(s, undo[h], halves[h].n);
    if (d.n == 0)
        return rc;
    if (d.n == 2) {
        (void)spfresh_lap(s, SPFRESH_PHASE_SPLIT, start);
        spfresh_count(&s->counters.splits, 1);
    }
    for (size_t h = 0; h < d.n; h++)
        if (halves[h].n > s->limit)
            spfresh_queue(s, (struct spfresh_job){ .kind = SPFRESH_JOB_SPLIT, .what = d.heads[h] });
    return reassign(&d);
}
