/* takeover.c - rows move from an older generation to the newer, bucket by bucket, encoded anew from what is stored.
 *
 * A row is in one of the two at any time, and keeps its slot, so that ids and edges stay as they are. The older
 * generation's buckets go from the last to the first; nothing is added to it.
 */
#include <string.h>

#include "algorithms/asteria/batch.h"
#include "algorithms/asteria/upkeep.h"
#include "src/core/mem.h"

/* Rows moved at a time, under the lock. */
enum { MOVE_ROWS = 256 };

struct move {
    struct batch batch;
    unsigned char *rows; /* MOVE_ROWS */
};

static int move_begin(struct move *m, struct asteria *a)
{
    int rc = batch_begin(&m->batch, a, MOVE_ROWS);

    if (rc != OK)
        return rc;
    m->rows = mem_array(a->base.env.mem, MOVE_ROWS, m->batch.row_bytes);
    if (m->rows)
        return OK;
    batch_free(&m->batch);
    return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: out of memory to move %d rows",
                MOVE_ROWS);
}

static void move_end(struct move *m)
{
    mem_free(m->batch.a->base.env.mem, m->rows);
    batch_free(&m->batch);
}

/* Live rows of a bucket, at most MOVE_ROWS of them. */
static int gather(struct move *m, const struct bucket *from)
{
    struct batch *b = &m->batch;
    int rc = OK;

    b->rows = m->rows;
    b->n = 0;
    for (uint32_t i = 0; rc == OK && i < from->n && b->n < MOVE_ROWS; i++) {
        unsigned char *to = m->rows + b->n * b->row_bytes;
        const void *row;

        if (!bucket_is_alive(from, i))
            continue;
        rc = tier_get(b->a->tier, from->slots[i], to, &row);
        if (rc == OK && row != to)
            memcpy(to, row, b->row_bytes);
        b->slots[b->n++] = from->slots[i];
    }
    return rc;
}

static int move_rows(struct move *m, struct generation *older, uint32_t bucket)
{
    struct batch *b = &m->batch;
    struct asteria *a = b->a;
    int rc = gather(m, &older->buckets[bucket]);

    if (rc == OK)
        rc = batch_encode(b);
    if (rc == OK)
        rc = batch_reserve(b, a->n_slots);
    if (rc == OK && a->bec)
        rc = bec_reserve(a->bec, a->n_slots, b->n);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < b->n; i++)
        bucket_remove(older, bucket, a->places[b->slots[i]].position);
    batch_put(b);
    return OK;
}

/* One step: some rows move, or the last bucket, empty by now, goes. */
static int step(struct move *m, struct upkeep *u)
{
    struct asteria *a = u->a;
    struct generation *older = a->generations[!a->now];
    const uint32_t last = (uint32_t)older->n - 1;
    int rc;

    if (older->buckets[last].live > 0) {
        rc = move_rows(m, older, last);
        u->spent += rc == OK ? m->batch.n : 0;
        return rc;
    }
    rc = asteria_free_reserve(a);
    if (rc != OK)
        return rc;
    upkeep_release_dead(a, !a->now, last);
    bucket_free(&older->buckets[last], a->base.env.mem);
    older->n--;
    u->spent++;
    return OK;
}

/* Whether anything is left; the generation goes when nothing is. */
static bool is_left(struct asteria *a)
{
    struct generation *older = a->generations[!a->now];

    if (!older || older->n > 0)
        return older != NULL;
    a->generations[!a->now] = NULL;
    generation_destroy(&a->base.env, older);
    return false;
}

int upkeep_take_over(struct upkeep *u)
{
    struct asteria *a = u->a;
    struct move m;
    bool left = a->generations[!a->now] != NULL;
    int rc = OK;

    if (!left)
        return OK;
    rc = move_begin(&m, a);
    if (rc != OK)
        return rc;
    while (rc == OK && left && upkeep_goes_on(u)) {
        pthread_rwlock_wrlock(&a->lock);
        left = is_left(a);
        if (left) {
            rc = step(&m, u);
            left = rc != OK || is_left(a);
        }
        pthread_rwlock_unlock(&a->lock);
    }
    move_end(&m);
    u->more |= left;
    return rc;
}
