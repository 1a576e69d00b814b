/* recover.c - loads an index: a saved one, or one that ran, from its snapshot and the log after it.
 * Replay makes the changes by the same functions as before, without a log. */
#include <inttypes.h>
#include <stdlib.h>

#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/order.h"

struct recovery {
    struct symqg *s;
    uint64_t *ids; /* n_built, of the build that the present records are part of */
    unsigned char *rows;
    size_t n_built, ids_capacity, rows_capacity;
};

static int misfit(const struct symqg *s, const struct wal_record *r, const char *why)
{
    return fail(s->base.env.error, ERR_CORRUPT,
                "symqg: write-ahead log in %s: record %" PRIu64 " (op %u, %zu bytes) %s",
                s->base.env.dir, r->lsn, r->op, r->n, why);
}

/* Collects the rows of a record; those of a build in front of them stay. */
static int collect(struct recovery *p, const struct wal_record *r)
{
    struct symqg *s = p->s;
    struct mem *mem = s->base.env.mem;
    const size_t each = sizeof(uint64_t) + s->row_bytes, n = r->n / each;
    const unsigned char *payload = r->payload;

    if (n == 0 || r->n % each != 0)
        return misfit(s, r, "does not belong to this index");
    if (!mem_grow(mem, &p->ids, &p->ids_capacity, p->n_built + n, sizeof *p->ids) ||
        !mem_grow(mem, &p->rows, &p->rows_capacity, p->n_built + n, s->row_bytes))
        return fail(s->base.env.error, ERR_NO_MEMORY,
                    "symqg: out of memory, cannot recover %zu rows", p->n_built + n);
    memcpy(p->ids + p->n_built, payload, n * sizeof *p->ids);
    memcpy(p->rows + p->n_built * s->row_bytes, payload + n * sizeof *p->ids, n * s->row_bytes);
    p->n_built += n;
    return OK;
}

/* Whether the ids can be inserted: not stored, and no duplicates. ERR_NO_MEMORY. */
static int expect_new(const struct recovery *p)
{
    const struct symqg *s = p->s;
    const struct index_env *env = &s->base.env;
    uint64_t *sorted = mem_array(env->mem, p->n_built, sizeof *sorted);
    int rc = OK;

    if (!sorted)
        return fail(env->error, ERR_NO_MEMORY, "symqg: out of memory, cannot recover %zu rows",
                    p->n_built);
    memcpy(sorted, p->ids, p->n_built * sizeof *sorted);
    qsort(sorted, p->n_built, sizeof *sorted, order_u64);
    for (size_t i = 0; i < p->n_built && rc == OK; i++)
        if (sorted[i] == ID_NONE || (i > 0 && sorted[i] == sorted[i - 1]) ||
            slot_table_get(&s->numbers, s->ids, sorted[i], NULL))
            rc = fail(env->error, ERR_CORRUPT,
                      "symqg: write-ahead log in %s: id %" PRIu64 " is inserted and there already",
                      env->dir, sorted[i]);
    mem_free(env->mem, sorted);
    return rc;
}

static int insert_collected(struct recovery *p)
{
    const struct index_env *env = &p->s->base.env;
    const struct vectors rows = { p->rows, p->n_built, env->dim, env->element };
    size_t done;
    int rc = p->n_built > 0 ? expect_new(p) : OK;

    if (rc == OK)
        rc = symqg_insert(&p->s->base, rows, p->ids, &done);
    p->n_built = 0;
    return rc;
}

static int redo_remove(struct symqg *s, const struct wal_record *r)
{
    size_t done;
    int rc = OK;

    if (r->n == 0 || r->n % sizeof(uint64_t) != 0)
        return misfit(s, r, "does not belong to this index");
    for (size_t i = 0; i < r->n / sizeof(uint64_t) && rc == OK; i++) {
        uint64_t id;

        memcpy(&id, (const unsigned char *)r->payload + i * sizeof id, sizeof id);
        if (!slot_table_get(&s->numbers, s->ids, id, NULL))
            return misfit(s, r, "removes an id that is not there");
        rc = symqg_remove(&s->base, &id, 1, &done);
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
