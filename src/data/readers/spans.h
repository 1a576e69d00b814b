/* spans.h - reads rows by their numbers, near ones together. For src/data only. */
#ifndef DRIFTLINE_DATA_READERS_SPANS_H
#define DRIFTLINE_DATA_READERS_SPANS_H

#include "src/core/ranks.h"

struct row_spans {
    /* Reads rows first .. last: row i's bytes are at (i - first) * stride of the span. ERR_IO,
       ERR_CORRUPT. */
    int (*read)(void *from, uint64_t first, uint64_t last, void *span, struct error *);
    void *from;
    size_t stride; /* bytes from a row to the next */
};

/* Rows in the order of the request's numbers. ERR_NO_MEMORY, and errors of read(). */
int reader_spans(const struct row_spans *, const struct row_request *, void *out, struct error *);

/* Rows of a dataset of the HDF5 file that is open as fd, read by a child process, in order of the
   request's numbers. ERR_CORRUPT: the file is damaged or has no such rows; ERR_UNSUPPORTED in a build
   without the library, ERR_NO_MEMORY, ERR_IO. *read_bytes: of rows, with those read between them. */
int reader_hdf5_rows(int fd, const struct row_request *, void *out, uint64_t *read_bytes,
                     struct error *);

#endif
