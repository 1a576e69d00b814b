/* hot_set.c - the rows of a file that are also in memory: those of the buckets probed most.
 *
 * Probe counts are halved each time, so that old accesses lose weight. Buckets are taken in the
 * order of their counts until the budget's frames are full. Other rows keep their frames until
 * these are needed: a row is demoted only if another is promoted.
 */
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/rows/internal.h"
#include "src/core/mem.h"

/* Cold rows are read many at once. */
int asteria_rows_promote(struct asteria_rows *t, const uint32_t *slots, size_t n)
{
    const void *rows[FETCH_MOST];
    uint32_t cold[FETCH_MOST];
    size_t left = t->file ? asteria_rows_frames_left(t->file) : 0;
    int rc = OK;

    for (size_t i = 0; i < n && rc == OK && left > 0;) {
        size_t some = 0;

        for (; i < n && some < FETCH_MOST && some < left; i++)
            if (!asteria_rows_frame(t, slots[i]))
                cold[some++] = slots[i];
        left -= some;
        rc = asteria_rows_get_many(t, cold, some, rows);
        for (size_t j = 0; rc == OK && j < some; j++) {
            unsigned char *frame = asteria_rows_frame_for(t, cold[j]);
            if (!frame)
                return fail(t->env.error, ERR_NO_MEMORY, "asteria: out of memory for hot rows");
            memcpy(frame, rows[j], t->row_bytes);
        }
    }
    return rc;
}

/* -------------------------------------------------------------------------------- choice */

struct rank {
    uint32_t probed, number; /* number: among all buckets */
    struct asteria_bucket *bucket;
};

struct refresh {
    struct asteria *a;
    struct rank *ranks; /* all buckets, those of the first generation first */
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
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Ranks the buckets; returns the sum of their probes. */
static uint64_t rank_buckets(struct refresh *t)
{
    uint64_t sum = 0;

    t->n = 0;
    for (unsigned g = 0; g < 2; g++)
        for (size_t i = 0; t->a->generations[g] && i < t->a->generations[g]->n; i++) {
            struct asteria_bucket *b = &t->a->generations[g]->buckets[i];
            const uint32_t probed = atomic_load_explicit(&b->probed, memory_order_relaxed);

            sum += probed;
            t->ranks[t->n] = (struct rank){ probed, (uint32_t)t->n, b };
            t->n++;
        }
    return sum;
}

/* Adds the bucket's live rows until all frames are taken. */
static void want(struct refresh *t, const struct asteria_bucket *b)
{
    for (uint32_t i = 0; i < b->n && t->n_wanted < t->most; i++) {
        const uint32_t slot = b->slots[i];

        if (!bucket_is_alive(b, i))
            continue;
        t->wanted[slot / 64] |= UINT64_C(1) << slot % 64;
        t->n_wanted++;
        if (!asteria_rows_resident(t->a->rows, slot))
            t->cold[t->n_cold++] = slot;
    }
}

static int refresh(struct refresh *t, uint64_t budget, bool *unfinished)
{
    struct asteria_rows *rows = t->a->rows;

    /* Unchanged counts: there was no search since, and the rows are in place. */
    if (rank_buckets(t) == rows->file->tended)
        return OK;
    qsort(t->ranks, t->n, sizeof *t->ranks, by_probes);
    for (size_t i = 0; i < t->n && t->ranks[i].probed > 0; i++)
        want(t, t->ranks[i].bucket);
    *unfinished = budget > 0 && t->n_cold > budget;
    if (*unfinished)
        t->n_cold = (size_t)budget;
    for (uint32_t slot = 0;
         slot < t->a->n_slots && asteria_rows_frames_left(rows->file) < t->n_cold; slot++)
        if (!(t->wanted[slot / 64] >> slot % 64 & 1))
            asteria_rows_demote(rows, &slot, 1);
    const int rc = asteria_rows_promote(rows, t->cold, t->n_cold);
    if (rc != OK || *unfinished)
        return rc;
    rows->file->tended = 0;
    for (size_t i = 0; i < t->n; i++) {
        atomic_store_explicit(&t->ranks[i].bucket->probed, t->ranks[i].probed / 2,
                              memory_order_relaxed);
        rows->file->tended += t->ranks[i].probed / 2;
    }
    return OK;
}

int asteria_rows_refresh_hot_set(struct asteria *a, uint64_t budget, bool *more)
{
    const struct asteria_rows_file *f = a->rows->file;
    const struct asteria_generation *one = a->generations[0], *two = a->generations[1];
    struct mem_group g = { .mem = a->base.env.mem };
    struct refresh t = { .a = a };
    bool unfinished = false;

    if (!f || f->frames_most == 0)
        return OK;
    t.most = f->frames_most;
    t.ranks = mem_group_array(&g, (one ? one->n : 0) + (two ? two->n : 0), sizeof *t.ranks);
    t.wanted = mem_group_zalloc(&g, a->n_slots / 64 + 1, sizeof *t.wanted);
    t.cold = mem_group_array(&g, a->live < t.most ? a->live : t.most, sizeof *t.cold);
    const int rc = g.failed ? fail(a->base.env.error, ERR_NO_MEMORY,
                                   "asteria: out of memory, cannot choose hot rows")
                            : refresh(&t, budget, &unfinished);
    mem_group_free(&g);
    *more |= unfinished;
    return rc;
}
