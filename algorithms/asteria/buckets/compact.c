/* compact.c - in-place compaction of buckets: frees the positions of removed rows.
 *
 * Removals do it, so that an index without maintenance stays as large as its rows: a bucket is
 * compacted at once when a third of it is dead (two codes are moved per removal). This reads no row
 * and leaves bounds and centre as they are; rewrite.c, called by maintain(), improves these.
 */
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/buckets/compact.h"
#include "algorithms/asteria/rows/slots.h"

enum {
    DEAD_SHARE = 3,    /* a bucket is compacted when 1/3 of it is dead */
    EMPTIED_SHARE = 2, /* empty buckets are vacated when 1/2 of all may be empty */
};

void asteria_release_dead(struct asteria *a, unsigned generation, uint32_t bucket)
{
    const struct asteria_bucket *b = &a->generations[generation]->buckets[bucket];

    for (uint32_t i = 0; i < b->n; i++) {
        const uint32_t slot = b->slots[i];
        const struct asteria_place *place = &a->places[slot];

        /* A slot that moved to the other generation no longer belongs to this bucket. */
        if (!bucket_is_alive(b, i) && asteria_is_tombstone(a, slot, 0) &&
            place->generation == generation && place->bucket == bucket && place->position == i)
            asteria_tombstone_leaves_bucket(a, slot);
    }
}

/* Moves live rows to the front in their order. Bounds stay valid but loose; codes stay relative to
   the same centre. */
static void squeeze(struct asteria *a, unsigned generation, uint32_t bucket)
{
    const struct asteria_generation *g = a->generations[generation];
    const struct quantizer *q = g->model->quantizer;
    struct asteria_bucket *b = &g->buckets[bucket];
    uint32_t to = 0;

    asteria_release_dead(a, generation, bucket);
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

/* Vacates empty buckets together: each time, the next search must recompute the centres' codes
   (generation.centres_version). Buckets that never had a row stay, because their centres come from
   the sample. */
static void vacate_empty(struct asteria *a, struct asteria_generation *g)
{
    if (++g->emptied * EMPTIED_SHARE < g->n)
        return;
    for (uint32_t i = 0; i < g->n; i++)
        if (g->buckets[i].n == 0 && g->buckets[i].gone > 0)
            asteria_generation_vacate(g, &a->base.env, i);
    g->emptied = 0;
}

void asteria_compact_bucket(struct asteria *a, unsigned generation, uint32_t bucket)
{
    struct asteria_generation *g = a->generations[generation];
    const struct asteria_bucket *b = &g->buckets[bucket];

    if ((uint64_t)(b->n - b->live) * DEAD_SHARE <= b->n)
        return;
    squeeze(a, generation, bucket);
    if (b->n == 0)
        vacate_empty(a, g);
}
