/* rocksdb_snapshot.c - checkpoints: each is a folder of hard links, to which a snapshot refers.
 *
 * A checkpoint flushes the memtable, so its files are complete although RocksDB's log is off.
 * They are never written again: RocksDB replaces tables and blobs, and resuming copies the
 * files that RocksDB does write to. Folders other than the frozen one are removed when the
 * snapshot is durable. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/common/postings/rocksdb_internal.h"
#include "src/core/path_print.h"

struct header {
    uint64_t number, entries;
};

/* ---- folders */

/* The store whose folders are used, and where failures are reported; NULL: ignored, because the
   work is done again next time. */
struct at {
    const struct rocks *r;
    struct error *error;
};

static struct at reporting(const struct rocks *r)
{
    return (struct at){ r, r->store.env.error };
}

static struct at ignoring(const struct rocks *r)
{
    return (struct at){ r, NULL };
}

static int trouble(struct at at, const char *doing, const char *path)
{
    return fail_errno(at.error, ERR_IO, "%s %s", doing, path);
}

static int checkpoint_path(const struct rocks *r, uint64_t number, char path[PATH_MAX])
{
    return path_print(path, r->store.env.error, "%s.%" PRIu64, r->dir, number);
}

/* Calls `call` with each name in the folder except . and .., until a call does not return OK. A
   folder that does not exist counts as empty. */
static int each_name(struct at at, const char *dir,
                     int (*call)(struct at, int folder, const char *name, void *to), void *to)
{
    DIR *d = opendir(dir);
    int rc = OK;

    if (!d)
        return errno == ENOENT ? OK : trouble(at, "cannot list", dir);
    for (struct dirent *e = readdir(d); e && rc == OK; e = readdir(d))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = call(at, dirfd(d), e->d_name, to);
    (void)closedir(d);
    return rc;
}

static int remove_file(struct at at, int folder, const char *name, void *to)
{
    (void)to;
    return unlinkat(folder, name, 0) == 0 || errno == ENOENT ? OK
                                                             : trouble(at, "cannot remove", name);
}

static int remove_folder(struct at at, const char *path)
{
    int rc = posting_rocks_fault(at.r, at.error, "remove", path);

    if (rc == OK)
        rc = each_name(at, path, remove_file, NULL);
    if (rc == OK && rmdir(path) != 0 && errno != ENOENT)
        rc = trouble(at, "cannot remove", path);
    return rc;
}

int posting_rocks_clear(struct rocks *r)
{
    const int rc = remove_folder(reporting(r), r->dir);

    if (rc != OK)
        return rc;
    return mkdir(r->dir, 0777) == 0 ? OK : trouble(reporting(r), "cannot create", r->dir);
}

/* ---- freezing */

/* Repeats deletions that failed; otherwise a checkpoint would bring dropped postings back. */
static int delete_again(struct rocks *r)
{
    int rc = OK;

    for (size_t i = 0; i < directory_n(&r->directory) && rc == OK; i++) {
        struct rocks_entry *e = rocks_entry(r, (uint32_t)i);

        if (atomic_load(&e->chain) != ROCKS_STALE)
            continue;
        rc = posting_rocks_erase(r, r->store.env.error, (uint32_t)i);
        if (rc == OK)
            atomic_store(&e->chain, 0);
    }
    return rc;
}

static int checkpoint(struct rocks *r, const char *path)
{
    char *words = NULL;
    const int rc = posting_rocks_fault(r, r->store.env.error, "link", path);

    if (rc != OK)
        return rc;
    rocksdb_checkpoint_t *maker = rocksdb_checkpoint_object_create(r->db, &words);
    if (!words) {
        rocksdb_checkpoint_create(maker, path, 0, &words);
        rocksdb_checkpoint_object_destroy(maker);
    }
    return words ? posting_rocks_trouble(r, r->store.env.error, "no checkpoint", NULL, words) : OK;
}

/* A number that no folder has; a folder without a snapshot may remain from before a crash. */
static int free_number(const struct rocks *r, uint64_t *number, char path[PATH_MAX])
{
    struct stat there;
    int rc;

    for (*number = r->frozen + 1;; (*number)++)
        if ((rc = checkpoint_path(r, *number, path)) != OK || lstat(path, &there) != 0)
            return rc;
}

static void write_lengths(const struct rocks *r, struct store_writer *w)
{
    const struct header h = { r->frozen, directory_n(&r->directory) };

    store_section(w, "store.rocks");
    store_write(w, &h, sizeof h);
    store_section(w, "store.lengths");
    for (size_t i = 0; i < h.entries; i++) {
        const uint32_t length = atomic_load(&rocks_entry(r, (uint32_t)i)->length);

        store_write(w, &length, sizeof length);
    }
}

int posting_rocks_freeze(struct posting_store *store, struct store_writer *w)
{
    struct rocks *r = rocks_of(store);
    char path[PATH_MAX];
    uint64_t number;
    int rc;

    if ((rc = delete_again(r)) != OK || (rc = free_number(r, &number, path)) != OK ||
        (rc = checkpoint(r, path)) != OK)
        return rc;
    r->frozen = number;
    write_lengths(r, w);
    return OK;
}

