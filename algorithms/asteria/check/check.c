/* check.c - checks the invariants of asteria.h and bucket.h over slots, buckets and rows.
 *
 * (a) Each live id has one slot, and `slots` leads to it. Other slots are tombstones of their
 *     bucket or of the graph, or free and listed once. Graph and tree have exactly the rows that
 *     they should have.
 * (b) Models: isometry, orthonormal vantages, codewords.
 * (c) Buckets: found by their addresses; counts equal the bits; vacant ones are listed.
 * (d) Rows: see rows.c.
 * (e) Counts of buckets, generations and the index agree.
 * (f) The checks of the graph and of the tree.
 */
#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/check/internal.h"

#include "src/core/idmap.h"
#include "src/core/mem.h"

/* ------------------------------------------------------------------------------- buckets */

static int check_counts(const struct asteria_check_walk *c, const struct asteria_generation *g,
                        uint32_t bucket)
{
    const struct asteria_bucket *b = &g->buckets[bucket];
    uint32_t alive = 0;

    if (b->address == UINT32_MAX)
        return b->n == 0 && b->live == 0 && b->capacity == 0
                   ? OK
                   : asteria_broken(c, "bucket %u is vacant, and has %u rows", bucket, b->n);
    if (asteria_generation_find(g, b->address) != bucket)
        return asteria_broken(c, "bucket %u: its address %u leads to bucket %u", bucket, b->address,
                              asteria_generation_find(g, b->address));
    if (b->codeword != asteria_ecc_codeword(g->model->ecc, b->address))
        return asteria_broken(c, "bucket %u: its codeword is not that of address %u", bucket,
                              b->address);
    if (b->n > b->capacity || b->capacity % QUANTIZER_BLOCK != 0)
        return asteria_broken(c, "bucket %u: %u positions, capacity for %u", bucket, b->n,
                              b->capacity);
    for (uint32_t i = 0; i < b->capacity; i++) {
        alive += bucket_is_alive(b, i);
        if (i >= b->n && bucket_is_alive(b, i))
            return asteria_broken(c, "bucket %u: position %u is alive, of %u", bucket, i, b->n);
    }
    if (alive != b->live)
        return asteria_broken(c, "bucket %u: %u rows are alive, %u counted", bucket, alive,
                              b->live);
    return OK;
}

static void measure(struct asteria_check_walk *c, const struct asteria_generation *g,
                    const struct asteria_bucket *b)
{
    double side = 0;

    if (b->live == 0)
        return;
    for (size_t i = 0; i < g->model->m; i++)
        side += (double)b->high[i] - (double)b->low[i];
    c->box += side / (double)g->model->m;
    c->angle += (double)b->angle_max - (double)b->angle_min;
    c->buckets++;
}

static size_t addresses_of(const struct asteria_generation *g)
{
    size_t n = 0;

    if (g->sparse)
        return g->sparse->n;
    for (size_t i = 0; i < (size_t)1 << g->model->ecc->k; i++)
        n += g->at[i] != 0;
    return n;
}

static int check_buckets(struct asteria_check_walk *c, unsigned generation)
{
    const struct asteria_generation *g = c->a->generations[generation];
    size_t live = 0, vacant = 0;
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < g->n; i++) {
        vacant += g->buckets[i].address == UINT32_MAX;
        live += g->buckets[i].live;
        measure(c, g, &g->buckets[i]);
        rc = check_counts(c, g, i);
        if (rc == OK)
            rc = asteria_check_rows(c, generation, i);
    }
    if (rc == OK && live != g->live)
        rc = asteria_broken(c, "generation %u: %zu live rows in buckets, %zu counted", generation,
                            live, g->live);
    /* The older generation's buckets are dropped from the end, without updating its lists. */
    if (rc == OK && generation == c->a->now &&
        (vacant != g->n_vacant || addresses_of(g) != g->n - vacant))
        rc = asteria_broken(c, "%zu buckets, %zu vacant, %zu listed so, %zu addresses", g->n,
                            vacant, g->n_vacant, addresses_of(g));
    return rc;
}

static int check_generation(struct asteria_check_walk *c, unsigned generation)
{
    const struct asteria *a = c->a;
    const struct asteria_generation *g = a->generations[generation];
    int rc = asteria_model_check(g->model, &a->base.env);

    if (rc != OK)
        return rc;
    c->z = mem_array(a->base.env.mem, g->model->rotation->out_dim, sizeof *c->z);
    if (!c->z)
        return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: out of memory, cannot check");
    rc = check_buckets(c, generation);
    mem_free(a->base.env.mem, c->z);
    return rc;
}

/* ----------------------------------------------------------------------------- the whole */

static int check_others(const struct asteria_check_walk *c)
{
    struct asteria *a = c->a;
    const struct asteria_caprg_rows graph_rows = asteria_graph_rows(a);
    const struct asteria_bec_rows tree_rows = asteria_bec_rows(a);
    int rc = OK;

    if (a->graph)
        rc = asteria_caprg_check(a->graph, &graph_rows, a->base.env.error);
    if (rc == OK && a->bec)
        rc = asteria_bec_check(a->bec, &tree_rows, a->base.env.error);
    return rc;
}

static int walk(struct asteria_check_walk *c)
{
    struct asteria *a = c->a;
    const struct asteria_generation *now = a->generations[a->now], *older = a->generations[!a->now];
    int rc = OK;

    if (!a->trained)
        return now || older || a->live > 0 ? asteria_broken(c, "rows or a model, but no training")
                                           : OK;
    if (!now || (older && older->model->version >= now->model->version))
        return asteria_broken(c, "the newest model is not that of now");
    if (now->live + (older ? older->live : 0) != a->live)
        return asteria_broken(c, "%zu rows, but %zu in its generations", a->live,
                              now->live + (older ? older->live : 0));
    rc = asteria_check_all_slots(c);
    for (unsigned i = 0; rc == OK && i < 2; i++)
        if (a->generations[i])
            rc = check_generation(c, i);
    return rc == OK ? check_others(c) : rc;
}

int asteria_check(const struct index *index, struct stat_sink *sink)
{
    struct asteria *a = asteria_of(index);
    const struct index_env *env = &index->env;
    struct asteria_check_walk c = { .a = a };
    int rc = OK;

    c.read = mem_alloc(env->mem, index_row_bytes(env->element, env->dim));
    c.unit = mem_array(env->mem, env->dim, sizeof *c.unit);
    if (!c.read || !c.unit)
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: out of memory, cannot check");
    pthread_rwlock_rdlock(&a->lock);
    if (rc == OK)
        rc = walk(&c);
    if (rc == OK && sink && c.buckets > 0) {
        sink->value(sink->to, "flips_of_decoding", c.flips / (double)a->live);
        sink->value(sink->to, "box_side", c.box / (double)c.buckets);
        sink->value(sink->to, "angle_width", c.angle / (double)c.buckets);
    }
    pthread_rwlock_unlock(&a->lock);
    mem_free(env->mem, c.read);
    mem_free(env->mem, c.unit);
    return rc;
}
