/* check.c - everything asteria.h and bucket.h say stays true, by a walk over slots, buckets and
 * rows.
 *
 * (a) each live id has one slot, and `slots` leads to it; what is not live waits, for a bucket
 * whose dead it is one of or for the graph, or is free, once, or pinned, where a snapshot needs its
 * row; the graph and the tree know the rows that they are to know, and no others; (b) models:
 * isometry, orthonormal vantages, codewords; (c) buckets: found by their addresses, their counts
 * those of their bits, vacant ones listed; (d) rows: see check_rows.c; (e) counts of buckets,
 * generations and the index are the same; (f) the graph's own, the tree's own.
 */
#include "algorithms/asteria/check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "src/core/idmap.h"
#include "src/core/mem.h"

int asteria_broken(const struct check_walk *c, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail(c->a->base.env.error, ERR_INVARIANT, "asteria: %s", text);
}

/* --------------------------------------------------------------------------------- slots */

static bool is_at_its_place(const struct asteria *a, uint32_t slot)
{
    const struct place *place = &a->places[slot];
    const struct generation *g = a->generations[place->generation];

    return g && place->bucket < g->n && place->position < g->buckets[place->bucket].n &&
           g->buckets[place->bucket].slots[place->position] == slot &&
           bucket_is_alive(&g->buckets[place->bucket], place->position) == asteria_is_live(a, slot);
}

/* One whose bucket is gone still has short codes, of a model that is there. */
static int check_dead(const struct check_walk *c, uint32_t slot)
{
    const struct asteria *a = c->a;

    if (asteria_waits(a, slot, 0) && !is_at_its_place(a, slot))
        return asteria_broken(c, "slot %u is dead, and waits for bucket %u that has not its row",
                              slot, a->places[slot].bucket);
    if (asteria_waits(a, slot, 1) && !a->generations[a->places[slot].generation])
        return asteria_broken(c, "slot %u is dead, of a model that is gone", slot);
    return OK;
}

static int check_slot(const struct check_walk *c, uint32_t slot)
{
    const struct asteria *a = c->a;
    uint32_t found = UINT32_MAX;

    if (!slot_table_get(&a->slots, a->ids, a->ids[slot], &found) || found != slot)
        return asteria_broken(c, "slot %u: its id %" PRIu64 " leads to slot %u", slot, a->ids[slot],
                              found);
    if (asteria_waits(a, slot, 0) || asteria_waits(a, slot, 1))
        return asteria_broken(c, "slot %u is live, and waits as if it were dead", slot);
    if (!is_at_its_place(a, slot))
        return asteria_broken(c, "slot %u is not at its place, bucket %u, position %u", slot,
                              a->places[slot].bucket, (unsigned)a->places[slot].position);
    return OK;
}

/* One of a list: of the free ones, whose rows may be written over, or of the pinned ones, for which
   a snapshot stands. */
static int check_unused(const struct check_walk *c, uint32_t slot, bool pinned, uint64_t *unused)
{
    const struct asteria *a = c->a;
    const char *list = pinned ? "pinned" : "free";

    if (slot >= a->n_slots || asteria_is_live(a, slot) || asteria_waits(a, slot, 0) ||
        asteria_waits(a, slot, 1))
        return asteria_broken(c, "slot %u is listed as %s, and is not", slot, list);
    if (unused[slot / 64] >> slot % 64 & 1)
        return asteria_broken(c, "slot %u is listed as free or pinned twice", slot);
    if (asteria_is_pinned(a, slot) != pinned)
        return asteria_broken(c, "slot %u is listed as %s, and %s snapshot needs its row", slot,
                              list, pinned ? "no" : "a");
    unused[slot / 64] |= 1ULL << slot % 64;
    return OK;
}

static int check_lists(const struct check_walk *c, uint64_t *unused)
{
    const struct asteria *a = c->a;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < a->n_free; i++)
        rc = check_unused(c, a->free[i], false, unused);
    for (size_t i = 0; rc == OK && i < a->pins.n; i++)
        rc = check_unused(c, a->pins.slots[i], true, unused);
    return rc;
}

/* The graph has all live rows, and the dead that wait for it; the tree those of the newest model. */
static int check_known(const struct check_walk *c, uint32_t slot)
{
    const struct asteria *a = c->a;
    const bool live = asteria_is_live(a, slot);
    const enum caprg_standing standing = a->graph ? caprg_standing(a->graph, slot) : CAPRG_UNKNOWN;
    const enum caprg_standing wanted = live && a->graph            ? CAPRG_ALIVE
                                       : asteria_waits(a, slot, 1) ? CAPRG_DEAD
                                                                   : CAPRG_UNKNOWN;

    if (standing != wanted)
        return asteria_broken(c, "slot %u, %s, is %s to the graph", slot, live ? "live" : "dead",
                              standing == CAPRG_ALIVE  ? "a node"
                              : standing == CAPRG_DEAD ? "a removed node"
                                                       : "none");
    if (a->bec && bec_has(a->bec, slot) != (live && a->places[slot].generation == a->now))
        return asteria_broken(c, "slot %u, %s, is in no cluster, or in one and must not be", slot,
                              live ? "live" : "dead");
    return OK;
}

