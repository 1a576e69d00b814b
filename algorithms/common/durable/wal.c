/* wal.c - the log's writer: batches, group commit, its current file, rotation.
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

#include "algorithms/common/durable/wal_files_internal.h"
#include "src/core/mem.h"

struct wal_waiter { /* on the stack of a committing thread */
    struct wal_waiter *next;
    bool done;
    int code;
};

struct wal_end { /* a position in the current file */
    uint64_t size, lsn;
    uint32_t sum; /* of the batch or head that ends there */
};

struct wal {
    struct index_env env;
    enum wal_sync sync;
    const struct file_fault *fault;
    pthread_mutex_t lock;
    pthread_cond_t synced;
    struct wal_files files; /* has space for one more; the last is the current file */
    int fd;                 /* current file; -1: no commit since the opening */
    int next_fd;            /* file created in advance; -1: none */
    uint64_t next_number;
    struct wal_end end, durable; /* end of the written bytes; end of the synced bytes */
    uint64_t syncs;
    bool syncing;
    uint64_t unsynced; /* WAL_WRITTEN: number of the last file whose sync failed; 0: none */
    bool uncut;        /* bytes of a failed batch lie past the end */
    struct wal_waiter *waiting;
};

static struct wal_file *current(const struct wal *w)
{
    return &w->files.list[w->files.n - 1];
}

/* The functions below are called with `lock` held, but for those of wal.h. */

/* ------------------------------------------------------------------------------- files */

/* The file's path for messages; "" if it is too long. */
static const char *name_of(const struct wal *w, uint64_t number, char path[PATH_MAX])
{
    if (wal_path(path, w->env.dir, number, NULL) != OK)
        path[0] = '\0';
    return path;
}

static int write_at(const struct wal *w, int fd, uint64_t number, const void *bytes, size_t n,
                    uint64_t at)
{
    char path[PATH_MAX];

    if (file_write_at(fd, bytes, n, at, w->fault) == n)
        return OK;
    return fail_errno(w->env.error, ERR_IO, "cannot write %s", name_of(w, number, path));
}

/* Truncates the file to its end. false: failed, `uncut` is set. */
static bool cut(struct wal *w)
{
    w->uncut = file_faulted(w->fault, "ftruncate") || ftruncate(w->fd, (off_t)w->end.size) != 0;
    return !w->uncut;
}

/* Bytes that could not be cut off would count as acknowledged records, so nothing may
   follow them. */
static int cut_if_needed(struct wal *w)
{
    char path[PATH_MAX];

    if (!w->uncut || cut(w))
        return OK;
    return fail_errno(w->env.error, ERR_IO,
                      "%s still has bytes of an update that failed past byte %" PRIu64
                      " and cannot be truncated; updates are refused until it can be, or until a "
                      "checkpoint starts another file",
                      name_of(w, current(w)->number, path), w->end.size);
}

/* Creates the next file unless it exists. */
static int make_next(struct wal *w)
{
    char path[PATH_MAX];

    if (w->next_fd >= 0)
        return OK;
    int rc = wal_path(path, w->env.dir, w->next_number, w->env.error);
    if (!rc && !mem_grow(w->env.mem, &w->files.list, &w->files.capacity, w->files.n + 1,
                         sizeof *w->files.list))
        rc = fail(w->env.error, ERR_NO_MEMORY, "log: out of memory for a list of files");
    if (rc)
        return rc;
    const int fd = file_faulted(w->fault, "open")
                       ? -1
                       : open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_errno(w->env.error, ERR_IO, "cannot create %s", path);
    rc = store_sync_dir(w->env.dir, w->fault, w->env.error);
    if (rc) {
        (void)close(fd);
        (void)unlink(path);
        return rc;
    }
    w->next_fd = fd;
    return OK;
}

/* WAL_WRITTEN: notes whether the file was synced up to `end`. After a failed sync a later success
   shows nothing, because the kernel marks pages as clean that it failed to write. So while that
   file is needed, no more records are recorded as durable. No update fails, as WAL_WRITTEN does
   not promise durability. */
