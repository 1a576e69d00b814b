/* files.c - see files.h. */
#define _GNU_SOURCE /* O_DIRECT */
#include "algorithms/common/io/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 16, PAGE_BYTES = 4096, DIGITS_MOST = 19 };

bool file_faulted(const struct file_fault *fault, const char *call)
{
    const int injected = fault ? fault->before(fault->to, call) : 0;

    if (injected)
        errno = injected;
    return injected != 0;
}

/* Whether to go on after a call that returned `did`; increases *done. A call that writes nothing
   must not be repeated for ever. */
static bool goes_on(ssize_t did, size_t *done, int nothing)
{
    if (did < 0)
        return errno == EINTR;
    if (did == 0)
        errno = nothing;
    *done += (size_t)did;
    return did > 0;
}

size_t file_write(int fd, const void *bytes, size_t n, const struct file_fault *fault)
{
    const unsigned char *from = bytes;
    size_t done = 0;

    while (done < n)
        if (!goes_on(file_faulted(fault, "write") ? -1 : write(fd, from + done, n - done), &done,
                     EIO))
            break;
    return done;
}

size_t file_write_at(int fd, const void *bytes, size_t n, uint64_t at,
                     const struct file_fault *fault)
{
    const unsigned char *from = bytes;
    size_t done = 0;

    while (done < n)
        if (!goes_on(file_faulted(fault, "write")
                         ? -1
                         : pwrite(fd, from + done, n - done, (off_t)(at + done)),
                     &done, EIO))
            break;
    return done;
}

size_t file_read_at(int fd, void *bytes, size_t n, uint64_t at, const struct file_fault *fault)
{
    unsigned char *to = bytes;
    size_t done = 0;

    while (done < n)
        if (!goes_on(file_faulted(fault, "read")
                         ? -1
                         : pread(fd, to + done, n - done, (off_t)(at + done)),
                     &done, 0))
            break;
    return done;
}

bool file_copy(int from, int to, const struct file_fault *fault)
{
    unsigned char buffer[COPY_BYTES];

    for (;;) {
        const ssize_t n = file_faulted(fault, "read") ? -1 : read(from, buffer, sizeof buffer);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (file_write(to, buffer, (size_t)n, fault) < (size_t)n)
            return false;
    }
}

bool file_sync(int fd, const struct file_fault *fault)
{
    while (file_faulted(fault, "fsync") || fsync(fd) != 0)
        if (errno != EINTR)
            return false;
    return true;
}

bool file_sync_data(int fd, const struct file_fault *fault)
{
    while (file_faulted(fault, "fsync") || fdatasync(fd) != 0)
        if (errno != EINTR)
            return false;
    return true;
}

bool file_sync_folder(const char *dir, const struct file_fault *fault)
{
    const int fd =
        file_faulted(fault, "fsync-dir") ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return false;
    const bool synced = file_sync(fd, NULL);
    const int why = errno;
    (void)close(fd);
    errno = why;
    return synced;
}

int file_open_direct(const char *path, uint64_t at)
{
    _Alignas(PAGE_BYTES) unsigned char page[PAGE_BYTES];
    const int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd >= 0 && pread(fd, page, sizeof page, (off_t)at) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

uint64_t file_number(const char *name, const char *prefix)
{
    const size_t n = strlen(prefix);

    if (strncmp(name, prefix, n) != 0 || strlen(name + n) > DIGITS_MOST ||
        name[n + strspn(name + n, "0123456789")])
        return 0;
    return strtoull(name + n, NULL, 10);
}

bool file_newest(const char *dir, const char *prefix, uint64_t below, uint64_t *number)
{
    DIR *d = opendir(dir);

    *number = 0;
    if (!d)
        return false;
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        const uint64_t n = file_number(e->d_name, prefix);
        *number = n > *number && n < below ? n : *number;
    }
    (void)closedir(d);
    return true;
}
