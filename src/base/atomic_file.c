/* atomic_file.c - a temporary file, fsync, rename, fsync of the folder. */
#define _GNU_SOURCE
#include "src/base/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/path.h"
#include "src/core/path_print.h"

/* Reports the cause in errno. */
static int write_failed(const struct atomic_file *w, struct error *err)
{
    const bool refused = errno == EROFS || errno == EACCES || errno == EPERM;

    return fail_errno(err, ERR_IO, "%s: cannot be written, what was there before is kept%s",
                      w->path, refused ? "; choose a folder that can be written" : "");
}

int atomic_file_begin(struct atomic_file *w, const char *path, struct error *err)
{
    w->fd = -1;
    if (path_print(w->path, err, "%s", path))
        return ERR_ARGUMENT;
    (void)snprintf(w->temporary, sizeof w->temporary, "%s.%ld.tmp", path, (long)getpid());
    /* Removes a stale file or link of this name, since O_EXCL refuses both. */
    (void)unlink(w->temporary);
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return w->fd < 0 ? write_failed(w, err) : OK;
}

int atomic_file_put(struct atomic_file *w, const void *bytes, size_t n, struct error *err)
{
    for (const char *at = bytes; n > 0;) {
        const ssize_t written = write(w->fd, at, n);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return write_failed(w, err);
        at += written;
        n -= (size_t)written;
    }
    return OK;
}

int atomic_file_commit(struct atomic_file *w, struct error *err)
{
    int rc = fsync(w->fd) == 0 ? OK : write_failed(w, err);

    if (close(w->fd) != 0 && rc == OK)
        rc = write_failed(w, err);
    w->fd = -1;
    if (rc == OK && rename(w->temporary, w->path) != 0)
        rc = write_failed(w, err);
    if (rc == OK)
        path_sync_parent(w->path);
    else
        (void)unlink(w->temporary);
    return rc;
}

void atomic_file_abandon(struct atomic_file *w)
{
    if (w->fd < 0)
        return;
    (void)close(w->fd);
    (void)unlink(w->temporary);
    w->fd = -1;
}

int atomic_file_write(const char *path, const void *bytes, size_t n, struct error *err)
{
    struct atomic_file w;
    int rc = atomic_file_begin(&w, path, err);

    if (rc == OK)
        rc = atomic_file_put(&w, bytes, n, err);
    if (rc == OK)
        rc = atomic_file_commit(&w, err);
    atomic_file_abandon(&w);
    return rc;
}

int atomic_text_begin(struct atomic_text *t, struct error *err)
{
    *t = (struct atomic_text){ 0 };
    t->out = open_memstream(&t->text, &t->bytes);
    return t->out ? OK : fail(err, ERR_NO_MEMORY, "out of memory for a file");
}

int atomic_text_end(struct atomic_text *t, struct error *err)
{
    const bool whole = t->out && fclose(t->out) == 0;

    t->out = NULL;
    return whole ? OK : fail(err, ERR_NO_MEMORY, "out of memory for a file");
}

int atomic_text_write(struct atomic_text *t, const char *path, struct error *err)
{
    int rc = t->out ? atomic_text_end(t, err) : OK;

    if (rc == OK)
        rc = atomic_file_write(path, t->text, t->bytes, err);
    atomic_text_free(t);
    return rc;
}

void atomic_text_free(struct atomic_text *t)
{
    if (t->out)
        (void)fclose(t->out);
    free(t->text);
    *t = (struct atomic_text){ 0 };
}

/* True for the name PATH.PID.tmp if no process has the id PID. */
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

void atomic_file_sweep(const char *dir)
{
    DIR *all = opendir(dir);

    for (struct dirent *e; all && (e = readdir(all));)
        if (is_left(e->d_name))
            (void)unlinkat(dirfd(all), e->d_name, 0);
    if (all)
        (void)closedir(all);
}
