/* recover.c - loads an index: a saved one, or one that ran, from its snapshot and the log after it.
 * Replay makes the changes by the same functions as before, without a log. */
#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/row_log.h"
#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"
#include "src/core/mem.h"

struct recovery {
    struct symqg *s;
    uint64_t *ids; /* n_built, of the build that the present records are part of */
    unsigned char *rows;
    size_t n_built, ids_capacity, rows_capacity;
    struct wal_record last; /* of these; its payload is gone */
};

static int misfit(const struct symqg *s, const struct wal_record *r, const char *why)
{
    return row_log_misfit(&s->base.env, "symqg", r, why);
}

static bool is_stored(const void *of, uint64_t id)
{
    const struct symqg *s = of;

    return slot_table_get(&s->numbers, s->ids, id, NULL);
}

/* Collects the rows of a record; those of a build in front of them stay. */
static int collect(struct recovery *p, const struct wal_record *r)
{
    struct symqg *s = p->s;
    struct mem *mem = s->base.env.mem;
    const size_t n = row_log_rows(r, s->row_bytes);
    const unsigned char *payload = r->payload;

    if (n == 0)
        return misfit(s, r, "does not belong to this index");
    if (!mem_grow(mem, &p->ids, &p->ids_capacity, p->n_built + n, sizeof *p->ids) ||
        !mem_grow(mem, &p->rows, &p->rows_capacity, p->n_built + n, s->row_bytes))
        return fail(s->base.env.error, ERR_NO_MEMORY,
                    "symqg: out of memory, cannot recover %zu rows", p->n_built + n);
    memcpy(p->ids + p->n_built, payload, n * sizeof *p->ids);
    memcpy(p->rows + p->n_built * s->row_bytes, payload + n * sizeof *p->ids, n * s->row_bytes);
    p->n_built += n;
    p->last = *r;
    return OK;
}

static int insert_collected(struct recovery *p)
{
    struct symqg *s = p->s;
    const struct index_env *env = &s->base.env;
    const struct vectors rows = { p->rows, p->n_built, env->dim, env->element };
    size_t done;

    if (p->n_built == 0)
        return OK;
    int rc = row_log_expect_new(env, "symqg", &p->last, p->ids, p->n_built, is_stored, s);

    if (rc == OK)
        rc = symqg_insert(&s->base, rows, p->ids, &done);
    p->n_built = 0;
    return rc;
}

static int redo_remove(struct symqg *s, const struct wal_record *r)
{
    const size_t n = row_log_rows(r, 0);
    size_t done;
    int rc = n > 0 ? OK : misfit(s, r, "does not belong to this index");

    for (size_t i = 0; i < n && rc == OK; i++) {
        const uint64_t id = row_log_id(r, i);

        rc = is_stored(s, id) ? symqg_remove(&s->base, &id, 1, &done)
                              : misfit(s, r, "removes an id that is not there");
    }
    return rc;
}

static int redo(void *to, const struct wal_record *r)
{
    struct recovery *p = to;
    int rc = OK;

    if (r->op == SYMQG_LOG_BUILD)
        return collect(p, r);
    rc = insert_collected(p);
    if (rc == OK && r->op == SYMQG_LOG_INSERT) {
        rc = collect(p, r);
        return rc == OK ? insert_collected(p) : rc;
    }
    if (rc == OK && r->op == SYMQG_LOG_REMOVE)
        return redo_remove(p->s, r);
    return rc == OK ? misfit(p->s, r, "is of an unknown kind") : rc;
}

static int replay(struct symqg *s, uint64_t snapshot_lsn)
{
    const struct index_env *env = &s->base.env;
    struct recovery p = { .s = s };
    uint64_t last = snapshot_lsn, torn = 0;
    int rc = wal_replay(env, env->dir, snapshot_lsn, redo, &p, &last, &torn);

    if (rc == OK)
        rc = insert_collected(&p);
    mem_free(env->mem, p.ids);
    mem_free(env->mem, p.rows);
    if (rc == OK)
        rc = symqg_open_log(s, last, snapshot_lsn);
    if (rc == OK)
        symqg_checkpoint_if_due(s, false);
    return rc;
}

struct loading {
    struct index **out;
    const struct index_ops *ops;
    const struct index_env *env;
    const char *dir;
};

/* A copy becomes a new index in env's folder. */
static int load_saved(void *to)
{
    struct loading *l = to;
    uint64_t lsn;
    int rc = symqg_read(l->out, l->ops, l->env, l->dir, SYMQG_FILE, NULL, &lsn);

    if (rc == OK && (rc = symqg_start_log((struct symqg *)*l->out)) != OK)
        symqg_destroy(*l->out);
    return rc;
}

static int recover(void *to, int *claim)
{
    struct loading *l = to;
    uint64_t lsn;
    int rc = symqg_read(l->out, l->ops, l->env, l->env->dir, SYMQG_RUNNING, claim, &lsn);

    if (rc == OK && (rc = replay((struct symqg *)*l->out, lsn)) != OK)
        symqg_destroy(*l->out);
    return rc;
}

int symqg_load(struct index **index, const struct index_ops *ops, const struct index_env *env,
               const char *dir)
{
    struct loading loading = { index, ops, env, dir };
    const struct durable_loading calls = { .ran = folder_has(dir, SYMQG_RUNNING),
                                           .recover = recover,
                                           .load_saved = load_saved,
                                           .to = &loading };

    return durable_load(env, dir, &calls);
}
