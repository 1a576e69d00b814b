/* maintain.c - maintenance, and what removals do of it. Each step may cause work for the next: a
 * newer model, re-encoding, rewriting buckets, links, clusters, hot rows.
 *
 * A row's edges are chosen from a pool: rows of its bucket and of the buckets reached by flips of
 * its least certain bits. If there are too many, the nearest by residual codes are taken.
 *
 * Removals do a part of the graph's compaction, as for buckets (buckets/bucket.c): once half as
 * many nodes wait to be taken out as are live, each removal takes some out. This reads no row.
 */
#include "algorithms/asteria/asteria.h"
#include "kernels/kernels.h"
#include "src/core/key_heap.h"
#include "src/core/mem.h"
#include "src/core/order.h"

/* ----------------------------------------------------------------------------------- the graph */

/* Buckets per codeword step; least certain bits that are flipped; rows considered, in multiples
   of the pool. */
enum { STEP_BUCKETS = 4, FLIPPED_BITS = 8, CONSIDERED = 16 };

struct linking {
    struct asteria *a;
    struct mem_group memory;
    size_t most, considered; /* rows of a pool; considered for it */
    uint32_t *found;         /* considered */
    size_t n;
    const void **codes; /* considered, like the next two */
    float *estimates;
    uint64_t *keys;      /* estimate, then slot */
    uint32_t *addresses; /* n_addresses */
    size_t n_addresses;
    void *query; /* a row's, as LRSQ prepares it */
    float *unit, *z;
};

/* The index may get another model meanwhile: there is space for any. */
static int linking_begin(struct linking *l, struct asteria *a)
{
    const struct index_env *env = &a->base.env;
    const size_t most = (size_t)a->params.pool, out_dim = asteria_rotation_outputs_most(env->dim);
    struct mem_group *g = &l->memory;

    *l = (struct linking){ .a = a,
                           .memory.mem = env->mem,
                           .most = most,
                           .considered = CONSIDERED * most,
                           .n_addresses = 1 + STEP_BUCKETS * (size_t)a->params.r0 };
    l->found = mem_group_array(g, l->considered, sizeof *l->found);
    l->codes = mem_group_array(g, l->considered, sizeof *l->codes);
    l->estimates = mem_group_array(g, l->considered, sizeof *l->estimates);
    l->keys = mem_group_array(g, l->considered, sizeof *l->keys);
    l->addresses = mem_group_array(g, l->n_addresses, sizeof *l->addresses);
    l->query = mem_group_array(g, 1, asteria_lrsq_query_bytes_most(out_dim));
    l->unit = mem_group_array(g, env->dim, sizeof *l->unit);
    l->z = mem_group_array(g, out_dim, sizeof *l->z);
    return g->failed ? fail(env->error, ERR_NO_MEMORY, "asteria: out of memory, cannot link rows")
                     : OK;
}

/* Adds the bucket's live rows except x, as long as there is space. */
static void consider(struct linking *l, const struct asteria_generation *g, uint32_t address,
                     uint32_t x)
{
    const uint32_t at = asteria_generation_find(g, address);

    if (at == UINT32_MAX)
        return;
    const struct asteria_bucket *b = &g->buckets[at];
    for (uint32_t i = 0; i < b->n && l->n < l->considered; i++)
        if (bucket_is_alive(b, i) && b->slots[i] != x)
            l->found[l->n++] = b->slots[i];
}

/* Keeps the nearest of the rows found, by residual codes, as the pool. */
static void choose(struct linking *l, const struct asteria_generation *g)
{
    if (l->n <= l->most)
        return;
    asteria_lrsq_query(g->model->lrsq, l->z, l->query);
    for (size_t i = 0; i < l->n; i++)
        l->codes[i] = segmented_at(&g->codes, l->found[i]);
    asteria_lrsq_estimates(g->model->lrsq, l->query, l->codes, l->n, l->estimates);
    for (size_t i = 0; i < l->n; i++)
        l->keys[i] = order_key_f32(l->estimates[i], l->found[i]);
    key_heap_make(l->keys, l->n);
    for (size_t i = 0; i < l->most; i++)
        l->found[i] = (uint32_t)key_heap_pop(l->keys, &l->n);
    l->n = l->most;
}

static int link_row(struct linking *l, uint32_t x)
{
    struct asteria *a = l->a;
    const struct asteria_generation *g = a->generations[a->places[x].generation];
    const void *row;
    float p[ECC_WORD_MAX];
    size_t n = 0;
    int rc = asteria_rows_get_many(a->rows, &x, 1, &row);

    if (rc != OK)
        return rc;
    asteria_model_project(g->model, a->base.env.kernels, asteria_unit(&a->base.env, row, l->unit),
                          l->z, p);
    n = asteria_ecc_flips(&g->model->ecc, p, FLIPPED_BITS, l->n_addresses, l->addresses);
    l->n = 0;
    for (size_t i = 0; i < n && l->n < l->considered; i++)
        consider(l, g, l->addresses[i], x);
    choose(l, g);
    return asteria_caprg_add(a->graph, x, l->found, l->n);
}

