/* row_spans.h - reads rows by their numbers, near ones together. For src/data only. */
#ifndef DRIFTLINE_DATA_FILES_ROW_SPANS_H
#define DRIFTLINE_DATA_FILES_ROW_SPANS_H

#include "src/core/ranks/ranks.h"

struct row_spans {
    /* Reads rows first .. last: row i's bytes are at (i - first) * stride of the span. ERR_IO,
       ERR_CORRUPT. */
    int (*read)(void *from, uint64_t first, uint64_t last, void *span, struct error *);
    void *from;
    size_t stride; /* bytes from a row to the next; at least row_bytes of the request */
};

/* Rows in the order of the request's numbers. ERR_NO_MEMORY, and errors of read(). */
int file_read_spans(const struct row_spans *, const struct row_request *, void *out,
                    struct error *);

#endif
