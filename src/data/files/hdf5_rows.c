/* hdf5_rows.c - see hdf5_rows.h.
 *
 * 1 the child   2 the process that asks it */
#define _GNU_SOURCE
#include "src/data/files/hdf5_rows.h"

#ifndef HAVE_HDF5

struct hdf5_rows *hdf5_rows_begin(void)
{
    return NULL;
}

int hdf5_rows_read(struct hdf5_rows *h, const struct row_request *r, void *out,
                   uint64_t *read_bytes, struct error *err)
{
    (void)h, (void)out, (void)read_bytes;
    return fail(err, ERR_UNSUPPORTED, "%s: HDF5 is left out of this build", r->from->path);
}

void hdf5_rows_end(struct hdf5_rows *h)
{
    (void)h;
}

#else

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "src/data/files/row_spans.h"
#include "src/data/readers/bytes.h"
#include "src/data/readers/child.h"
#include "src/data/readers/hdf5_dataset.h"

static const size_t MEMORY_BYTES = (size_t)4 << 30;
enum { PATIENCE_S = 300 };
/* A chunk that does not fit is unpacked anew for each span of rows; the library's own limit is 1 MiB. */
enum { CACHE_BYTES = 64 << 20, CACHE_CHUNKS = 12421 };

/* A request is this struct and n numbers; a reply is the other one and, if its code is OK, n rows. */
struct rows_asked {
    struct row_origin from;
    uint64_t n, row_bytes;
};

struct rows_found {
    int code;
    char text[sizeof((struct error *)0)->text];
    uint64_t read_bytes;
};

