/* apply.c - a commit: what changes come to, where the new rows go, room for all of it, the journal, and only
 * then, when nothing can fail any more, the change itself. Until the version is shown nobody sees it. */
#include <inttypes.h>
#include <stdlib.h>

#include "algorithms/channi/changes.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { ROUTE_CHUNK = 32 };

struct put {
    const unsigned char *row;
    uint64_t id;
    uint32_t attribute, cid;
    size_t order; /* as given: rows of a cluster keep it */
};

/* What all changes together come to: rows that died, then rows that came. */
struct plan {
    struct channi *s;
    struct put *puts;
    size_t n_puts;
    uint64_t *ids; /* of puts */
    uint64_t *dels;
    struct place *del_places;
    size_t n_dels;
    uint32_t *touched; /* clusters, once each: the changed ones, then only those in need */
    size_t n_touched;
    struct idmap fate; /* of ids, where there are several changes: see resolve() */
    struct view *view; /* the routing's, referred to */
    size_t ef;
};

/* -------------------------------------------------------------------------------- the plan */

static int no_memory(const struct plan *p)
{
    return fail(p->s->base.env.error, ERR_NO_MEMORY,
                "channi: no memory to commit %zu rows that came and %zu that went", p->n_puts,
                p->n_dels);
}

static void plan_free(struct plan *p)
{
    struct mem *mem = p->s->base.env.mem;

    mem_free(mem, p->puts);
    mem_free(mem, p->ids);
    mem_free(mem, p->dels);
    mem_free(mem, p->del_places);
    mem_free(mem, p->touched);
    idmap_free(&p->fate);
    view_unref(p->s, p->view);
    *p = (struct plan){ .s = p->s };
    idmap_init(&p->fate, mem);
}

static bool plan_room(struct plan *p, const struct change *changes, size_t n)
{
    struct mem *mem = p->s->base.env.mem;
    size_t puts = 0, dels = 0;

    for (size_t i = 0; i < n; i++)
        *(changes[i].op == CHANGE_PUT ? &puts : &dels) += changes[i].n;
    p->puts = mem_array(mem, puts, sizeof *p->puts);
    p->ids = mem_array(mem, puts, sizeof *p->ids);
    p->dels = mem_array(mem, dels, sizeof *p->dels);
    p->del_places = mem_array(mem, dels, sizeof *p->del_places);
    p->touched = mem_array(mem, puts + dels, sizeof *p->touched);
    return p->puts && p->ids && p->dels && p->del_places && p->touched &&
           (n < 2 || idmap_reserve(&p->fate, puts + dels));
}

static void plan_put(struct plan *p, const struct change *c, size_t i)
{
    const size_t order = p->n_puts++;

    p->puts[order] = (struct put){ .row = c->rows + i * p->s->row_bytes,
                                   .id = c->ids[i],
                                   .attribute = c->attributes ? c->attributes[i] : ATTRIBUTE_NONE,
                                   .order = order };
}

static int is_there(const struct plan *p, uint64_t id)
{
    return fail(p->s->base.env.error, ERR_DUPLICATE_ID, "channi: id %" PRIu64 " is already stored",
                id);
}

static int is_not_there(const struct plan *p, uint64_t id)
{
    return fail(p->s->base.env.error, ERR_UNKNOWN_ID, "channi: id %" PRIu64 " is not stored", id);
}

#define FATE_DELETED (UINT64_C(1) << 63) /* what the index had of the id goes */

/* Several changes of one id come to at most one deletion, of what was there before, and at most one row. fate:
   FATE_DELETED, and the number of its put + 1. There is room in it. */
static int resolve(struct plan *p, const struct change *c, size_t i)
{
    const uint64_t id = c->ids[i];
    uint64_t fate = 0;

    (void)idmap_get(&p->fate, id, &fate);
    const uint64_t put = fate & ~FATE_DELETED;
    if (c->op == CHANGE_PUT) {
        if (put)
            return is_there(p, id);
        plan_put(p, c, i);
        (void)idmap_put(&p->fate, id, (fate & FATE_DELETED) | p->n_puts);
        return OK;
    }
    if (!put && fate & FATE_DELETED)
        return is_not_there(p, id);
    if (put)
        p->puts[put - 1].row = NULL;
    else
        p->dels[p->n_dels++] = id;
    (void)idmap_put(&p->fate, id, put ? fate & FATE_DELETED : FATE_DELETED);
    return OK;
}

static void compact(struct plan *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_puts; i++)
        if (p->puts[i].row)
            p->puts[n++] = p->puts[i];
    p->n_puts = n;
    for (size_t i = 0; i < n; i++)
        p->ids[i] = p->puts[i].id;
}

