/* takeover.c - rows move from an older generation to the newer, bucket by bucket, encoded anew from what is stored.
 *
 * A row is in one of the two at any time, and keeps its slot, so that ids and edges stay as they are. The older
 * generation's buckets go from the last to the first; nothing is added to it. Dead rows that the graph still leads
 * through go last: they get short codes of the newer model, for walks to be steered by, and no bucket.
 */
#include <string.h>

#include "algorithms/asteria/batch.h"
#include "algorithms/asteria/upkeep.h"
#include "src/core/mem.h"

/* Rows moved at a time, under the lock: as many as are read at once. */
enum { MOVE_ROWS = FETCH_MOST };

struct move {
    struct batch batch;
    unsigned char *rows; /* MOVE_ROWS */
    uint32_t next;       /* slots before it are no dead ones of the older generation */
};

static int move_begin(struct move *m, struct asteria *a)
{
    int rc = batch_begin(&m->batch, a, MOVE_ROWS);

    if (rc != OK)
        return rc;
    m->next = 0;
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

static int read_rows(struct move *m)
{
    struct batch *b = &m->batch;
    const void *rows[MOVE_ROWS];
    const int rc = tier_get_many(b->a->tier, b->slots, b->n, rows);

    for (size_t i = 0; rc == OK && i < b->n; i++)
        memcpy(m->rows + i * b->row_bytes, rows[i], b->row_bytes);
    return rc;
}

/* Live rows of a bucket, at most MOVE_ROWS of them. */
static int gather(struct move *m, const struct bucket *from)
{
    struct batch *b = &m->batch;

    for (uint32_t i = 0; i < from->n && b->n < MOVE_ROWS; i++)
        if (bucket_is_alive(from, i))
            b->slots[b->n++] = from->slots[i];
    return read_rows(m);
}

static int gather_dead(struct move *m)
{
    struct batch *b = &m->batch;
    const struct asteria *a = b->a;

    for (; m->next < a->n_slots && b->n < MOVE_ROWS; m->next++)
        if (asteria_waits(a, m->next, 1) && a->places[m->next].generation != a->now)
            b->slots[b->n++] = m->next;
    return read_rows(m);
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

static int move_dead(struct move *m)
{
    struct batch *b = &m->batch;
    struct asteria *a = b->a;
    struct generation *now = a->generations[a->now];
    int rc = gather_dead(m);

    if (rc == OK)
        rc = batch_encode(b);
    if (rc == OK && !stable_grow(&now->codes, a->n_slots))
        rc = fail(a->base.env.error, ERR_NO_MEMORY, "asteria: out of memory for %zu short codes",
                  a->n_slots);
    for (size_t i = 0; rc == OK && i < b->n; i++) {
        lrsq_put(now->model->lrsq, b->encodings[i].z, stable_at(&now->codes, b->slots[i]));
        a->places[b->slots[i]] = (struct place){ .bucket = UINT32_MAX, .generation = a->now & 1U };
    }
    return rc;
}

static int drop_last(struct asteria *a, struct generation *older)
{
    const uint32_t last = (uint32_t)older->n - 1;
    const int rc = asteria_free_reserve(a, 0);

    if (rc != OK)
        return rc;
    upkeep_release_dead(a, !a->now, last);
    bucket_free(&older->buckets[last], a->base.env.mem);
    older->n--;
    return OK;
}

/* Some rows move, or the last bucket, empty by now, goes, or the generation, which has none left. */
static int step(struct move *m, struct upkeep *u, bool *left)
{
    struct asteria *a = u->a;
    struct generation *older = a->generations[!a->now];
    int rc;

    m->batch.rows = m->rows;
    m->batch.n = 0;
    if (older->n == 0)
        rc = move_dead(m);
    else if (older->buckets[older->n - 1].live > 0)
        rc = move_rows(m, older, (uint32_t)older->n - 1);
    else
        rc = drop_last(a, older);
    if (rc != OK)
        return rc;
    u->spent += m->batch.n + 1;
    *left = older->n > 0 || m->next < a->n_slots;
    if (!*left) {
        a->generations[!a->now] = NULL;
        generation_destroy(&a->base.env, older);
    }
    return OK;
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
        asteria_change_begin(a);
        rc = step(&m, u, &left);
        asteria_change_end(a);
    }
    move_end(&m);
    u->more |= left;
    return rc;
}
