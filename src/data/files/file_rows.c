/* file_rows.c - see file_rows.h. Near rows are read together, as one span. */
#define _GNU_SOURCE
#include "src/data/files/file_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "src/core/order.h"
#include "src/data/readers/bytes.h"

/* Rows that are less than a page apart are read together: the page between them is read anyway. */
enum { GAP_BYTES = 4096, SPAN_BYTES = 1 << 20 };

uint64_t file_rows_hash(const void *rows, size_t bytes)
{
    return XXH3_64bits(rows, bytes);
}

void file_rows_end(struct file_rows *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static int open_file(struct file_rows *f, const char *path, struct error *err)
{
    if (f->fd >= 0 && strcmp(f->path, path) == 0)
        return OK;
    file_rows_end(f);
    f->fd = bytes_open_file(path, &f->size, err);
    if (f->fd < 0)
        return -f->fd;
    (void)snprintf(f->path, sizeof f->path, "%s", path);
    f->opened++;
    return OK;
}

/* Reads rows first .. last, and what is between them. */
static int read_span(struct file_rows *f, const struct row_request *r, uint64_t first,
                     uint64_t last, char *span, struct error *err)
{
    uint64_t end;
    if (__builtin_mul_overflow(last, r->from->stride, &end) ||
        __builtin_add_overflow(end, r->from->offset, &end) ||
        __builtin_add_overflow(end, r->row_bytes, &end) || end > f->size)
        return fail(err, ERR_CORRUPT, "%s: row %llu is beyond its %zu bytes", f->path,
                    (unsigned long long)last + 1, f->size);
    for (uint64_t at = r->from->offset + first * r->from->stride; at < end;) {
        const ssize_t got = pread(f->fd, span, end - at, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(err, ERR_IO, "%s: cannot read", f->path);
        if (got == 0)
            return fail(err, ERR_CORRUPT, "%s: it has become shorter", f->path);
        span += got;
        at += (uint64_t)got;
        f->read_bytes += (uint64_t)got;
    }
    return OK;
}

struct pick {
    uint64_t number;
    size_t at; /* in the request */
};

/* In ascending order: rows of a shuffled view would else be read one by one. */
static void sort_picks(struct pick *picks, const uint64_t *numbers, size_t n)
{
    bool ascending = true;
    for (size_t i = 0; i < n; i++) {
        picks[i] = (struct pick){ numbers[i], i };
        ascending &= i == 0 || numbers[i - 1] <= numbers[i];
    }
    if (!ascending)
        qsort(picks, n, sizeof *picks, order_u64);
}

/* How many picks, from the first one on, are one span. */
static size_t span_length(const struct pick *picks, size_t n, size_t stride, size_t most_rows)
{
    size_t i = 1;
    for (; i < n; i++) {
        const uint64_t step = picks[i].number - picks[i - 1].number;
        if (step > GAP_BYTES / stride + 1 || picks[i].number - picks[0].number >= most_rows)
            break;
    }
    return i;
}

static int read_rows(struct file_rows *f, const struct row_request *r, char *out, struct error *err)
{
    const size_t stride = (size_t)r->from->stride;
    if (r->row_bytes == 0 || stride < r->row_bytes || stride > f->size)
        return fail(err, ERR_CORRUPT, "%s: rows of %zu bytes cannot be every %zu bytes", f->path,
                    r->row_bytes, stride);
    const size_t most_rows = stride < SPAN_BYTES ? SPAN_BYTES / stride : 1;
    struct pick *picks = calloc(r->n + 1, sizeof *picks);
    char *span = malloc(most_rows * stride);
    int rc = picks && span ? OK : fail(err, ERR_NO_MEMORY, "out of memory for %zu rows", r->n);
    if (rc == OK)
        sort_picks(picks, r->numbers, r->n);
    for (size_t i = 0, n; rc == OK && i < r->n; i += n) {
        const uint64_t first = picks[i].number;
        n = span_length(picks + i, r->n - i, stride, most_rows);
        rc = read_span(f, r, first, picks[i + n - 1].number, span, err);
        for (size_t k = i; rc == OK && k < i + n; k++)
            memcpy(out + picks[k].at * r->row_bytes,
                   span + (size_t)(picks[k].number - first) * stride, r->row_bytes);
    }
    free(span);
    free(picks);
    return rc;
}

int file_rows_read(void *of, const struct row_request *r, void *out, struct error *err)
{
    struct file_rows *f = of;
    int rc = open_file(f, r->from->path, err);
    if (rc == OK)
        rc = read_rows(f, r, out, err);
    if (rc == OK && file_rows_hash(out, r->n * r->row_bytes) != r->hash)
        rc = fail(err, ERR_CORRUPT, "%s: its rows are not those that rank 0 has", r->from->path);
    if (rc != OK)
        file_rows_end(f);
    return rc;
}
