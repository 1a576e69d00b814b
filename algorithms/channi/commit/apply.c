/* apply.c - a commit: resolves the changes, routes the new rows, allocates all memory, writes the
 * log. Only then, when nothing can fail any more, does it change the index. No reader sees the
 * change before the version is published. */
#include <inttypes.h>
#include <stdlib.h>

#include "algorithms/channi/build/build.h"
#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/search/route.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"

enum { ROUTE_CHUNK = 32 };

struct put {
    const unsigned char *row;
    uint64_t id;
    const int64_t *attributes; /* the record; NULL: none */
    uint32_t cid;
};

/* The combined effect of all changes: rows deleted, then rows added. */
struct commit_plan {
    struct channi *s;
    struct mem_group memory;
    struct put *puts; /* in input order */
    size_t n_puts;
    uint64_t *by_cluster; /* cid and number of each put, sorted */
    uint64_t *ids;        /* ids of puts */
    uint64_t *dels;
    struct channi_place *del_places;
    size_t n_dels;
    uint32_t *touched; /* clusters: the changed ones; later only those that need a job */
    size_t n_touched;
    struct idmap fate;                  /* id -> fate, see resolve() */
    struct channi_view *view;           /* the view used for routing, referenced */
    const struct channi_layout *layout; /* in which rows are routed */
    bool again;                         /* only those for which is_stale() */
};

/* -------------------------------------------------------------------------------- the plan */

static int no_memory(const struct commit_plan *p)
{
    return CHANNI_NO_MEMORY(&p->s->base.env, ", cannot commit %zu inserted and %zu deleted rows",
                            p->n_puts, p->n_dels);
}

static void plan_free(struct commit_plan *p)
{
    mem_group_free(&p->memory);
    mem_free(p->s->base.env.mem, p->touched);
    idmap_free(&p->fate);
    channi_view_unref(p->s, p->view);
    *p = (struct commit_plan){ .s = p->s };
    idmap_init(&p->fate, p->s->base.env.mem);
}

static int is_there(const struct commit_plan *p, uint64_t id)
{
    return fail(p->s->base.env.error, ERR_DUPLICATE_ID, "channi: id %" PRIu64 " is already stored",
                id);
}

static int is_not_there(const struct commit_plan *p, uint64_t id)
{
    return fail(p->s->base.env.error, ERR_UNKNOWN_ID, "channi: id %" PRIu64 " is not stored", id);
}

#define FATE_DELETED (UINT64_C(1) << 63) /* the id's row in the index is deleted */

/* Combines changes of one id into at most one deletion, of its row in the index, and at most one
   new row. fate: FATE_DELETED, and the put's index + 1. The map's memory is reserved. */
