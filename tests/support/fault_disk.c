/* fault_disk.c - the plan of faults, and the system calls that go through the model. */
#include "tests/support/fault_disk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the plan */

void disk_begin(const char *root, const struct disk_plan *plan)
{
    struct stat st;

    if (stat(root, &st) != 0 ||
        (size_t)snprintf(disk.root, sizeof disk.root, "%s", root) >= sizeof disk.root)
        disk_give_up("no folder");
    disk.dev = st.st_dev;
    disk.plan = *plan;
    disk.rng = rng_at(plan->seed, 77);
    disk_reconcile();
    disk_apply_changes(disk.n_changes);
    disk.n_changes = 0;
    for (size_t i = 0; i < disk.n_files; i++)
        disk.files[i].device = disk_contents((int)i);
    disk.on = true;
}

void disk_heal(void)
{
    pthread_mutex_lock(&disk.lock);
    disk.healed = true;
    pthread_mutex_unlock(&disk.lock);
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
    disk_cut_locked();
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

    if (!disk.on || disk_inside || fd < 0 || disk_stat(fd, &st) != 0 || st.st_dev != disk.dev ||
        !S_ISREG(st.st_mode))
        return -1;
    disk_inside = true;
    int file = disk_file_of(st.st_ino);
    if (file < 0 && st.st_nlink > 0) {
        disk_reconcile();
        file = disk_file_of(st.st_ino);
    }
    disk_inside = false;
    return file;
}

static bool is_ours(const char *path)
{
    const size_t n = strlen(disk.root);

    return disk.on && !disk_inside && strncmp(path, disk.root, n) == 0 && path[n] == '/';
}

/* ---- the calls */

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
    struct disk_file *f = &disk.files[number];

    if (rng_below(&disk.rng, 6) != 0)
        return;
    struct disk_bytes now = disk_contents(number);
    disk_write_back(f, &now, .3, now.n > f->device.n);
    free(now.at);
}

static ssize_t modelled_write(int file, int fd, const void *bytes, size_t n, off_t at, bool placed)
{
    struct stat st;
    const bool known = disk_stat(fd, &st) == 0;
    const size_t size = known ? (size_t)st.st_size : 0;
    const size_t from = placed ? (size_t)at : (size_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);

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
        disk_rewrite(&disk.files[file], from, (size_t)did);
    drift(file);
    return did;
}

static ssize_t any_write(int fd, const void *bytes, size_t n, off_t at, bool placed)
{
    ssize_t did;

    if (fd <= STDERR_FILENO)
        return write_through(fd, bytes, n, at, placed);
    if (disk.on && !disk_inside) {
        pthread_mutex_lock(&disk.lock);
        const int file = file_behind(fd);
        disk_inside = true;
        did = file >= 0 ? modelled_write(file, fd, bytes, n, at, placed)
                        : write_through(fd, bytes, n, at, placed);
        disk_inside = false;
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

    if (!disk.on || disk_inside)
        return (int)syscall(SYS_ftruncate, fd, n);
    pthread_mutex_lock(&disk.lock);
    const int file = file_behind(fd);
    disk_inside = true;
    struct stat st;
    const bool grows = disk_stat(fd, &st) == 0 && n > st.st_size;
    if (file >= 0 && at_end())
        end();
    rc = file >= 0 && grows && is_full() ? refuse(ENOSPC) : (int)syscall(SYS_ftruncate, fd, n);
    disk_inside = false;
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static int sync_file(int number)
{
    struct disk_file *f = &disk.files[number];
    struct disk_bytes now = disk_contents(number);
    const bool fails = !disk.healed && ++disk.syncs == disk.plan.sync_fails_at;

    if (fails)
        disk_fail_sync(f, &now);
    else
        disk_write_back(f, &now, 1, true);
    free(now.at);
    return fails ? refuse(EIO) : 0;
}

static int any_sync(int fd, long call)
{
    struct stat st;
    char link[64], path[PATH_MAX];

    if (!disk.on || disk_inside || disk_stat(fd, &st) != 0 || st.st_dev != disk.dev)
        return (int)syscall(call, fd);
    pthread_mutex_lock(&disk.lock);
    int rc = 0;
    if (S_ISDIR(st.st_mode)) {
        disk_inside = true;
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
        disk_inside = false;
        if (n > 0 && (is_ours(path) || strcmp(path, disk.root) == 0)) {
            if (at_end())
                end();
            disk_inside = true;
            disk_reconcile();
            disk_sync_folder(path);
            disk_inside = false;
        }
    } else {
        const int file = file_behind(fd);
        disk_inside = true;
        if (file >= 0) {
            if (at_end())
                end();
            rc = sync_file(file);
        }
        disk_inside = false;
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
    disk_inside = true;
    if (at_end())
        end();
    disk_reconcile();
    if (!stays && !to)
        disk_keep_contents(from);
    if (to && access(to, F_OK) == 0)
        disk_keep_contents(to);
    rc =
        call == SYS_unlinkat ? (int)syscall(call, AT_FDCWD, from, 0) : (int)syscall(call, from, to);
    if (rc == 0) {
        const int name = disk_name_of(from), file = disk.names[name].now;
        disk.changing_calls++;
        if (to)
            disk_change(disk_name_of(to), file);
        if (!stays)
            disk_change(name, -1);
    }
    disk_inside = false;
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
