/* folder_lock.c - see folder_lock.h. */
#include "src/result/folder_lock.h"
#include "src/core/path_print.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* fcntl() is used instead of flock() for two reasons. Forked cells do not inherit its lock, so a
   cell that outlives a killed run holds none. F_GETLK reports the owner's process id. */
int folder_lock(const char *dir, int *lock, struct error *err)
{
    char path[PATH_MAX];
    struct flock own = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (path_print(path, err, "%s/.lock", dir))
        return err->code;
    const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_errno(err, ERR_IO, "%s: cannot lock this folder", dir);
    if (fcntl(fd, F_SETLK, &own) == 0) {
        *lock = fd;
        return OK;
    }
    struct flock other = own;
    if (errno != EACCES && errno != EAGAIN) {
        *lock = fd; /* the file system has no locks, so the folder stays unlocked */
        return OK;
    }
    if (fcntl(fd, F_GETLK, &other) == 0 && other.l_type != F_UNLCK && other.l_pid > 0)
        (void)fail(err, ERR_IO, "%s: process %ld is writing here; wait for its end", dir,
                   (long)other.l_pid);
    else
        (void)fail(err, ERR_IO, "%s: another process is writing here; wait for its end", dir);
    (void)close(fd);
    return err->code;
}