/* locks: each row is a change of its own. */
static int link_rows(struct asteria_maintenance *u, bool locks)
{
    struct asteria *a = u->a;
    struct linking l;
    int rc = linking_begin(&l, a);

    for (bool done = false; rc == OK && !done;) {
        if (locks)
            pthread_rwlock_wrlock(&a->lock);
        const uint32_t x = asteria_caprg_pending(a->graph);
        done = x == CAPRG_NONE || !asteria_maintenance_goes_on(u);
        u->more |= done && x != CAPRG_NONE;
        if (!done) {
            rc = link_row(&l, x);
            u->spent += l.n + 1;
        }
        if (locks)
            pthread_rwlock_unlock(&a->lock);
    }
    mem_group_free(&l.memory);
    return rc;
}

int asteria_link(struct asteria *a)
{
    return asteria_caprg_pending(a->graph) == CAPRG_NONE
               ? OK
               : link_rows(&(struct asteria_maintenance){ .a = a }, false);
}

/* Links rows in the graph and takes dead ones out. */
static int link_and_forget(struct asteria_maintenance *u)
{
    struct asteria *a = u->a;
    bool more = false;

    if (!a->params.caprg) /* without the lock, a->graph is not to be read */
        return OK;
    int rc = link_rows(u, true);
    pthread_rwlock_wrlock(&a->lock);
    if (rc == OK)
        rc = asteria_caprg_forget(a->graph, asteria_maintenance_left(u), &more);
    pthread_rwlock_unlock(&a->lock);
    u->more |= more;
    return rc;
}

enum {
    WAITING_SHARE = 2, /* the graph is swept when dead nodes are 1/2 of the live ones */
    /* Budget of the sweep per removal and edge: more than the sweep costs per node taken
       out (asteria_caprg_gather() considers at most 17 x degree candidates, for twice as
       many nodes). */
    BUDGET_AN_EDGE = 40,
    BUDGET_AT_ONCE = 4096, /* while the lock is held */
};

void asteria_compact_graph(struct asteria *a, size_t removed)
{
    uint64_t budget = (uint64_t)removed * (uint64_t)a->params.degree * BUDGET_AN_EDGE;

    for (bool more = true; more && budget > 0;) {
        const uint64_t some = budget < BUDGET_AT_ONCE ? budget : BUDGET_AT_ONCE;
        uint64_t spent = 0;

        pthread_rwlock_wrlock(&a->lock);
        more = asteria_caprg_sweep(a->graph, WAITING_SHARE, some, &spent);
        pthread_rwlock_unlock(&a->lock);
        budget -= some;
    }
}

/* ------------------------------------------------------------------------- the steps */

/* Positions compacted away since the last rewrite count, too. */
static bool is_due(const struct asteria *a, const struct asteria_bucket *b)
{
    const double gone = (double)b->gone + (b->n - b->live);

    return gone > a->params.compact_share * ((double)b->gone + b->n) ||
           (gone > 0 && b->live == 0) || asteria_bucket_is_due(b);
}

/* Rewrites buckets from which many rows were removed, or which have doubled. */
static int compact(struct asteria_maintenance *u)
{
    struct asteria *a = u->a;
    int rc = OK;

    for (uint32_t i = 0; rc == OK; i++) {
        pthread_rwlock_wrlock(&a->lock);
        struct asteria_generation *g = a->generations[a->now];
        const bool there = i < g->n, due = there && is_due(a, &g->buckets[i]);

        if (due && !asteria_maintenance_goes_on(u)) {
            u->more = true;
        } else if (due) {
            u->spent += (uint64_t)g->buckets[i].live + 1;
            rc = asteria_bucket_rewrite(a, g, i);
        }
        pthread_rwlock_unlock(&a->lock);
        if (!there || u->more)
            break;
    }
    return rc;
}

static int keep_tree_and_hot_rows(struct asteria_maintenance *u)
{
    struct asteria *a = u->a;
    bool more = false, cold = false;

    if (!asteria_maintenance_goes_on(u)) {
        u->more = true; /* not checked */
        return OK;
    }
    pthread_rwlock_wrlock(&a->lock);
    int rc = asteria_bec_maintain(a->generations[a->now]->bec, asteria_maintenance_left(u), &more);
    pthread_rwlock_unlock(&a->lock);
    pthread_rwlock_wrlock(&a->lock);
    if (rc == OK)
        rc = asteria_rows_refresh_hot_set(a, asteria_maintenance_left(u), &cold);
    pthread_rwlock_unlock(&a->lock);
    u->more |= more || cold;
    return rc;
}

int asteria_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct asteria *a = asteria_of(index);
    struct asteria_maintenance u = { .a = a, .budget = budget };
    int (*const steps[])(
        struct asteria_maintenance *) = { asteria_maintenance_refit, asteria_maintenance_reencode,
                                          compact, link_and_forget, keep_tree_and_hot_rows };
    int rc = OK;

    *more = false;
    if (!a->generations[a->now])
        return OK;
    for (size_t i = 0; rc == OK && i < sizeof steps / sizeof *steps; i++)
        rc = steps[i](&u);
    *more = u.more;
    return rc;
}
