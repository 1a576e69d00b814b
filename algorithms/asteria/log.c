/* log.c - what an index keeps in its folder while it runs: a claim, records of rows that come and go, snapshots that
 * make records superfluous.
 *
 * A record holds rows and ids as they were given, so replaying needs nothing of the model that was; which model recovery
 * finds is the snapshot's.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/asteria/snapshot.h"
#include "algorithms/asteria/tier.h"
#include "algorithms/common/folder_claim.h"
#include "algorithms/common/journal.h"
#include "src/core/mem.h"

enum { RECORD_BYTES = 1 << 20 };

struct asteria_log { /* of an index with files in env.dir */
    char *dir;
    int claim;
    struct journal *journal; /* NULL: volatile, or not yet begun */
    uint64_t due_at;         /* bytes of the journal's files */
};

/* ------------------------------------------------------------------------------ the folder */

static bool needs_folder(const struct asteria *a)
{
    return a->params.durability != ASTERIA_VOLATILE || a->params.rows == ASTERIA_ROWS_TIERED;
}

int asteria_log_create(struct asteria *a, const struct asteria_opening *opening)
{
    const struct index_env *env = &a->base.env;

    if (!needs_folder(a))
        return OK;
    struct asteria_log *log = mem_zalloc(env->mem, sizeof *log);
    char *dir = log ? mem_strdup(env->mem, env->dir) : NULL;
    if (!dir) {
        mem_free(env->mem, log);
        return fail(env->error, ERR_NO_MEMORY, "asteria: no memory for the log");
    }
    log->dir = dir;
    log->claim = -1;
    a->log = log;
    a->base.env.dir = dir;
    if (opening->claim && *opening->claim >= 0) {
        log->claim = *opening->claim;
        *opening->claim = -1;
        return OK;
    }
    return folder_claim(dir, &log->claim, env->error);
}

void asteria_log_destroy(struct asteria *a)
{
    struct asteria_log *log = a->log;
    struct mem *mem = a->base.env.mem;

    if (!log)
        return;
    journal_close(log->journal);
    if (log->claim >= 0)
        (void)close(log->claim);
    mem_free(mem, log->dir);
    mem_free(mem, log);
    a->log = NULL;
}

/* ------------------------------------------------------------------------------ beginning */

bool asteria_log_keeps(const struct asteria *a)
{
    return a->params.durability != ASTERIA_VOLATILE;
}

bool asteria_log_is_own(const struct asteria *a, const char *dir)
{
    return a->log && a->log->journal && folder_same(dir, a->log->dir);
}

static void set_due(struct asteria_log *log, const struct asteria_params *p, bool failed)
{
    /* After a failure not at once again. */
    log->due_at = (failed ? journal_bytes(log->journal) : 0) + ((uint64_t)p->checkpoint_mb << 20);
}

int asteria_log_open(struct asteria *a, uint64_t last_lsn, uint64_t snapshot_lsn)
{
    const enum journal_sync sync =
        a->params.durability == ASTERIA_SYNCED ? JOURNAL_SYNCED : JOURNAL_WRITTEN;

    tier_set_fault(a->tier, a->fault);
    if (!asteria_log_keeps(a))
        return OK;
    const int rc = journal_open(&a->log->journal, &a->base.env, sync, last_lsn, a->fault);
    if (rc != OK)
        return rc;
    if (snapshot_lsn > 0)
        journal_forget(a->log->journal, snapshot_lsn);
    set_due(a->log, &a->params, false);
    return OK;
}

/* With a snapshot from the start, which also tells the options: a folder that has one is an index. */
int asteria_log_start(struct asteria *a)
{
    const struct index_env *env = &a->base.env;

    if (a->log && folder_has(a->log->dir, SNAPSHOT_RUNNING))
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: the folder %s holds an index already (" SNAPSHOT_RUNNING
                    "); load it, or give the new one an empty folder",
                    a->log->dir);
    const int rc = asteria_log_open(a, 0, 0);
    return rc == OK ? asteria_checkpoint(a) : rc;
}

/* ------------------------------------------------------------------------------- records */

static struct journal *journal_of(const struct asteria *a)
{
    return a->log ? a->log->journal : NULL;
}

