/* whole_file.c - a temporary file, fsync, rename, fsync of the folder. */
#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t n = write(fd, text, bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        text += n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* The folder's own entry must reach the disk too, or a crash may bring the old name back. */
static void sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1,
                 slash ? path : ".") >= (int)sizeof folder)
        return;
    const int fd = open(slash == path ? "/" : folder, O_RDONLY | O_DIRECTORY);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

static int write_failed(struct error *err, const char *path)
{
    const char *advice = errno == ENOSPC || errno == EDQUOT
                             ? " (the disk is full: free some space; what was there before is kept)"
                         : errno == EROFS || errno == EACCES || errno == EPERM
                             ? " (the folder cannot be written: choose another with --out)"
                             : "";

    return fail(err, ERR_IO, "%s: cannot be written: %s%s", path, strerror(errno), advice);
}

int write_whole_file(const char *path, const char *text, size_t bytes, struct error *err)
{
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid()) >=
        (int)sizeof temporary)
        return fail(err, ERR_IO, "%s: the path is too long", path);
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return write_failed(err, path);
    const bool written = write_all(fd, text, bytes) == 0 && fsync(fd) == 0;
    const int why = errno;
    if ((close(fd) != 0 && written) || !written || rename(temporary, path) != 0) {
        errno = written ? errno : why;
        (void)write_failed(err, path);
        (void)unlink(temporary);
        return ERR_IO;
    }
    sync_folder_of(path);
    return OK;
}