/* Of a socket; false: the other end is closed, or silent for too long. */
static bool take_all(int socket, void *block, size_t n)
{
    for (char *at = block; n > 0;) {
        const ssize_t got = recv(socket, at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static bool send_all(int socket, const void *block, size_t n)
{
    for (const char *at = block; n > 0;) {
        const ssize_t sent = send(socket, at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* 1. The child */

struct reader {
    struct rows_asked asked;
    int fd;
    char path[sizeof((struct row_origin *)0)->path], name[sizeof((struct row_origin *)0)->dataset];
    hid_t file, dataset, memory_type; /* below 0: not open */
    uint64_t n, row_bytes;
    uint64_t read_bytes;
};

static int read_span(void *of, uint64_t first, uint64_t last, void *span, struct error *err)
{
    struct reader *r = of;
    const size_t n = (size_t)(last - first + 1);
    if (last >= r->n)
        return fail(err, ERR_CORRUPT, "%s[%s]: row %llu of %llu", r->path, r->name,
                    (unsigned long long)last + 1, (unsigned long long)r->n);
    r->read_bytes += n * r->row_bytes;
    return hdf5_read_rows(r->dataset, r->memory_type, (size_t)first, n, span, r->path, err);
}

static void close_file(struct reader *r)
{
    if (r->dataset >= 0)
        H5Dclose(r->dataset);
    if (r->file >= 0)
        H5Fclose(r->file);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    r->file = r->dataset = -1;
}

static int open_file(struct reader *r, struct error *err)
{
    const char *path = r->asked.from.path;
    char text[HDF5_REASON_BYTES];
    size_t size;
    if (r->file >= 0 && strcmp(r->path, path) == 0)
        return OK;
    close_file(r);
    memcpy(r->path, path, sizeof r->path);
    r->fd = bytes_open_file(path, &size, err);
    if (r->fd < 0)
        return -r->fd;
    r->file = hdf5_open_file(r->fd);
    if (r->file < 0)
        return fail(err, ERR_CORRUPT, "%s: HDF5 cannot open it: %s", path, hdf5_reason(text));
    return OK;
}

static int open_dataset(struct reader *r, struct error *err)
{
    const char *name = r->asked.from.dataset;
    enum element element;
    hsize_t extent[2];
    if (r->dataset >= 0 && strcmp(r->name, name) == 0)
        return OK;
    if (r->dataset >= 0)
        H5Dclose(r->dataset);
    r->dataset = -1;
    memcpy(r->name, name, sizeof r->name);
    int rc = hdf5_check_links(r->file, name, r->path, err);
    if (rc)
        return rc;
    const hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, CACHE_CHUNKS, CACHE_BYTES, 1);
    r->dataset = H5Dopen2(r->file, name, access);
    H5Pclose(access);
    if (r->dataset < 0)
        return fail(err, ERR_CORRUPT, "%s: dataset \"%s\" cannot be opened", r->path, name);
    rc = hdf5_check_storage(r->dataset, r->path, err);
    if (rc)
        return rc;
    const int rank = hdf5_shape_of(r->dataset, extent);
    if ((rank != 1 && rank != 2) || !hdf5_element_of(r->dataset, false, &element, &r->memory_type))
        return fail(err, ERR_CORRUPT, "%s: dataset \"%s\" has no rows of numbers", r->path, name);
    r->n = extent[0];
    r->row_bytes = H5Tget_size(r->memory_type) * extent[1];
    return OK;
}

static int read_rows(struct reader *r, const uint64_t *numbers, void *rows, struct error *err)
{
    const struct row_request request = { &r->asked.from, numbers, (size_t)r->asked.n,
                                         (size_t)r->asked.row_bytes, 0 };
    int rc = open_file(r, err);
    rc = rc ? rc : open_dataset(r, err);
    if (!rc && r->row_bytes != r->asked.row_bytes)
        rc =
            fail(err, ERR_CORRUPT, "%s: dataset \"%s\" has rows of %llu bytes, not %llu", r->path,
                 r->name, (unsigned long long)r->row_bytes, (unsigned long long)r->asked.row_bytes);
    const struct row_spans spans = { read_span, r, (size_t)r->asked.row_bytes };
    rc = rc ? rc : file_read_spans(&spans, &request, rows, err);
    if (rc)
        close_file(r);
    return rc;
}

/* Whether the other end is there and gets the reply. */
static bool serve_one(struct reader *r, int socket)
{
    if (!take_all(socket, &r->asked, sizeof r->asked))
        return false;
    struct rows_found found = { 0 };
    struct error err = { 0 };
    const size_t bytes = (size_t)(r->asked.n * r->asked.row_bytes);
    uint64_t *numbers = calloc((size_t)r->asked.n + 1, sizeof *numbers);
    char *rows = malloc(bytes + 1);
    bool goes_on = numbers && rows && take_all(socket, numbers, r->asked.n * sizeof *numbers);
    r->read_bytes = 0;
    if (goes_on) {
        found.code = read_rows(r, numbers, rows, &err);
        found.read_bytes = r->read_bytes;
        memcpy(found.text, err.text, sizeof found.text);
        goes_on =
            send_all(socket, &found, sizeof found) && (found.code || send_all(socket, rows, bytes));
    }
    free(numbers);
    free(rows);
    return goes_on;
}

static void serve(void *context, int socket)
{
    struct reader *r = calloc(1, sizeof *r);
    (void)context;
    if (!r)
        return;
    r->fd = -1;
    r->file = r->dataset = -1;
    while (serve_one(r, socket))
        continue;
    free(r);
}

/* 2. The process that asks it */

struct hdf5_rows {
    struct child_process child;
    int socket; /* -1: the child has ended */
};

struct hdf5_rows *hdf5_rows_begin(void)
{
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    struct hdf5_rows *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->child = (struct child_process){ .work = serve, .memory_bytes = MEMORY_BYTES };
    if (child_begin(&h->child, &h->socket, NULL) != OK) {
        free(h);
        return NULL;
    }
    (void)setsockopt(h->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return h;
}

/* The child does not reply as it should. */
static int give_up(struct hdf5_rows *h, const char *path, struct error *err)
{
    struct error why = { 0 };
    const int rc = child_end(&h->child, h->socket, &why);
    h->socket = -1;
    return fail(err, rc ? rc : ERR_CORRUPT, "%s: the process that read it %s", path,
                rc ? why.text : "ended early");
}

int hdf5_rows_read(struct hdf5_rows *h, const struct row_request *r, void *out,
                   uint64_t *read_bytes, struct error *err)
{
    const char *path = r->from->path;
    struct rows_asked asked = { *r->from, r->n, r->row_bytes };
    struct rows_found found;
    if (!h || h->socket < 0)
        return fail(err, ERR_UNSUPPORTED, "%s: no process to read HDF5 with", path);
    if (!send_all(h->socket, &asked, sizeof asked) ||
        !send_all(h->socket, r->numbers, r->n * sizeof *r->numbers) ||
        !take_all(h->socket, &found, sizeof found))
        return give_up(h, path, err);
    *read_bytes += found.read_bytes;
    if (!found.code && !take_all(h->socket, out, r->n * r->row_bytes))
        return give_up(h, path, err);
    found.text[sizeof found.text - 1] = '\0';
    return found.code ? fail(err, found.code, "%s", found.text) : OK;
}

void hdf5_rows_end(struct hdf5_rows *h)
{
    if (h && h->socket >= 0)
        (void)child_end(&h->child, h->socket, NULL);
    free(h);
}

#endif