/* RocksDB has synced the files and their folder; only the folder's own name is left to sync. */
int posting_rocks_sync(struct posting_store *store)
{
    return store_sync_dir(store->env.dir, store->options.fault, store->env.error);
}

/* Removes a folder other than the frozen one; a failure is tried again next time. */
static int remove_other(struct at at, int folder, const char *name, void *to)
{
    const char *kept = strrchr(to, '/') + 1;
    char path[PATH_MAX];

    (void)folder;
    if (strncmp(name, "rocks.", 6) == 0 && strcmp(name, kept) != 0 &&
        path_print(path, NULL, "%s/%s", at.r->store.env.dir, name) == OK)
        (void)remove_folder(at, path);
    return OK;
}

/* In doubt, the folders of both snapshots stay. */
void posting_rocks_ended(struct posting_store *store, enum durable_outcome outcome)
{
    const struct rocks *r = rocks_of(store);
    char path[PATH_MAX];

    if (r->frozen == 0 || checkpoint_path(r, r->frozen, path) != OK)
        return;
    if (outcome == DURABLE_DONE)
        (void)each_name(ignoring(r), store->env.dir, remove_other, path);
    else if (outcome == DURABLE_NOTHING)
        (void)remove_folder(ignoring(r), path);
}

/* ---- resuming */

static int copy_file(struct at at, int folder, const char *name, const char *path)
{
    const int from = openat(folder, name, O_RDONLY | O_CLOEXEC);
    const int to = from < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const bool copied = to >= 0 && file_copy(from, to, NULL);
    const int rc = copied ? OK : trouble(at, "cannot copy to", path);

    if (from >= 0)
        (void)close(from);
    if (to >= 0)
        (void)close(to);
    return rc;
}

/* Makes a hard link if the file system supports it, else a copy. */
static int take_file(struct at at, int folder, const char *name, void *to)
{
    const char *dot = strrchr(name, '.');
    const bool immutable = dot && (strcmp(dot, ".sst") == 0 || strcmp(dot, ".blob") == 0);
    char path[PATH_MAX];
    int rc = posting_rocks_fault(at.r, at.error, "link", at.r->dir);

    (void)to;
    if (rc == OK)
        rc = path_print(path, at.error, "%s/%s", at.r->dir, name);
    if (rc != OK)
        return rc;
    if (immutable && linkat(folder, name, AT_FDCWD, path, 0) == 0)
        return OK;
    return copy_file(at, folder, name, path);
}

static int read_lengths(struct rocks *r, const struct store_reader *in, const struct header *h)
{
    const uint32_t *lengths = NULL;
    int rc = store_need_array(in, "store.lengths", h->entries, sizeof *lengths, &lengths);

    if (rc == OK && h->entries > 0)
        rc = posting_rocks_reserve(r, (uint32_t)(h->entries - 1));
    for (size_t i = 0; i < h->entries && rc == OK; i++)
        atomic_store(&rocks_entry(r, (uint32_t)i)->length, lengths[i]);
    return rc;
}

int posting_rocks_resume(struct rocks *r, const struct store_reader *in)
{
    const struct header *h = NULL;
    struct stat there;
    char path[PATH_MAX];
    int rc = store_need_array(in, "store.rocks", 1, sizeof *h, &h);

    if (rc != OK)
        return rc;
    if (h->entries > UINT32_MAX)
        return store_corrupt(in, "more postings than there are numbers");
    r->frozen = h->number;
    if ((rc = checkpoint_path(r, h->number, path)) != OK)
        return rc;
    if (stat(path, &there) != 0 || !S_ISDIR(there.st_mode))
        return fail(r->store.env.error, ERR_CORRUPT, "%s refers to %s, which is not there",
                    in->path, path);
    if ((rc = read_lengths(r, in, h)) != OK)
        return rc;
    return each_name(reporting(r), path, take_file, NULL);
}

/* ---- size */

/* A file with several names in the store's folders counts once. */
static int add_file(struct at at, int folder, const char *name, void *to)
{
    struct stat is;

    (void)at;
    if (fstatat(folder, name, &is, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(is.st_mode))
        *(double *)to += (double)is.st_size / (double)is.st_nlink;
    return OK;
}

static int add_folder(struct at at, int folder, const char *name, void *to)
{
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", at.r->store.env.dir, name);

    (void)folder;
    if (strncmp(name, "rocks", 5) == 0 && (name[5] == '.' || name[5] == '\0') && n > 0 &&
        (size_t)n < sizeof path)
        (void)each_name(at, path, add_file, to);
    return OK;
}

uint64_t posting_rocks_disk(const struct posting_store *store)
{
    double bytes = 0;

    (void)each_name(ignoring(rocks_of(store)), store->env.dir, add_folder, &bytes);
    return (uint64_t)(bytes + .5);
}
