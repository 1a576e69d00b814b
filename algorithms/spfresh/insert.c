/* insert.c - new vectors: chosen for, filed, logged, acknowledged; training before the first.
 *
 * A chunk of rows is filed first and logged after: what the log does not take is undone by deleting
 * its slots, which always succeeds, and no log record stands for what could not be filed.
 */
#include <string.h>

#include "algorithms/spfresh/spfresh.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { CHUNK = 256, GRAIN = 8 };
/* Fewer rows than this are filed one by one even into an empty index. */
enum { FILL_LEAST = 64 };

struct chunk {
    struct spfresh *s;
    const unsigned char *rows;
    const uint64_t *ids;
    size_t n;
    uint32_t slots[CHUNK];
    struct choice choices[CHUNK];
};

static const unsigned char *row_of(const struct chunk *c, size_t i)
{
    return c->rows + i * spfresh_row_bytes(c->s);
}

static int choose_some(void *arg, size_t first, size_t end, size_t worker)
{
    struct chunk *c = arg;
    struct spfresh_scratch *x = NULL;
    double checked = 0;
    int rc = spfresh_scratch_take(c->s, &x);

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++)
        rc = spfresh_choose(c->s, x, row_of(c, i), &c->choices[i], &checked);
    spfresh_scratch_give(c->s, x);
    return rc;
}

static int choose_all(struct chunk *c)
{
    struct pool *pool = c->s->base.env.pool;

    return c->n == 1 ? choose_some(c, 0, 1, 0)
                     : parallel_for(pool, pool_threads(pool), c->n, GRAIN, choose_some, c);
}

static uint32_t first_open(const struct spfresh *s, const struct choice *c)
{
    size_t i = 0;

    while (i + 1 < c->n && !spfresh_is_open(s, c->heads[i]))
        i++;
    return c->heads[i];
}

/* Every head may have died since it was chosen: then others are. */
static int file_somewhere(struct chunk *c, size_t i, unsigned version)
{
    struct spfresh *s = c->s;
    size_t done = 0;
    int rc = spfresh_file(s, &c->choices[i], c->slots[i], version, row_of(c, i), 0, &done);

    while (rc == OK && done == 0) {
        rc = choose_some(c, i, i + 1, 0);
        if (rc == OK)
            rc = spfresh_file(s, &c->choices[i], c->slots[i], version, row_of(c, i), 0, &done);
    }
    if (rc == OK && done < c->choices[i].n)
        spfresh_queue(s, (struct job){ .kind = JOB_REASSIGN,
                                       .what = c->slots[i],
                                       .version = version,
                                       .from = first_open(s, &c->choices[i]) });
    return rc;
}

/* Seen by searches as soon as its first copy is there, and by upkeep as one to keep. */
static int file_row(struct chunk *c, size_t i)
{
    struct spfresh *s = c->s;
    const uint32_t slot = c->slots[i];
    const void *row = row_of(c, i);
    int rc = codec_has_rows(s->codec) ? codec_rows_put(s->codec, &slot, &row, 1) : OK;

    spfresh_lock_slot(s, slot);
    const unsigned version = spfresh_version(s, slot) & ~VERSION_DELETED;
    if (rc == OK) {
        spfresh_set_version(s, slot, version);
        rc = file_somewhere(c, i, version);
    }
    spfresh_unlock_slot(s, slot);
    return rc;
}

int spfresh_log(struct spfresh *s, uint8_t op, const uint64_t *id, const void *row)
{
    const struct journal_part parts[] = { { id, sizeof *id },
                                          { row, row ? spfresh_row_bytes(s) : 0 } };

    return s->journal ? journal_append(s->journal, op, parts, row ? 2 : 1) : OK;
}

static int log_rows(struct chunk *c, size_t n)
{
    int rc = OK;

    if (!c->s->journal || n == 0)
        return OK;
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = spfresh_log(c->s, SPFRESH_LOG_INSERT, &c->ids[i], row_of(c, i));
    return rc == OK ? journal_commit(c->s->journal) : rc;
}

/* Rows before the failing one stay, if they can be logged. The ids are this update's. */
static int insert_chunk(struct chunk *c, size_t *done)
{
    struct spfresh *s = c->s;
    size_t filed = 0;
    int rc = choose_all(c);

    *done = 0;
    if (rc == OK)
        rc = spfresh_slots_take(s, c->ids, c->n, c->slots);
    if (rc != OK)
        return rc;
    while (filed < c->n && (rc = file_row(c, filed)) == OK)
        filed++;
    const int logged = log_rows(c, filed);
    *done = logged == OK ? filed : 0;
    if (*done < c->n)
        spfresh_slots_drop(s, c->ids + *done, c->n - *done);
    return rc != OK ? rc : logged;
}

