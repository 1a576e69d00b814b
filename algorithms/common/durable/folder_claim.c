/* folder_claim.c - locks a folder for one index, and examines folders. */
#include "algorithms/common/durable/folder_claim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/common/io/files.h"
#include "src/core/path_print.h"

static int refuse(int fd, const char *path, const char *dir, struct error *err)
{
    char text[32] = { 0 };

    if (errno != EWOULDBLOCK)
        return fail_errno(err, ERR_IO, "cannot lock %s", path);
    (void)file_read_at(fd, text, sizeof text - 1, 0, NULL);
    const long holder = strtol(text, NULL, 10);
    if (holder > 0)
        return fail(err, ERR_IO,
                    "the folder %s is in use by %s %ld (%s is locked); close the index there first",
                    dir, holder == (long)getpid() ? "this process," : "process", holder, path);
    return fail(err, ERR_IO, "the folder %s is in use by another process (%s is locked)", dir,
                path);
}

/* flock() belongs to the open file. So two locks within one process exclude each other too, and the
   system releases the lock however the process ends. */
int folder_claim(const char *dir, int *fd, struct error *err)
{
    char path[PATH_MAX], text[32];
    int rc = path_print(path, err, "%s/LOCK", dir);

    *fd = -1;
    if (rc != OK)
        return rc;
    const int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0)
        return fail_errno(err, ERR_IO, "cannot open %s", path);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        rc = refuse(lock, path, dir, err);
        (void)close(lock);
        return rc;
    }
    /* Only for the message above, so it may fail. The length is that of any number, as the file
       counts in disk_bytes. */
    const int length = snprintf(text, sizeof text, "%20ld\n", (long)getpid());
    if (ftruncate(lock, 0) == 0 &&
        file_write_at(lock, text, (size_t)length, 0, NULL) < (size_t)length)
        (void)ftruncate(lock, 0);
    *fd = lock;
    return OK;
}

bool folder_same(const char *a, const char *b)
{
    struct stat x, y;

    return a && b && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

bool folder_has(const char *dir, const char *name)
{
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", dir, name);

    return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

int folder_only_ran(struct error *err, const char *dir)
{
    return fail_within(err,
                       "the folder %s is where an index ran, and can be opened only as its own "
                       "folder; save() makes a copy",
                       dir);
}
