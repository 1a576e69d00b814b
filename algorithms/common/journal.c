/* journal.c - the journal's writer: batches, group commit, rotation.
 *
 * Batches are written one after another under `lock`. For JOURNAL_SYNCED each committer then waits; one
 * of them (whoever finds no sync under way) syncs for all that are written by then, while others
 * write on. A failed write cuts the file back to its end before; a failed sync to what was durable,
 * for the kernel may have dropped any page since, so all that wait, and all written meanwhile, fail.
 */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/journal_files.h"
#include "src/core/mem.h"

enum { BATCH_KEPT_BYTES = 1 << 20 }; /* a batch's larger buffer is given back */

struct batch { /* one thread's; unused ones are kept for the next thread */
    struct batch *next;
    pthread_t owner;
    bool used;
    unsigned char *bytes; /* records; lsn and crc filled in by the commit */
    size_t n, capacity;
    uint64_t records;
};

struct waiter { /* a committer's, on its stack */
    struct waiter *next;
    bool done;
    int code;
};

struct journal {
    struct index_env env;
    enum journal_sync sync;
    const struct store_fault *fault;
    pthread_mutex_t lock;
    pthread_cond_t synced;
    struct journal_files files; /* with room for one more; the last is written to */
    int fd;
    int next_fd; /* of the file made ready, -1: none */
    uint64_t next_number;
    uint64_t size, lsn;                 /* of the file; of the last record */
    uint64_t durable_size, durable_lsn; /* the same of what is synced */
    uint64_t syncs;
    bool syncing;
    bool uncut; /* past `size` lie bytes of a batch that failed */
    struct waiter *waiting;
    struct batch *batches;
};

static struct journal_file *current(const struct journal *j)
{
    return &j->files.list[j->files.n - 1];
}

/* Best effort: for sentences. */
static const char *path_of(const struct journal *j, uint64_t number, char path[PATH_MAX])
{
    if (journal_path(path, j->env.dir, number, NULL) != OK)
        path[0] = '\0';
    return path;
}

/* ------------------------------------------------------------------------------- files */

static int put(struct journal *j, int fd, uint64_t number, const void *bytes, size_t n, uint64_t at)
{
    const unsigned char *p = bytes;
    char path[PATH_MAX];

    while (n > 0) {
        const ssize_t did = store_faulted(j->fault, "write") ? -1 : pwrite(fd, p, n, (off_t)at);
        if (did < 0 && errno == EINTR)
            continue;
        if (did < 0)
            return fail_errno(j->env.error, ERR_IO, "cannot write %s", path_of(j, number, path));
        p += did;
        n -= (size_t)did;
        at += (uint64_t)did;
    }
    return OK;
}

static int sync_file(const struct journal *j, int fd)
{
    if (store_faulted(j->fault, "fsync"))
        return -1;
    while (fdatasync(fd) != 0)
        if (errno != EINTR)
            return -1;
    return 0;
}

static bool cut(struct journal *j)
{
    j->uncut = store_faulted(j->fault, "ftruncate") || ftruncate(j->fd, (off_t)j->size) != 0;
    return !j->uncut;
}

/* What could not be cut back would be taken for acknowledged records, so nothing may follow it. */
static int cut_if_needed(struct journal *j)
{
    char path[PATH_MAX];

    if (!j->uncut || cut(j))
        return OK;
    return fail_errno(j->env.error, ERR_IO,
                      "%s still has bytes of an update that failed past byte %" PRIu64
                      " and cannot be cut back; updates are refused until it can be, or until a "
                      "checkpoint has begun another file",
                      path_of(j, current(j)->number, path), j->size);
}

static int prepare(struct journal *j)
{
    char path[PATH_MAX];

    if (j->next_fd >= 0)
        return OK;
    int rc = journal_path(path, j->env.dir, j->next_number, j->env.error);
    if (!rc && !mem_grow(j->env.mem, &j->files.list, &j->files.capacity, j->files.n + 1,
                         sizeof *j->files.list))
        rc = fail(j->env.error, ERR_NO_MEMORY, "journal: out of memory for a list of files");
    if (rc)
        return rc;
    const int fd = store_faulted(j->fault, "open")
                       ? -1
                       : open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_errno(j->env.error, ERR_IO, "cannot create %s", path);
    rc = journal_sync_dir(j->env.dir, j->fault, j->env.error);
    if (rc) {
        (void)close(fd);
        (void)unlink(path);
        return rc;
    }
    j->next_fd = fd;
    return OK;
}

/* The file made ready becomes the one written to. A head that was not written whole is none, and if one
   cannot be sure of that, the file must go: records after it in the old file would not count. */
