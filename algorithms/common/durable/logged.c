/* logged.c - see logged.h. */
#include "algorithms/common/durable/logged.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/common/durable/durable.h"
#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/row_log.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { NAME_BYTES = 64, CHECKPOINT_MB_MAX = 1 << 20 };

/* Section "log" of a file; one without it is of an index without a log. */
struct log_section {
    uint64_t lsn; /* of the last record that the snapshot has; 0 in a copy */
    int64_t wal, checkpoint_mb;
};

struct logged_log {
    struct durable durable; /* a change holds `checkpointing` */
    int64_t wal, checkpoint_mb;
    bool behind; /* the log lacks a change, or has one that was not made: a snapshot comes first */
};

struct name {
    char text[NAME_BYTES];
};

static struct name file_name(const struct logged_method *m, const char *ending)
{
    struct name name;

    (void)snprintf(name.text, sizeof name.text, "%s.%s", m->ops->name, ending);
    return name;
}

static struct name running_name(const struct logged_method *m)
{
    return file_name(m, "snapshot");
}

static struct logged_index *logged_of(const struct index *index)
{
    return (struct logged_index *)(uintptr_t)index;
}

static int64_t *option(const struct index_ops *ops, const void *params, const char *name)
{
    return (int64_t *)((uintptr_t)params + param_find(ops->params, name)->offset);
}

/* The options in use; and how many bytes of them are the method's own: those of the log follow. */
static void *params_of(struct logged_index *l)
{
    return (char *)l + l->method->params;
}

static size_t own_bytes(const struct index_ops *ops)
{
    return param_find(ops->params, "wal")->offset;
}

/* ------------------------------------------------------------------------------- snapshots */

static int write_sections(struct logged_index *l, struct store_writer *w, uint64_t lsn)
{
    if (l->log) {
        const struct log_section log = { lsn, l->log->wal, l->log->checkpoint_mb };

        store_section(w, "log");
        store_write(w, &log, sizeof log);
    }
    store_section(w, "params");
    store_write(w, params_of(l), own_bytes(l->method->ops));
    return l->method->write(&l->base, w);
}

static int write_own(void *to, struct store_writer *w, uint64_t *lsn)
{
    struct logged_index *l = to;
    const int rc = wal_rotate(l->log->durable.wal, lsn);

    return rc == OK ? write_sections(l, w, *lsn) : rc;
}

static int write_copy(void *to, struct store_writer *w, uint64_t *lsn)
{
    *lsn = 0;
    return write_sections(to, w, 0);
}

static struct store_identity identity_of(const struct logged_method *m, const struct index_env *env)
{
    return store_identity_of(env, m->ops->name, m->version);
}

/* The caller holds `checkpointing`. */
static int checkpoint(struct logged_index *l)
{
    const struct name name = running_name(l->method);
    const struct durable_snapshot snapshot = { .name = name.text,
                                               .identity = identity_of(l->method, &l->base.env),
                                               .write = write_own,
                                               .to = l,
                                               .by_size = true };
    const int rc = durable_checkpoint_locked(&l->log->durable, &snapshot);

    l->log->behind = l->log->behind && rc != OK;
    return rc;
}

/* No change fails because the snapshot after it does: it is made later. */
static void checkpoint_if_due(struct logged_index *l)
{
    const struct index_env *env = &l->base.env;
    struct error error = { 0 };

    if (!l->log->behind && !durable_is_due(&l->log->durable))
        return;
    struct error *before = error_divert(&error);
    const int rc = checkpoint(l);
    (void)error_divert(before);
    if (rc != OK && env->log)
        env->log(env->log_to, error.text);
}

static int save_copy(struct logged_index *l, const char *dir)
{
    const struct name name = file_name(l->method, "index");
    const struct durable_snapshot snapshot = { .name = name.text,
                                               .identity = identity_of(l->method, &l->base.env),
                                               .write = write_copy,
                                               .to = l };
    struct durable d;

    durable_init(&d, &l->base.env, NULL, 0);
    const int rc = durable_write(&d, dir, &snapshot);
    durable_free(&d);
    return rc;
}

int logged_save(struct index *index, const char *dir)
{
    struct logged_index *l = logged_of(index);

    if (!l->log)
        return save_copy(l, dir);
    (void)pthread_mutex_lock(&l->log->durable.checkpointing);
    const int rc = durable_is_own(&l->log->durable, dir) ? checkpoint(l) : save_copy(l, dir);
    (void)pthread_mutex_unlock(&l->log->durable.checkpointing);
    return rc;
}

