/* check.c - checks the invariants of asteria.h and bucket.h over slots, buckets and rows.
 */
#include <inttypes.h>
#include <math.h>

#include "algorithms/asteria/asteria.h"
#include "kernels/kernels.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

/* Tolerance of bounds, for rounding. */
static const float SLACK = 1e-5F;

/* A pass over an index. */
struct check_pass {
    struct asteria *a;
    void *read;      /* a row's bytes */
    float *unit, *z; /* dim; out_dim of any generation */
    /* The row that is checked: */
    uint32_t slot;
    const struct asteria_generation *g;
    const struct asteria_bucket *b;
};

/* Reports a broken invariant; the format must be a literal. ERR_INVARIANT. */
#define BROKEN(a, ...) fail((a)->base.env.error, ERR_INVARIANT, "asteria: " __VA_ARGS__)

/* --------------------------------------------------------------------------------- slots */

static bool is_at_its_place(const struct asteria *a, uint32_t slot)
{
    const struct asteria_place *place = &a->places[slot];
    const struct asteria_generation *g = a->generations[place->generation];

    return g && place->bucket < g->n && place->position < g->buckets[place->bucket].n &&
           g->buckets[place->bucket].slots[place->position] == slot &&
           bucket_is_alive(&g->buckets[place->bucket], place->position) == asteria_is_live(a, slot);
}

static int check_slot(const struct asteria *a, uint32_t slot)
{
    const bool live = asteria_is_live(a, slot);
    uint32_t found = UINT32_MAX;

    if (live && (!slot_table_get(&a->slots, a->ids, a->ids[slot], &found) || found != slot))
        return BROKEN(a, "slot %u: its id %" PRIu64 " leads to slot %u", slot, a->ids[slot], found);
    if ((live || a->places[slot].bucket != UINT32_MAX) && !is_at_its_place(a, slot))
        return BROKEN(a, "slot %u, %s, is not at its place, bucket %u, position %u", slot,
                      live ? "live" : "a tombstone", a->places[slot].bucket,
                      (unsigned)a->places[slot].position);
    if (asteria_keeps(a, slot) && !a->generations[a->places[slot].generation])
        return BROKEN(a, "slot %u is dead, of a model that is gone", slot);
    return OK;
}

static int check_free(const struct asteria *a, uint64_t *unused)
{
    for (size_t i = 0; i < a->n_free; i++) {
        const uint32_t slot = a->free[i];

        if (slot >= a->n_slots || asteria_is_live(a, slot) || asteria_keeps(a, slot))
            return BROKEN(a, "slot %u is in the free list but is live or a tombstone", slot);
        if (unused[slot / 64] >> slot % 64 & 1)
            return BROKEN(a, "slot %u is in the free list twice", slot);
        unused[slot / 64] |= 1ULL << slot % 64;
    }
    return OK;
}

/* The graph must have all live rows; the tree those of the newest model. */
static int check_known(const struct asteria *a, uint32_t slot)
{
    const bool live = asteria_is_live(a, slot);
    const enum asteria_caprg_standing standing =
        a->graph ? asteria_caprg_standing(a->graph, slot) : CAPRG_UNKNOWN;

    if ((standing == CAPRG_ALIVE) != (live && a->graph))
        return BROKEN(a, "slot %u, %s, is %s node of the graph", slot, live ? "live" : "dead",
                      standing == CAPRG_ALIVE ? "a" : "no");
    const bool belongs = live && a->places[slot].generation == a->now;
    if ((asteria_bec_leaf(a->generations[a->now]->bec, slot) != UINT32_MAX) != belongs)
        return BROKEN(a, "slot %u is %s the cluster tree", slot,
                      belongs ? "missing from" : "dead or of an older model, but still in");
    return OK;
}

