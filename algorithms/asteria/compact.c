/* compact.c - what removed rows leave behind: positions in buckets, nodes in the graph, slots.
 *
 * Removals pay for it, so that an index that nobody maintains stays as large as its rows: a bucket
 * of which a third is dead is compacted at once, in place (two codes are moved for each removal),
 * and the graph is swept a little with each removal once half as many nodes wait as there are live
 * ones. Neither reads a row, and neither makes bounds or centres tighter: that is maintain()'s,
 * which writes buckets anew.
 */
#include <string.h>

#include "algorithms/asteria/upkeep.h"

enum {
    DEAD_SHARE = 3,    /* a bucket is compacted when this part of it, a third, is dead */
    EMPTIED_SHARE = 2, /* empty buckets are vacated when this part of all, half, may be empty */
    WAITING_SHARE = 2, /* the graph is swept when dead nodes are this part of the live ones, half */
    /* Of the sweep, for each removal and edge: more than the sweep costs for each of the nodes that
       it takes out (caprg_gather() looks at 17 x degree candidates at most, of twice as many
       nodes). */
    BUDGET_AN_EDGE = 40,
    BUDGET_AT_ONCE = 4096, /* under the lock */
};

void upkeep_release_dead(struct asteria *a, unsigned generation, uint32_t bucket)
{
    const struct bucket *b = &a->generations[generation]->buckets[bucket];

    for (uint32_t i = 0; i < b->n; i++) {
        const uint32_t slot = b->slots[i];
        const struct place *place = &a->places[slot];

        /* One that moved to the other generation is not this bucket's any more, dead or alive. */
        if (!bucket_is_alive(b, i) && asteria_waits(a, slot, 0) &&
            place->generation == generation && place->bucket == bucket && place->position == i)
            asteria_slot_left_bucket(a, slot);
    }
}

/* ------------------------------------------------------------------------------ removals */

/* Live rows move up, in their order. Bounds stay, true and loose, and so does the centre, which
   codes are relative to. */
static void squeeze(struct asteria *a, unsigned generation, uint32_t bucket)
{
    const struct generation *g = a->generations[generation];
    const struct quantizer *q = g->model->quantizer;
    struct bucket *b = &g->buckets[bucket];
    uint32_t to = 0;

    upkeep_release_dead(a, generation, bucket);
    for (uint32_t i = 0; i < b->n; i++) {
        if (!bucket_is_alive(b, i))
            continue;
        if (to < i) {
            quantizer_copy(q, b->blocks + i / QUANTIZER_BLOCK * q->block_bytes, i % QUANTIZER_BLOCK,
                           b->blocks + to / QUANTIZER_BLOCK * q->block_bytes, to % QUANTIZER_BLOCK);
            b->slots[to] = b->slots[i];
            b->words[to] = b->words[i];
            a->places[b->slots[to]].position = to & 0x7fffffffU;
        }
        to++;
    }
    memset(b->alive, 0, (b->n + 63) / 64 * sizeof *b->alive);
    for (uint32_t i = 0; i < to; i++)
        b->alive[i / 64] |= 1ULL << i % 64;
    b->gone += b->n - to;
    b->n = to;
}

/* One at a time they would have every search make the centres' codes anew
   (generation.centres_version). Buckets that never had a row stay: their centres are the
   sample's. */
static void vacate_empty(struct asteria *a, struct generation *g)
{
    if (++g->emptied * EMPTIED_SHARE < g->n)
        return;
    for (uint32_t i = 0; i < g->n; i++)
        if (g->buckets[i].n == 0 && g->buckets[i].gone > 0)
            generation_vacate(g, &a->base.env, i);
    g->emptied = 0;
}

void asteria_compact_bucket(struct asteria *a, unsigned generation, uint32_t bucket)
{
    struct generation *g = a->generations[generation];
    const struct bucket *b = &g->buckets[bucket];

    if ((uint64_t)(b->n - b->live) * DEAD_SHARE <= b->n)
        return;
    squeeze(a, generation, bucket);
    if (b->n == 0)
        vacate_empty(a, g);
}

static void left_graph(void *to, uint32_t slot)
{
    asteria_slot_left_graph(to, slot);
}

bool asteria_graph_is_due(const struct asteria *a)
{
    return a->graph && caprg_sweep_is_due(a->graph, WAITING_SHARE);
}

/* What fails is tried again with the next removal. */
void asteria_compact_graph(struct asteria *a, size_t removed)
{
    const struct caprg_rows rows = asteria_graph_rows(a);
    uint64_t budget = (uint64_t)removed * (uint64_t)a->params.degree * BUDGET_AN_EDGE;
    struct error ignored = { 0 }, *before = error_divert(&ignored);
    bool more = true;

    while (more && budget > 0) {
        const uint64_t some = budget < BUDGET_AT_ONCE ? budget : BUDGET_AT_ONCE;

        asteria_change_begin(a);
        if (asteria_free_reserve(a, 0) != OK ||
            caprg_sweep(a->graph, &rows, WAITING_SHARE, some, &more, left_graph, a) != OK)
            more = false;
        asteria_change_end(a);
        budget -= some;
    }
    (void)error_divert(before);
}

/* --------------------------------------------------------------------------- maintenance */

/* Those that were compacted away since count, too. */
static bool is_due(const struct asteria *a, const struct bucket *b)
{
    const double gone = (double)b->gone + (b->n - b->live);

    return gone > a->params.compact_share * ((double)b->gone + b->n) ||
           (gone > 0 && b->live == 0) || bucket_is_due(b);
}

int upkeep_compact(struct upkeep *u)
{
    struct asteria *a = u->a;
    int rc = OK;

    for (uint32_t i = 0; rc == OK; i++) {
        asteria_change_begin(a);
        struct generation *g = a->generations[a->now];
        const bool there = i < g->n, due = there && is_due(a, &g->buckets[i]);

        if (due && !upkeep_goes_on(u)) {
            u->more = true;
        } else if (due) {
            u->spent += (uint64_t)g->buckets[i].live + 1;
            rc = bucket_rewrite(a, g, i);
        }
        asteria_change_end(a);
        if (!there || u->more)
            break;
    }
    return rc;
}