static int plan_make(struct plan *p, const struct change *changes, size_t n)
{
    int rc = plan_room(p, changes, n) ? OK : no_memory(p);

    for (size_t c = 0; c < n && rc == OK; c++)
        for (size_t i = 0; i < changes[c].n && rc == OK; i++)
            if (n > 1)
                rc = resolve(p, &changes[c], i);
            else if (changes[c].op == CHANGE_PUT)
                plan_put(p, &changes[c], i);
            else
                p->dels[p->n_dels++] = changes[c].ids[i];
    compact(p);
    return rc;
}

/* --------------------------------------------------------------------------------- routing */

/* Whether a row that was sent to this cluster should be sent again: another one is there by now. */
static bool is_stale(const struct plan *p, const struct layout *now, uint32_t cid)
{
    const struct cluster *was = p->view->layout->clusters[cid];
    const struct cluster *is = cid < now->n_clusters ? now->clusters[cid] : NULL;

    return was != is && (!is || is->kind != was->kind || is->root_id != was->root_id);
}

struct routing {
    struct plan *plan;
    const struct layout *layout;
    bool again; /* only what has gone stale */
};

static int route_some(void *arg, size_t first, size_t end, size_t worker)
{
    const struct routing *r = arg;
    struct plan *p = r->plan;
    struct channi_scratch *scratch = channi_scratch_take(p->s);
    double checked = 0;
    int rc = scratch ? OK : no_memory(p);

    (void)worker;
    for (size_t i = first; i < end && rc == OK; i++)
        if (!r->again || is_stale(p, r->layout, p->puts[i].cid))
            rc = channi_route(p->s, scratch, r->layout, p->puts[i].row, p->ef, &p->puts[i].cid,
                              &checked);
    if (scratch)
        channi_scratch_give(p->s, scratch);
    return rc;
}

/* Inside the epoch, or under `write`. */
static int route_in(struct plan *p, const struct layout *layout, bool again)
{
    const struct index_env *env = &p->s->base.env;
    struct routing r = { p, layout, again };

    if (layout->routes)
        return parallel_for(env->pool, again ? 1 : pool_threads(env->pool), p->n_puts, ROUTE_CHUNK,
                            route_some, &r);
    for (size_t i = 0; i < p->n_puts; i++)
        p->puts[i].cid = 0;
    return OK;
}

/* Most of the work, so upkeep may publish meanwhile. */
static int route(struct plan *p)
{
    unsigned ticket;
    const struct view *now = channi_enter(p->s, &ticket);

    p->view = (struct view *)(uintptr_t)now;
    (void)atomic_fetch_add_explicit(&p->view->refs, 1, memory_order_relaxed);
    const int rc = route_in(p, now->layout, false);
    channi_leave(p->s, ticket);
    return rc;
}

/* -------------------------------------------------------------- room; `write` is held here */

