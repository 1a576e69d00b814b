/* file_rows.c - see file_rows.h. */
#define _GNU_SOURCE
#include "src/data/files/file_rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "src/data/files/hdf5_rows.h"
#include "src/data/files/row_spans.h"
#include "src/data/readers/bytes.h"

uint64_t file_rows_hash(const void *rows, size_t bytes)
{
    return XXH3_64bits(rows, bytes);
}

void file_rows_begin(struct file_rows *f)
{
    *f = (struct file_rows){ .fd = -1, .hdf5 = hdf5_rows_begin() };
}

static void close_file(struct file_rows *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

void file_rows_end(struct file_rows *f)
{
    close_file(f);
    hdf5_rows_end(f->hdf5);
}

static int open_file(struct file_rows *f, const char *path, struct error *err)
{
    if (f->fd >= 0 && strcmp(f->path, path) == 0)
        return OK;
    close_file(f);
    f->fd = bytes_open_file(path, &f->size, err);
    if (f->fd < 0)
        return -f->fd;
    (void)snprintf(f->path, sizeof f->path, "%s", path);
    f->opened++;
    return OK;
}

/* ---- rows at offset + number * stride */

struct strided {
    struct file_rows *file;
    const struct row_origin *from;
    size_t row_bytes;
};

static int read_exactly(struct file_rows *f, uint64_t offset, char *out, size_t n,
                        struct error *err)
{
    while (n > 0) {
        const ssize_t got = pread(f->fd, out, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(err, ERR_IO, "%s: cannot read", f->path);
        if (got == 0)
            return fail(err, ERR_CORRUPT, "%s: it has become shorter", f->path);
        out += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
        f->read_bytes += (uint64_t)got;
    }
    return OK;
}

static int read_span(void *of, uint64_t first, uint64_t last, void *span, struct error *err)
{
    const struct strided *s = of;
    uint64_t begin, end;
    if (__builtin_mul_overflow(last, s->from->stride, &end) ||
        __builtin_add_overflow(end, s->from->offset, &end) ||
        __builtin_add_overflow(end, s->row_bytes, &end) || end > s->file->size)
        return fail(err, ERR_CORRUPT, "%s: row %llu is beyond its %zu bytes", s->file->path,
                    (unsigned long long)last + 1, s->file->size);
    begin = s->from->offset + first * s->from->stride;
    return read_exactly(s->file, begin, span, (size_t)(end - begin), err);
}

static int read_strided(struct file_rows *f, const struct row_request *r, void *out,
                        struct error *err)
{
    struct strided strided = { f, r->from, r->row_bytes };
    const struct row_spans spans = { read_span, &strided, (size_t)r->from->stride };
    if (r->row_bytes == 0 || r->from->stride < r->row_bytes || r->from->stride > f->size)
        return fail(err, ERR_CORRUPT, "%s: rows of %zu bytes cannot be every %llu bytes", f->path,
                    r->row_bytes, (unsigned long long)r->from->stride);
    return file_read_spans(&spans, r, out, err);
}

/* ---- both */

int file_rows_read(void *of, const struct row_request *r, void *out, struct error *err)
{
    struct file_rows *f = of;
    int rc = OK;
    if (*r->from->dataset)
        rc = hdf5_rows_read(f->hdf5, r, out, &f->read_bytes, err);
    else if ((rc = open_file(f, r->from->path, err)) == OK)
        rc = read_strided(f, r, out, err);
    if (rc == OK && file_rows_hash(out, r->n * r->row_bytes) != r->hash)
        rc = fail(err, ERR_CORRUPT, "%s: its rows are not those that rank 0 has", r->from->path);
    if (rc != OK)
        close_file(f);
    return rc;
}
