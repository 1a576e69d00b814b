/* whole_file.c - a temporary file, fsync, rename, fsync of the folder; and reading it back. */
#define _GNU_SOURCE /* O_PATH */
#include "whole_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    /* Never through a link that lies there under this name. */
    (void)unlink(temporary);
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
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

/* PATH.PID.tmp, of a process that is gone. */
static bool is_left(const char *name)
{
    static const char end[] = ".tmp";
    const size_t n = strlen(name), tail = sizeof end - 1;
    size_t at = n > tail ? n - tail : 0;

    if (at == 0 || strcmp(name + at, end) != 0)
        return false;
    while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
        at--;
    const long pid = strtol(name + at, NULL, 10);
    return at > 1 && name[at - 1] == '.' && pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

void whole_file_sweep(const char *dir)
{
    DIR *all = opendir(dir);

    for (struct dirent *e; all && (e = readdir(all));)
        if (is_left(e->d_name))
            (void)unlinkat(dirfd(all), e->d_name, 0);
    if (all)
        (void)closedir(all);
}

static int read_all(int fd, size_t size, char **text, size_t *bytes)
{
    char *into = malloc(size + 1);

    *bytes = 0;
    while (into && *bytes < size) {
        const ssize_t n = read(fd, into + *bytes, size - *bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* shorter than it was: what there is */
        *bytes += (size_t)n;
    }
    *text = into;
    return into ? 0 : -1;
}

int read_own_file(const char *dir, const char *name, char **text, size_t *bytes, struct error *err)
{
    struct stat st;

    *text = NULL;
    if (!*name || *name == '.' || strchr(name, '/'))
        return fail(err, ERR_CORRUPT, "%s: \"%s\" is no name of a file of this folder", dir, name);
    const int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* A pipe would be waited on for ever without O_NONBLOCK. */
    const int fd =
        folder < 0 ? -1 : openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int rc = OK;
    if (fd < 0)
        rc = fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s/%s: cannot be read", dir,
                        name);
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = fail(err, ERR_CORRUPT, "%s/%s: is not a regular file", dir, name);
    else if (read_all(fd, (size_t)st.st_size, text, bytes) != 0)
        rc = fail(err, ERR_NO_MEMORY, "%s/%s: no memory to read it", dir, name);
    if (fd >= 0)
        (void)close(fd);
    if (folder >= 0)
        (void)close(folder);
    return rc;
}