static void note_sync(struct wal *w, struct wal_end end, bool ok)
{
    if (!ok)
        w->unsynced = current(w)->number;
    else if (w->unsynced < w->files.list[0].number)
        w->durable = end;
}

/* WAL_WRITTEN: syncs the written bytes, while other threads go on writing. */
static void sync_ahead(struct wal *w)
{
    const struct wal_end end = w->end;

    if (w->sync != WAL_WRITTEN || w->syncing)
        return;
    w->syncing = true;
    pthread_mutex_unlock(&w->lock);
    const bool ok = file_sync_data(w->fd, w->fault);
    pthread_mutex_lock(&w->lock);
    w->syncing = false;
    note_sync(w, end, ok);
    pthread_cond_broadcast(&w->synced);
}

/* Makes the prepared file the current one. After a failed write of its head, the file must be empty
   or removed: otherwise the head might be complete after all, and later records in the old file
   would not count. */
static int begin_next(struct wal *w)
{
    char path[PATH_MAX];

    /* Synced first, so that a power cut leaves no gap between the files. */
    if (w->fd >= 0 && w->sync == WAL_WRITTEN && w->durable.lsn != w->end.lsn)
        note_sync(w, w->end, file_sync_data(w->fd, w->fault));
    const struct wal_head head = wal_head_of(w->next_number, w->end.lsn + 1, w->durable.lsn);
    const int rc = write_at(w, w->next_fd, w->next_number, &head, sizeof head, 0);
    if (rc) {
        if (ftruncate(w->next_fd, 0) != 0) {
            (void)unlink(name_of(w, w->next_number, path));
            (void)close(w->next_fd);
            w->next_fd = -1;
            w->next_number++;
        }
        return rc;
    }
    if (w->fd >= 0) {
        current(w)->bytes = w->end.size;
        (void)close(w->fd);
    }
    w->files.list[w->files.n++] =
        (struct wal_file){ .number = w->next_number, .first_lsn = w->end.lsn + 1 };
    w->fd = w->next_fd;
    w->next_fd = -1;
    w->next_number++;
    w->end.size = w->durable.size = sizeof head;
    w->end.sum = w->durable.sum = head.sum;
    w->uncut = false;
    return OK;
}

/* Removes files without a head, or after the last valid record, that a crash left. */
static int remove_obsolete(struct wal *w)
{
    struct wal_files *f = &w->files;
    char path[PATH_MAX];
    bool any = false;

    for (size_t i = f->n; i-- > 0;) {
        if (!f->list[i].headless)
            continue;
        name_of(w, f->list[i].number, path);
        if (file_faulted(w->fault, "unlink") || (unlink(path) != 0 && errno != ENOENT))
            return fail_errno(w->env.error, ERR_IO, "cannot remove %s", path);
        memmove(f->list + i, f->list + i + 1, (f->n - i - 1) * sizeof *f->list);
        f->n--;
        any = true;
    }
    return any ? store_sync_dir(w->env.dir, w->fault, w->env.error) : OK;
}

/* Finds the end of the batches up to w->end.lsn in the file. end->lsn differs if it
   has fewer records. */
static int find_end(const struct wal *w, const struct wal_file *f, struct wal_end *end)
{
    const unsigned char *bytes;
    struct wal_batch_head b;
    const int rc = wal_map(&w->env, w->env.dir, f, &bytes);

    if (rc)
        return rc;
    *end = (struct wal_end){ sizeof(struct wal_head), f->first_lsn - 1, f->sum };
    while (end->lsn < w->end.lsn && wal_batch_at(bytes + end->size, f->bytes - end->size, &b) &&
           b.first_lsn == end->lsn + 1 && b.before == end->sum)
        *end =
            (struct wal_end){ end->size + WAL_BATCH_HEAD + b.bytes, end->lsn + b.records, b.sum };
    wal_unmap(bytes, f->bytes);
    return OK;
}

/* Continues the newest file after its last record. Its records may have been read from the page
   cache only, so they are synced before others follow them. */
