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
    _Atomic uint64_t due_at; /* bytes of the journal's files */
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
    const int rc = folder_claim(dir, &log->claim, env->error);
    if (rc == OK && !opening->recovers && folder_has(dir, SNAPSHOT_RUNNING))
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: the folder %s holds an index already (" SNAPSHOT_RUNNING
                    "); load it, or give the new one an empty folder",
                    dir);
    return rc;
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

struct journal *asteria_log_journal(const struct asteria *a)
{
    return a->log ? a->log->journal : NULL;
}

/* After a failure not at once again. */
void asteria_log_set_due(struct asteria *a, bool failed)
{
    const uint64_t now = failed ? journal_bytes(a->log->journal) : 0;

    atomic_store(&a->log->due_at, now + ((uint64_t)a->params.checkpoint_mb << 20));
}

bool asteria_log_is_long(const struct asteria *a)
{
    struct journal *j = asteria_log_journal(a);

    return j && journal_bytes(j) >= atomic_load(&a->log->due_at);
}

int asteria_log_open(struct asteria *a, uint64_t last_lsn, uint64_t snapshot_lsn)
{
    const enum journal_sync sync =
        a->params.durability == ASTERIA_SYNCED ? JOURNAL_SYNCED : JOURNAL_WRITTEN;

    if (!asteria_log_keeps(a))
        return OK;
    const int rc = journal_open(&a->log->journal, &a->base.env, sync, last_lsn, a->fault);
    if (rc != OK)
        return rc;
    if (snapshot_lsn > 0)
        journal_forget(a->log->journal, snapshot_lsn);
    asteria_log_set_due(a, false);
    return OK;
}

/* With a snapshot from the start, which also tells the options: a folder that has one is an index. */
int asteria_log_start(struct asteria *a)
{
    const int rc = asteria_log_open(a, 0, 0);

    return rc == OK ? asteria_checkpoint(a) : rc;
}

/* ------------------------------------------------------------------------------- records */

/* An append that fails has emptied the batch. */
int asteria_log_insert(struct asteria *a, struct vectors v, const uint64_t *ids, size_t n)
{
    struct journal *j = asteria_log_journal(a);
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
    struct journal *j = asteria_log_journal(a);
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
    struct journal *j = asteria_log_journal(a);
    const unsigned char what = begun;
    int rc;

    if (!j)
        return OK;
    rc = journal_append(j, LOG_TRAIN, &(struct journal_part){ &what, 1 }, 1);
    return rc == OK ? journal_commit(j) : rc;
}

/* --------------------------------------------------------------------------------- sizes */

uint64_t asteria_log_bytes(const struct asteria *a)
{
    struct journal *j = asteria_log_journal(a);
    struct stat st = { 0 };
    char path[PATH_MAX];

    if (!j)
        return 0;
    const int n = snprintf(path, sizeof path, "%s/%s", a->log->dir, SNAPSHOT_RUNNING);
    if (n < 0 || (size_t)n >= sizeof path || stat(path, &st) != 0)
        st.st_size = 0;
    return journal_bytes(j) + (uint64_t)st.st_size;
}