static int by_cluster(const void *a, const void *b)
{
    const struct put *x = a, *y = b;

    if (x->cid != y->cid)
        return x->cid < y->cid ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static int by_number(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Marks of a file's rows, from when the first of them dies. */
static bool make_marks(struct channi *s, struct cluster *cl)
{
    if (atomic_load_explicit(&cl->dead, memory_order_relaxed))
        return true;
    _Atomic(uint64_t) *dead = mem_zalloc(s->base.env.mem, cl->base_n * sizeof *dead);
    if (dead)
        atomic_store_explicit(&cl->dead, dead, memory_order_release);
    return dead;
}

static int room_for_dels(struct plan *p, const struct layout *layout)
{
    struct channi *s = p->s;

    for (size_t i = 0; i < p->n_dels; i++) {
        struct place *at = &p->del_places[i];
        if (!channi_place_of(s, p->dels[i], at))
            return is_not_there(p, p->dels[i]);
        struct cluster *cl = layout->clusters[at->cid];
        if (at->row < cl->base_n && !make_marks(s, cl))
            return no_memory(p);
        p->touched[p->n_touched++] = at->cid;
    }
    return OK;
}

static int expect_new(const struct plan *p)
{
    for (size_t i = 0; i < p->n_puts; i++) {
        uint64_t fate = 0;
        const bool known = channi_place_of(p->s, p->ids[i], NULL);

        if (known && !(idmap_get(&p->fate, p->ids[i], &fate) && fate & FATE_DELETED))
            return is_there(p, p->ids[i]);
    }
    return OK;
}

static int room_for_puts(struct plan *p, const struct layout *layout)
{
    int rc = expect_new(p);

    if (rc != OK || (rc = channi_places_reserve(p->s, p->ids, p->n_puts)) != OK)
        return rc;
    qsort(p->puts, p->n_puts, sizeof *p->puts, by_cluster);
    for (size_t i = 0, end; i < p->n_puts; i = end) {
        const uint32_t cid = p->puts[i].cid;
        for (end = i + 1; end < p->n_puts && p->puts[end].cid == cid;)
            end++;
        if (!delta_reserve(&layout->clusters[cid]->delta, end - i))
            return no_memory(p);
        p->touched[p->n_touched++] = cid;
    }
    return OK;
}

/* ------------------------------------------------------------- the change; cannot fail here */

static void do_dels(struct plan *p, const struct layout *layout, uint64_t version)
{
    for (size_t i = 0; i < p->n_dels; i++) {
        const struct place at = p->del_places[i];
        struct cluster *cl = layout->clusters[at.cid];
        _Atomic(uint64_t) *dead =
            at.row < cl->base_n ? atomic_load_explicit(&cl->dead, memory_order_relaxed) + at.row
                                : delta_at(&cl->delta, at.row - cl->base_n).dead;

        atomic_store_explicit(dead, version, memory_order_release);
        (void)atomic_fetch_sub_explicit(&cl->live, 1, memory_order_relaxed);
        (void)atomic_fetch_add_explicit(&cl->n_dead, 1, memory_order_relaxed);
        channi_place_remove(p->s, p->dels[i]);
    }
}

static void do_puts(struct plan *p, const struct layout *layout, uint64_t version)
{
    for (size_t i = 0; i < p->n_puts; i++) {
        const struct put *put = &p->puts[i];
        struct cluster *cl = layout->clusters[put->cid];
        const uint32_t row =
            delta_append(&cl->delta, put->row, put->id, put->attribute, version, 0);

        (void)atomic_fetch_add_explicit(&cl->live, 1, memory_order_relaxed);
        channi_place_add(p->s, put->id, (struct place){ put->cid, cl->base_n + row });
    }
}

/* Keeps those that upkeep should look at. */
static void find_needs(struct plan *p, const struct layout *layout)
{
    size_t n = 0;

    qsort(p->touched, p->n_touched, sizeof *p->touched, by_number);
    for (size_t i = 0; i < p->n_touched; i++) {
        const uint32_t cid = p->touched[i];
        const bool again = i > 0 && cid == p->touched[i - 1];

        if (!again && channi_needs(p->s, layout->clusters[cid]) != JOB_KINDS)
            p->touched[n++] = cid;
    }
    p->n_touched = n;
}

/* ------------------------------------------------------------------------------ the commit */

static int commit(struct plan *p, const struct change *changes, size_t n, uint64_t *version)
{
    struct channi *s = p->s;
    const struct view *now = atomic_load_explicit(&s->now, memory_order_relaxed);
    const struct layout *layout = now->layout;
    int rc = OK;

    *version = now->version;
    if (p->n_puts + p->n_dels == 0)
        return OK;
    if (layout != p->view->layout)
        rc = route_in(p, layout, p->view->layout->routes != NULL);
    if (rc != OK || (rc = room_for_dels(p, layout)) != OK || (rc = room_for_puts(p, layout)) != OK)
        return rc;
    struct view *next = channi_view_make(s);
    if (!next)
        return ERR_NO_MEMORY;
    if ((rc = channi_log_commit(s, changes, n, now->version + 1)) != OK) {
        mem_free(s->base.env.mem, next);
        return rc;
    }
    *version = now->version + 1;
    do_dels(p, layout, *version);
    do_puts(p, layout, *version);
    channi_show(s, next, *version, NULL);
    channi_count(&s->counters.commits, 1);
    channi_count(&s->counters.bytes_given, p->n_puts * s->row_bytes);
    find_needs(p, layout);
    return OK;
}

/* What is due afterwards. The commit stands whatever becomes of it: maintain() says what went wrong. The plan goes
   first: while it refers to the view that it was made in, all that the upkeep replaces stays in memory, after a
   build every row twice. */
static void tend(struct plan *p)
{
    struct channi *s = p->s;
    struct error error = { OK, "" }, *before = error_divert(&error);
    const bool deferred = !p->view->layout->routes;

    for (size_t i = 0; i < p->n_touched; i++)
        channi_queue(s, p->touched[i]);
    plan_free(p);
    if (deferred && channi_build_if_due(s) != OK)
        channi_count(&s->counters.job_errors, 1);
    (void)channi_after_commit(s);
    if (channi_checkpoint_due(s) && channi_checkpoint(s) != OK)
        channi_count(&s->counters.job_errors, 1);
    (void)error_divert(before);
}

int channi_apply(struct channi *s, const struct change *changes, size_t n, uint64_t *version)
{
    struct plan p = { .s = s, .ef = (size_t)s->params.assign_ef };
    uint64_t made = 0;

    idmap_init(&p.fate, s->base.env.mem);
    int rc = plan_make(&p, changes, n);
    if (rc == OK)
        rc = route(&p);
    if (rc == OK) {
        pthread_mutex_lock(&s->write);
        rc = commit(&p, changes, n, &made);
        pthread_mutex_unlock(&s->write);
    }
    if (rc == OK && p.n_puts + p.n_dels > 0)
        tend(&p);
    if (rc == OK && version)
        *version = made;
    plan_free(&p);
    epoch_collect(s->epoch);
    return rc;
}