static int reopen_file(struct wal *w)
{
    const struct wal_file *f = current(w);
    struct wal_end end;
    char path[PATH_MAX];
    int rc = find_end(w, f, &end);

    if (rc || end.lsn != w->end.lsn)
        return rc;
    name_of(w, f->number, path);
    const int fd = file_faulted(w->fault, "open") ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(w->env.error, ERR_IO, "cannot open %s", path);
    if (end.size < f->bytes &&
        (file_faulted(w->fault, "ftruncate") || ftruncate(fd, (off_t)end.size) != 0))
        rc = fail_errno(w->env.error, ERR_IO,
                        "cannot truncate the torn end of %s, from byte %" PRIu64 " on", path,
                        end.size);
    else if (!file_sync_data(fd, w->fault))
        rc = fail_errno(w->env.error, ERR_IO, "cannot sync %s", path);
    if (rc) {
        (void)close(fd);
        return rc;
    }
    w->fd = fd;
    w->end = w->durable = end;
    return OK;
}

/* Called by the first commit after the opening. */
static int start(struct wal *w)
{
    int rc = remove_obsolete(w);

    if (!rc && w->files.n)
        rc = reopen_file(w);
    if (rc || w->fd >= 0)
        return rc;
    rc = make_next(w);
    return rc ? rc : begin_next(w);
}

/* ------------------------------------------------------------------------------- batches */

int wal_append(struct wal *w, struct wal_batch *b, uint8_t op, const struct wal_part *parts,
               size_t n_parts)
{
    const size_t at = b->n ? b->n : WAL_BATCH_HEAD;
    size_t payload = 0;
    int rc = OK;

    for (size_t i = 0; i < n_parts; i++)
        payload += parts[i].n;
    if (payload > UINT32_MAX)
        rc = fail(w->env.error, ERR_ARGUMENT, "log: a record of %zu bytes; at most %u", payload,
                  UINT32_MAX);
    else if (!mem_grow(w->env.mem, &b->bytes, &b->capacity, at + WAL_RECORD + payload, 1))
        rc = fail(w->env.error, ERR_NO_MEMORY, "log: out of memory for a record of %zu bytes",
                  payload);
    if (rc) {
        wal_abandon(w, b);
        return rc;
    }
    const uint32_t length = (uint32_t)payload;
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
    return OK;
}

void wal_abandon(struct wal *w, struct wal_batch *b)
{
    mem_free(w->env.mem, b->bytes);
    *b = (struct wal_batch){ 0 };
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

/* The first time, continues or begins a file; otherwise cuts off the bytes of a failed batch
   first. */
static int write_batch(struct wal *w, const struct wal_batch *b)
{
    int rc = w->fd < 0 ? start(w) : cut_if_needed(w);

    if (rc)
        return rc;
    const uint32_t sum = seal(w, b);
    rc = write_at(w, w->fd, current(w)->number, b->bytes, b->n, w->end.size);
    if (rc)
        (void)cut(w);
    else
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
                                  name_of(w, current(w)->number, path));
        w->end = w->durable;
        (void)cut(w);
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

int wal_commit(struct wal *w, struct wal_batch *b)
{
    int rc = OK;

    if (b->records == 0)
        return OK;
    pthread_mutex_lock(&w->lock);
    rc = write_batch(w, b);
    if (!rc && w->sync == WAL_SYNCED)
        rc = wait_until_durable(w);
    pthread_mutex_unlock(&w->lock);
    wal_abandon(w, b);
    return rc;
}

/* ------------------------------------------------------------------------------- rotation */

int wal_prepare(struct wal *w)
{
    int rc = OK;

    pthread_mutex_lock(&w->lock);
    if (w->fd >= 0) {
        rc = make_next(w);
        sync_ahead(w);
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
    if (w->fd >= 0 && (w->end.lsn + 1 != current(w)->first_lsn || w->uncut)) {
        rc = make_next(w);
        if (!rc)
            rc = begin_next(w);
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
                          (unlink(name_of(w, f->list[i].number, path)) == 0 || errno == ENOENT);
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
        (void)unlink(name_of(w, w->next_number, path));
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
