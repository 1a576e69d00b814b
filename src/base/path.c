/* path.c - see path.h. */
#define _GNU_SOURCE /* O_PATH */
#include "src/base/path.h"
#include "src/core/path_print.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool path_ends(const char *path, const char *suffix)
{
    const size_t n = strlen(path), m = strlen(suffix);

    return n > m && strcmp(path + n - m, suffix) == 0;
}

int path_make_folders(const char *path, unsigned mode, struct error *err)
{
    char part[PATH_MAX];

    if (path_print(part, err, "%s", path))
        return ERR_ARGUMENT;
    for (char *p = part + 1;; p++) {
        const char end = *p;
        if (end && end != '/')
            continue;
        *p = '\0';
        if (mkdir(part, end ? mode | 0055 : mode) != 0 && errno != EEXIST)
            return fail_errno(err, ERR_IO, "%s: cannot create the folder", part);
        if (!end)
            return OK;
        *p = end;
    }
}

void path_sync(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

void path_sync_parent(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1,
                 slash ? path : ".") < (int)sizeof folder)
        path_sync(slash == path ? "/" : folder);
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
            break; /* the file became shorter after fstat() */
        *bytes += (size_t)n;
    }
    if (into)
        into[*bytes] = '\0';
    *text = into;
    return into ? 0 : -1;
}

int path_read_file(const char *folder, const char *name, char **text, size_t *bytes,
                   struct error *err)
{
    struct stat st;
    int rc = OK;

    *text = NULL;
    if (!*name || *name == '.' || strchr(name, '/'))
        return fail(err, ERR_CORRUPT, "%s: \"%s\" is not the name of a file of this folder", folder,
                    name);
    const int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* Without O_NONBLOCK, opening a named pipe could block for ever. */
    const int fd = at < 0 ? -1 : openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        rc = fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s/%s: cannot be read",
                        folder, name);
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = fail(err, ERR_CORRUPT, "%s/%s: is not a regular file", folder, name);
    else if (read_all(fd, (size_t)st.st_size, text, bytes) != 0)
        rc = fail(err, ERR_NO_MEMORY, "%s/%s: out of memory, cannot read it", folder, name);
    if (fd >= 0)
        (void)close(fd);
    if (at >= 0)
        (void)close(at);
    return rc;
}
