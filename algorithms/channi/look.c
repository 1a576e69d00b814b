/* look.c - a list of clusters is looked at: their deltas, and their files as these come.
 *
 * Clusters go in steps: a step's files are asked for at once, and while they come the deltas are scanned.
 * With `eps` or `idle` a step is one cluster, those after it being read ahead, for each may be the last.
 */
#include "algorithms/channi/search.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Clusters of a step, whose files are pinned together. */
enum { STEP = 64 };
/* ... the first of them, whose candidates are measured before more clusters are scanned. */
enum { GROUP = 4 };
/* A delta of at most one row for so many of the file's is like the file: where that has nothing, nor has it. */
enum { FEW_NEW = 4 };

/* --------------------------------------------------------------------------- some clusters */

/* Asks for the files of n clusters, from now on the last of w->bases. */
static int ask(struct seeker *s, const uint32_t *cids, size_t n)
{
    struct search_work *w = s->w;
    const size_t before = w->n_bases;

    if (!s->x->fetch)
        s->x->fetch = fetch_create(s->q->c->cache);
    if (!s->x->fetch ||
        !mem_grow(w->mem, &w->bases, &w->bases_capacity, before + n, sizeof *w->bases) ||
        !mem_grow(w->mem, &w->of, &w->of_capacity, before + n, sizeof *w->of) ||
        !mem_grow(w->mem, &w->images, &w->images_capacity, before + n, sizeof *w->images))
        return seek_no_memory(s->q->c);
    for (size_t i = 0; i < n; i++) {
        const struct cluster *cl = seek_cluster_at(s, cids[i]);

        if (cl->base && s->q->allowed && !allowed_may(s->q->allowed, cl)) {
            s->tally.skipped++;
        } else if (cl->base) {
            w->of[w->n_bases] = cids[i];
            w->images[w->n_bases] = NULL;
            w->bases[w->n_bases++] = cl->base;
        }
    }
    s->tally.touched += n;
    return w->n_bases > before ? fetch_ask(s->x->fetch, w->bases + before, w->n_bases - before)
                               : OK;
}

/* Whether candidates have to be measured while their clusters are pinned. */
static bool rows_are_hot(const struct seeker *s)
{
    return s->coded && !s->q->c->params.cold_rows;
}

void look_unpin(struct seeker *s)
{
    if (s->x->fetch)
        fetch_done(s->x->fetch);
    s->w->n_bases = 0;
}

static const struct image damaged; /* stands for one that cannot be read */

/* Until those asked for as first .. end - 1 are there, in w->images. */
static int await(struct seeker *s, size_t first, size_t end)
{
    struct search_work *w = s->w;
    const struct image *image = NULL;
    int rc = OK, how = OK;

    for (; rc == OK && first < end; first++)
        for (size_t i; rc == OK && !w->images[first];) {
            if (!fetch_next(s->x->fetch, &i, &image, &how))
                return fail(s->q->c->base.env.error, ERR_INVARIANT,
                            "channi: a cluster that was asked for did not come");
            w->images[i] = how == OK ? image : &damaged;
            rc = how == OK ? OK : seek_damaged(s, how);
        }
    return rc;
}

/* With beams, deltas come after their files. */
static bool deltas_wait(const struct seeker *s)
{
    return beams_share(s->q) && !s->q->allowed;
}

/* As the version sees it, so that a pinned reader's answers stay when the delta grows. */
static bool is_small(const struct seeker *s, const struct cluster *cl)
{
    const uint32_t most = cl->base_n / FEW_NEW;

    return delta_count(&cl->delta) <= most ||
           atomic_load_explicit(delta_at(&cl->delta, most).born, memory_order_acquire) >
               s->q->view->version;
}

