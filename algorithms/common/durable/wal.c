/* wal.c - the log's writer: batches, group commit, rotation.
 *
 * Batches are written one after another under `lock`. With WAL_SYNCED each committer then waits.
 * One of them, which finds no sync under way, syncs all batches written so far, while other threads
 * go on writing. After a failed write the file is cut back to its previous end. After a failed sync
 * it is cut back to the last durable end, because the kernel may have dropped any page since; then
 * all waiting commits fail, and all batches written meanwhile. With WAL_WRITTEN a file is synced
 * when the next one begins. */
#include "algorithms/common/durable/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/durable/wal_internal.h"
#include "src/core/mem.h"

enum { BATCH_KEPT_BYTES = 1 << 20 }; /* a larger buffer of a batch is freed after use */

/* ------------------------------------------------------------------------------- batches */

/* The calling thread's batch, or NULL. */
static struct wal_batch *batch_of(const struct wal *w)
{
    for (struct wal_batch *b = w->batches; b; b = b->next)
        if (b->used && pthread_equal(b->owner, pthread_self()))
            return b;
    return NULL;
}

static struct wal_batch *take_batch(struct wal *w)
{
    struct wal_batch *b = batch_of(w);

    if (b)
        return b;
    for (b = w->batches; b && b->used; b = b->next)
        ;
    if (!b) {
        b = mem_zalloc(w->env.mem, sizeof *b);
        if (!b)
            return NULL;
        b->next = w->batches;
        w->batches = b;
    }
    b->owner = pthread_self();
    b->used = true;
    return b;
}

static void give_batch(struct wal *w, struct wal_batch *b)
{
    if (b->capacity > BATCH_KEPT_BYTES) {
        mem_free(w->env.mem, b->bytes);
        b->bytes = NULL;
        b->capacity = 0;
    }
    b->n = 0;
    b->records = 0;
    b->used = false;
}

static bool add_record(struct wal *w, struct wal_batch *b, uint8_t op, const struct wal_part *parts,
                       size_t n_parts, size_t payload)
{
    const uint32_t length = (uint32_t)payload;
    const size_t at = b->n ? b->n : WAL_BATCH_HEAD;

    if (!mem_grow(w->env.mem, &b->bytes, &b->capacity, at + WAL_RECORD + payload, 1))
        return false;
    unsigned char *p = b->bytes + at;
    memcpy(p, &length, sizeof length);
    p[WAL_OP] = op;
    p += WAL_RECORD;
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].n)
            memcpy(p, parts[i].bytes, parts[i].n);
        p += parts[i].n;
    }
    b->n = at + WAL_RECORD + payload;
    b->records++;
    return true;
}

int wal_append(struct wal *w, uint8_t op, const struct wal_part *parts, size_t n_parts)
{
    size_t payload = 0;
    int rc = OK;

    for (size_t i = 0; i < n_parts; i++)
        payload += parts[i].n;
    pthread_mutex_lock(&w->lock);
    struct wal_batch *b = take_batch(w);
    pthread_mutex_unlock(&w->lock);
    if (payload > UINT32_MAX)
        rc = fail(w->env.error, ERR_ARGUMENT, "log: a record of %zu bytes; at most %u", payload,
                  UINT32_MAX);
    else if (!b || !add_record(w, b, op, parts, n_parts, payload))
        rc = fail(w->env.error, ERR_NO_MEMORY, "log: out of memory for a record of %zu bytes",
                  payload);
    if (rc)
        wal_abandon(w);
    return rc;
}

void wal_abandon(struct wal *w)
{
    pthread_mutex_lock(&w->lock);
    struct wal_batch *b = batch_of(w);
    if (b)
        give_batch(w, b);
    pthread_mutex_unlock(&w->lock);
}

/* ------------------------------------------------------------------------------- commit */

/* Fills in the batch's head. Returns its sum. */
static uint32_t seal(const struct wal *w, const struct wal_batch *b)
{
    struct wal_batch_head head = { .before = w->end.sum,
                                   .bytes = b->n - WAL_BATCH_HEAD,
                                   .first_lsn = w->end.lsn + 1,
                                   .durable_lsn = w->durable.lsn,
                                   .records = b->records };

    memcpy(b->bytes, &head, sizeof head);
    head.sum = wal_sum(b->bytes, head.bytes);
    memcpy(b->bytes, &head.sum, sizeof head.sum);
    return head.sum;
}

static int write_batch(struct wal *w, const struct wal_batch *b)
{
    int rc = wal_ready(w);

    if (rc)
        return rc;
    const uint32_t sum = seal(w, b);
    rc = wal_put(w, b->bytes, b->n);
    if (!rc)
        w->end = (struct wal_end){ w->end.size + b->n, w->end.lsn + b->records, sum };
    return rc;
}

static void finish(struct wal_waiter *waiters, int code)
{
    for (; waiters; waiters = waiters->next) {
        waiters->code = code;
        waiters->done = true;
    }
}

/* Makes one sync for all waiting commits. Called with the lock held; releases it
   during the sync. */
static void sync_for_all(struct wal *w)
{
    struct wal_waiter *all = w->waiting;
    const struct wal_end end = w->end;
    char path[PATH_MAX];

    w->waiting = NULL;
    w->syncing = true;
    pthread_mutex_unlock(&w->lock);
    const bool ok = file_sync_data(w->fd, w->fault);
    const int cause = errno;
    pthread_mutex_lock(&w->lock);
    w->syncing = false;
    w->syncs++;
    if (ok) {
        w->durable = end;
        finish(all, OK);
    } else {
        errno = cause;
        const int rc = fail_errno(w->env.error, ERR_IO, "cannot sync %s",
                                  wal_name(w, wal_current(w)->number, path));
        w->end = w->durable;
        (void)wal_cut(w);
        finish(all, rc);
        finish(w->waiting, rc);
        w->waiting = NULL;
    }
    pthread_cond_broadcast(&w->synced);
}

