/* heat.c - which rows are in memory: those of the buckets that were probed most.
 *
 * Counts of probes are halved each time, so that what was popular long ago makes room. Buckets are taken in the order of
 * their counts until the budget's frames are full. Rows of none of them stay in their frames for as long as
 * nobody needs these: a row is cooled only where another is to be heated.
 */
#include <stdlib.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/tier_state.h"
#include "src/core/mem.h"

struct rank {
    uint32_t probed, bucket;
    unsigned generation;
};

struct tending {
    struct asteria *s;
    struct rank *ranks; /* of buckets that were probed */
    size_t n;
    uint64_t *wanted; /* a bit a slot */
    uint32_t *cold;   /* wanted slots that are not in memory, the most popular buckets' first */
    size_t n_cold, n_wanted, most;
};

static int by_probes(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;

    if (x->probed != y->probed)
        return x->probed > y->probed ? -1 : 1;
    if (x->generation != y->generation)
        return x->generation < y->generation ? -1 : 1;
    return x->bucket < y->bucket ? -1 : x->bucket > y->bucket;
}

static uint64_t probes_of(const struct asteria *s, size_t *buckets)
{
    uint64_t sum = 0;

    *buckets = 0;
    for (unsigned g = 0; g < 2; g++)
        for (size_t i = 0; s->generations[g] && i < s->generations[g]->n; i++) {
            struct bucket *b = &s->generations[g]->buckets[i];
            const uint32_t probed = atomic_load_explicit(&b->probed, memory_order_relaxed);

            sum += probed;
            *buckets += probed > 0;
        }
    return sum;
}

static void rank_buckets(struct tending *t)
{
    t->n = 0;
    for (unsigned g = 0; g < 2; g++)
        for (size_t i = 0; t->s->generations[g] && i < t->s->generations[g]->n; i++) {
            struct bucket *b = &t->s->generations[g]->buckets[i];
            const uint32_t probed = atomic_load_explicit(&b->probed, memory_order_relaxed);

            if (probed > 0)
                t->ranks[t->n++] = (struct rank){ probed, (uint32_t)i, g };
        }
    if (t->n > 1)
        qsort(t->ranks, t->n, sizeof *t->ranks, by_probes);
}

/* Live rows of the bucket, until as many are wanted as there can be frames. */
static void want(struct tending *t, const struct bucket *b)
{
    for (uint32_t i = 0; i < b->n && t->n_wanted < t->most; i++) {
        const uint32_t slot = b->slots[i];

        if (!(b->alive[i / 64] >> i % 64 & 1))
            continue;
        t->wanted[slot / 64] |= UINT64_C(1) << slot % 64;
        t->n_wanted++;
        if (!tier_resident(t->s->tier, slot))
            t->cold[t->n_cold++] = slot;
    }
}

/* Until n more rows have room. */
static void make_room(struct tending *t, size_t n)
{
    struct tier *tier = t->s->tier;

    for (uint32_t slot = 0; slot < t->s->n_slots && tier_file_room(tier->file) < n; slot++)
        if (!(t->wanted[slot / 64] >> slot % 64 & 1))
            tier_cool(tier, &slot, 1);
}

static int tend(struct tending *t, uint64_t budget, bool *more)
{
    rank_buckets(t);
    for (size_t i = 0; i < t->n && t->n_wanted < t->most; i++)
        want(t, &t->s->generations[t->ranks[i].generation]->buckets[t->ranks[i].bucket]);
    if (budget > 0 && t->n_cold > budget) {
        t->n_cold = (size_t)budget;
        *more = true;
    }
    make_room(t, t->n_cold);
    return tier_heat(t->s->tier, t->cold, t->n_cold);
}

static void halve(struct asteria *s)
{
    for (unsigned g = 0; g < 2; g++)
        for (size_t i = 0; s->generations[g] && i < s->generations[g]->n; i++) {
            struct bucket *b = &s->generations[g]->buckets[i];
            const uint32_t probed = atomic_load_explicit(&b->probed, memory_order_relaxed);
            atomic_store_explicit(&b->probed, probed / 2, memory_order_relaxed);
        }
}

int tier_tend(struct asteria *s, uint64_t budget, bool *more)
{
    struct tier_file *f = s->tier->file;
    struct mem *mem = s->base.env.mem;
    struct tending t = { .s = s };
    size_t buckets, rest;
    bool unfinished = false;
    int rc = OK;

    /* The same counts as were left: nobody has searched since, and what they asked for is in place. */
    if (!f || f->frames_most == 0 || probes_of(s, &buckets) == f->tended || buckets == 0)
        return OK;
    t.most = f->frames_most;
    t.ranks = mem_array(mem, buckets, sizeof *t.ranks);
    t.wanted = mem_zalloc(mem, (s->n_slots / 64 + 1) * sizeof *t.wanted);
    t.cold = mem_array(mem, s->live < t.most ? s->live : t.most, sizeof *t.cold);
    if (t.ranks && t.wanted && t.cold)
        rc = tend(&t, budget, &unfinished);
    else
        rc = fail(s->base.env.error, ERR_NO_MEMORY, "asteria: no memory to choose hot rows");
    mem_free(mem, t.ranks);
    mem_free(mem, t.wanted);
    mem_free(mem, t.cold);
    if (rc != OK || unfinished) {
        *more = *more || unfinished;
        return rc;
    }
    halve(s);
    f->tended = probes_of(s, &rest);
    return OK;
}
