/* fault_disk.c - the model of the device, and the calls that go through it. */
#include "tests/fault_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "src/core/rng.h"

enum { SECTOR = 512, PAGE = 4096, NAMES_MOST = 4096, FILES_MOST = 4096, CHANGES_MOST = 8192 };

struct bytes {
    unsigned char *at;
    size_t n;
};

struct file {
    ino_t ino;
    size_t names;        /* that it has now */
    struct bytes device; /* what is on the device */
    struct bytes gone;   /* as it was when its last name went */
    unsigned char
        *unwritten; /* a byte a page: a failed fsync dropped it, so a later one does not write it */
    size_t unwritten_n;
};

struct name {
    char *path;
    int device, now; /* number of its file, -1: none */
};

struct change { /* of a name, not yet on the device; those of one call have one `call` */
    size_t call;
    int name, file;
};

static struct {
    bool on, healed;
    pthread_mutex_t lock;
    char root[PATH_MAX];
    dev_t dev;
    struct disk_plan plan;
    struct rng rng;
    size_t calls, syncs, changing_calls;
    bool failed;
    struct file files[FILES_MOST];
    struct name names[NAMES_MOST];
    struct change changes[CHANGES_MOST];
    size_t n_files, n_names, n_changes;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Calls of the model itself are not modelled. */
static _Thread_local bool inside;

static void give_up(const char *why)
{
    fprintf(stderr, "fault_disk: %s\n", why);
    _exit(99);
}

static struct bytes read_whole(const char *path)
{
    struct bytes b = { NULL, 0 };
    struct stat st;
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return b;
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        b.at = malloc((size_t)st.st_size);
        while (b.at && b.n < (size_t)st.st_size) {
            const ssize_t got = pread(fd, b.at + b.n, (size_t)st.st_size - b.n, (off_t)b.n);
            if (got <= 0)
                break;
            b.n += (size_t)got;
        }
    }
    (void)syscall(SYS_close, fd);
    return b;
}

/* ------------------------------------------------------------------------------- names and files */

static int name_of(const char *path)
{
    for (size_t i = 0; i < disk.n_names; i++)
        if (strcmp(disk.names[i].path, path) == 0)
            return (int)i;
    if (disk.n_names == NAMES_MOST)
        give_up("too many names");
    disk.names[disk.n_names] = (struct name){ strdup(path), -1, -1 };
    return (int)disk.n_names++;
}

static int file_of(ino_t ino)
{
    for (size_t i = 0; i < disk.n_files; i++)
        if (disk.files[i].ino == ino && disk.files[i].names > 0)
            return (int)i;
    return -1;
}

static int new_file(ino_t ino)
{
    if (disk.n_files == FILES_MOST)
        give_up("too many files");
    disk.files[disk.n_files] = (struct file){ .ino = ino };
    return (int)disk.n_files++;
}

/* Any name that the file has now. */
static const char *path_of(int file)
{
    for (size_t i = 0; i < disk.n_names; i++)
        if (disk.names[i].now == file)
            return disk.names[i].path;
    return NULL;
}

static struct bytes contents(int file)
{
    const char *path = path_of(file);
    struct bytes b = { NULL, 0 };

    if (path)
        return read_whole(path);
    b.at = malloc(disk.files[file].gone.n + 1);
    if (b.at && disk.files[file].gone.n)
        memcpy(b.at, disk.files[file].gone.at, disk.files[file].gone.n);
    b.n = disk.files[file].gone.n;
    return b;
}

/* The name has that file from now on, and on the device some time later. */
static void change(int name, int file)
{
    struct name *n = &disk.names[name];

    if (disk.n_changes == CHANGES_MOST)
        give_up("too many changes of names");
    disk.changes[disk.n_changes++] = (struct change){ disk.changing_calls, name, file };
    if (n->now >= 0)
        disk.files[n->now].names--;
    if (file >= 0)
        disk.files[file].names++;
    n->now = file;
}

