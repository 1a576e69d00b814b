/* durable.c - folder lock, log and snapshots of an index. */
#include "algorithms/common/durable/durable.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/common/concurrency/throttle.h"
#include "algorithms/common/durable/folder_claim.h"
#include "src/core/mem.h"

/* ------------------------------------------------------------------------------ the folder */

void durable_init(struct durable *d, const struct index_env *env, const struct file_fault *fault,
                  uint64_t checkpoint_bytes)
{
    *d = (struct durable){
        .env = *env, .fault = fault, .claim = -1, .checkpoint_bytes = checkpoint_bytes
    };
    atomic_init(&d->due_at, checkpoint_bytes);
    pthread_mutex_init(&d->checkpointing, NULL);
}

void durable_close_log(struct durable *d)
{
    wal_close(d->wal);
    d->wal = NULL;
}

void durable_free(struct durable *d)
{
    durable_close_log(d);
    if (d->claim >= 0)
        (void)close(d->claim);
    d->claim = -1;
    mem_free(d->env.mem, d->dir);
    pthread_mutex_destroy(&d->checkpointing);
}

int durable_take_folder(struct durable *d, int *claim)
{
    d->dir = mem_strdup(d->env.mem, d->env.dir);
    if (!d->dir)
        return fail(d->env.error, ERR_NO_MEMORY, "out of memory for the name of the folder %s",
                    d->env.dir);
    d->env.dir = d->dir;
    if (!claim || *claim < 0)
        return folder_claim(d->dir, &d->claim, d->env.error);
    d->claim = *claim;
    *claim = -1;
    return OK;
}

int durable_refuse_taken(const struct index_env *env, const char *method, const char *name)
{
    return fail(env->error, ERR_ARGUMENT,
                "%s: the folder %s holds an index already (%s); load it, or give the new one an "
                "empty folder",
                method, env->dir, name);
}

bool durable_is_own(const struct durable *d, const char *dir)
{
    return d->wal && folder_same(dir, d->env.dir);
}

/* --------------------------------------------------------------------------------- the log */

/* After an error the next checkpoint is due only when the log has grown further. */
static void set_due(struct durable *d, bool failed, uint64_t snapshot_bytes)
{
    const uint64_t step = d->checkpoint_bytes;
    const uint64_t now = failed ? wal_bytes(d->wal) + atomic_load(&d->parked_bytes) : 0;

    atomic_store(&d->due_at, failed ? now + step : snapshot_bytes > step ? snapshot_bytes : step);
}

uint64_t durable_bytes(const struct durable *d, const char *name)
{
    struct stat st = { 0 };
    char path[PATH_MAX];

    if (!d->wal)
        return 0;
    const int n = snprintf(path, sizeof path, "%s/%s", d->dir, name);
    if (n < 0 || (size_t)n >= sizeof path || stat(path, &st) != 0)
        st.st_size = 0;
    return wal_bytes(d->wal) + (uint64_t)st.st_size;
}

bool durable_is_due(const struct durable *d)
{
    return d->wal && wal_bytes(d->wal) + atomic_load(&d->parked_bytes) >= atomic_load(&d->due_at);
}

int durable_open_log(struct durable *d, enum wal_sync sync, uint64_t last_lsn,
                     uint64_t snapshot_lsn)
{
    const int rc = wal_open(&d->wal, &d->env, sync, last_lsn, d->fault);

    if (rc != OK)
        return rc;
    if (snapshot_lsn > 0)
        wal_forget(d->wal, snapshot_lsn);
    set_due(d, false, 0);
    return OK;
}

/* ------------------------------------------------------------------------------- snapshots */

/* Whether a file whose commit failed has its final name nevertheless. True if that is unknown. */
static bool may_be_placed(const struct store_writer *w, const struct stat *written)
{
    struct stat there;

    if (stat(w->path, &there) != 0)
        return errno != ENOENT;
    return there.st_dev == written->st_dev && there.st_ino == written->st_ino;
}

static enum durable_outcome commit(struct store_writer *w, int *rc)
{
    struct stat written = { 0 };
    const bool known = fstat(w->fd, &written) == 0;

    *rc = store_commit(w);
    if (*rc == OK)
        return DURABLE_DONE;
    return !known || may_be_placed(w, &written) ? DURABLE_IN_DOUBT : DURABLE_NOTHING;
}

/* *lsn, *bytes: of a file that was written. */
static int write_snapshot(const struct durable *d, const char *dir,
                          const struct durable_snapshot *s, uint64_t *lsn, uint64_t *bytes)
{
    struct store_writer *w = mem_alloc(d->env.mem, sizeof *w);
    enum durable_outcome outcome = DURABLE_NOTHING;

    if (!w)
        return fail(d->env.error, ERR_NO_MEMORY, "%s: out of memory for a snapshot",
                    s->identity.method);
    int rc = store_begin(w, dir, s->name, &s->identity, d->fault, d->env.error);
    if (rc == OK) {
        rc = s->write(s->to, w, lsn);
        if (rc == OK)
            outcome = commit(w, &rc);
        else
            store_abort(w);
        *bytes = w->at;
        throttle_charge(w->at);
        if (s->ended)
            s->ended(s->to, outcome, *lsn);
    }
    mem_free(d->env.mem, w);
    return rc;
}

int durable_write(const struct durable *d, const char *dir, const struct durable_snapshot *s)
{
    uint64_t lsn = 0, bytes = 0;

    return write_snapshot(d, dir, s, &lsn, &bytes);
}

int durable_checkpoint_locked(struct durable *d, const struct durable_snapshot *s)
{
    uint64_t lsn = 0, bytes = 0;

    if (!d->wal)
        return OK;
    int rc = wal_prepare(d->wal);
    if (rc == OK)
        rc = write_snapshot(d, d->env.dir, s, &lsn, &bytes);
    if (rc == OK)
        wal_forget(d->wal, lsn);
    set_due(d, rc != OK, s->by_size ? bytes : 0);
    return rc;
}

int durable_checkpoint(struct durable *d, const struct durable_snapshot *s)
{
    if (!d->wal)
        return OK;
    (void)pthread_mutex_lock(&d->checkpointing);
    const int rc = durable_checkpoint_locked(d, s);
    (void)pthread_mutex_unlock(&d->checkpointing);
    return rc;
}

/* --------------------------------------------------------------------------------- loading */

int durable_load(const struct index_env *env, const char *dir, const struct durable_loading *l)
{
    int claim = -1, rc;

    if (!l->ran || !folder_same(dir, env->dir)) {
        rc = l->load_saved(l->to);
        return rc == ERR_NOT_FOUND && l->ran ? folder_only_ran(env->error, dir) : rc;
    }
    rc = folder_claim(env->dir, &claim, env->error);
    if (rc == OK)
        rc = l->recover(l->to, &claim);
    if (claim >= 0)
        (void)close(claim);
    return rc;
}