static int check_slots(const struct asteria *a)
{
    struct mem *mem = a->base.env.mem;
    uint64_t *unused = mem_zalloc(mem, (a->n_slots / 64 + 1) * sizeof *unused);
    size_t live = 0;
    int rc = unused
                 ? check_free(a, unused)
                 : fail(a->base.env.error, ERR_NO_MEMORY, "asteria: out of memory, cannot check");

    for (uint32_t slot = 0; rc == OK && slot < a->n_slots; slot++) {
        live += asteria_is_live(a, slot);
        rc = check_slot(a, slot);
        if (rc == OK && !asteria_keeps(a, slot) && !(unused[slot / 64] >> slot % 64 & 1))
            rc = BROKEN(a, "slot %u is in no state: not live, no tombstone, not free", slot);
        if (rc == OK)
            rc = check_known(a, slot);
    }
    mem_free(mem, unused);
    if (rc == OK && (live != a->live || live != a->slots.n))
        rc = BROKEN(a, "%zu live slots, %zu counted, %zu ids", live, a->live, a->slots.n);
    if (rc == OK && a->graph && asteria_caprg_count(a->graph).nodes != live)
        rc = BROKEN(a, "the graph has nodes beyond the last of %zu slots", a->n_slots);
    return rc;
}

/* ---------------------------------------------------------------------------------- rows */

static int broken(const struct check_pass *c, const char *what)
{
    const struct asteria_place *at = &c->a->places[c->slot];

    return BROKEN(c->a, "bucket %u of generation %u, position %u, slot %u: %s", at->bucket,
                  (unsigned)at->generation, (unsigned)at->position, c->slot, what);
}

static int check_code(const struct check_pass *c, const float *p)
{
    const struct asteria_ecc *ecc = &c->g->model->ecc;
    const uint64_t unlike = asteria_ecc_word(ecc, p) ^ c->b->words[c->a->places[c->slot].position];

    for (size_t i = 0; i < c->g->model->m; i++) /* unless the component is almost zero */
        if ((unlike >> i & 1) && fabsf(p[i]) > SLACK)
            return broken(c, "its word is not that of its row");
    if (asteria_ecc_decode(ecc, p) != c->b->address)
        return broken(c, "its row decodes to another address");
    return asteria_lrsq_check(c->g->model->lrsq, c->z, segmented_at(&c->g->codes, c->slot),
                              c->a->base.env.error);
}

static int check_bounds(const struct check_pass *c, const float *unit, const float *p)
{
    const struct index_env *env = &c->a->base.env;
    const struct asteria_bucket *b = c->b;
    const float root = sqrtf(env->kernels->l2sq_f32(unit, b->centre, env->dim));
    const float cosine = asteria_bucket_cosine(c->g, b, p);

    for (size_t i = 0; i < c->g->model->m; i++)
        if (!(p[i] >= b->low[i] - SLACK && p[i] <= b->high[i] + SLACK))
            return broken(c, "outside of the box");
    if (!(cosine <= cosf(b->angle_min) + SLACK && cosine >= cosf(b->angle_max) - SLACK))
        return broken(c, "its angle to the codeword is not between the bucket's");
    if (!(root >= b->near - SLACK && root <= b->far + SLACK))
        return broken(c, "its distance from the centre is not between the bucket's");
    return OK;
}

static int check_row(struct check_pass *c, uint32_t slot)
{
    const struct index_env *env = &c->a->base.env;
    float p[ECC_WORD_MAX];
    const void *row;
    int rc = asteria_rows_get(c->a->rows, slot, c->read, &row);

    if (rc != OK)
        return rc;
    c->slot = slot;
    c->g = c->a->generations[c->a->places[slot].generation];
    c->b = &c->g->buckets[c->a->places[slot].bucket];
    const float *unit = asteria_unit(env, row, c->unit);
    asteria_model_project(c->g->model, env->kernels, unit, c->z, p);
    rc = check_code(c, p);
    return rc == OK ? check_bounds(c, unit, p) : rc;
}

/* ------------------------------------------------------------------------------- buckets */