static int begin_file(struct journal *j)
{
    const struct journal_head head = journal_head_of(j->next_number, j->lsn + 1);
    char path[PATH_MAX];
    const int rc = put(j, j->next_fd, j->next_number, &head, sizeof head, 0);

    if (rc) {
        if (ftruncate(j->next_fd, 0) != 0) {
            (void)unlink(path_of(j, j->next_number, path));
            (void)close(j->next_fd);
            j->next_fd = -1;
            j->next_number++;
        }
        return rc;
    }
    if (j->fd >= 0) {
        current(j)->bytes = j->size;
        (void)close(j->fd);
    }
    j->files.list[j->files.n++] =
        (struct journal_file){ .number = j->next_number, .first_lsn = j->lsn + 1 };
    j->fd = j->next_fd;
    j->next_fd = -1;
    j->next_number++;
    j->size = j->durable_size = sizeof head;
    j->durable_lsn = j->lsn;
    j->uncut = false;
    return OK;
}

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

    if (!mem_grow(j->env.mem, &b->bytes, &b->capacity, b->n + JOURNAL_RECORD + payload, 1))
        return false;
    unsigned char *p = b->bytes + b->n;
    memset(p, 0, JOURNAL_RECORD);
    memcpy(p + JOURNAL_LENGTH, &length, sizeof length);
    p[JOURNAL_OP] = op;
    p += JOURNAL_RECORD;
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].n)
            memcpy(p, parts[i].bytes, parts[i].n);
        p += parts[i].n;
    }
    b->n += JOURNAL_RECORD + payload;
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

/* Numbers and seals a batch's records. */
static void stamp(const struct batch *b, uint64_t lsn)
{
    for (size_t at = 0; at < b->n;) {
        unsigned char *record = b->bytes + at;
        uint32_t length;
        memcpy(&length, record + JOURNAL_LENGTH, sizeof length);
        lsn++;
        memcpy(record + JOURNAL_LSN, &lsn, sizeof lsn);
        const uint32_t crc = journal_crc(record, length);
        memcpy(record + JOURNAL_CRC, &crc, sizeof crc);
        at += JOURNAL_RECORD + length;
    }
}

static int write_batch(struct journal *j, const struct batch *b)
{
    int rc = cut_if_needed(j);

    if (rc)
        return rc;
    stamp(b, j->lsn);
    rc = put(j, j->fd, current(j)->number, b->bytes, b->n, j->size);
    if (rc) {
        (void)cut(j);
        return rc;
    }
    j->size += b->n;
    j->lsn += b->records;
    return OK;
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
    const uint64_t size = j->size, lsn = j->lsn;
    char path[PATH_MAX];

    j->waiting = NULL;
    j->syncing = true;
    pthread_mutex_unlock(&j->lock);
    const bool ok = sync_file(j, j->fd) == 0;
    const int cause = errno;
    pthread_mutex_lock(&j->lock);
    j->syncing = false;
    j->syncs++;
    if (ok) {
        j->durable_size = size;
        j->durable_lsn = lsn;
        tell(all, OK);
    } else {
        errno = cause;
        const int rc = fail_errno(j->env.error, ERR_IO, "cannot make durable %s",
                                  path_of(j, current(j)->number, path));
        j->size = j->durable_size;
        j->lsn = j->durable_lsn;
        (void)cut(j);
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
    pthread_mutex_lock(&j->lock);
    const int rc = prepare(j);
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
    if (j->lsn + 1 != current(j)->first_lsn || j->uncut) {
        rc = prepare(j);
        if (!rc)
            rc = begin_file(j);
    }
    *last_lsn = j->lsn;
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
        const bool old = i + 1 < f->n && f->list[i + 1].first_lsn <= lsn + 1;
        const bool gone = old && !store_faulted(j->fault, "unlink") &&
                          (unlink(path_of(j, f->list[i].number, path)) == 0 || errno == ENOENT);
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

static int open_files(struct journal *j)
{
    struct journal_files *f = &j->files;
    int rc = journal_files_list(f, &j->env, j->env.dir);

    if (rc)
        return rc;
    j->next_number = f->n ? f->list[f->n - 1].number + 1 : 1;
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++)
        if (!f->list[i].headless)
            f->list[kept++] = f->list[i];
    f->n = kept;
    rc = prepare(j);
    return rc ? rc : begin_file(j);
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
    j->lsn = last_lsn;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->synced, NULL);
    const int rc = open_files(j);
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
        (void)unlink(path_of(j, j->next_number, path));
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
    const uint64_t lsn = j->lsn;
    pthread_mutex_unlock(&j->lock);
    return lsn;
}

uint64_t journal_bytes(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    uint64_t bytes = j->size;
    for (size_t i = 0; i + 1 < j->files.n; i++)
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
