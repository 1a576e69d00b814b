/* journal_tail.c - the file that the journal writes to: made, begun, continued, synced, cut back. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/journal_state.h"
#include "src/core/mem.h"

const char *journal_name(const struct journal *j, uint64_t number, char path[PATH_MAX])
{
    if (journal_path(path, j->env.dir, number, NULL) != OK)
        path[0] = '\0';
    return path;
}

/* ------------------------------------------------------------------------------- files */

static int write_at(const struct journal *j, int fd, uint64_t number, const void *bytes, size_t n,
                    uint64_t at)
{
    const unsigned char *p = bytes;
    char path[PATH_MAX];

    while (n > 0) {
        const ssize_t did = store_faulted(j->fault, "write") ? -1 : pwrite(fd, p, n, (off_t)at);
        if (did < 0 && errno == EINTR)
            continue;
        if (did < 0)
            return fail_errno(j->env.error, ERR_IO, "cannot write %s",
                              journal_name(j, number, path));
        p += did;
        n -= (size_t)did;
        at += (uint64_t)did;
    }
    return OK;
}

int journal_fsync(const struct journal *j, int fd)
{
    if (store_faulted(j->fault, "fsync"))
        return -1;
    while (fdatasync(fd) != 0)
        if (errno != EINTR)
            return -1;
    return 0;
}

bool journal_cut(struct journal *j)
{
    j->uncut = store_faulted(j->fault, "ftruncate") || ftruncate(j->fd, (off_t)j->end.size) != 0;
    return !j->uncut;
}

int journal_put(struct journal *j, const void *bytes, size_t n)
{
    const int rc = write_at(j, j->fd, journal_current(j)->number, bytes, n, j->end.size);

    if (rc)
        (void)journal_cut(j);
    return rc;
}

/* What could not be cut back would be taken for acknowledged records, so nothing may follow it. */
static int cut_if_needed(struct journal *j)
{
    char path[PATH_MAX];

    if (!j->uncut || journal_cut(j))
        return OK;
    return fail_errno(j->env.error, ERR_IO,
                      "%s still has bytes of an update that failed past byte %" PRIu64
                      " and cannot be cut back; updates are refused until it can be, or until a "
                      "checkpoint has begun another file",
                      journal_name(j, journal_current(j)->number, path), j->end.size);
}

int journal_make_next(struct journal *j)
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
    rc = store_sync_dir(j->env.dir, j->fault, j->env.error);
    if (rc) {
        (void)close(fd);
        (void)unlink(path);
        return rc;
    }
    j->next_fd = fd;
    return OK;
}

/* JOURNAL_WRITTEN: the file was synced up to `end`, or could not be. A later sync that succeeds shows nothing
   then, for the kernel calls pages clean that it failed to write: as long as that file is needed, no more
   records are called durable. Nobody was promised that they are, so no update fails. */
static void note_sync(struct journal *j, struct place end, bool ok)
{
    if (!ok)
        j->unsynced = journal_current(j)->number;
    else if (j->unsynced < j->files.list[0].number)
        j->durable = end;
}

/* So that a power cut leaves no gap before the next file. */
static void sync_written(struct journal *j)
{
    if (j->sync == JOURNAL_WRITTEN && j->durable.lsn != j->end.lsn)
        note_sync(j, j->end, journal_fsync(j, j->fd) == 0);
}

/* The same, while others write on. */
void journal_sync_ahead(struct journal *j)
{
    const struct place end = j->end;

    if (j->sync != JOURNAL_WRITTEN || j->syncing)
        return;
    j->syncing = true;
    pthread_mutex_unlock(&j->lock);
    const bool ok = journal_fsync(j, j->fd) == 0;
    pthread_mutex_lock(&j->lock);
    j->syncing = false;
    note_sync(j, end, ok);
    pthread_cond_broadcast(&j->synced);
}

/* The file made ready becomes the one written to. A head that was not written whole is none, and if one
   cannot be sure of that, the file must go: records after it in the old file would not count. */
