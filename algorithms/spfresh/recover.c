/* recover.c - an index as it was when its process ended: the newest snapshot, and the journal after it.
 *
 * The journal is read twice. The first time what it deletes is deleted: afterwards every live
 * slot's row is the one the snapshot knew (snapshot.h). The second time vectors are inserted by
 * the ordinary way, which logs nothing while there is no journal open; splits and moves come about
 * by themselves.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/folder_claim.h"
#include "algorithms/spfresh/snapshot.h"
#include "src/core/mem.h"

enum { BATCH = 256 };

struct replay {
    struct spfresh *s;
    unsigned char *rows; /* of a batch */
    uint64_t ids[BATCH];
    size_t n;
    uint64_t dropped; /* told at the end: else what is about to be filled again would be merged */
};

static int misfit(const struct spfresh *s, const struct journal_record *r)
{
    return fail(s->base.env.error, ERR_CORRUPT,
                "%s: journal in %s: record %" PRIu64 " (op %u, %zu bytes) is none of this index",
                s->base.ops->name, s->base.env.dir, r->lsn, r->op, r->n);
}

static int read_record(const struct spfresh *s, const struct journal_record *r, uint64_t *id)
{
    const size_t row = r->op == SPFRESH_LOG_INSERT ? spfresh_row_bytes(s) : 0;

    if ((r->op != SPFRESH_LOG_INSERT && r->op != SPFRESH_LOG_REMOVE) || r->n != sizeof *id + row)
        return misfit(s, r);
    memcpy(id, r->payload, sizeof *id);
    return *id == ID_NONE ? misfit(s, r) : OK;
}

static int drop_first(void *to, const struct journal_record *r)
{
    struct replay *p = to;
    uint64_t id;
    const int rc = read_record(p->s, r, &id);

    if (!rc && r->op == SPFRESH_LOG_REMOVE && spfresh_slot_of(p->s, id, NULL)) {
        spfresh_slots_drop(p->s, &id, 1);
        p->dropped++;
    }
    return rc;
}

static int insert_batch(struct replay *p)
{
    const struct index_env *env = &p->s->base.env;
    const struct vectors rows = { p->rows, p->n, env->dim, env->element };
    size_t done = 0;
    const int rc = p->n > 0 ? spfresh_insert(&p->s->base, rows, p->ids, &done) : OK;

    p->n = 0;
    return rc;
}

static size_t in_batch(const struct replay *p, uint64_t id)
{
    size_t i = 0;

    while (i < p->n && p->ids[i] != id)
        i++;
    return i;
}

static int redo_insert(struct replay *p, uint64_t id, const void *row)
{
    const size_t row_bytes = spfresh_row_bytes(p->s);

    memcpy(p->rows + p->n * row_bytes, row, row_bytes);
    p->ids[p->n++] = id;
    return p->n == BATCH ? insert_batch(p) : OK;
}

static int redo_remove(struct replay *p, uint64_t id)
{
    const size_t row_bytes = spfresh_row_bytes(p->s), at = in_batch(p, id);

    if (at < p->n) {
        p->ids[at] = p->ids[--p->n];
        memmove(p->rows + at * row_bytes, p->rows + p->n * row_bytes, row_bytes);
        return OK;
    }
    if (!spfresh_slot_of(p->s, id, NULL))
        return OK; /* deleted the first time */
    size_t done;
    return spfresh_remove(&p->s->base, &id, 1, &done);
}

static int redo(void *to, const struct journal_record *r)
{
    struct replay *p = to;
    uint64_t id;
    const int rc = read_record(p->s, r, &id);

    if (rc)
        return rc;
    if (r->op == SPFRESH_LOG_REMOVE)
        return redo_remove(p, id);
    if (in_batch(p, id) < p->n || spfresh_slot_of(p->s, id, NULL))
        return misfit(p->s, r);
    return redo_insert(p, id, (const unsigned char *)r->payload + sizeof id);
}

