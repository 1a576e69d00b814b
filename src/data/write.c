/* write.c - whole files or none; see write.h. */
#define _GNU_SOURCE
#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int whole_file_begin(struct whole_file *w, const char *path, struct error *err)
{
    w->fd = -1;
    if (snprintf(w->path, sizeof w->path, "%s", path) >= (int)sizeof w->path)
        return fail(err, ERR_ARGUMENT, "%.80s...: the path is too long", path);
    snprintf(w->temporary, sizeof w->temporary, "%s.XXXXXX", path);
    w->fd = mkostemp(w->temporary, O_CLOEXEC);
    if (w->fd < 0)
        return fail_errno(err, ERR_IO, "%s: cannot create", path);
    fchmod(w->fd, 0644);
    return OK;
}

int whole_file_put(struct whole_file *w, const void *bytes, size_t n, struct error *err)
{
    for (const char *at = bytes; n;) {
        ssize_t wrote = write(w->fd, at, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return fail_errno(err, ERR_IO, "%s: cannot write", w->path);
        at += wrote;
        n -= (size_t)wrote;
    }
    return OK;
}

/* A rename is on disk only once the folder is. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int whole_file_commit(struct whole_file *w, struct error *err)
{
    int rc = OK;
    if (fsync(w->fd))
        rc = fail_errno(err, ERR_IO, "%s: cannot flush to disk", w->path);
    if (close(w->fd) && !rc)
        rc = fail_errno(err, ERR_IO, "%s: cannot close", w->path);
    w->fd = -1;
    if (!rc && rename(w->temporary, w->path))
        rc = fail_errno(err, ERR_IO, "%s: cannot rename into place", w->path);
    if (rc)
        unlink(w->temporary);
    else
        sync_folder(w->path);
    return rc;
}

void whole_file_abandon(struct whole_file *w)
{
    if (w->fd < 0)
        return;
    close(w->fd);
    unlink(w->temporary);
    w->fd = -1;
}

int make_directories(const char *path, unsigned mode, struct error *err)
{
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return fail(err, ERR_ARGUMENT, "%.80s...: the path is too long", path);
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(part, 0755) && errno != EEXIST)
            return fail_errno(err, ERR_IO, "%s: cannot create the folder", part);
        *p = '/';
    }
    if (mkdir(part, mode) && errno != EEXIST)
        return fail_errno(err, ERR_IO, "%s: cannot create the folder", part);
    return OK;
}

static const char *npy_type(enum element element)
{
    switch ((int)element) {
        case ELEMENT_F32: return "<f4";
        case ELEMENT_U8: return "|u1";
        case ELEMENT_B64: return "<u8";
        case (int)ELEMENT_I8: return "|i1";
        case (int)ELEMENT_I32: return "<i4";
        case (int)ELEMENT_I64: return "<i8";
        default: return "<f8";
    }
}

size_t npy_header(enum element element, size_t n, size_t dim, char out[512])
{
    size_t columns = element == ELEMENT_B64 ? dim / 64 : dim;
    int text =
        snprintf(out + 10, 400, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %zu), }",
                 npy_type(element), n, columns);
    size_t used = 10 + (size_t)text, length = (used + 1 + 63) / 64 * 64;
    memset(out + used, ' ', length - used - 1);
    out[length - 1] = '\n';
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)((length - 10) & 255);
    out[9] = (char)((length - 10) >> 8);
    return length;
}
