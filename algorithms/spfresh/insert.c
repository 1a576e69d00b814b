/* insert.c - inserts vectors: chooses heads, files, logs, acknowledges; trains before the first.
 *
 * A chunk of rows is filed first and logged after. If the log fails, deleting the rows'
 * slots undoes the filing, and that cannot fail. So no log record exists for a row that
 * could not be filed. */
#include <string.h>

#include "algorithms/common/durable/row_log.h"
#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/build/build.h"
#include "algorithms/spfresh/durable/durable.h"
#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/jobs/jobs.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/operations.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { CHUNK = 256, GRAIN = 8 };
/* Fewer rows than this are filed one by one, even into an empty index. */
enum { FILL_LEAST = 64 };

struct insert_chunk {
    struct spfresh *s;
    const unsigned char *rows;
    const uint64_t *ids;
    size_t n;
    uint32_t slots[CHUNK];
    struct spfresh_choice choices[CHUNK];
};

static const unsigned char *row_of(const struct insert_chunk *c, size_t i)
{
    return c->rows + i * spfresh_row_bytes(c->s);
}

static int choose_some(void *arg, size_t first, size_t end, size_t worker)
{
    struct insert_chunk *c = arg;
    struct spfresh_scratch *x = NULL;
    double checked = 0;
    int rc = spfresh_scratch_take(c->s, &x);

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++)
        rc = spfresh_choose(c->s, x, row_of(c, i), &c->choices[i], &checked);
    scratch_pool_give(&c->s->scratch, x);
    return rc;
}

/* All chosen heads may have died in the meantime; then new ones are chosen. */
static int file_somewhere(struct insert_chunk *c, size_t i, unsigned version)
{
    struct spfresh *s = c->s;
    size_t done = 0;
    int rc = spfresh_file(s, &c->choices[i], c->slots[i], version, row_of(c, i), &done);

    while (rc == OK && done == 0) {
        rc = choose_some(c, i, i + 1, 0);
        if (rc == OK)
            rc = spfresh_file(s, &c->choices[i], c->slots[i], version, row_of(c, i), &done);
    }
    if (rc == OK && done < c->choices[i].n)
        spfresh_file_again(s, &c->choices[i], c->slots[i], version);
    return rc;
}

/* Searches see the row as soon as its first copy is filed, and maintenance keeps its entries. */
static int file_row(struct insert_chunk *c, size_t i)
{
    struct spfresh *s = c->s;
    const uint32_t slot = c->slots[i];
    const void *row = row_of(c, i);
    const uint64_t start = spfresh_now(s);
    int rc = spfresh_has_row_file(s) ? row_store_put(s->rows, &slot, &row, 1) : OK;

    spfresh_lock_slot(s, slot);
    const unsigned version = spfresh_version(s, slot) & ~VERSION_DELETED;
    if (rc == OK) {
        spfresh_set_version(s, slot, version);
        rc = file_somewhere(c, i, version);
    }
    spfresh_unlock_slot(s, slot);
    (void)spfresh_lap(s, SPFRESH_PHASE_APPEND, start);
    return rc;
}

/* Rows before the failing one stay if they can be logged. The ids are locked by this update. */
static int insert_chunk(struct insert_chunk *c, size_t *done)
{
    struct spfresh *s = c->s;
    struct pool *pool = s->base.env.pool;
    size_t filed = 0;
    int rc = parallel_for(pool, pool_threads(pool), c->n, GRAIN, choose_some, c);

    *done = 0;
    if (rc == OK)
        rc = spfresh_slots_take(s, c->ids, c->n, c->slots);
    if (rc != OK)
        return rc;
    while (filed < c->n && (rc = file_row(c, filed)) == OK)
        filed++;
    const int logged = row_log_write(s->durable.wal, SPFRESH_LOG_INSERT, c->ids, c->rows,
                                     spfresh_row_bytes(s), filed);
    *done = logged == OK ? filed : 0;
    if (*done < c->n)
        spfresh_slots_drop(s, c->ids + *done, c->n - *done);
    return rc != OK ? rc : logged;
}

static int insert_chunks(struct spfresh *s, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct insert_chunk *c = mem_alloc(s->base.env.mem, sizeof *c);
    const unsigned char *rows = v.rows;
    int rc = c ? OK : spfresh_no_memory(s, "out of memory, cannot insert");

    while (rc == OK && *done < v.n) {
        const size_t left = v.n - *done;
        size_t went = 0;

        c->s = s;
        c->rows = rows + *done * spfresh_row_bytes(s);
        c->ids = ids + *done;
        c->n = left < CHUNK ? left : CHUNK;
        epoch_collect(s->epoch);
        pthread_rwlock_rdlock(&s->checkpoint_lock);
        rc = spfresh_ids_begin(s, c->ids, c->n);
        if (rc == OK) {
            rc = insert_chunk(c, &went);
            spfresh_ids_end(s, c->ids, c->n);
        }
        pthread_rwlock_unlock(&s->checkpoint_lock);
        *done += went;
        if (went > 0) {
            const int after = spfresh_after_update(s);
            rc = rc == OK ? after : rc;
        }
    }
    mem_free(s->base.env.mem, c);
    return rc;
}

/* With updates locked out: builds the heads if `heads`, and files all rows at once if `ids`.
   Neither is logged. A snapshot makes both durable, and acknowledges the rows, before any vector is
   filed under the heads. *filled: the rows are in the index; after an error they stay if a crash
   may return to the snapshot that contains them. */
static int begin_locked(struct spfresh *s, struct vectors v, bool heads, const uint64_t *ids,
                        bool *filled)
{
    bool kept = false;
    int rc = heads ? spfresh_build_heads(s, v) : OK;

    if (rc == OK && ids) {
        rc = spfresh_fill(s, v, ids);
        *filled = rc == OK;
    }
    if (rc == OK && s->durable.wal) {
        rc = spfresh_checkpoint_locked(s, &kept);
        if (rc != OK && *filled && !kept) {
            spfresh_unfill(s, ids, v.n);
            *filled = false;
        }
    }
    return rc;
}

/* Whether n rows want twice as many heads as a sample gave, so that most postings would be split,
   some of them several times, while the rows are filed. spann keeps its heads, as it splits none. */
static bool heads_are_few(const struct spfresh *s, size_t n)
{
    return s->live && (double)graph_live(s->graph) < s->params.ratio * (double)n / 2;
}

/* The first vectors determine the heads, unless a sample did that stands for them; many are also
   filed at once. A concurrent insert waits and then finds the work done. */
static int insert_first(struct spfresh *s, struct vectors v, const uint64_t *ids, bool *filled)
{
    int rc = OK;

    spfresh_lock_updates(s);
    const bool fills = v.n >= FILL_LEAST && spfresh_is_empty(s),
               heads = !atomic_load(&s->built) || (fills && heads_are_few(s, v.n));
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
