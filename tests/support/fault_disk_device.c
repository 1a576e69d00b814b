/* fault_disk_device.c - what the device holds of each file, and what a power cut leaves. */
#include "tests/support/fault_disk_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECTOR = 512, PAGE = 4096 };

/* ---- the device */

static void resize(struct disk_bytes *b, size_t n)
{
    unsigned char *at = realloc(b->at, n + 1);

    if (!at)
        disk_give_up("out of memory");
    if (n > b->n)
        memset(at + b->n, 0, n - b->n);
    *b = (struct disk_bytes){ at, n };
}

static bool is_unwritten(const struct disk_file *f, size_t offset)
{
    return offset / PAGE < f->unwritten_n && f->unwritten[offset / PAGE];
}

static size_t sector_bytes(size_t n, size_t at)
{
    return n - at < SECTOR ? n - at : SECTOR;
}

void disk_write_back(struct disk_file *f, const struct disk_bytes *now, double share, bool size)
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

void disk_fail_sync(struct disk_file *f, const struct disk_bytes *now)
{
    const size_t pages = (now->n + PAGE - 1) / PAGE;

    disk_write_back(f, now, .5, true);
    if (pages > f->unwritten_n) {
        f->unwritten = realloc(f->unwritten, pages);
        if (!f->unwritten)
            disk_give_up("out of memory");
        memset(f->unwritten + f->unwritten_n, 0, pages - f->unwritten_n);
        f->unwritten_n = pages;
    }
    for (size_t at = 0; at < now->n; at += SECTOR)
        if (memcmp(f->device.at + at, now->at + at, sector_bytes(now->n, at)) != 0)
            f->unwritten[at / PAGE] = 1;
}

void disk_rewrite(struct disk_file *f, size_t offset, size_t n)
{
    for (size_t page = offset / PAGE; page < f->unwritten_n && page * PAGE < offset + n; page++)
        f->unwritten[page] = 0;
}

/* ---- the power cut */

/* Of a file that was not synced: as the device has it, as it is now, or any mix, of either size or
   one between. */
static struct disk_bytes after_cut(int number)
{
    struct disk_file *f = &disk.files[number];
    struct disk_bytes now = disk_contents(number), left = { NULL, 0 };
    const bool known = disk_path_of(number) || f->gone.at; /* else it went unseen */
    const uint64_t kind = known ? rng_below(&disk.rng, 4) : 0;
    const size_t low = now.n < f->device.n ? now.n : f->device.n;
    const size_t high = now.n < f->device.n ? f->device.n : now.n;

    resize(&left, f->device.n);
    if (f->device.n)
        memcpy(left.at, f->device.at, f->device.n);
    struct disk_file mix = *f;
    mix.device = left;
    if (kind > 0) {
        const size_t between = low + rng_below(&disk.rng, high - low + 1) / SECTOR * SECTOR;
        const size_t n = kind == 1 || rng_below(&disk.rng, 2) ? now.n : between;
        resize(&mix.device, n);
        disk_write_back(&mix, &now, kind == 1 ? 1 : rng_unit(&disk.rng), false);
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

static void put_file(const char *path, const struct disk_bytes *b)
{
    put_folder(path);
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    size_t at = 0;

    while (fd >= 0 && at < b->n) {
        const ssize_t did = syscall(SYS_pwrite64, fd, b->at + at, b->n - at, (off_t)at);
        if (did <= 0)
            disk_give_up("cannot write what the device has");
        at += (size_t)did;
    }
    if (fd < 0)
        disk_give_up("cannot write what the device has");
    (void)syscall(SYS_close, fd);
}

_Noreturn void disk_cut_locked(void)
{
    struct disk_bytes left[DISK_NAMES_MOST];

    disk_inside = true;
    disk_reconcile();
    /* Changes of names reach the device in their order, those of one call together. */
    size_t n = disk.n_changes ? rng_below(&disk.rng, disk.n_changes + 1) : 0;
    while (n > 0 && n < disk.n_changes && disk.changes[n].call == disk.changes[n - 1].call)
        n++;
    disk_apply_changes(n);
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
    disk_cut_locked();
}