static int scan_nth(struct seeker *s, const struct search_work *w, size_t i)
{
    const struct cluster *cl = seek_cluster_at(s, w->of[i]);
    int rc = OK;

    if (s->coded && i + 1 < w->n_bases && w->images[i + 1])
        scan_codes_ahead(s->q->c->quantizer, w->images[i + 1]);
    s->in_vain = false;
    if (w->images[i] != &damaged)
        rc = scan_image(s, cl, w->images[i]);
    if (rc != OK || !deltas_wait(s))
        return rc;
    if (!s->in_vain || !is_small(s, cl))
        scan_delta(s, cl);
    return s->rc;
}

/* ------------------------------------------------------------------------- several threads */

struct team {
    const struct seeker *leader;
    size_t first;
    struct seeker *members; /* by worker; x NULL: it had nothing to do */
};

static int member_begin(struct seeker *m, const struct seeker *leader)
{
    struct channi *c = leader->q->c;
    struct channi_scratch *x = channi_scratch_take(c);
    const int rc = x ? seeker_begin(m, leader->q, x, NULL) : seek_no_memory(c);

    if (rc != OK) {
        if (x)
            channi_scratch_give(c, x);
        m->x = NULL;
    }
    m->ceiling = seeker_limit(leader);
    m->beams_limit = leader->beams_limit;
    return rc;
}

static int member_work(void *arg, size_t first, size_t end, size_t worker)
{
    const struct team *t = arg;
    struct seeker *m = &t->members[worker];
    int rc = m->x ? OK : member_begin(m, t->leader);

    for (; rc == OK && first < end; first++)
        rc = scan_nth(m, t->leader->w, t->first + first);
    return rc;
}

/* Members that had something to do, at the front. */
static size_t gather_members(struct seeker *members, size_t n)
{
    size_t to = 0;

    for (size_t i = 0; i < n; i++)
        if (members[i].x)
            members[to++] = members[i];
    return to;
}

/* Files first .. end - 1, which are there. */
static int scan_together(struct seeker *s, size_t first, size_t end)
{
    struct channi *c = s->q->c;
    const size_t n = end - first, threads = s->q->threads < n ? s->q->threads : n;
    struct team t = { .leader = s, .first = first };

    t.members = mem_zalloc(s->w->mem, threads * sizeof *t.members);
    if (!t.members)
        return seek_no_memory(c);
    int rc = parallel_for(c->base.env.pool, threads, n, 1, member_work, &t);
    const size_t found = gather_members(t.members, threads);
    if (rc == OK)
        rc = reduce_seekers(s, t.members, found);
    for (size_t i = 0; i < found; i++)
        channi_scratch_give(c, t.members[i].x);
    mem_free(s->w->mem, t.members);
    return rc;
}

/* ------------------------------------------------------------------------------- a step */

/* A file that came, or cannot. */
struct arrival {
    size_t i;
    const struct image *image;
    int how;
};

static bool next_arrival(struct seeker *s, struct arrival *a)
{
    if (!fetch_next(s->x->fetch, &a->i, &a->image, &a->how))
        return false;
    if (s->coded && a->how == OK)
        scan_codes_ahead(s->q->c->quantizer, a->image);
    return true;
}

/* Files of a step, in the order they come: what they are worth does not depend on it. If the next is there its codes
   come from memory meanwhile. */
static int scan_arrivals(struct seeker *s)
{
    struct arrival now, next;
    int rc = OK;

    for (bool more = next_arrival(s, &now), ahead; rc == OK && more; now = next) {
        ahead = fetch_ready(s->x->fetch) && next_arrival(s, &next);
        rc = now.how == OK ? scan_image(s, seek_cluster_at(s, s->w->of[now.i]), now.image)
                           : seek_damaged(s, now.how);
        more = ahead || next_arrival(s, &next);
    }
    return rc;
}

/* Where the group ends whose first is `first`, of a step that begins at `from` and ends at n. What a group is
   does not depend on threads. */
static size_t group_end(const struct seeker *s, size_t from, size_t first, size_t n)
{
    size_t end = n;

    if (beams_share(s->q))
        end = first + 1 + (first - from) / 2;
    else if (rows_are_hot(s) && s->rerank_left == SIZE_MAX)
        end = first == from ? from + GROUP : from + 4 * (first - from);
    return end < n ? end : n;
}

