/* slots.c - checks of slots without reading rows: ids, places, free slots. */
#include <inttypes.h>

#include "algorithms/asteria/check/check.h"
#include "algorithms/asteria/check/internal.h"
#include "algorithms/asteria/rows/slots.h"
#include "src/core/mem.h"

static bool is_at_its_place(const struct asteria *a, uint32_t slot)
{
    const struct asteria_place *place = &a->places[slot];
    const struct asteria_generation *g = a->generations[place->generation];

    return g && place->bucket < g->n && place->position < g->buckets[place->bucket].n &&
           g->buckets[place->bucket].slots[place->position] == slot &&
           bucket_is_alive(&g->buckets[place->bucket], place->position) == asteria_is_live(a, slot);
}

/* A slot whose bucket is gone still has residual codes of an existing model. */
static int check_dead(const struct asteria_check_walk *c, uint32_t slot)
{
    const struct asteria *a = c->a;

    if (asteria_is_tombstone(a, slot, 0) && !is_at_its_place(a, slot))
        return asteria_broken(c, "slot %u is a tombstone of bucket %u, which does not have its row",
                              slot, a->places[slot].bucket);
    if (asteria_is_tombstone(a, slot, 1) && !a->generations[a->places[slot].generation])
        return asteria_broken(c, "slot %u is dead, of a model that is gone", slot);
    return OK;
}

static int check_slot(const struct asteria_check_walk *c, uint32_t slot)
{
    const struct asteria *a = c->a;
    uint32_t found = UINT32_MAX;

    if (!slot_table_get(&a->slots, a->ids, a->ids[slot], &found) || found != slot)
        return asteria_broken(c, "slot %u: its id %" PRIu64 " leads to slot %u", slot, a->ids[slot],
                              found);
    if (asteria_is_tombstone(a, slot, 0) || asteria_is_tombstone(a, slot, 1))
        return asteria_broken(c, "slot %u is live, and marked a tombstone", slot);
    if (!is_at_its_place(a, slot))
        return asteria_broken(c, "slot %u is not at its place, bucket %u, position %u", slot,
                              a->places[slot].bucket, (unsigned)a->places[slot].position);
    return OK;
}

static int check_free(const struct asteria_check_walk *c, uint64_t *unused)
{
    const struct asteria *a = c->a;

    for (size_t i = 0; i < a->n_free; i++) {
        const uint32_t slot = a->free[i];

        if (slot >= a->n_slots || asteria_is_live(a, slot) || asteria_is_tombstone(a, slot, 0) ||
            asteria_is_tombstone(a, slot, 1))
            return asteria_broken(c, "slot %u is in the free list but is live or a tombstone",
                                  slot);
        if (unused[slot / 64] >> slot % 64 & 1)
            return asteria_broken(c, "slot %u is in the free list twice", slot);
        unused[slot / 64] |= 1ULL << slot % 64;
    }
    return OK;
}

/* The graph must have all live rows and its tombstones; the tree the rows of the newest model. */
static int check_known(const struct asteria_check_walk *c, uint32_t slot)
{
    const struct asteria *a = c->a;
    const bool live = asteria_is_live(a, slot);
    const enum asteria_caprg_standing standing =
        a->graph ? asteria_caprg_standing(a->graph, slot) : CAPRG_UNKNOWN;
    const enum asteria_caprg_standing wanted = live && a->graph                   ? CAPRG_ALIVE
                                               : asteria_is_tombstone(a, slot, 1) ? CAPRG_DEAD
                                                                                  : CAPRG_UNKNOWN;

    if (standing != wanted)
        return asteria_broken(c, "slot %u, %s, is %s to the graph", slot, live ? "live" : "dead",
                              standing == CAPRG_ALIVE  ? "a node"
                              : standing == CAPRG_DEAD ? "a removed node"
                                                       : "none");
    const bool belongs = live && a->places[slot].generation == a->now;
    if (a->bec && asteria_bec_has(a->bec, slot) != belongs)
        return asteria_broken(c, "slot %u is %s the cluster tree", slot,
                              belongs ? "missing from" : "dead or of an older model, but still in");
    return OK;
}

int asteria_check_all_slots(const struct asteria_check_walk *c)
{
    const struct asteria *a = c->a;
    struct mem *mem = a->base.env.mem;
    uint64_t *unused = mem_zalloc(mem, (a->n_slots / 64 + 1) * sizeof *unused);
    size_t live = 0;
    int rc = unused
                 ? check_free(c, unused)
                 : fail(a->base.env.error, ERR_NO_MEMORY, "asteria: out of memory, cannot check");

    for (uint32_t slot = 0; rc == OK && slot < a->n_slots; slot++) {
        if (asteria_is_live(a, slot)) {
            live++;
            rc = check_slot(c, slot);
        } else if (asteria_is_tombstone(a, slot, 0) || asteria_is_tombstone(a, slot, 1)) {
            rc = check_dead(c, slot);
        } else if (!(unused[slot / 64] >> slot % 64 & 1)) {
            rc =
                asteria_broken(c, "slot %u is in no state: not live, no tombstone, not free", slot);
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
    return asteria_check_all_slots(&(struct asteria_check_walk){ .a = a });
}