uint64_t logged_bytes(const struct index *index)
{
    const struct logged_index *l = logged_of(index);

    return l->log ? durable_bytes(&l->log->durable, running_name(l->method).text) : 0;
}

/* --------------------------------------------------------------------------------- changes */

static int change_begin(struct logged_index *l)
{
    (void)pthread_mutex_lock(&l->log->durable.checkpointing);
    const int rc = l->log->behind ? checkpoint(l) : OK;
    if (rc != OK)
        (void)pthread_mutex_unlock(&l->log->durable.checkpointing);
    return rc;
}

static int change_end(struct logged_index *l, int rc)
{
    checkpoint_if_due(l);
    (void)pthread_mutex_unlock(&l->log->durable.checkpointing);
    return rc;
}

int logged_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct logged_index *l = logged_of(index);

    if (!l->log)
        return l->method->insert(index, v, ids, done);
    *done = 0;
    int rc = change_begin(l);
    if (rc != OK)
        return rc;
    rc = l->method->insert(index, v, ids, done);
    const int logged = row_log_write(l->log->durable.wal, LOGGED_INSERT, ids, v.rows,
                                     index_row_bytes(v.element, v.dim), *done);
    const struct error why = *index->env.error; /* removals may clear it */
    /* From the last row on, so that those that stay are the first *done. */
    for (size_t one = 1; logged != OK && one == 1 && *done > 0; *done -= one)
        (void)l->method->remove(index, ids + *done - 1, 1, &one);
    l->log->behind = logged != OK && *done > 0;
    *index->env.error = why;
    return change_end(l, rc != OK ? rc : logged);
}

int logged_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct logged_index *l = logged_of(index);

    if (!l->log)
        return l->method->remove(index, ids, n, done);
    *done = 0;
    int rc = change_begin(l);
    if (rc != OK)
        return rc;
    rc = row_log_write(l->log->durable.wal, LOGGED_REMOVE, ids, NULL, 0, n);
    if (rc == OK) {
        rc = l->method->remove(index, ids, n, done);
        l->log->behind = *done < n;
    }
    return change_end(l, rc);
}

int logged_train(struct index *index, struct vectors sample)
{
    struct logged_index *l = logged_of(index);

    if (!l->log)
        return l->method->train(index, sample);
    int rc = change_begin(l);
    if (rc != OK)
        return rc;
    rc = l->method->train(index, sample);
    if (rc == OK) {
        l->log->behind = true;
        rc = checkpoint(l);
    }
    (void)pthread_mutex_unlock(&l->log->durable.checkpointing);
    return rc;
}

/* ---------------------------------------------------------------------------------- replay */

/* The records of one change, collected. */
struct redo {
    struct logged_index *l;
    size_t n, ids_capacity, rows_capacity;
    uint8_t op;
    uint64_t *ids;
    unsigned char *rows;
};

static int misfit(const struct redo *c, const struct wal_record *r, const char *why)
{
    return row_log_misfit(&c->l->base.env, c->l->method->ops->name, r, why);
}

static int collect(struct redo *c, const struct wal_record *r)
{
    const struct index_env *env = &c->l->base.env;
    const size_t row = r->op == LOGGED_INSERT ? index_row_bytes(env->element, env->dim) : 0;
    const size_t n = row_log_rows(r, row);
    const unsigned char *payload = r->payload;

    if (r->op != LOGGED_INSERT && r->op != LOGGED_REMOVE)
        return misfit(c, r, "is of an unknown kind");
    if (n == 0 || (c->n > 0 && c->op != r->op))
        return misfit(c, r, "does not belong to this index");
    if (!mem_grow(env->mem, &c->ids, &c->ids_capacity, c->n + n, sizeof *c->ids) ||
        (row > 0 && !mem_grow(env->mem, &c->rows, &c->rows_capacity, c->n + n, row)))
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory, cannot recover %zu rows",
                    c->l->method->ops->name, c->n + n);
    memcpy(c->ids + c->n, payload, n * sizeof *c->ids);
    if (row > 0)
        memcpy(c->rows + c->n * row, payload + n * sizeof *c->ids, n * row);
    c->n += n;
    c->op = r->op;
    return OK;
}

static bool has(const void *of, uint64_t id)
{
    const struct logged_index *l = of;

    return l->method->has(&l->base, id);
}

/* Under cosine, floats have unit length when they come to a method. */
static bool row_possible(const struct index_env *env, const float *row)
{
    const enum row_range range = index_row_range(row, env->dim);

    return env->metric == INDEX_COS ? fabsf(env->kernels->ip_f32(row, row, env->dim) - 1) < 1e-3F
                                    : range == INDEX_ROW_FITS || range == INDEX_ROW_ZERO;
}

