/* bytes.c - maps and inflates files; see bytes.h. */
#define _GNU_SOURCE
#define ZLIB_CONST
#include "src/data/readers/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { OUT_BYTES = 256 * 1024 };
static const size_t MOST_FED_BYTES = (size_t)1 << 30; /* zlib counts its input in an unsigned int */

static int map(struct bytes *b, int fd, size_t size, struct error *err)
{
    void *mapping = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED)
        return fail_errno(err, ERR_IO, "%s: cannot map %zu bytes", b->name, size);
    b->mapping = mapping;
    b->at = mapping;
    b->size = size;
    b->fd = fd;
    return OK;
}

int bytes_scratch(const char *dir)
{
    const int fd = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
    /* Some file systems do not support O_TMPFILE. */
    if (fd >= 0 || (dir && errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    return memfd_create("driftline-scratch", MFD_CLOEXEC);
}

int bytes_put(int fd, const void *block, size_t n)
{
    const uint8_t *at = block;
    while (n) {
        ssize_t wrote = write(fd, at, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        at += wrote;
        n -= (size_t)wrote;
    }
    return 0;
}

struct inflation {
    z_stream z;
    const uint8_t *end; /* of the input */
    size_t done, limit; /* bytes inflated, and the most allowed */
    int fd;
    uint8_t out[OUT_BYTES];
};

static int inflate_fault(const struct bytes *b, const struct inflation *f, int status,
                         struct error *err)
{
    size_t at = (size_t)(f->z.next_in - b->at);
    if (status == Z_MEM_ERROR)
        return fail(err, ERR_NO_MEMORY, "%s: out of memory inflating", b->name);
    if (status == Z_DATA_ERROR)
        return fail(err, ERR_CORRUPT, "%s: gzip data damaged near byte %zu of %zu: %s", b->name, at,
                    b->size, f->z.msg ? f->z.msg : "unknown");
    return fail(err, ERR_CORRUPT,
                "%s: gzip data end early, after %zu bytes inflated to %zu; the file is truncated",
                b->name, b->size, f->done);
}

/* Inflates one gzip member; leaves z.next_in after it. */
static int inflate_member(const struct bytes *b, struct inflation *f, struct error *err)
{
    int status = Z_OK;
    while (status != Z_STREAM_END) {
        size_t left = (size_t)(f->end - f->z.next_in);
        f->z.avail_in = (uInt)(left < MOST_FED_BYTES ? left : MOST_FED_BYTES);
        f->z.next_out = f->out;
        f->z.avail_out = OUT_BYTES;
        status = inflate(&f->z, Z_NO_FLUSH);
        size_t n = OUT_BYTES - f->z.avail_out;
        f->done += n;
        if (f->done > f->limit)
            return fail(err, ERR_CORRUPT,
                        "%s: gzip data inflate to more than the %zu bytes allowed", b->name,
                        f->limit);
        if (bytes_put(f->fd, f->out, n))
            return fail_errno(err, ERR_IO, "%s: cannot store the inflated data", b->name);
        if (status != Z_OK && status != Z_STREAM_END)
            return inflate_fault(b, f, status, err);
    }
    return OK;
}

static int inflate_gzip(const struct bytes *b, struct inflation *f, struct error *err)
{
    for (;;) {
        int rc = inflate_member(b, f, err);
        if (rc)
            return rc;
        /* More members may follow. Zero padding is allowed; other bytes are an error. */
        while (f->z.next_in < f->end && *f->z.next_in == 0)
            f->z.next_in++;
        size_t left = (size_t)(f->end - f->z.next_in);
        if (!left)
            return OK;
        if (left < 2 || f->z.next_in[0] != 0x1f || f->z.next_in[1] != 0x8b)
            return fail(err, ERR_CORRUPT, "%s: %zu extra bytes after the end of the gzip data",
                        b->name, left);
        inflateReset(&f->z);
    }
}

/* Replaces the block of b by the inflated data. */
static int inflate_whole(struct bytes *b, const char *scratch_dir, size_t limit, struct error *err)
{
    struct inflation inflation = { .z.next_in = b->at,
                                   .end = b->at + b->size,
                                   .limit = limit ? limit : BYTES_LIMIT },
                     *f = &inflation;
    f->fd = bytes_scratch(scratch_dir);
    if (f->fd < 0)
        return fail_errno(err, ERR_IO, "%s: cannot make a temporary file in %s", b->name,
                          scratch_dir ? scratch_dir : "memory");
    int rc = inflateInit2(&f->z, 16 + MAX_WBITS) == Z_OK
                 ? OK
                 : fail(err, ERR_NO_MEMORY, "%s: out of memory inflating", b->name);
    if (!rc) {
        rc = inflate_gzip(b, f, err);
        inflateEnd(&f->z);
    }
    if (!rc && !f->done)
        rc = fail(err, ERR_CORRUPT, "%s: the gzip data are empty", b->name);
    rc = bytes_replace(b, f->fd, rc, err);
    b->was_gzip |= !rc;
    return rc;
}

static bool is_gzip(const struct bytes *b)
{
    return b->size >= 2 && b->at[0] == 0x1f && b->at[1] == 0x8b;
}

int bytes_open_file(const char *path, size_t *size, struct error *err)
{
    /* Without O_NONBLOCK, opening a named pipe would block; it is refused below. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0)
        return -fail_errno(err, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO,
                           "%s: cannot open", path);
    int rc = OK;
    if (fstat(fd, &st))
        rc = fail_errno(err, ERR_IO, "%s: cannot read its size", path);
    else if (S_ISDIR(st.st_mode))
        rc = fail(err, ERR_IO, "%s: is a directory, a data file was expected", path);
    else if (!S_ISREG(st.st_mode))
        rc = fail(err, ERR_IO, "%s: is not a regular file", path);
    else if (st.st_size == 0)
        rc = fail(err, ERR_CORRUPT, "%s: the file is empty", path);
    *size = (size_t)st.st_size;
    if (rc)
        close(fd);
    return rc ? -rc : fd;
}

int bytes_open(struct bytes *b, const char *path, const char *scratch_dir, size_t limit_bytes,
               struct error *err)
{
    *b = (struct bytes){ .name = path, .fd = -1 };
    size_t size = 0;
    const int fd = bytes_open_file(path, &size, err);
    if (fd < 0)
        return -fd;
    int rc = map(b, fd, size, err);
    if (rc) {
        close(fd);
        return rc;
    }
    b->is_file = true;
    if (is_gzip(b))
        rc = inflate_whole(b, scratch_dir, limit_bytes, err);
    if (rc)
        bytes_close(b);
    return rc;
}

int bytes_borrow(struct bytes *b, const char *name, const void *block, size_t size,
                 size_t limit_bytes, struct error *err)
{
    *b = (struct bytes){ .at = block, .size = size, .name = name, .fd = -1 };
    if (!size)
        return fail(err, ERR_CORRUPT, "%s: the file is empty", name);
    return is_gzip(b) ? inflate_whole(b, NULL, limit_bytes, err) : OK;
}

int bytes_replace(struct bytes *b, int fd, int rc, struct error *err)
{
    struct bytes other = { .name = b->name, .was_gzip = b->was_gzip, .fd = -1 };
    struct stat st;
    if (!rc && (fstat(fd, &st) || !st.st_size))
        rc = fail(err, ERR_CORRUPT, "%s: it inflates to no data", b->name);
    if (!rc)
        rc = map(&other, fd, (size_t)st.st_size, err);
    if (rc) {
        close(fd);
        return rc;
    }
    bytes_close(b);
    *b = other;
    return OK;
}

void bytes_close(struct bytes *b)
{
    if (b->mapping)
        munmap(b->mapping, b->size);
    if (b->fd >= 0)
        close(b->fd);
    *b = (struct bytes){ .name = b->name, .fd = -1 };
}
