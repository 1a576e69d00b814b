/* split.c - a posting past its limit: collected if that is enough, else divided in two.
 *
 * The members nearest to the means of balanced 2-means are the new heads; then each member goes to
 * the nearer one, as it would if it were inserted now. The balanced halves themselves stand only
 * where the nearer heads would leave one of them next to nothing.
 *
 * The new heads can be found before the old one is gone, and what the old one held stays readable
 * to searches that have found it: none misses both. Members that are all alike cannot be divided;
 * they get a head of their own, at distance 0, and the posting grows past the limit. It is tried
 * again when it has twice as many live members.
 */
#include <math.h>
#include <string.h>

#include "algorithms/common/balanced.h"
#include "algorithms/spfresh/upkeep.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* A half has at least this share of the members by nearest head, or stays as 2-means made it. */
enum { SHARE_LEAST = 8 };

/* ---------------------------------------------------------------------------- new centres */

/* A side's head is the member nearest to its mean, as at the build. The mean itself is nearer to everything
   around than any member: beside heads that are members it would draw their vectors in, starve
   them, and leave whoever is filed anew with few copies (the RNG rule finds means alike). */
static void to_member(const struct division *d, const struct members *m, size_t side)
{
    const size_t row_bytes = spfresh_row_bytes(d->s);
    unsigned char *head = division_row(d, side);
    float *from_mean = d->u->distances[side];
    size_t nearest = m->n;

    upkeep_mean_row(d->s, d->u->centres + side * d->s->base.env.dim, head);
    upkeep_distances(d->s, d->u, head, m->rows, m->n, from_mean);
    for (size_t i = 0; i < m->n; i++)
        if (d->u->sides[i] == side && (nearest == m->n || from_mean[i] < from_mean[nearest]))
            nearest = i;
    memcpy(head, m->rows + nearest * row_bytes, row_bytes);
}

/* The mean distance of a side's members from the old head; not squared. */
static double mean_distance(const struct upkeep *u, size_t n, uint8_t side)
{
    double sum = 0;
    size_t members = 0;

    for (size_t i = 0; i < n; i++)
        if (u->sides[i] == side) {
            sum += sqrt((double)u->distances[2][i]);
            members++;
        }
    return members > 0 ? sum / (double)members : 0;
}

/* Which half the old head will do for: the one whose centre is nearer to it, and near. 2: neither. */
static size_t half_of_old(const struct division *d, size_t n)
{
    float moved[2];
    const size_t row_bytes = spfresh_row_bytes(d->s);

    upkeep_distances(d->s, d->u, division_row(d, 2), d->u->rows, 2, moved);
    const size_t nearer = moved[1] < moved[0];
    if (d->s->params.same_head == 0 ||
        sqrt((double)moved[nearer]) >
            d->s->params.same_head * mean_distance(d->u, n, (uint8_t)nearer))
        return 2;
    memcpy(division_row(d, nearer), division_row(d, 2), row_bytes);
    return nearer;
}

/* Where both are the same point, the member farthest from it is the other. */
static void tell_apart(const struct division *d, const struct members *m, size_t kept)
{
    const size_t row_bytes = spfresh_row_bytes(d->s);
    size_t farthest = 0;

    if (memcmp(division_row(d, 0), division_row(d, 1), row_bytes) != 0)
        return;
    upkeep_distances(d->s, d->u, division_row(d, 0), m->rows, m->n, d->u->distances[0]);
    for (size_t i = 1; i < m->n; i++)
        if (d->u->distances[0][i] > d->u->distances[0][farthest])
            farthest = i;
    memcpy(division_row(d, kept == 1 ? 0 : 1), m->rows + farthest * row_bytes, row_bytes);
}

/* ---------------------------------------------------------------------------------- sides */

static void to_nearer(const struct division *d, const struct members *m)
{
    struct upkeep *u = d->u;
    size_t second = 0;

    for (size_t h = 0; h < 2; h++)
        upkeep_distances(d->s, u, division_row(d, h), m->rows, m->n, u->distances[h]);
    for (size_t i = 0; i < m->n; i++)
        second += u->distances[1][i] < u->distances[0][i] ||
                  (u->distances[1][i] == u->distances[0][i] && u->sides[i]);
    const size_t smaller = second < m->n - second ? second : m->n - second;
    if (smaller == 0 || smaller < m->n / SHARE_LEAST)
        return;
    for (size_t i = 0; i < m->n; i++)
        if (u->distances[0][i] != u->distances[1][i])
            u->sides[i] = u->distances[1][i] < u->distances[0][i];
}

static int take_sides(const struct division *d, const struct members *m)
{
    struct members *halves = d->x->members + 1;
    size_t n[2] = { 0, 0 };

    for (size_t i = 0; i < m->n; i++)
        n[d->u->sides[i]]++;
    for (size_t h = 0; h < 2; h++) {
        halves[h].n = 0;
        if (!members_reserve(&halves[h], n[h]))
            return fail(d->s->base.env.error, ERR_NO_MEMORY, "%s: no memory to split a posting",
                        d->s->base.ops->name);
    }
    for (size_t i = 0; i < m->n; i++)
        members_add(&halves[d->u->sides[i]], m->slots[i], m->versions[i],
                    m->rows + i * m->row_bytes);
    return OK;
}

/* ------------------------------------------------------------------------------ new heads */

/* Takes back a head that nobody has filed anything under; else it stays, and with it second copies
   of what it holds. */
static void undo_head(struct spfresh *s, uint32_t head, size_t n)
{
    spfresh_lock_posting(s, head);
    const bool ours = spfresh_is_open(s, head) && atomic_load(&spfresh_head(s, head)->size) == n;
    if (!ours || spfresh_remove_head(s, head) != OK)
        atomic_store(&s->repeats, true);
    spfresh_unlock_posting(s, head);
}

