/* hot_set.c - choice of the rows in memory: those of the buckets probed most.
 *
 * Probe counts are halved each time, so that old accesses lose weight. Buckets are taken in the
 * order of their counts until the budget's frames are full. Other rows keep their frames until
 * these are needed: a row is demoted only if another is promoted.
 */
#include <stdlib.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/rows/internal.h"
#include "src/core/mem.h"

struct rank {
    uint32_t probed, bucket;
    unsigned generation;
};

struct refresh {
    struct asteria *s;
    struct rank *ranks; /* buckets that were probed */
    size_t n;
    uint64_t *wanted; /* one bit per slot */
    uint32_t *cold;   /* wanted slots not in memory, by falling probe count of their bucket */
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
            struct asteria_bucket *b = &s->generations[g]->buckets[i];
            const uint32_t probed = atomic_load_explicit(&b->probed, memory_order_relaxed);

            sum += probed;
            *buckets += probed > 0;
        }
    return sum;
}

static void rank_buckets(struct refresh *t)
{
    t->n = 0;
    for (unsigned g = 0; g < 2; g++)
        for (size_t i = 0; t->s->generations[g] && i < t->s->generations[g]->n; i++) {
            struct asteria_bucket *b = &t->s->generations[g]->buckets[i];
            const uint32_t probed = atomic_load_explicit(&b->probed, memory_order_relaxed);

            if (probed > 0)
                t->ranks[t->n++] = (struct rank){ probed, (uint32_t)i, g };
        }
    if (t->n > 1)
        qsort(t->ranks, t->n, sizeof *t->ranks, by_probes);
}

/* Adds the bucket's live rows until all frames are taken. */
static void want(struct refresh *t, const struct asteria_bucket *b)
{
    for (uint32_t i = 0; i < b->n && t->n_wanted < t->most; i++) {
        const uint32_t slot = b->slots[i];

        if (!(b->alive[i / 64] >> i % 64 & 1))
            continue;
        t->wanted[slot / 64] |= UINT64_C(1) << slot % 64;
        t->n_wanted++;
        if (!asteria_rows_resident(t->s->rows, slot))
            t->cold[t->n_cold++] = slot;
    }
}

/* Demotes rows until there are frames for n more. */
static void free_frames(struct refresh *t, size_t n)
{
    struct asteria_rows *rows = t->s->rows;

    for (uint32_t slot = 0; slot < t->s->n_slots && asteria_rows_frames_left(rows->file) < n;
         slot++)
        if (!(t->wanted[slot / 64] >> slot % 64 & 1))
            asteria_rows_demote(rows, &slot, 1);
}

static int refresh(struct refresh *t, uint64_t budget, bool *more)
{
    rank_buckets(t);
    for (size_t i = 0; i < t->n && t->n_wanted < t->most; i++)
        want(t, &t->s->generations[t->ranks[i].generation]->buckets[t->ranks[i].bucket]);
    if (budget > 0 && t->n_cold > budget) {
        t->n_cold = (size_t)budget;
        *more = true;
    }
    free_frames(t, t->n_cold);
    return asteria_rows_promote(t->s->rows, t->cold, t->n_cold);
}

static void halve(struct asteria *s)
{
    for (unsigned g = 0; g < 2; g++)
        for (size_t i = 0; s->generations[g] && i < s->generations[g]->n; i++) {
            struct asteria_bucket *b = &s->generations[g]->buckets[i];
            const uint32_t probed = atomic_load_explicit(&b->probed, memory_order_relaxed);
            atomic_store_explicit(&b->probed, probed / 2, memory_order_relaxed);
        }
}

int asteria_rows_refresh_hot_set(struct asteria *s, uint64_t budget, bool *more)
{
    struct asteria_rows_file *f = s->rows->file;
    struct mem *mem = s->base.env.mem;
    struct refresh t = { .s = s };
    size_t buckets, rest;
    bool unfinished = false;
    int rc = OK;

    /* Unchanged counts: there was no search since, and the rows are in place. */
    if (!f || f->frames_most == 0 || probes_of(s, &buckets) == f->tended || buckets == 0)
        return OK;
    t.most = f->frames_most;
    t.ranks = mem_array(mem, buckets, sizeof *t.ranks);
    t.wanted = mem_zalloc(mem, (s->n_slots / 64 + 1) * sizeof *t.wanted);
    t.cold = mem_array(mem, s->live < t.most ? s->live : t.most, sizeof *t.cold);
    if (t.ranks && t.wanted && t.cold)
        rc = refresh(&t, budget, &unfinished);
    else
        rc = fail(s->base.env.error, ERR_NO_MEMORY,
                  "asteria: out of memory, cannot choose hot rows");
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