/* An append that fails has emptied the batch. */
int asteria_log_insert(struct asteria *a, struct vectors v, const uint64_t *ids, size_t n)
{
    struct journal *j = journal_of(a);
    const size_t row = element_row_bytes(v.element, v.dim), each = sizeof *ids + row;
    const size_t most = RECORD_BYTES / each > 0 ? RECORD_BYTES / each : 1;
    int rc = OK;

    if (!j || n == 0)
        return OK;
    for (size_t i = 0, some; i < n && rc == OK; i += some) {
        some = n - i < most ? n - i : most;
        const struct journal_part parts[] = {
            { ids + i, some * sizeof *ids },
            { (const unsigned char *)v.rows + i * row, some * row },
        };
        rc = journal_append(j, LOG_INSERT, parts, 2);
    }
    return rc == OK ? journal_commit(j) : rc;
}

int asteria_log_remove(struct asteria *a, const uint64_t *ids, size_t n)
{
    struct journal *j = journal_of(a);
    const size_t most = RECORD_BYTES / sizeof *ids;
    int rc = OK;

    if (!j || n == 0)
        return OK;
    for (size_t i = 0, some; i < n && rc == OK; i += some) {
        some = n - i < most ? n - i : most;
        rc =
            journal_append(j, LOG_REMOVE, &(struct journal_part){ ids + i, some * sizeof *ids }, 1);
    }
    return rc == OK ? journal_commit(j) : rc;
}

int asteria_log_train(struct asteria *a, bool begun)
{
    struct journal *j = journal_of(a);
    const unsigned char what = begun;
    int rc;

    if (!j)
        return OK;
    rc = journal_append(j, LOG_TRAIN, &(struct journal_part){ &what, 1 }, 1);
    return rc == OK ? journal_commit(j) : rc;
}

/* ---------------------------------------------------------------------------- checkpoints */

bool asteria_log_is_long(const struct asteria *a)
{
    struct journal *j = journal_of(a);

    return j && journal_bytes(j) >= a->log->due_at;
}

/* Records from before the rotation are in the snapshot; if it comes to nothing they stay. */
static int checkpoint(struct asteria *a, struct store_writer *w)
{
    const struct index_env *env = &a->base.env;
    const struct store_identity identity = snapshot_identity(env);
    uint64_t lsn = 0;
    int rc = journal_prepare(a->log->journal);

    if (rc == OK)
        rc = store_begin(w, env->dir, SNAPSHOT_RUNNING, &identity, a->fault, env->error);
    if (rc != OK)
        return rc;
    rc = journal_rotate(a->log->journal, &lsn);
    if (rc == OK)
        rc = asteria_snapshot_write(a, w, lsn);
    if (rc != OK) {
        store_abort(w);
        return rc;
    }
    rc = store_commit(w);
    if (rc == OK)
        journal_forget(a->log->journal, lsn);
    return rc;
}

int asteria_checkpoint(struct asteria *a)
{
    struct mem *mem = a->base.env.mem;

    if (!journal_of(a))
        return OK;
    struct store_writer *w = mem_alloc(mem, sizeof *w);
    const int rc =
        w ? checkpoint(a, w)
          : fail(a->base.env.error, ERR_NO_MEMORY, "asteria: no memory for a checkpoint");
    set_due(a->log, &a->params, rc != OK);
    mem_free(mem, w);
    return rc;
}

void asteria_log_relieve(struct asteria *a)
{
    const struct index_env *env = &a->base.env;
    struct error error = { 0 };

    if (!asteria_log_is_long(a))
        return;
    struct error *before = error_divert(&error);
    const int rc = asteria_checkpoint(a);
    (void)error_divert(before);
    if (rc != OK && env->log)
        env->log(env->log_to, error.text);
}

uint64_t asteria_log_bytes(const struct asteria *a)
{
    struct journal *j = journal_of(a);
    struct stat st = { 0 };
    char path[PATH_MAX];

    if (!j)
        return 0;
    const int n = snprintf(path, sizeof path, "%s/%s", a->log->dir, SNAPSHOT_RUNNING);
    if (n < 0 || (size_t)n >= sizeof path || stat(path, &st) != 0)
        st.st_size = 0;
    return journal_bytes(j) + (uint64_t)st.st_size;
}