static int make_again(struct redo *c, const struct wal_record *r)
{
    struct index *index = &c->l->base;
    const struct index_env *env = &index->env;
    const struct logged_method *m = c->l->method;
    const bool inserts = c->op == LOGGED_INSERT;
    const float *rows = (const float *)(const void *)c->rows;
    size_t done;
    const int rc = row_log_expect_ids(env, m->ops->name, r, c->ids, c->n, !inserts, has, c->l);

    if (rc != OK)
        return rc;
    if (!inserts)
        return m->remove(index, c->ids, c->n, &done);
    for (size_t i = 0; env->element == INDEX_F32 && i < c->n; i++)
        if (!row_possible(env, rows + i * env->dim))
            return misfit(c, r, "holds a row that no insertion has");
    return m->insert(index, (struct vectors){ rows, c->n, env->dim, env->element }, c->ids, &done);
}

/* A change is a batch of records. It is made at once, as it was. */
static int redo(void *to, const struct wal_record *r)
{
    struct redo *c = to;
    int rc = collect(c, r);

    if (rc != OK || !r->ends_batch)
        return rc;
    rc = make_again(c, r);
    c->n = 0;
    return rc;
}

/* --------------------------------------------------------------------------------- opening */

static void log_free(struct mem *mem, struct logged_log *log)
{
    if (log)
        durable_free(&log->durable);
    mem_free(mem, log);
}

/* Locks env's folder; claim: its lock, of an index that is recovered. *out: NULL where wal is none. */
static int log_create(struct logged_log **out, const struct logged_method *m,
                      const struct index_env *env, const struct log_section *options, int *claim)
{
    const struct name running = running_name(m);

    *out = NULL;
    if (options->wal == LOGGED_NONE)
        return OK;
    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "%s: wal needs a folder for the index, but none was given; wal = none works "
                    "without",
                    m->ops->name);
    struct logged_log *log = mem_zalloc(env->mem, sizeof *log);
    if (!log)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory for a log", m->ops->name);
    log->wal = options->wal;
    log->checkpoint_mb = options->checkpoint_mb;
    durable_init(&log->durable, env, NULL, (uint64_t)options->checkpoint_mb << 20);
    int rc = durable_take_folder(&log->durable, claim);
    if (rc == OK && !claim && folder_has(env->dir, running.text))
        rc = durable_refuse_taken(env, m->ops->name, running.text);
    if (rc == OK)
        *out = log;
    else
        log_free(env->mem, log);
    return rc;
}

/* An index with the log, which on failure is freed. */
static int create_with_log(struct index **index, const struct logged_method *m,
                           const struct index_env *env, const void *params, struct logged_log *log)
{
    const int rc = m->create(index, m->ops, env, params);

    if (rc != OK) {
        log_free(env->mem, log);
        return rc;
    }
    logged_of(*index)->method = m;
    logged_of(*index)->log = log;
    return OK;
}

static int open_log(const struct logged_index *l, uint64_t last_lsn, uint64_t snapshot_lsn)
{
    return durable_open_log(&l->log->durable,
                            l->log->wal == LOGGED_SYNCED ? WAL_SYNCED : WAL_WRITTEN, last_lsn,
                            snapshot_lsn);
}

/* Of a new index: begins its log, with a first snapshot. */
static int start(struct logged_index *l)
{
    const int rc = l->log ? open_log(l, 0, 0) : OK;

    return l->log && rc == OK ? checkpoint(l) : rc;
}

static int replay(struct logged_index *l, uint64_t snapshot_lsn)
{
    const struct index_env *env = &l->base.env;
    struct redo redoing = { .l = l };
    uint64_t last = snapshot_lsn, torn = 0;
    int rc = wal_replay(env, env->dir, snapshot_lsn, redo, &redoing, &last, &torn);

    mem_free(env->mem, redoing.ids);
    mem_free(env->mem, redoing.rows);
    if (rc == OK)
        rc = open_log(l, last, snapshot_lsn);
    if (rc == OK)
        checkpoint_if_due(l);
    return rc;
}

int logged_create(struct index **index, const struct logged_method *m, const struct index_env *env,
                  const void *params)
{
    const struct log_section options = { .wal = *option(m->ops, params, "wal"),
                                         .checkpoint_mb =
                                             *option(m->ops, params, "checkpoint_mb") };
    struct logged_log *log;
    int rc = log_create(&log, m, env, &options, NULL);

    if (rc != OK)
        return rc;
    rc = create_with_log(index, m, env, params, log);
    if (rc != OK)
        return rc;
    rc = start(logged_of(*index));
    if (rc != OK)
        logged_destroy(*index);
    return rc;
}