/* Before the last name of a file goes. */
static void keep_contents(const char *path)
{
    const int name = name_of(path), file = disk.names[name].now;

    if (file >= 0 && disk.files[file].names == 1) {
        free(disk.files[file].gone.at);
        disk.files[file].gone = read_whole(path);
    }
}

/* Files that came and went unseen: made by open(), by a library's own calls. */
static void look_at(const char *dir, bool *seen)
{
    char path[PATH_MAX];
    struct stat st;
    DIR *d = opendir(dir);

    for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            snprintf(path, sizeof path, "%s/%s", dir, e->d_name) >= (int)sizeof path ||
            lstat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            look_at(path, seen);
            continue;
        }
        const int name = name_of(path), now = disk.names[name].now;
        seen[name] = true;
        if (now >= 0 && disk.files[now].ino == st.st_ino)
            continue;
        const int file = file_of(st.st_ino);
        disk.changing_calls++;
        change(name, file >= 0 ? file : new_file(st.st_ino));
    }
    if (d)
        (void)closedir(d);
}

static void reconcile(void)
{
    static bool seen[NAMES_MOST];

    memset(seen, 0, sizeof seen);
    look_at(disk.root, seen);
    for (size_t i = 0; i < disk.n_names; i++)
        if (!seen[i] && disk.names[i].now >= 0) {
            disk.changing_calls++;
            change((int)i, -1);
        }
}

/* ------------------------------------------------------------------------------- the device */

static void resize(struct bytes *b, size_t n)
{
    unsigned char *at = realloc(b->at, n + 1);

    if (!at)
        give_up("out of memory");
    if (n > b->n)
        memset(at + b->n, 0, n - b->n);
    *b = (struct bytes){ at, n };
}

static bool is_unwritten(const struct file *f, size_t offset)
{
    return offset / PAGE < f->unwritten_n && f->unwritten[offset / PAGE];
}

static size_t sector_bytes(size_t n, size_t at)
{
    return n - at < SECTOR ? n - at : SECTOR;
}

/* What the file holds reaches the device: all of it, or, for a share below 1, some of its sectors. Pages that
   a failed sync dropped do not. */
static void write_back(struct file *f, const struct bytes *now, double share, bool size)
{
    if (size)
        resize(&f->device, now->n);
    for (size_t at = 0; at < now->n && at < f->device.n; at += SECTOR) {
        const size_t end = at + sector_bytes(now->n, at);
        const size_t n = (end < f->device.n ? end : f->device.n) - at;
        if (memcmp(f->device.at + at, now->at + at, n) != 0 && !is_unwritten(f, at) &&
            (share >= 1 || rng_unit(&disk.rng) < share))
            memcpy(f->device.at + at, now->at + at, n);
    }
}

/* The device has some of it, and the system calls the rest clean. */
static void fail_sync(struct file *f, const struct bytes *now)
{
    const size_t pages = (now->n + PAGE - 1) / PAGE;

    write_back(f, now, .5, true);
    if (pages > f->unwritten_n) {
        f->unwritten = realloc(f->unwritten, pages);
        if (!f->unwritten)
            give_up("out of memory");
        memset(f->unwritten + f->unwritten_n, 0, pages - f->unwritten_n);
        f->unwritten_n = pages;
    }
    for (size_t at = 0; at < now->n; at += SECTOR)
        if (memcmp(f->device.at + at, now->at + at, sector_bytes(now->n, at)) != 0)
            f->unwritten[at / PAGE] = 1;
}

static void rewrite(struct file *f, size_t offset, size_t n)
{
    for (size_t page = offset / PAGE; page < f->unwritten_n && page * PAGE < offset + n; page++)
        f->unwritten[page] = 0;
}

static void apply(size_t first, size_t n)
{
    for (size_t i = first; i < n; i++)
        disk.names[disk.changes[i].name].device = disk.changes[i].file;
}