static int resolve(struct commit_plan *p, const struct channi_change *c, size_t i)
{
    const uint64_t id = c->ids[i];
    uint64_t fate = 0;

    (void)idmap_get(&p->fate, id, &fate);
    const uint64_t put = fate & ~FATE_DELETED;
    if (c->op == CHANGE_PUT) {
        if (put)
            return is_there(p, id);
        const size_t n_fields = p->s->base.env.n_attributes;
        p->puts[p->n_puts++] =
            (struct put){ .row = c->rows + i * p->s->row_bytes,
                          .id = id,
                          .attributes = c->attributes ? c->attributes + i * n_fields : NULL };
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

static int plan_make(struct commit_plan *p, const struct channi_change *changes, size_t n)
{
    struct mem_group *g = &p->memory;
    size_t puts = 0, dels = 0;

    g->mem = p->s->base.env.mem;
    for (size_t i = 0; i < n; i++)
        *(changes[i].op == CHANGE_PUT ? &puts : &dels) += changes[i].n;
    p->puts = mem_group_array(g, puts, sizeof *p->puts);
    p->by_cluster = mem_group_array(g, puts, sizeof *p->by_cluster);
    p->ids = mem_group_array(g, puts, sizeof *p->ids);
    p->dels = mem_group_array(g, dels, sizeof *p->dels);
    p->del_places = mem_group_array(g, dels, sizeof *p->del_places);
    p->touched = mem_array(g->mem, puts + dels, sizeof *p->touched);
    const bool fits = !g->failed && p->touched && idmap_reserve(&p->fate, puts + dels);
    int rc = fits ? OK : no_memory(p);
    for (size_t c = 0; c < n && rc == OK; c++)
        for (size_t i = 0; i < changes[c].n && rc == OK; i++)
            rc = resolve(p, &changes[c], i);
    size_t kept = 0; /* of the rows that are put and not deleted again */
    for (size_t i = 0; i < p->n_puts; i++)
        if (p->puts[i].row) {
            p->ids[kept] = p->puts[i].id;
            p->puts[kept++] = p->puts[i];
        }
    p->n_puts = kept;
    return rc;
}

/* --------------------------------------------------------------------------------- routing */

/* Whether a row routed to this cluster must be routed again, because another cluster
   replaced it. */
static bool is_stale(const struct commit_plan *p, const struct channi_layout *now, uint32_t cid)
{
    const struct channi_cluster *was = p->view->layout->clusters[cid];
    const struct channi_cluster *is = cid < now->n_clusters ? now->clusters[cid] : NULL;

    return was != is && (!is || is->kind != was->kind || is->root_id != was->root_id);
}

static int route_some(void *arg, size_t first, size_t end, size_t worker)
{
    struct commit_plan *p = arg;
    struct channi_scratch *scratch = scratch_pool_take(&p->s->scratch);
    double checked = 0;
    int rc = scratch ? OK : no_memory(p);

    (void)worker;
    for (size_t i = first; i < end && rc == OK; i++)
        if (!p->again || is_stale(p, p->layout, p->puts[i].cid))
            rc = channi_route(p->s, scratch, p->layout, p->puts[i].row, &p->puts[i].cid, &checked);
    scratch_pool_give(&p->s->scratch, scratch);
    return rc;
}

/* The layout's view is referenced. */
static int route_in(struct commit_plan *p, const struct channi_layout *layout, bool again)
{
    const struct index_env *env = &p->s->base.env;

    p->layout = layout;
    p->again = again;
    return parallel_for(env->pool, again ? 1 : pool_threads(env->pool), p->n_puts, ROUTE_CHUNK,
                        route_some, p);
}

/* ----------------------------------------------------- memory. `write` is held from here on. */

static int reserve_dels(struct commit_plan *p, const struct channi_layout *layout)
{
    struct channi *s = p->s;

    for (size_t i = 0; i < p->n_dels; i++) {
        struct channi_place *at = &p->del_places[i];
        if (!channi_place_of(s, p->dels[i], at))
            return is_not_there(p, p->dels[i]);
        struct channi_cluster *cl = layout->clusters[at->cid];
        if (at->row < cl->base_n && !channi_cluster_marks(s, cl))
            return no_memory(p);
        p->touched[p->n_touched++] = at->cid;
    }
    return OK;
}

static int reserve_puts(struct commit_plan *p, const struct channi_layout *layout)
{
    for (size_t i = 0; i < p->n_puts; i++) {
        uint64_t fate = 0;
        const bool known = channi_place_of(p->s, p->ids[i], NULL);

        if (known && !(idmap_get(&p->fate, p->ids[i], &fate) && fate & FATE_DELETED))
            return is_there(p, p->ids[i]);
    }
    const int rc = channi_places_reserve(p->s, p->ids, p->n_puts);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < p->n_puts; i++)
        p->by_cluster[i] = (uint64_t)p->puts[i].cid << 32 | i;
    qsort(p->by_cluster, p->n_puts, sizeof *p->by_cluster, order_u64);
    for (size_t i = 0, end; i < p->n_puts; i = end) {
        const uint32_t cid = (uint32_t)(p->by_cluster[i] >> 32);
        for (end = i + 1; end < p->n_puts && p->by_cluster[end] >> 32 == cid;)
            end++;
        if (!channi_delta_reserve(&layout->clusters[cid]->delta, end - i))
            return no_memory(p);
        p->touched[p->n_touched++] = cid;
    }
    return OK;
}

/* ----------------------------------------------- the change. Nothing can fail from here on. */

static void do_dels(struct commit_plan *p, const struct channi_layout *layout, uint64_t version)
{
    for (size_t i = 0; i < p->n_dels; i++) {
        const struct channi_place at = p->del_places[i];
        struct channi_cluster *cl = layout->clusters[at.cid];
        _Atomic(uint64_t) *dead =
            at.row < cl->base_n ? atomic_load_explicit(&cl->dead, memory_order_relaxed) + at.row
                                : channi_delta_at(&cl->delta, at.row - cl->base_n).dead;
        struct channi_latch *latch = segmented_at(&p->s->latches, at.cid);
        uint32_t tried = atomic_load(&latch->tried);

        atomic_store_explicit(dead, version, memory_order_release);
        (void)atomic_fetch_sub_explicit(&cl->live, 1, memory_order_relaxed);
        (void)atomic_fetch_add_explicit(&cl->n_dead, 1, memory_order_relaxed);
        channi_place_remove(p->s, p->dels[i]);
        /* The row may be one of those that a split was refused for. A job that refuses one now has counted
           the rows anew. */
        if (tried > 0)
            (void)atomic_compare_exchange_strong(&latch->tried, &tried, tried - 1);
    }
}

static void do_puts(struct commit_plan *p, const struct channi_layout *layout, uint64_t version)
{
    for (size_t i = 0; i < p->n_puts; i++) {
        const struct put *put = &p->puts[(uint32_t)p->by_cluster[i]];
        struct channi_cluster *cl = layout->clusters[put->cid];
        const uint32_t row = channi_delta_append(
            &cl->delta, &(struct channi_row){ .bytes = put->row,
                                              .id = put->id,
                                              .born = version,
                                              .record = { put->attributes, 1 } });

        (void)atomic_fetch_add_explicit(&cl->live, 1, memory_order_relaxed);
        channi_place_add(p->s, put->id, (struct channi_place){ put->cid, cl->base_n + row });
        if (layout->routes && (i + 1 == p->n_puts || p->by_cluster[i + 1] >> 32 != put->cid))
            channi_delta_encode(p->s, cl);
    }
}

/* Keeps only the touched clusters that need a job. */
static void find_needs(struct commit_plan *p, const struct channi_layout *layout)
{
    size_t n = 0;

    qsort(p->touched, p->n_touched, sizeof *p->touched, order_u32);
    for (size_t i = 0; i < p->n_touched; i++) {
        const uint32_t cid = p->touched[i];
        const bool again = i > 0 && cid == p->touched[i - 1];

        if (!again && channi_needs(p->s, layout->clusters[cid]) != JOB_KINDS)
            p->touched[n++] = cid;
    }
    p->n_touched = n;
}

/* ------------------------------------------------------------------------------ the commit */

static int commit(struct commit_plan *p, const struct channi_change *changes, size_t n,
                  uint64_t *version)
{
    struct channi *s = p->s;
    const struct channi_view *now = atomic_load_explicit(&s->now, memory_order_relaxed);
    const struct channi_layout *layout = now->layout;
    int rc = OK;

    *version = now->version;
    if (p->n_puts + p->n_dels == 0)
        return OK;
    if (layout != p->view->layout)
        rc = route_in(p, layout, p->view->layout->routes != NULL);
    if (rc != OK || (rc = reserve_dels(p, layout)) != OK || (rc = reserve_puts(p, layout)) != OK)
        return rc;
    struct channi_view *next = channi_view_make(s);
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
    channi_count(&s->changed_rows, p->n_puts + p->n_dels);
    find_needs(p, layout);
    return OK;
}

/* Maintenance after the commit. The commit is valid even if this fails; maintain() returns the
   error. The plan is freed first: it references its view, which would keep in memory all clusters
   that jobs replace, after a build every row twice. */
static void tend(struct commit_plan *p)
{
    struct channi *s = p->s;
    struct error error = { OK, "" }, *before = error_divert(&error);
    const bool deferred = !p->view->layout->routes;

    uint32_t *touched = p->touched;
    const size_t n_touched = p->n_touched;

    for (size_t i = 0; i < n_touched; i++)
        channi_queue(s, touched[i]);
    p->touched = NULL;
    plan_free(p);
    if (deferred && channi_build_if_due(s) != OK)
        channi_count(&s->counters.job_errors, 1);
    channi_after_commit(s, touched, n_touched);
    mem_free(s->base.env.mem, touched);
    if (durable_is_due(&s->durable) && channi_checkpoint(s) != OK)
        channi_count(&s->counters.job_errors, 1);
    (void)error_divert(before);
}

int channi_apply(struct channi *s, const struct channi_change *changes, size_t n, uint64_t *version)
{
    struct commit_plan p = { .s = s };
    uint64_t made = 0;

    idmap_init(&p.fate, s->base.env.mem);
    int rc = plan_make(&p, changes, n);
    if (rc == OK) { /* takes most of the time. `write` is not held, so jobs may publish meanwhile */
        p.view = channi_view_now(s);
        rc = route_in(&p, p.view->layout, false);
    }
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