/* The half of the old head stays where it is once no search is left that might look there for the
   other. */
static int shrink_old(struct division *d, size_t kept, uint32_t *undo)
{
    struct spfresh *s = d->s;
    const struct members *halves = d->x->members + 1;
    int rc = spfresh_add_head(s, division_row(d, !kept), &halves[!kept], &d->heads[!kept]);

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
    const struct members *halves = d->x->members + 1;
    int rc = OK;

    for (size_t h = 0; rc == OK && h < d->n; h++) {
        rc = spfresh_add_head(s, division_row(d, h), &halves[h], &d->heads[h]);
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

/* All members are one point. */
static int give_own_head(struct division *d, const struct members *m, uint32_t *undo)
{
    struct spfresh *s = d->s;
    const size_t row_bytes = spfresh_row_bytes(s);

    spfresh_count(&s->counters.even_splits, 1);
    if (memcmp(m->rows, division_row(d, 2), row_bytes) == 0) {
        d->n = 0;
        set_refused(s, d->old, m->n);
        return upkeep_collect(s, d->x, d->old, m);
    }
    memcpy(division_row(d, 0), m->rows, row_bytes);
    memset(d->u->sides, 0, m->n);
    d->n = 1;
    int rc = take_sides(d, m);
    if (rc == OK)
        rc = replace_old(d, undo);
    if (rc == OK)
        set_refused(s, d->heads[0], m->n);
    return rc;
}

/* --------------------------------------------------------------------------------- a split */

static int divide(struct division *d, const struct members *m, uint32_t *undo)
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
    int rc = upkeep_ready(s, d->x, m->n);

    if (rc != OK)
        return rc;
    d->u = d->x->upkeep;
    d->n = 2;
    memcpy(division_row(d, 2), graph_row(s->graph, d->old), spfresh_row_bytes(s));
    rc = balanced_halves(env, &options, rows, d->u->sides, d->u->centres, &even);
    if (rc != OK)
        return rc;
    /* 2-means takes some passes over both centres. */
    d->cost->distances += 18 * (double)m->n;
    if (even)
        return give_own_head(d, m, undo);
    for (size_t h = 0; h < 2; h++)
        to_member(d, m, h);
    upkeep_distances(s, d->u, division_row(d, 2), m->rows, m->n, d->u->distances[2]);
    const size_t kept = half_of_old(d, m->n);
    tell_apart(d, m, kept);
    to_nearer(d, m);
    rc = take_sides(d, m);
    if (rc == OK)
        rc = kept < 2 ? shrink_old(d, kept, undo) : replace_old(d, undo);
    return rc;
}

/* Collecting may do, and what could not be divided is left alone for a while. */
static bool is_enough(struct spfresh *s, uint32_t head, const struct members *m)
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
    struct members *m = &d->x->members[0];
    int rc;

    if (!spfresh_is_open(s, d->old) || atomic_load(&spfresh_head(s, d->old)->size) <= s->limit)
        return OK;
    rc = spfresh_load(s, d->old, true, m);
    if (rc != OK)
        return rc;
    d->cost->distances += (double)m->n;
    if (is_enough(s, d->old, m))
        return upkeep_collect(s, d->x, d->old, m);
    rc = divide(d, m, undo);
    if (rc != OK)
        d->n = 0;
    return rc;
}

/* All members stay together, under another head. */
static int recentre_locked(struct division *d, uint32_t *undo)
{
    struct spfresh *s = d->s;
    struct members *m = &d->x->members[0];
    bool found = false;
    int rc;

    if (!spfresh_is_open(s, d->old))
        return OK;
    rc = spfresh_load(s, d->old, true, m);
    if (rc == OK)
        rc = division_recentre(d, m, &found);
    if (rc != OK || !found)
        return rc;
    memset(d->u->sides, 0, m->n);
    d->n = 1;
    rc = take_sides(d, m);
    if (rc == OK)
        rc = replace_old(d, undo);
    d->n = rc == OK;
    spfresh_count(&s->counters.recentres, rc == OK);
    return rc;
}

static int run_division(struct division *d, int (*locked)(struct division *, uint32_t *undo))
{
    struct spfresh *s = d->s;
    const struct members *halves = d->x->members + 1;
    uint32_t undo[2] = { GRAPH_NONE, GRAPH_NONE };

    spfresh_lock_posting(s, d->old);
    const int rc = locked(d, undo);
    spfresh_unlock_posting(s, d->old);
    for (size_t h = 0; rc != OK && h < 2; h++)
        if (undo[h] != GRAPH_NONE)
            undo_head(s, undo[h], halves[h].n);
    if (d->n == 0)
        return rc;
    spfresh_count(&s->counters.splits, d->n == 2);
    for (size_t h = 0; h < d->n; h++)
        if (halves[h].n > s->limit)
            spfresh_queue(
                s, (struct job){ .kind = JOB_SPLIT, .what = d->heads[h], .depth = d->depth + 1 });
    return division_settle(d);
}

int spfresh_split(struct spfresh *s, struct spfresh_scratch *x, const struct job *job,
                  struct job_cost *cost)
{
    struct division d = { .s = s, .x = x, .old = job->what, .depth = job->depth, .cost = cost };

    return run_division(&d, split_locked);
}

int spfresh_recentre(struct spfresh *s, struct spfresh_scratch *x, const struct job *job,
                     struct job_cost *cost)
{
    struct division d = { .s = s, .x = x, .old = job->what, .depth = job->depth, .cost = cost };

    return run_division(&d, recentre_locked);
}