static bool in_folder(const char *path, const char *dir)
{
    const size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

/* Names of a folder reach the device, with the other end of a rename. */
static void sync_folder(const char *dir)
{
    size_t kept = 0;

    for (size_t i = 0; i < disk.n_changes;) {
        size_t end = i;
        bool here = false;
        for (; end < disk.n_changes && disk.changes[end].call == disk.changes[i].call; end++)
            here = here || in_folder(disk.names[disk.changes[end].name].path, dir);
        if (here)
            apply(i, end);
        else
            while (i < end)
                disk.changes[kept++] = disk.changes[i++];
        i = end;
    }
    disk.n_changes = kept;
}

/* ------------------------------------------------------------------------------- the cut */

/* Of a file that was not synced: as the device has it, as it is now, or any mix, of either size or one between. */
static struct bytes after_cut(int number)
{
    struct file *f = &disk.files[number];
    struct bytes now = contents(number), left = { NULL, 0 };
    const bool known = path_of(number) || f->gone.at; /* else it went unseen */
    const uint64_t kind = known ? rng_below(&disk.rng, 4) : 0;
    const size_t low = now.n < f->device.n ? now.n : f->device.n;
    const size_t high = now.n < f->device.n ? f->device.n : now.n;

    resize(&left, f->device.n);
    if (f->device.n)
        memcpy(left.at, f->device.at, f->device.n);
    struct file mix = *f;
    mix.device = left;
    if (kind > 0) {
        const size_t between = low + rng_below(&disk.rng, high - low + 1) / SECTOR * SECTOR;
        const size_t n = kind == 1 || rng_below(&disk.rng, 2) ? now.n : between;
        resize(&mix.device, n);
        write_back(&mix, &now, kind == 1 ? 1 : rng_unit(&disk.rng), false);
    }
    free(now.at);
    return mix.device;
}

/* Folders are on the device at once; one that was removed since comes back with its files. */
static void put_folder(const char *path)
{
    char folder[PATH_MAX];

    (void)snprintf(folder, sizeof folder, "%s", path);
    for (char *end = folder + strlen(disk.root) + 1; (end = strchr(end, '/')); end++) {
        *end = '\0';
        (void)mkdir(folder, 0777);
        *end = '/';
    }
}

static void put_file(const char *path, const struct bytes *b)
{
    put_folder(path);
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    size_t at = 0;

    while (fd >= 0 && at < b->n) {
        const ssize_t did = syscall(SYS_pwrite64, fd, b->at + at, b->n - at, (off_t)at);
        if (did <= 0)
            give_up("cannot write what the device has");
        at += (size_t)did;
    }
    if (fd < 0)
        give_up("cannot write what the device has");
    (void)syscall(SYS_close, fd);
}

static _Noreturn void cut(void)
{
    struct bytes left[NAMES_MOST];

    inside = true;
    reconcile();
    /* Changes of names reach the device in their order, those of one call together. */
    size_t n = disk.n_changes ? rng_below(&disk.rng, disk.n_changes + 1) : 0;
    while (n > 0 && n < disk.n_changes && disk.changes[n].call == disk.changes[n - 1].call)
        n++;
    apply(0, n);
    for (size_t i = 0; i < disk.n_names; i++)
        if (disk.names[i].device >= 0)
            left[i] = after_cut(disk.names[i].device);
    for (size_t i = 0; i < disk.n_names; i++)
        if (disk.names[i].now >= 0)
            (void)syscall(SYS_unlinkat, AT_FDCWD, disk.names[i].path, 0);
    for (size_t i = 0; i < disk.n_names; i++)
        if (disk.names[i].device >= 0)
            put_file(disk.names[i].path, &left[i]);
    _exit(DISK_POWER_CUT);
}

void disk_cut(void)
{
    pthread_mutex_lock(&disk.lock);
    cut();
}

/* ------------------------------------------------------------------------------- the plan */

void disk_begin(const char *root, const struct disk_plan *plan)
{
    struct stat st;

    if (stat(root, &st) != 0 ||
        (size_t)snprintf(disk.root, sizeof disk.root, "%s", root) >= sizeof disk.root)
        give_up("no folder");
    disk.dev = st.st_dev;
    disk.plan = *plan;
    disk.rng = rng_at(plan->seed, 77);
    reconcile();
    apply(0, disk.n_changes);
    disk.n_changes = 0;
    for (size_t i = 0; i < disk.n_files; i++)
        disk.files[i].device = contents((int)i);
    disk.on = true;
}

void disk_heal(void)
{
    disk.healed = true;
}

size_t disk_calls(void)
{
    return disk.calls;
}

bool disk_failed(void)
{
    return disk.failed;
}

/* Counts the call; true: the process is to end at it. */
static bool at_end(void)
{
    disk.calls++;
    return !disk.healed && disk.plan.end_at && disk.calls >= disk.plan.end_at;
}

static _Noreturn void end(void)
{
    if (disk.plan.killed)
        _exit(DISK_KILLED);
    cut();
}

static bool is_full(void)
{
    return !disk.healed && disk.plan.full_from && disk.calls >= disk.plan.full_from &&
           disk.calls < disk.plan.full_from + disk.plan.full_calls;
}

static bool chance(unsigned rate)
{
    return !disk.healed && rate && rng_below(&disk.rng, 1000) < rate;
}

static int refuse(int code)
{
    disk.failed = true;
    errno = code;
    return -1;
}

/* The file behind a descriptor, -1: not one of ours. */
static int file_behind(int fd)
{
    struct stat st;

    if (!disk.on || inside || fd < 0 || fstat(fd, &st) != 0 || st.st_dev != disk.dev ||
        !S_ISREG(st.st_mode))
        return -1;
    inside = true;
    int file = file_of(st.st_ino);
    if (file < 0 && st.st_nlink > 0) {
        reconcile();
        file = file_of(st.st_ino);
    }
    inside = false;
    return file;
}

static bool is_ours(const char *path)
{
    const size_t n = strlen(disk.root);

    return disk.on && !inside && strncmp(path, disk.root, n) == 0 && path[n] == '/';
}

/* ------------------------------------------------------------------------------- the calls */

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_list args;
        va_start(args, flags);
        mode = (mode_t)va_arg(args, int);
        va_end(args);
    }
    if ((flags & O_CREAT) && is_ours(path) && access(path, F_OK) != 0) {
        pthread_mutex_lock(&disk.lock);
        if (at_end())
            end();
        const bool full = is_full();
        pthread_mutex_unlock(&disk.lock);
        if (full)
            return refuse(ENOSPC);
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static ssize_t write_through(int fd, const void *bytes, size_t n, off_t at, bool placed)
{
    return placed ? syscall(SYS_pwrite64, fd, bytes, n, at) : syscall(SYS_write, fd, bytes, n);
}

/* The device may have taken some of the file by itself. */
static void drift(int number)
{
    struct file *f = &disk.files[number];

    if (rng_below(&disk.rng, 6) != 0)
        return;
    struct bytes now = contents(number);
    write_back(f, &now, .3, now.n > f->device.n);
    free(now.at);
}

static ssize_t modelled_write(int file, int fd, const void *bytes, size_t n, off_t at, bool placed)
{
    struct stat st;
    const bool known = fstat(fd, &st) == 0;
    const size_t size = known ? (size_t)st.st_size : 0;
    const size_t from = placed ? (size_t)at : (size_t)lseek(fd, 0, SEEK_CUR);

    if (at_end()) {
        const size_t some = rng_below(&disk.rng, n + 1);
        if (some)
            (void)write_through(fd, bytes, some, at, placed);
        end();
    }
    if (chance(disk.plan.interrupt_rate))
        return refuse(EINTR);
    if (n > 1 && chance(disk.plan.short_rate))
        n = 1 + rng_below(&disk.rng, n - 1);
    if (is_full() && from + n > size) {
        if (from >= size)
            return refuse(ENOSPC);
        n = size - from;
    }
    const ssize_t did = write_through(fd, bytes, n, at, placed);
    if (did > 0)
        rewrite(&disk.files[file], from, (size_t)did);
    drift(file);
    return did;
}

static ssize_t any_write(int fd, const void *bytes, size_t n, off_t at, bool placed)
{
    ssize_t did;

    if (fd <= STDERR_FILENO)
        return write_through(fd, bytes, n, at, placed);
    if (disk.on && !inside) {
        pthread_mutex_lock(&disk.lock);
        const int file = file_behind(fd);
        inside = true;
        did = file >= 0 ? modelled_write(file, fd, bytes, n, at, placed)
                        : write_through(fd, bytes, n, at, placed);
        inside = false;
        pthread_mutex_unlock(&disk.lock);
        return did;
    }
    return write_through(fd, bytes, n, at, placed);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    return any_write(fd, bytes, n, 0, false);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return any_write(fd, bytes, n, at, true);
}

int ftruncate(int fd, off_t n)
{
    int rc;

    if (!disk.on || inside)
        return (int)syscall(SYS_ftruncate, fd, n);
    pthread_mutex_lock(&disk.lock);
    const int file = file_behind(fd);
    inside = true;
    struct stat st;
    const bool grows = fstat(fd, &st) == 0 && n > st.st_size;
    if (file >= 0 && at_end())
        end();
    rc = file >= 0 && grows && is_full() ? refuse(ENOSPC) : (int)syscall(SYS_ftruncate, fd, n);
    inside = false;
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static int sync_file(int number)
{
    struct file *f = &disk.files[number];
    struct bytes now = contents(number);
    const bool fails = !disk.healed && ++disk.syncs == disk.plan.sync_fails_at;

    if (fails)
        fail_sync(f, &now);
    else
        write_back(f, &now, 1, true);
    free(now.at);
    return fails ? refuse(EIO) : 0;
}

static int any_sync(int fd, long call)
{
    struct stat st;
    char link[64], path[PATH_MAX];

    if (!disk.on || inside || fstat(fd, &st) != 0 || st.st_dev != disk.dev)
        return (int)syscall(call, fd);
    pthread_mutex_lock(&disk.lock);
    int rc = 0;
    if (S_ISDIR(st.st_mode)) {
        inside = true;
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
        inside = false;
        if (n > 0 && (is_ours(path) || strcmp(path, disk.root) == 0)) {
            if (at_end())
                end();
            inside = true;
            reconcile();
            sync_folder(path);
            inside = false;
        }
    } else {
        const int file = file_behind(fd);
        inside = true;
        if (file >= 0) {
            if (at_end())
                end();
            rc = sync_file(file);
        }
        inside = false;
    }
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

int fsync(int fd)
{
    return any_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return any_sync(fd, SYS_fdatasync);
}

/* to: where the file goes, NULL: nowhere; from: its name that goes, or, for a link, stays. */
static int change_names(long call, const char *from, const char *to, bool stays)
{
    int rc;

    pthread_mutex_lock(&disk.lock);
    inside = true;
    if (at_end())
        end();
    reconcile();
    if (!stays && !to)
        keep_contents(from);
    if (to && access(to, F_OK) == 0)
        keep_contents(to);
    rc =
        call == SYS_unlinkat ? (int)syscall(call, AT_FDCWD, from, 0) : (int)syscall(call, from, to);
    if (rc == 0) {
        const int name = name_of(from), file = disk.names[name].now;
        disk.changing_calls++;
        if (to)
            change(name_of(to), file);
        if (!stays)
            change(name, -1);
    }
    inside = false;
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int rename(const char *from, const char *to)
{
    if (!is_ours(from) || is_folder(from))
        return (int)syscall(SYS_rename, from, to);
    return change_names(SYS_rename, from, to, false);
}

int link(const char *from, const char *to)
{
    if (!is_ours(from))
        return (int)syscall(SYS_link, from, to);
    return change_names(SYS_link, from, to, true);
}

int unlink(const char *path)
{
    if (!is_ours(path))
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    return change_names(SYS_unlinkat, path, NULL, false);
}