static int check_slots(const struct check_walk *c)
{
    const struct asteria *a = c->a;
    struct mem *mem = a->base.env.mem;
    uint64_t *unused = mem_zalloc(mem, (a->n_slots / 64 + 1) * sizeof *unused);
    size_t live = 0;
    int rc = unused ? check_lists(c, unused)
                    : fail(a->base.env.error, ERR_NO_MEMORY, "asteria: no memory to check");

    for (uint32_t slot = 0; rc == OK && slot < a->n_slots; slot++) {
        if (asteria_is_live(a, slot)) {
            live++;
            rc = check_slot(c, slot);
        } else if (asteria_waits(a, slot, 0) || asteria_waits(a, slot, 1)) {
            rc = check_dead(c, slot);
        } else if (!(unused[slot / 64] >> slot % 64 & 1)) {
            rc = asteria_broken(c, "slot %u is neither live, nor waited for, pinned or free", slot);
        }
        if (rc == OK)
            rc = check_known(c, slot);
    }
    mem_free(mem, unused);
    if (rc == OK && (live != a->live || live != a->slots.n))
        rc = asteria_broken(c, "%zu live slots, %zu counted, %zu ids", live, a->live, a->slots.n);
    return rc;
}

int asteria_check_slots(struct asteria *a)
{
    return check_slots(&(struct check_walk){ .a = a });
}

/* ------------------------------------------------------------------------------- buckets */

static int check_counts(const struct check_walk *c, const struct generation *g, uint32_t bucket)
{
    const struct bucket *b = &g->buckets[bucket];
    uint32_t alive = 0;

    if (b->address == UINT32_MAX)
        return b->n == 0 && b->live == 0 && b->capacity == 0
                   ? OK
                   : asteria_broken(c, "bucket %u is vacant, and has %u rows", bucket, b->n);
    if (generation_find(g, b->address) != bucket)
        return asteria_broken(c, "bucket %u: its address %u leads to bucket %u", bucket, b->address,
                              generation_find(g, b->address));
    if (b->codeword != ecc_codeword(g->model->ecc, b->address))
        return asteria_broken(c, "bucket %u: its codeword is not that of address %u", bucket,
                              b->address);
    if (b->n > b->capacity || b->capacity % QUANTIZER_BLOCK != 0)
        return asteria_broken(c, "bucket %u: %u positions, room for %u", bucket, b->n, b->capacity);
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

static void measure(struct check_walk *c, const struct generation *g, const struct bucket *b)
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

static size_t addresses_of(const struct generation *g)
{
    size_t n = 0;

    if (g->sparse)
        return g->sparse->n;
    for (size_t i = 0; i < (size_t)1 << g->model->ecc->k; i++)
        n += g->at[i] != 0;
    return n;
}

static int check_buckets(struct check_walk *c, unsigned generation)
{
    const struct generation *g = c->a->generations[generation];
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
    /* Buckets of the older one go, the last first, without a word. */
    if (rc == OK && generation == c->a->now &&
        (vacant != g->n_vacant || addresses_of(g) != g->n - vacant))
        rc = asteria_broken(c, "%zu buckets, %zu vacant, %zu listed so, %zu addresses", g->n,
                            vacant, g->n_vacant, addresses_of(g));
    return rc;
}

static int check_generation(struct check_walk *c, unsigned generation)
{
    const struct asteria *a = c->a;
    const struct generation *g = a->generations[generation];
    int rc = model_check(g->model, &a->base.env);

    if (rc != OK)
        return rc;
    c->z = mem_array(a->base.env.mem, g->model->turn->out_dim, sizeof *c->z);
    if (!c->z)
        return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: no memory to check");
    rc = check_buckets(c, generation);
    mem_free(a->base.env.mem, c->z);
    return rc;
}

/* ----------------------------------------------------------------------------- the walk */

static int check_others(const struct check_walk *c)
{
    struct asteria *a = c->a;
    const struct caprg_rows graph_rows = asteria_graph_rows(a);
    const struct bec_rows tree_rows = asteria_bec_rows(a);
    int rc = OK;

    if (a->graph)
        rc = caprg_check(a->graph, &graph_rows, a->base.env.error);
    if (rc == OK && a->bec)
        rc = bec_check(a->bec, &tree_rows, a->base.env.error);
    return rc;
}

static int walk(struct check_walk *c)
{
    struct asteria *a = c->a;
    const struct generation *now = a->generations[a->now], *older = a->generations[!a->now];
    int rc = OK;

    if (!a->trained)
        return now || older || a->live > 0 ? asteria_broken(c, "rows or a model, but no training")
                                           : OK;
    if (!now || (older && older->model->version >= now->model->version))
        return asteria_broken(c, "the newest model is not that of now");
    if (now->live + (older ? older->live : 0) != a->live)
        return asteria_broken(c, "%zu rows, but %zu in its generations", a->live,
                              now->live + (older ? older->live : 0));
    rc = check_slots(c);
    for (unsigned i = 0; rc == OK && i < 2; i++)
        if (a->generations[i])
            rc = check_generation(c, i);
    return rc == OK ? check_others(c) : rc;
}

int asteria_check(const struct index *index, struct stat_sink *sink)
{
    struct asteria *a = asteria_of(index);
    const struct index_env *env = &index->env;
    struct check_walk c = { .a = a };
    int rc = OK;

    c.read = mem_alloc(env->mem, element_row_bytes(env->element, env->dim));
    c.unit = mem_array(env->mem, env->dim, sizeof *c.unit);
    if (!c.read || !c.unit)
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: no memory to check");
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