/* In groups: what the nearest clusters' answers turn out to be spares most of the others' distances. */
static int scan_groups(struct seeker *s, size_t from)
{
    const size_t n = s->w->n_bases;
    const bool measured = rows_are_hot(s) && s->rerank_left == SIZE_MAX;
    int rc = OK;

    for (size_t first = from, end; rc == OK && first < n; first = end) {
        end = group_end(s, from, first, n);
        s->beams_limit = beams_share(s->q) ? topk_limit(&s->uppers) : INFINITY;
        rc = await(s, first, end);
        if (rc == OK && s->q->threads > 1 && end - first > 1)
            rc = scan_together(s, first, end);
        else
            for (size_t i = first; rc == OK && i < end; i++)
                rc = scan_nth(s, s->w, i);
        if (rc == OK && measured)
            rc = scan_candidates(s);
    }
    return rc;
}

static int look_at(struct seeker *s, const uint32_t *cids, size_t n)
{
    const size_t from = s->w->n_bases;
    int rc = ask(s, cids, n);

    for (size_t i = 0; rc == OK && i < n; i++)
        if (!deltas_wait(s) || !seek_cluster_at(s, cids[i])->base)
            scan_delta(s, seek_cluster_at(s, cids[i]));
    rc = rc == OK ? s->rc : rc;
    if (rc != OK || s->w->n_bases == from)
        return rc;
    if (s->q->threads > 1 || rows_are_hot(s) || beams_share(s->q))
        return scan_groups(s, from);
    return scan_arrivals(s);
}

/* ---------------------------------------------------------------------------------- a list */

/* Whether no row near the cluster's route can be an answer, as far as `eps` says. */
static bool too_far(const struct seeker *s, float route)
{
    const double eps = s->q->knobs->eps, limit = (double)seeker_limit(s);

    return eps > 0 && limit < INFINITY && (double)route > (1 + eps) * (1 + eps) * limit;
}

static int read_ahead(struct seeker *s, const uint32_t *cids, size_t n)
{
    struct base *bases[CHANNI_PREFETCH_MAX];
    const size_t most = (size_t)s->q->c->params.prefetch;
    size_t m = 0;

    for (size_t i = 0; i < n && i < most; i++)
        if (seek_cluster_at(s, cids[i])->base)
            bases[m++] = seek_cluster_at(s, cids[i])->base;
    return m > 0 && s->x->fetch ? fetch_ahead(s->x->fetch, bases, m) : OK;
}

/* One after the other, until one is too far or the last few brought nothing. */
int look_in_turn(struct seeker *s, const uint32_t *cids, const float *routes, size_t n)
{
    const size_t patience = s->q->knobs->idle > 0 ? (size_t)s->q->knobs->idle : SIZE_MAX;
    size_t idle = 0;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < n; i++) {
        const float limit = seeker_limit(s);

        if (too_far(s, routes[i]) || idle >= patience) {
            s->tally.stopped++;
            n = i;
            break;
        }
        rc = read_ahead(s, cids + i + 1, n - i - 1);
        if (rc == OK)
            rc = look_at(s, cids + i, 1);
        idle = seeker_limit(s) < limit || limit == INFINITY ? 0 : idle + 1;
        if (s->w->n_bases < STEP && i + 1 < n)
            continue;
        if (rc == OK && rows_are_hot(s))
            rc = scan_candidates(s); /* what is left of a search with a cap */
        look_unpin(s);
    }
    return rc;
}

int look_in_steps(struct seeker *s, const uint32_t *cids, size_t n)
{
    const bool capped = s->rerank_left < SIZE_MAX && rows_are_hot(s);
    const size_t step = capped ? n : STEP;
    int rc = OK;

    for (size_t i = 0, m; rc == OK && i < n; i += m) {
        m = n - i < step ? n - i : step;
        rc = look_at(s, cids + i, m);
        if (rc == OK && rows_are_hot(s))
            rc = scan_candidates(s);
        look_unpin(s);
    }
    return rc;
}
