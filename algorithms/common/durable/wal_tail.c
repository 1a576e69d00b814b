/* wal_tail.c - the current file of the log: created, begun, continued, synced, cut back. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/durable/wal_internal.h"
#include "src/core/mem.h"

const char *wal_name(const struct wal *w, uint64_t number, char path[PATH_MAX])
{
    if (wal_path(path, w->env.dir, number, NULL) != OK)
        path[0] = '\0';
    return path;
}

/* ------------------------------------------------------------------------------- files */

static int write_at(const struct wal *w, int fd, uint64_t number, const void *bytes, size_t n,
                    uint64_t at)
{
    char path[PATH_MAX];

    if (file_write_at(fd, bytes, n, at, w->fault) == n)
        return OK;
    return fail_errno(w->env.error, ERR_IO, "cannot write %s", wal_name(w, number, path));
}

bool wal_cut(struct wal *w)
{
    w->uncut = file_faulted(w->fault, "ftruncate") || ftruncate(w->fd, (off_t)w->end.size) != 0;
    return !w->uncut;
}

int wal_put(struct wal *w, const void *bytes, size_t n)
{
    const int rc = write_at(w, w->fd, wal_current(w)->number, bytes, n, w->end.size);

    if (rc)
        (void)wal_cut(w);
    return rc;
}

/* Bytes that could not be cut off would count as acknowledged records, so nothing may
   follow them. */
static int cut_if_needed(struct wal *w)
{
    char path[PATH_MAX];

    if (!w->uncut || wal_cut(w))
        return OK;
    return fail_errno(w->env.error, ERR_IO,
                      "%s still has bytes of an update that failed past byte %" PRIu64
                      " and cannot be truncated; updates are refused until it can be, or until a "
                      "checkpoint starts another file",
                      wal_name(w, wal_current(w)->number, path), w->end.size);
}

int wal_make_next(struct wal *w)
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
        w->unsynced = wal_current(w)->number;
    else if (w->unsynced < w->files.list[0].number)
        w->durable = end;
}

/* Syncs before the next file begins, so that a power cut leaves no gap between the files. */
static void sync_written(struct wal *w)
{
    if (w->sync == WAL_WRITTEN && w->durable.lsn != w->end.lsn)
        note_sync(w, w->end, file_sync_data(w->fd, w->fault));
}

/* The same, while other threads go on writing. */
void wal_sync_ahead(struct wal *w)
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
int wal_begin_next(struct wal *w)
{
    char path[PATH_MAX];

    if (w->fd >= 0)
        sync_written(w);
    const struct wal_head head = wal_head_of(w->next_number, w->end.lsn + 1, w->durable.lsn);
    const int rc = write_at(w, w->next_fd, w->next_number, &head, sizeof head, 0);
    if (rc) {
        if (ftruncate(w->next_fd, 0) != 0) {
            (void)unlink(wal_name(w, w->next_number, path));
            (void)close(w->next_fd);
            w->next_fd = -1;
            w->next_number++;
        }
        return rc;
    }
    if (w->fd >= 0) {
        wal_current(w)->bytes = w->end.size;
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
        wal_name(w, f->list[i].number, path);
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
    const struct wal_file *f = wal_current(w);
    struct wal_end end;
    char path[PATH_MAX];
    int rc = find_end(w, f, &end);

    if (rc || end.lsn != w->end.lsn)
        return rc;
    wal_name(w, f->number, path);
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
    rc = wal_make_next(w);
    return rc ? rc : wal_begin_next(w);
}

int wal_ready(struct wal *w)
{
    return w->fd < 0 ? start(w) : cut_if_needed(w);
}
