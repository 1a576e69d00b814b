/* compact.c - buckets with many dead rows are written anew, and those that have doubled. */
#include "algorithms/asteria/upkeep.h"

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

static bool is_due(const struct asteria *a, const struct bucket *b)
{
    const uint32_t dead = b->n - b->live;

    return dead > a->params.compact_share * b->n || (dead > 0 && b->live == 0) || bucket_is_due(b);
}

int upkeep_compact(struct upkeep *u)
{
    struct asteria *a = u->a;
    int rc = OK;

    for (uint32_t i = 0; rc == OK; i++) {
        pthread_rwlock_wrlock(&a->lock);
        struct generation *g = a->generations[a->now];
        const bool there = i < g->n, due = there && is_due(a, &g->buckets[i]);

        if (due && !upkeep_goes_on(u)) {
            u->more = true;
        } else if (due) {
            u->spent += (uint64_t)g->buckets[i].live + 1;
            rc = bucket_rewrite(a, g, i);
        }
        pthread_rwlock_unlock(&a->lock);
        if (!there || u->more)
            break;
    }
    return rc;
}