static int insert_chunks(struct spfresh *s, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct chunk *c = mem_alloc(s->base.env.mem, sizeof *c);
    const unsigned char *rows = v.rows;
    int rc =
        c ? OK
          : fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory to insert", s->base.ops->name);

    while (rc == OK && *done < v.n) {
        const size_t left = v.n - *done;
        size_t went = 0;

        c->s = s;
        c->rows = rows + *done * spfresh_row_bytes(s);
        c->ids = ids + *done;
        c->n = left < CHUNK ? left : CHUNK;
        epoch_collect(s->epoch);
        pthread_rwlock_rdlock(&s->gate);
        rc = spfresh_ids_begin(s, c->ids, c->n);
        if (rc == OK) {
            rc = insert_chunk(c, &went);
            spfresh_ids_end(s, c->ids, c->n);
        }
        pthread_rwlock_unlock(&s->gate);
        *done += went;
        if (went > 0) {
            const int after = spfresh_after_update(s);
            rc = rc == OK ? after : rc;
        }
    }
    mem_free(s->base.env.mem, c);
    return rc;
}

/* With updates locked out: heads made anew, and with `ids` all rows filed at once. Neither is
   logged; both are durable, and the rows acknowledged, by a snapshot, before anybody files anything
   under the heads. *filled: the rows are in; they stay after a failure if the snapshot that has
   them may be what a crash returns to. */
static int begin_locked(struct spfresh *s, struct vectors v, bool heads, const uint64_t *ids,
                        bool *filled)
{
    bool kept = false;
    int rc = heads ? spfresh_build_heads(s, v) : OK;

    if (rc == OK && ids) {
        rc = spfresh_fill(s, v, ids);
        *filled = rc == OK;
    }
    if (rc == OK && s->journal) {
        rc = spfresh_checkpoint_locked(s, &kept);
        if (rc != OK && *filled && !kept) {
            spfresh_unfill(s, ids, v.n);
            *filled = false;
        }
    }
    return rc;
}

/* The first vectors make the heads, and many are laid out at once. Whoever comes meanwhile waits,
   and finds that this is done. */
static int insert_first(struct spfresh *s, struct vectors v, const uint64_t *ids, bool *filled)
{
    int rc = OK;

    spfresh_lock_updates(s);
    const bool heads = !atomic_load(&s->built), fills = v.n >= FILL_LEAST && spfresh_is_empty(s);
    if (heads || fills)
        rc = begin_locked(s, v, heads, fills ? ids : NULL, filled);
    spfresh_unlock_updates(s);
    return rc;
}

int spfresh_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct spfresh *s = spfresh_of(index);
    bool filled = false;
    int rc = OK;

    *done = 0;
    if (v.n == 0)
        return OK;
    epoch_collect(s->epoch);
    if (!atomic_load(&s->built) || (v.n >= FILL_LEAST && atomic_load(&s->slots.live) == 0))
        rc = insert_first(s, v, ids, &filled);
    if (filled) {
        *done = v.n;
        spfresh_queue_overfull(s);
        const int after = spfresh_after_update(s);
        return rc == OK ? after : rc;
    }
    return rc == OK ? insert_chunks(s, v, ids, done) : rc;
}

int spfresh_train(struct index *index, struct vectors sample)
{
    struct spfresh *s = spfresh_of(index);
    bool filled = false;
    int rc = OK;

    spfresh_lock_updates(s);
    if (!spfresh_is_empty(s)) {
        rc = fail(index->env.error, ERR_ARGUMENT,
                  "%s: train: the index holds %zu vectors already; make a new one",
                  index->ops->name, atomic_load(&s->slots.live));
    } else if (sample.n > 0) {
        rc = begin_locked(s, sample, true, NULL, &filled);
    }
    spfresh_unlock_updates(s);
    return rc;
}

int spfresh_file(struct spfresh *s, const struct choice *c, uint32_t slot, unsigned version,
                 const void *row, uint32_t depth, size_t *done)
{
    uint32_t slots[1] = { slot };
    uint16_t versions[1] = { (uint16_t)version };
    const struct members one = { slots, versions, (unsigned char *)(uintptr_t)row,
                                 1,     1,        spfresh_row_bytes(s),
                                 NULL };
    const uint64_t merges = atomic_load(&s->counters.merges);
    int rc = OK;

    *done = 0;
    for (size_t i = 0; rc == OK && i < c->n; i++) {
        const uint32_t head = c->heads[i];

        spfresh_lock_posting(s, head);
        const bool open =
            spfresh_is_open(s, head) && atomic_load(&spfresh_head(s, head)->lives) == c->lives[i];
        bool held = false;
        /* A posting that got the vector already may have been merged into this one. */
        if (open && *done > 0 && atomic_load(&s->counters.merges) != merges)
            rc = spfresh_holds(s, head, slot, version, &held);
        if (open && rc == OK && !held)
            rc = spfresh_append(s, head, &one, 0, 1);
        const size_t size = atomic_load(&spfresh_head(s, head)->size);
        spfresh_unlock_posting(s, head);
        *done += open && rc == OK;
        spfresh_count(&s->counters.head_misses, !open);
        if (open && rc == OK && size > s->limit)
            spfresh_queue(s, (struct job){ .kind = JOB_SPLIT, .what = head, .depth = depth });
    }
    return rc;
}