static int wait_until_durable(struct wal *w)
{
    struct wal_waiter own = { .next = w->waiting };

    w->waiting = &own;
    while (!own.done) {
        if (w->syncing)
            pthread_cond_wait(&w->synced, &w->lock);
        else
            sync_for_all(w);
    }
    return own.code;
}

int wal_commit(struct wal *w)
{
    int rc = OK;

    pthread_mutex_lock(&w->lock);
    struct wal_batch *b = batch_of(w);
    if (b) {
        rc = write_batch(w, b);
        if (!rc && w->sync == WAL_SYNCED)
            rc = wait_until_durable(w);
        give_batch(w, b);
    }
    pthread_mutex_unlock(&w->lock);
    return rc;
}

/* ------------------------------------------------------------------------------- rotation */

int wal_prepare(struct wal *w)
{
    int rc = OK;

    pthread_mutex_lock(&w->lock);
    if (w->fd >= 0) {
        rc = wal_make_next(w);
        wal_sync_ahead(w);
    }
    pthread_mutex_unlock(&w->lock);
    return rc;
}

int wal_rotate(struct wal *w, uint64_t *last_lsn)
{
    int rc = OK;

    pthread_mutex_lock(&w->lock);
    /* All waiting commits must be answered before another file becomes the one to be synced. */
    while (w->syncing || w->waiting) {
        if (w->syncing)
            pthread_cond_wait(&w->synced, &w->lock);
        else
            sync_for_all(w);
    }
    if (w->fd >= 0 && (w->end.lsn + 1 != wal_current(w)->first_lsn || w->uncut)) {
        rc = wal_make_next(w);
        if (!rc)
            rc = wal_begin_next(w);
    }
    *last_lsn = w->end.lsn;
    pthread_mutex_unlock(&w->lock);
    return rc;
}

void wal_forget(struct wal *w, uint64_t lsn)
{
    struct wal_files *f = &w->files;
    char path[PATH_MAX];
    size_t kept = 0;

    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < f->n; i++) {
        const uint64_t end = i + 1 < f->n ? f->list[i + 1].first_lsn : UINT64_MAX;
        const bool old = end <= lsn + 1 || (w->fd < 0 && w->end.lsn <= lsn);
        const bool gone = old && !file_faulted(w->fault, "unlink") &&
                          (unlink(wal_name(w, f->list[i].number, path)) == 0 || errno == ENOENT);
        /* Oldest first, so that the remaining files have no gaps. */
        if (!gone) {
            memmove(f->list, f->list + i, (f->n - i) * sizeof *f->list);
            kept = f->n - i;
            break;
        }
    }
    f->n = kept;
    pthread_mutex_unlock(&w->lock);
}

/* ------------------------------------------------------------------------------- opening */

static int list_files(struct wal *w)
{
    struct wal_files *f = &w->files;
    const int rc = wal_files_list(f, &w->env, w->env.dir);

    if (rc)
        return rc;
    w->next_number = f->n ? f->list[f->n - 1].number + 1 : 1;
    for (size_t i = 0; i < f->n; i++)
        if (f->list[i].headless || f->list[i].first_lsn > w->end.lsn + 1) {
            f->list[i].headless = true;
            f->list[i].first_lsn = w->end.lsn + 1;
        }
    return OK;
}

int wal_open(struct wal **out, const struct index_env *env, enum wal_sync sync, uint64_t last_lsn,
             const struct file_fault *fault)
{
    struct wal *w = mem_zalloc(env->mem, sizeof *w);

    if (!w)
        return fail(env->error, ERR_NO_MEMORY, "log: out of memory");
    w->env = *env;
    w->sync = sync;
    w->fault = fault;
    w->fd = w->next_fd = -1;
    w->end.lsn = w->durable.lsn = last_lsn;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->synced, NULL);
    const int rc = list_files(w);
    if (rc)
        wal_close(w);
    else
        *out = w;
    return rc;
}

void wal_close(struct wal *w)
{
    char path[PATH_MAX];

    if (!w)
        return;
    if (w->fd >= 0)
        (void)close(w->fd);
    if (w->next_fd >= 0) {
        (void)close(w->next_fd);
        (void)unlink(wal_name(w, w->next_number, path));
    }
    while (w->batches) {
        struct wal_batch *b = w->batches;
        w->batches = b->next;
        mem_free(w->env.mem, b->bytes);
        mem_free(w->env.mem, b);
    }
    wal_files_free(&w->files);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->synced);
    mem_free(w->env.mem, w);
}

uint64_t wal_last(struct wal *w)
{
    pthread_mutex_lock(&w->lock);
    const uint64_t lsn = w->end.lsn;
    pthread_mutex_unlock(&w->lock);
    return lsn;
}

uint64_t wal_bytes(struct wal *w)
{
    pthread_mutex_lock(&w->lock);
    uint64_t bytes = w->fd >= 0 ? w->end.size : 0;
    for (size_t i = 0; i + (w->fd >= 0) < w->files.n; i++)
        bytes += w->files.list[i].bytes;
    pthread_mutex_unlock(&w->lock);
    return bytes;
}

uint64_t wal_syncs(struct wal *w)
{
    pthread_mutex_lock(&w->lock);
    const uint64_t syncs = w->syncs;
    pthread_mutex_unlock(&w->lock);
    return syncs;
}
