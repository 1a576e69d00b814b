/* journal.c - the journal's writer: batches, group commit, rotation.
 *
 * Batches are written one after another under `lock`. For JOURNAL_SYNCED each committer then waits; one
 * of them (whoever finds no sync under way) syncs for all that are written by then, while others
 * write on. A failed write cuts the file back to its end before; a failed sync to what was durable,
 * for the kernel may have dropped any page since, so all that wait, and all written meanwhile, fail.
 * For JOURNAL_WRITTEN a file is synced when the next one begins.
 */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/journal_state.h"
#include "src/core/mem.h"

enum { BATCH_KEPT_BYTES = 1 << 20 }; /* a batch's larger buffer is given back */

/* ------------------------------------------------------------------------------- batches */

/* The thread's, or NULL. */
static struct batch *batch_of(const struct journal *j)
{
    for (struct batch *b = j->batches; b; b = b->next)
        if (b->used && pthread_equal(b->owner, pthread_self()))
            return b;
    return NULL;
}

static struct batch *take_batch(struct journal *j)
{
    struct batch *b = batch_of(j);

    if (b)
        return b;
    for (b = j->batches; b && b->used; b = b->next)
        ;
    if (!b) {
        b = mem_zalloc(j->env.mem, sizeof *b);
        if (!b)
            return NULL;
        b->next = j->batches;
        j->batches = b;
    }
    b->owner = pthread_self();
    b->used = true;
    return b;
}

static void give_batch(struct journal *j, struct batch *b)
{
    if (b->capacity > BATCH_KEPT_BYTES) {
        mem_free(j->env.mem, b->bytes);
        b->bytes = NULL;
        b->capacity = 0;
    }
    b->n = 0;
    b->records = 0;
    b->used = false;
}

static bool add_record(struct journal *j, struct batch *b, uint8_t op,
                       const struct journal_part *parts, size_t n_parts, size_t payload)
{
    const uint32_t length = (uint32_t)payload;
    const size_t at = b->n ? b->n : JOURNAL_BATCH;

    if (!mem_grow(j->env.mem, &b->bytes, &b->capacity, at + JOURNAL_RECORD + payload, 1))
        return false;
    unsigned char *p = b->bytes + at;
    memcpy(p, &length, sizeof length);
    p[JOURNAL_OP] = op;
    p += JOURNAL_RECORD;
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].n)
            memcpy(p, parts[i].bytes, parts[i].n);
        p += parts[i].n;
    }
    b->n = at + JOURNAL_RECORD + payload;
    b->records++;
    return true;
}

int journal_append(struct journal *j, uint8_t op, const struct journal_part *parts, size_t n_parts)
{
    size_t payload = 0;
    int rc = OK;

    for (size_t i = 0; i < n_parts; i++)
        payload += parts[i].n;
    pthread_mutex_lock(&j->lock);
    struct batch *b = take_batch(j);
    pthread_mutex_unlock(&j->lock);
    if (payload > UINT32_MAX)
        rc = fail(j->env.error, ERR_ARGUMENT, "journal: a record of %zu bytes; at most %u", payload,
                  UINT32_MAX);
    else if (!b || !add_record(j, b, op, parts, n_parts, payload))
        rc = fail(j->env.error, ERR_NO_MEMORY, "journal: out of memory for a record of %zu bytes",
                  payload);
    if (rc)
        journal_abandon(j);
    return rc;
}

void journal_abandon(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    struct batch *b = batch_of(j);
    if (b)
        give_batch(j, b);
    pthread_mutex_unlock(&j->lock);
}

/* ------------------------------------------------------------------------------- commit */

/* Fills the batch's head in. Returns its crc. */
static uint32_t seal(const struct journal *j, const struct batch *b)
{
    struct journal_batch head = { .before = j->end.crc,
                                  .bytes = b->n - JOURNAL_BATCH,
                                  .first_lsn = j->end.lsn + 1,
                                  .durable_lsn = j->durable.lsn,
                                  .records = b->records };

    memcpy(b->bytes, &head, sizeof head);
    head.crc = journal_crc(b->bytes, head.bytes);
    memcpy(b->bytes, &head.crc, sizeof head.crc);
    return head.crc;
}

static int write_batch(struct journal *j, const struct batch *b)
{
    int rc = journal_ready(j);

    if (rc)
        return rc;
    const uint32_t crc = seal(j, b);
    rc = journal_put(j, b->bytes, b->n);
    if (!rc)
        j->end = (struct place){ j->end.size + b->n, j->end.lsn + b->records, crc };
    return rc;
}

static void tell(struct waiter *waiters, int code)
{
    for (; waiters; waiters = waiters->next) {
        waiters->code = code;
        waiters->done = true;
    }
}

/* One sync for all that wait. The lock is held, but not meanwhile. */
static void sync_for_all(struct journal *j)
{
    struct waiter *all = j->waiting;
    const struct place end = j->end;
    char path[PATH_MAX];

    j->waiting = NULL;
    j->syncing = true;
    pthread_mutex_unlock(&j->lock);
    const bool ok = journal_fsync(j, j->fd) == 0;
    const int cause = errno;
    pthread_mutex_lock(&j->lock);
    j->syncing = false;
    j->syncs++;
    if (ok) {
        j->durable = end;
        tell(all, OK);
    } else {
        errno = cause;
        const int rc = fail_errno(j->env.error, ERR_IO, "cannot make durable %s",
                                  journal_name(j, journal_current(j)->number, path));
        j->end = j->durable;
        (void)journal_cut(j);
        tell(all, rc);
        tell(j->waiting, rc);
        j->waiting = NULL;
    }
    pthread_cond_broadcast(&j->synced);
}