int journal_begin_next(struct journal *j)
{
    char path[PATH_MAX];

    if (j->fd >= 0)
        sync_written(j);
    const struct journal_head head =
        journal_head_of(j->next_number, j->end.lsn + 1, j->durable.lsn);
    const int rc = write_at(j, j->next_fd, j->next_number, &head, sizeof head, 0);
    if (rc) {
        if (ftruncate(j->next_fd, 0) != 0) {
            (void)unlink(journal_name(j, j->next_number, path));
            (void)close(j->next_fd);
            j->next_fd = -1;
            j->next_number++;
        }
        return rc;
    }
    if (j->fd >= 0) {
        journal_current(j)->bytes = j->end.size;
        (void)close(j->fd);
    }
    j->files.list[j->files.n++] =
        (struct journal_file){ .number = j->next_number, .first_lsn = j->end.lsn + 1 };
    j->fd = j->next_fd;
    j->next_fd = -1;
    j->next_number++;
    j->end.size = j->durable.size = sizeof head;
    j->end.crc = j->durable.crc = head.crc;
    j->uncut = false;
    return OK;
}

/* Files that a crash left without a head, or behind the last record that stands. */
static int remove_obsolete(struct journal *j)
{
    struct journal_files *f = &j->files;
    char path[PATH_MAX];
    bool any = false;

    for (size_t i = f->n; i-- > 0;) {
        if (!f->list[i].headless)
            continue;
        journal_name(j, f->list[i].number, path);
        if (store_faulted(j->fault, "unlink") || (unlink(path) != 0 && errno != ENOENT))
            return fail_errno(j->env.error, ERR_IO, "cannot remove %s", path);
        memmove(f->list + i, f->list + i + 1, (f->n - i - 1) * sizeof *f->list);
        f->n--;
        any = true;
    }
    return any ? store_sync_dir(j->env.dir, j->fault, j->env.error) : OK;
}

/* Where the file's batches end that hold records up to j->end.lsn; another lsn, if it has fewer. */
static int find_end(const struct journal *j, const struct journal_file *f, struct place *end)
{
    const unsigned char *bytes;
    struct journal_batch b;
    const int rc = journal_map(&j->env, j->env.dir, f, &bytes);

    if (rc)
        return rc;
    *end = (struct place){ sizeof(struct journal_head), f->first_lsn - 1, f->crc };
    while (end->lsn < j->end.lsn && journal_batch_at(bytes + end->size, f->bytes - end->size, &b) &&
           b.first_lsn == end->lsn + 1 && b.before == end->crc)
        *end = (struct place){ end->size + JOURNAL_BATCH + b.bytes, end->lsn + b.records, b.crc };
    journal_unmap(bytes, f->bytes);
    return OK;
}

/* The newest file goes on where its last record ends. Its records may have been read from the system's memory
   alone: they are made durable before others build on them. */
static int reopen_file(struct journal *j)
{
    const struct journal_file *f = journal_current(j);
    struct place end;
    char path[PATH_MAX];
    int rc = find_end(j, f, &end);

    if (rc || end.lsn != j->end.lsn)
        return rc;
    journal_name(j, f->number, path);
    const int fd = store_faulted(j->fault, "open") ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(j->env.error, ERR_IO, "cannot open %s", path);
    if (end.size < f->bytes &&
        (store_faulted(j->fault, "ftruncate") || ftruncate(fd, (off_t)end.size) != 0))
        rc = fail_errno(j->env.error, ERR_IO,
                        "cannot cut the torn end of %s, from byte %" PRIu64 " on", path, end.size);
    else if (journal_fsync(j, fd) != 0)
        rc = fail_errno(j->env.error, ERR_IO, "cannot make durable %s", path);
    if (rc) {
        (void)close(fd);
        return rc;
    }
    j->fd = fd;
    j->end = j->durable = end;
    return OK;
}

/* The first commit after the opening. */
static int start(struct journal *j)
{
    int rc = remove_obsolete(j);

    if (!rc && j->files.n)
        rc = reopen_file(j);
    if (rc || j->fd >= 0)
        return rc;
    rc = journal_make_next(j);
    return rc ? rc : journal_begin_next(j);
}

int journal_ready(struct journal *j)
{
    return j->fd < 0 ? start(j) : cut_if_needed(j);
}
