/* reencode.c - moves rows from an older generation to the newer one, bucket by bucket, by encoding
 * the stored rows again.
 *
 * A row is in one of the two at any time and keeps its slot, so ids and edges do not change.
 * Buckets of the older generation are dropped from the last to the first; nothing is added to it.
 * Dead rows that are still in the graph come last: they get residual codes of the newer model,
 * which beam searches need, and no bucket.
 */
#include <string.h>

#include "algorithms/asteria/buckets/batch.h"
#include "algorithms/asteria/buckets/bucket.h"
#include "algorithms/asteria/maintenance/maintenance.h"
#include "algorithms/asteria/rows/slots.h"

/* Rows moved at a time while the lock is held: as many as one read. */
enum { MOVE_ROWS = FETCH_MOST };

struct move {
    struct asteria_batch batch;
    unsigned char *rows; /* MOVE_ROWS */
    uint32_t next;       /* no slot below is a dead row of the older generation */
};

/* Reads the batch's slots. */
static int encode_rows(struct move *m)
{
    struct asteria_batch *b = &m->batch;
    const void *rows[MOVE_ROWS];
    const int rc = asteria_rows_get_many(b->a->rows, b->slots, b->n, rows);

    for (size_t i = 0; rc == OK && i < b->n; i++)
        memcpy(m->rows + i * b->row_bytes, rows[i], b->row_bytes);
    return rc == OK ? asteria_batch_encode(b) : rc;
}

/* At most MOVE_ROWS live rows of a bucket. */
static int move_rows(struct move *m, struct asteria_generation *older, uint32_t bucket)
{
    struct asteria_batch *b = &m->batch;
    struct asteria *a = b->a;
    const struct asteria_bucket *from = &older->buckets[bucket];

    for (uint32_t i = 0; i < from->n && b->n < MOVE_ROWS; i++)
        if (bucket_is_alive(from, i))
            b->slots[b->n++] = from->slots[i];
    int rc = encode_rows(m);
    if (rc == OK)
        rc = asteria_batch_reserve(b, a->n_slots);
    if (rc == OK && a->bec)
        rc = asteria_bec_reserve(a->bec, a->n_slots);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < b->n; i++)
        asteria_bucket_remove(older, bucket, a->places[b->slots[i]].position);
    asteria_batch_put(b);
    return OK;
}

static int move_dead(struct move *m)
{
    struct asteria_batch *b = &m->batch;
    struct asteria *a = b->a;
    struct asteria_generation *now = a->generations[a->now];

    for (; m->next < a->n_slots && b->n < MOVE_ROWS; m->next++)
        if (asteria_is_tombstone(a, m->next, 1) && a->places[m->next].generation != a->now)
            b->slots[b->n++] = m->next;
    int rc = encode_rows(m);
    if (rc == OK && !segmented_grow(&now->codes, a->n_slots))
        rc = fail(a->base.env.error, ERR_NO_MEMORY, "asteria: out of memory for %zu residual codes",
                  a->n_slots);
    for (size_t i = 0; rc == OK && i < b->n; i++) {
        asteria_lrsq_put(now->model->lrsq, b->encodings[i].z,
                         segmented_at(&now->codes, b->slots[i]));
        a->places[b->slots[i]] =
            (struct asteria_place){ .bucket = UINT32_MAX, .generation = a->now & 1U };
    }
    return rc;
}

/* Moves some rows, or drops the last bucket if it is empty, or moves dead rows and then destroys
   the generation. */
static int step(struct move *m, struct asteria_maintenance *u, bool *left)
{
    struct asteria *a = u->a;
    struct asteria_generation *older = a->generations[!a->now];
    const uint32_t last = (uint32_t)older->n - 1;
    int rc = OK;

    m->batch.rows = m->rows;
    m->batch.n = 0;
    if (older->n == 0) {
        rc = move_dead(m);
    } else if (older->buckets[last].live > 0) {
        rc = move_rows(m, older, last);
    } else {
        asteria_release_dead(a, !a->now, last);
        asteria_bucket_free(&older->buckets[last], a->base.env.mem);
        older->n--;
    }
    if (rc != OK)
        return rc;
    u->spent += m->batch.n + 1;
    *left = older->n > 0 || m->next < a->n_slots;
    if (!*left) {
        a->generations[!a->now] = NULL;
        asteria_generation_destroy(&a->base.env, older);
    }
    return OK;
}

int asteria_maintenance_reencode(struct asteria_maintenance *u)
{
    struct asteria *a = u->a;
    struct move m = { .next = 0 };
    bool left = a->generations[!a->now] != NULL;

    if (!left)
        return OK;
    int rc = asteria_batch_begin(&m.batch, a, MOVE_ROWS);
    m.rows = mem_group_array(&m.batch.memory, MOVE_ROWS, m.batch.row_bytes);
    if (rc == OK && !m.rows)
        rc = fail(a->base.env.error, ERR_NO_MEMORY, "asteria: out of memory, cannot move %d rows",
                  MOVE_ROWS);
    while (rc == OK && left && asteria_maintenance_goes_on(u)) {
        asteria_change_begin(a);
        rc = step(&m, u, &left);
        asteria_change_end(a);
    }
    mem_group_free(&m.batch.memory);
    u->more |= left;
    return rc;
}
