/* recover.c - makes the updates of the write-ahead log again, after the snapshot.
 *
 * The log is read twice. The first pass applies its deletions, so that every live slot's row
 * is the one that the snapshot refers to (durable.h). The second pass inserts vectors
 * through spfresh_insert(), which logs nothing while no log is open. Splits and moves follow
 * from the inserts. */
#include <string.h>

#include "algorithms/common/durable/row_log.h"
#include "algorithms/spfresh/durable/durable.h"
#include "algorithms/spfresh/operations.h"
#include "src/core/mem.h"

enum { BATCH = 256 };

struct recovery {
    struct spfresh *s;
    unsigned char *rows; /* BATCH x row bytes */
    uint64_t ids[BATCH];
    size_t n;
    /* Counted at the end: an earlier count would merge postings that the second pass
       fills again. */
    uint64_t dropped;
};

static int misfit(const struct spfresh *s, const struct wal_record *r)
{
    return row_log_misfit(&s->base.env, s->base.ops->name, r, "does not belong to this index");
}

/* How many ids a record has. 0: it is none of ours. */
static size_t ids_of(const struct spfresh *s, const struct wal_record *r)
{
    return r->op == SPFRESH_LOG_INSERT   ? row_log_rows(r, spfresh_row_bytes(s))
           : r->op == SPFRESH_LOG_REMOVE ? row_log_rows(r, 0)
                                         : 0;
}

static uint64_t id_at(const struct wal_record *r, size_t i)
{
    uint64_t id;

    memcpy(&id, (const unsigned char *)r->payload + i * sizeof id, sizeof id);
    return id;
}

static int drop_first(void *to, const struct wal_record *r)
{
    struct recovery *p = to;
    const size_t n = ids_of(p->s, r);

    for (size_t i = 0; r->op == SPFRESH_LOG_REMOVE && i < n; i++) {
        const uint64_t id = id_at(r, i);

        if (spfresh_slot_of(p->s, id, NULL)) {
            spfresh_slots_drop(p->s, &id, 1);
            p->dropped++;
        }
    }
    return n > 0 ? OK : misfit(p->s, r);
}

static int insert_batch(struct recovery *p)
{
    const struct index_env *env = &p->s->base.env;
    const struct vectors rows = { p->rows, p->n, env->dim, env->element };
    size_t done = 0;
    const int rc = p->n > 0 ? spfresh_insert(&p->s->base, rows, p->ids, &done) : OK;

    p->n = 0;
    return rc;
}

static bool is_new(const struct recovery *p, uint64_t id)
{
    bool is = id != INDEX_NO_ID && !spfresh_slot_of(p->s, id, NULL);

    for (size_t i = 0; is && i < p->n; i++)
        is = p->ids[i] != id;
    return is;
}

static int redo_inserts(struct recovery *p, const struct wal_record *r, size_t n)
{
    const size_t row_bytes = spfresh_row_bytes(p->s);
    const unsigned char *rows = (const unsigned char *)r->payload + n * sizeof(uint64_t);
    int rc = OK;

    for (size_t i = 0; rc == OK && i < n; i++) {
        const uint64_t id = id_at(r, i);

        if (!is_new(p, id))
            return misfit(p->s, r);
        memcpy(p->rows + p->n * row_bytes, rows + i * row_bytes, row_bytes);
        p->ids[p->n++] = id;
        rc = p->n == BATCH ? insert_batch(p) : OK;
    }
    return rc;
}

/* An id that is not stored was deleted in the first pass. */
static int redo_removes(struct recovery *p, const struct wal_record *r, size_t n)
{
    int rc = insert_batch(p);

    for (size_t i = 0; rc == OK && i < n; i++) {
        const uint64_t id = id_at(r, i);
        size_t done;

        if (spfresh_slot_of(p->s, id, NULL))
            rc = spfresh_remove(&p->s->base, &id, 1, &done);
    }
    return rc;
}

static int redo(void *to, const struct wal_record *r)
{
    struct recovery *p = to;
    const size_t n = ids_of(p->s, r);

    if (n == 0)
        return misfit(p->s, r);
    return (r->op == SPFRESH_LOG_INSERT ? redo_inserts : redo_removes)(p, r, n);
}

int spfresh_replay(struct spfresh *s, uint64_t snapshot_lsn, uint64_t *last)
{
    const struct index_env *env = &s->base.env;
    struct recovery *p = mem_zalloc(env->mem, sizeof *p);
    uint64_t torn = 0;
    int rc = OK;

    if (p) {
        p->s = s;
        p->rows = mem_array(env->mem, BATCH, spfresh_row_bytes(s));
    }
    if (!p || !p->rows)
        rc = spfresh_no_memory(s, "out of memory, cannot recover");
    if (!rc)
        rc = wal_replay(env, env->dir, snapshot_lsn, drop_first, p, last, &torn);
    epoch_collect(s->epoch);
    if (!rc)
        rc = wal_replay(env, env->dir, snapshot_lsn, redo, p, last, &torn);
    if (!rc)
        rc = insert_batch(p);
    if (!rc)
        spfresh_count(&s->counters.removes, p->dropped);
    if (p)
        mem_free(env->mem, p->rows);
    mem_free(env->mem, p);
    return rc;
}