static int check_counts(const struct asteria *a, const struct asteria_generation *g,
                        uint32_t bucket)
{
    const struct asteria_bucket *b = &g->buckets[bucket];
    uint32_t alive = 0;

    if (asteria_generation_find(g, b->address) != bucket)
        return BROKEN(a, "bucket %u: its address %u leads to bucket %u", bucket, b->address,
                      asteria_generation_find(g, b->address));
    if (b->codeword != asteria_ecc_codeword(&g->model->ecc, b->address))
        return BROKEN(a, "bucket %u: its codeword is not that of address %u", bucket, b->address);
    if (b->n > b->capacity || b->capacity % QUANTIZER_BLOCK != 0)
        return BROKEN(a, "bucket %u: %u positions, capacity for %u", bucket, b->n, b->capacity);
    for (uint32_t i = 0; i < b->capacity; i++) {
        alive += bucket_is_alive(b, i);
        if (i >= b->n && bucket_is_alive(b, i))
            return BROKEN(a, "bucket %u: position %u is alive, of %u", bucket, i, b->n);
        if (i < b->n && (b->slots[i] >= a->n_slots || b->words[i] >> g->model->m != 0))
            return BROKEN(a, "bucket %u, position %u: slot %u of %zu, word %llx of %zu bits",
                          bucket, i, b->slots[i], a->n_slots, (unsigned long long)b->words[i],
                          g->model->m);
    }
    if (alive != b->live)
        return BROKEN(a, "bucket %u: %u rows are alive, %u counted", bucket, alive, b->live);
    return OK;
}

static int check_buckets(const struct asteria *a, unsigned generation)
{
    const struct asteria_generation *g = a->generations[generation];
    size_t live = 0;
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < g->n; i++) {
        live += g->buckets[i].live;
        rc = check_counts(a, g, i);
    }
    if (rc == OK && live != g->live)
        rc = BROKEN(a, "generation %u: %zu live rows in buckets, %zu counted", generation, live,
                    g->live);
    /* The older generation's buckets are dropped from the end, without removing their addresses. */
    if (rc == OK && generation == a->now && g->of_address.n != g->n)
        rc = BROKEN(a, "%zu buckets, %zu addresses", g->n, g->of_address.n);
    return rc;
}

/* ----------------------------------------------------------------------------- the whole */

int asteria_check_places(const struct asteria *a)
{
    const struct asteria_generation *now = a->generations[a->now], *older = a->generations[!a->now];

    if (!now)
        return older || a->live > 0 ? BROKEN(a, "rows or a model, but no training") : OK;
    if (older && older->model->fitted.version >= now->model->fitted.version)
        return BROKEN(a, "the newest model is not that of now");
    if (now->live + (older ? older->live : 0) != a->live)
        return BROKEN(a, "%zu rows, but %zu in its generations", a->live,
                      now->live + (older ? older->live : 0));
    int rc = check_slots(a);
    for (unsigned i = 0; rc == OK && i < 2; i++)
        if (a->generations[i])
            rc = check_buckets(a, i);
    return rc;
}

static int walk(struct check_pass *c)
{
    const struct asteria *a = c->a;
    int rc = asteria_check_places(a);

    for (unsigned i = 0; rc == OK && i < 2; i++)
        if (a->generations[i])
            rc = asteria_model_check(a->generations[i]->model, &a->base.env);
    for (uint32_t slot = 0; rc == OK && slot < a->n_slots; slot++)
        if (asteria_is_live(a, slot))
            rc = check_row(c, slot);
    if (rc == OK && a->graph)
        rc = asteria_caprg_check(a->graph, a->base.env.error);
    if (rc == OK && a->generations[a->now])
        rc = asteria_bec_check(a->generations[a->now]->bec, a->base.env.error);
    return rc;
}

int asteria_check(const struct index *index, struct stat_sink *sink)
{
    struct asteria *a = asteria_of(index);
    const struct index_env *env = &index->env;
    struct mem_group g = { .mem = env->mem };
    struct check_pass c = { .a = a };

    (void)sink;
    c.read = mem_group_array(&g, 1, index_row_bytes(env->element, env->dim));
    c.unit = mem_group_array(&g, env->dim, sizeof *c.unit);
    c.z = mem_group_array(&g, asteria_rotation_outputs_most(env->dim), sizeof *c.z);
    pthread_rwlock_rdlock(&a->lock);
    const int rc = g.failed
                       ? fail(env->error, ERR_NO_MEMORY, "asteria: out of memory, cannot check")
                       : walk(&c);
    pthread_rwlock_unlock(&a->lock);
    mem_group_free(&g);
    return rc;
}