static int replay(struct spfresh *s, uint64_t *last)
{
    const struct index_env *env = &s->base.env;
    struct replay *p = mem_zalloc(env->mem, sizeof *p);
    uint64_t torn = 0;
    int rc = OK;

    if (p) {
        p->s = s;
        p->rows = mem_array(env->mem, BATCH, spfresh_row_bytes(s));
    }
    if (!p || !p->rows)
        rc = fail(env->error, ERR_NO_MEMORY, "%s: no memory to recover", s->base.ops->name);
    if (!rc)
        rc = journal_replay(env, env->dir, s->snapshot_lsn, drop_first, p, last, &torn);
    epoch_collect(s->epoch);
    if (!rc)
        rc = journal_replay(env, env->dir, s->snapshot_lsn, redo, p, last, &torn);
    if (!rc)
        rc = insert_batch(p);
    if (!rc)
        spfresh_count(&s->counters.removes, p->dropped);
    if (p)
        mem_free(env->mem, p->rows);
    mem_free(env->mem, p);
    return rc;
}

/* ------------------------------------------------------------------------------ opening */

static int go_on(struct spfresh *s, const struct store_reader *r)
{
    uint64_t last = 0;
    int rc = spfresh_open_store(s, r);

    if (!rc)
        rc = snapshot_fits(s, r);
    if (!rc && s->live)
        rc = spfresh_jobs_open(s);
    if (!rc)
        rc = replay(s, &last);
    if (!rc)
        rc = spfresh_open_journal(s, last);
    if (rc)
        return rc;
    journal_forget(s->journal, s->snapshot_lsn);
    snapshot_queue(s);
    rc = spfresh_jobs_start(s);
    return rc ? rc : spfresh_after_update(s);
}

/* The newest snapshot, not the newest that is sound: it was durable before it had its name, and pages
   of an older one may have been written again since. */
static int recover(struct spfresh **out, const struct index_env *env,
                   const struct spfresh_opening *opening)
{
    const struct store_identity identity = snapshot_identity(env, opening->live);
    struct store_reader r;
    char name[SNAPSHOT_NAME_BYTES];
    struct spfresh *s = NULL;
    uint64_t number, lsn = 0;
    int rc = snapshot_newest(env, env->dir, &number);

    snapshot_name(name, number);
    if (!rc)
        rc = store_open(&r, env->dir, name, &identity, env->error);
    if (rc)
        return rc;
    rc = snapshot_read(&s, env, opening, &r, &lsn);
    if (!rc) {
        s->snapshot = number;
        s->snapshot_lsn = lsn;
        rc = go_on(s, &r);
        if (rc)
            spfresh_destroy(&s->base);
    }
    store_close(&r);
    if (!rc)
        *out = s;
    return rc;
}

/* The claim comes before anything is read, and is the index's once it is open. */
static int recover_claimed(struct spfresh **out, const struct index_env *env,
                           struct spfresh_opening opening)
{
    int claim = -1;
    int rc = folder_claim(env->dir, &claim, env->error);

    if (rc)
        return rc;
    opening.claim = &claim;
    rc = recover(out, env, &opening);
    if (claim >= 0)
        (void)close(claim);
    return rc;
}

int spfresh_load_from(struct spfresh **out, const struct index_env *env, const char *dir,
                      const struct spfresh_opening *opening)
{
    uint64_t number = 0;
    int rc = snapshot_newest(env, dir, &number);

    if (rc)
        return rc;
    if (number > 0 && folder_same(dir, env->dir))
        return recover_claimed(out, env, *opening);
    rc = spfresh_load_saved(out, env, dir, opening);
    return rc == ERR_NOT_FOUND && number > 0 ? folder_only_ran(env->error, dir) : rc;
}

static int load_index(struct index **out, const struct index_env *env, const char *dir, bool live)
{
    const struct spfresh_opening opening = { .live = live };
    struct spfresh *s = NULL;
    const int rc = spfresh_load_from(&s, env, dir, &opening);

    if (!rc)
        *out = &s->base;
    return rc;
}

int spfresh_load_index(struct index **out, const struct index_env *env, const char *dir)
{
    return load_index(out, env, dir, true);
}

int spann_load_index(struct index **out, const struct index_env *env, const char *dir)
{
    return load_index(out, env, dir, false);
}
