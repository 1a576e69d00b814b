/* gather.h - prepares rows for a method: contiguous, with the method's element, and of unit length
 * under cosine. Runs outside the clock. */
#ifndef DRIFTLINE_WORKLOAD_GATHER_H
#define DRIFTLINE_WORKLOAD_GATHER_H

#include "src/core/ranks/ranks.h"
#include "src/workload/view.h"

/* Memory from mmap(): freeing it returns it to the system, so that the measured growth of the process is
   due to the method. A zeroed struct is an empty buffer. */
struct buffer {
    void *bytes; /* page-aligned */
    size_t capacity;
};
/* Makes the capacity larger than `bytes`. The contents are lost when it grows. ERR_NO_MEMORY. */
int buffer_reserve(struct buffer *, size_t bytes, struct error *);
void buffer_free(struct buffer *);

/* The rows of a view at n positions (NULL: its first n) with element `want`; scaled to unit length if
   `unit`, for F32 only. *out points into the data if the first n need no change, else into the
   buffer. */
int gather_view(const struct view *, const uint64_t *positions, size_t n, enum element want,
                bool unit, struct buffer *, struct vectors *out, struct error *);
/* Copies the items at n positions, of `bytes` each, to the buffer. */
int gather_items(const void *items, size_t bytes, const uint64_t *positions, size_t n,
                 struct buffer *, struct error *);
/* Where a method's rows were gathered from. Zeroed: nothing is known of them. */
struct gathered_rows {
    const struct view *view;
    const uint64_t *positions; /* row i is at positions[i] of the view; NULL: at i */
    struct vectors rows;       /* not scaled */
};
/* row_files.origin (src/core/ranks/ranks.h), of a struct gathered_rows: rows that all are in one file as they are,
   wherever they were copied to. */
bool gather_origin(void *gathered, struct vectors, struct row_origin *, uint64_t *numbers);
/* Scales n rows in place; does not change a zero row. */
void gather_scale_to_unit(float *rows, size_t n, size_t dim);

#endif