/* What durable_load() loads an index into. */
struct loading {
    struct index **out;
    const struct logged_method *m;
    const struct index_env *env;
    const char *dir;
};

static int find_options(struct store_reader *r, struct log_section *options)
{
    size_t bytes = 0;
    const void *section = store_find(r, "log", &bytes);

    *options = (struct log_section){ 0 };
    if (!section)
        return OK;
    if (bytes != sizeof *options)
        return store_corrupt(r, "section \"log\" has another length");
    memcpy(options, section, bytes);
    return (options->wal == LOGGED_WRITTEN || options->wal == LOGGED_SYNCED) &&
                   options->checkpoint_mb >= 1 && options->checkpoint_mb <= CHECKPOINT_MB_MAX
               ? OK
               : store_corrupt(r, "the options of the log are out of range");
}

/* For what create() or check() found: it is wrong in the file. */
static int corrupt_as_found(const struct store_reader *r)
{
    char found[sizeof r->error->text];

    memcpy(found, r->error->text, sizeof found);
    error_clear(r->error);
    return store_corrupt(r, found);
}

/* An index with the options of the file. */
static int create_as_saved(const struct loading *o, const struct store_reader *r,
                           const struct log_section *log_options, int *claim)
{
    const struct logged_method *m = o->m;
    void *params = mem_alloc(o->env->mem, m->ops->params_bytes);
    struct logged_log *log = NULL;
    int rc =
        params ? store_read_params(r, m->ops->params, own_bytes(m->ops), params)
               : fail(o->env->error, ERR_NO_MEMORY, "%s: out of memory for an index", m->ops->name);

    if (rc == OK)
        rc = log_create(&log, m, o->env, log_options, claim);
    if (rc == OK) {
        *option(m->ops, params, "wal") = log_options->wal;
        rc = create_with_log(o->out, m, o->env, params, log);
        /* Without a folder the options may be those of an index that had one. */
        if ((rc == ERR_ARGUMENT || rc == ERR_CONFIG) && o->env->dir)
            rc = corrupt_as_found(r);
    }
    if (rc == OK)
        memcpy(params_of(logged_of(*o->out)), params, own_bytes(m->ops));
    mem_free(o->env->mem, params);
    return rc;
}

/* Loads the file; the log of the index is not open. */
static int read_file(const struct loading *o, const char *dir, const char *ending, int *claim,
                     uint64_t *lsn)
{
    const struct name name = file_name(o->m, ending);
    const struct store_identity identity = identity_of(o->m, o->env);
    struct log_section options;
    struct store_reader r;
    int rc = store_open(&r, dir, name.text, &identity, o->env->error);

    if (rc != OK)
        return rc;
    rc = find_options(&r, &options);
    if (rc == OK && claim && options.wal == LOGGED_NONE)
        rc = store_corrupt(&r, "the snapshot of a running index, without section \"log\"");
    if (rc == OK)
        rc = create_as_saved(o, &r, &options, claim);
    if (rc == OK) {
        rc = o->m->read(*o->out, &r);
        if (rc == ERR_INVARIANT)
            rc = corrupt_as_found(&r);
        if (rc != OK)
            logged_destroy(*o->out);
    }
    store_close(&r);
    *lsn = options.lsn;
    return rc;
}

/* A copy becomes a new index in env's folder. */
static int load_saved(void *to)
{
    const struct loading *o = to;
    uint64_t lsn;
    int rc = read_file(o, o->dir, "index", NULL, &lsn);

    if (rc == OK && (rc = start(logged_of(*o->out))) != OK)
        logged_destroy(*o->out);
    return rc;
}

static int recover(void *to, int *claim)
{
    const struct loading *o = to;
    uint64_t lsn;
    int rc = read_file(o, o->env->dir, "snapshot", claim, &lsn);

    if (rc == OK && (rc = replay(logged_of(*o->out), lsn)) != OK)
        logged_destroy(*o->out);
    return rc;
}

int logged_load(struct index **index, const struct logged_method *m, const struct index_env *env,
                const char *dir)
{
    const struct name running = running_name(m);
    struct loading loading = { index, m, env, dir };
    const struct durable_loading calls = { .ran = folder_has(dir, running.text),
                                           .recover = recover,
                                           .load_saved = load_saved,
                                           .to = &loading };

    return durable_load(env, dir, &calls);
}

void logged_destroy(struct index *index)
{
    if (!index)
        return;
    struct logged_log *log = logged_of(index)->log;
    const struct logged_method *m = logged_of(index)->method;
    struct mem *mem = index->env.mem;

    m->destroy(index);
    log_free(mem, log);
}