static int wait_until_durable(struct journal *j)
{
    struct waiter w = { .next = j->waiting };

    j->waiting = &w;
    while (!w.done) {
        if (j->syncing)
            pthread_cond_wait(&j->synced, &j->lock);
        else
            sync_for_all(j);
    }
    return w.code;
}

int journal_commit(struct journal *j)
{
    int rc = OK;

    pthread_mutex_lock(&j->lock);
    struct batch *b = batch_of(j);
    if (b) {
        rc = write_batch(j, b);
        if (!rc && j->sync == JOURNAL_SYNCED)
            rc = wait_until_durable(j);
        give_batch(j, b);
    }
    pthread_mutex_unlock(&j->lock);
    return rc;
}

/* ------------------------------------------------------------------------------- rotation */

int journal_prepare(struct journal *j)
{
    int rc = OK;

    pthread_mutex_lock(&j->lock);
    if (j->fd >= 0) {
        rc = journal_make_next(j);
        journal_sync_ahead(j);
    }
    pthread_mutex_unlock(&j->lock);
    return rc;
}

int journal_rotate(struct journal *j, uint64_t *last_lsn)
{
    int rc = OK;

    pthread_mutex_lock(&j->lock);
    /* Whoever waits must have been told before the file is no longer the one to be synced. */
    while (j->syncing || j->waiting) {
        if (j->syncing)
            pthread_cond_wait(&j->synced, &j->lock);
        else
            sync_for_all(j);
    }
    if (j->fd >= 0 && (j->end.lsn + 1 != journal_current(j)->first_lsn || j->uncut)) {
        rc = journal_make_next(j);
        if (!rc)
            rc = journal_begin_next(j);
    }
    *last_lsn = j->end.lsn;
    pthread_mutex_unlock(&j->lock);
    return rc;
}

void journal_forget(struct journal *j, uint64_t lsn)
{
    struct journal_files *f = &j->files;
    char path[PATH_MAX];
    size_t kept = 0;

    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < f->n; i++) {
        const uint64_t end = i + 1 < f->n ? f->list[i + 1].first_lsn : UINT64_MAX;
        const bool old = end <= lsn + 1 || (j->fd < 0 && j->end.lsn <= lsn);
        const bool gone =
            old && !store_faulted(j->fault, "unlink") &&
            (unlink(journal_name(j, f->list[i].number, path)) == 0 || errno == ENOENT);
        /* Oldest first, so that what is left is without gaps. */
        if (!gone) {
            memmove(f->list, f->list + i, (f->n - i) * sizeof *f->list);
            kept = f->n - i;
            break;
        }
    }
    f->n = kept;
    pthread_mutex_unlock(&j->lock);
}

/* ------------------------------------------------------------------------------- opening */

static int list_files(struct journal *j)
{
    struct journal_files *f = &j->files;
    const int rc = journal_files_list(f, &j->env, j->env.dir);

    if (rc)
        return rc;
    j->next_number = f->n ? f->list[f->n - 1].number + 1 : 1;
    for (size_t i = 0; i < f->n; i++)
        if (f->list[i].headless || f->list[i].first_lsn > j->end.lsn + 1) {
            f->list[i].headless = true;
            f->list[i].first_lsn = j->end.lsn + 1;
        }
    return OK;
}

int journal_open(struct journal **out, const struct index_env *env, enum journal_sync sync,
                 uint64_t last_lsn, const struct store_fault *fault)
{
    struct journal *j = mem_zalloc(env->mem, sizeof *j);

    if (!j)
        return fail(env->error, ERR_NO_MEMORY, "journal: out of memory");
    j->env = *env;
    j->sync = sync;
    j->fault = fault;
    j->fd = j->next_fd = -1;
    j->end.lsn = j->durable.lsn = last_lsn;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->synced, NULL);
    const int rc = list_files(j);
    if (rc)
        journal_close(j);
    else
        *out = j;
    return rc;
}

void journal_close(struct journal *j)
{
    char path[PATH_MAX];

    if (!j)
        return;
    if (j->fd >= 0)
        (void)close(j->fd);
    if (j->next_fd >= 0) {
        (void)close(j->next_fd);
        (void)unlink(journal_name(j, j->next_number, path));
    }
    while (j->batches) {
        struct batch *b = j->batches;
        j->batches = b->next;
        mem_free(j->env.mem, b->bytes);
        mem_free(j->env.mem, b);
    }
    journal_files_free(&j->files);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->synced);
    mem_free(j->env.mem, j);
}

uint64_t journal_last(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    const uint64_t lsn = j->end.lsn;
    pthread_mutex_unlock(&j->lock);
    return lsn;
}

uint64_t journal_bytes(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    uint64_t bytes = j->fd >= 0 ? j->end.size : 0;
    for (size_t i = 0; i + (j->fd >= 0) < j->files.n; i++)
        bytes += j->files.list[i].bytes;
    pthread_mutex_unlock(&j->lock);
    return bytes;
}

uint64_t journal_syncs(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    const uint64_t syncs = j->syncs;
    pthread_mutex_unlock(&j->lock);
    return syncs;
}
