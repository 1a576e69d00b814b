/* copy.h - a device's copy of rows that change: which of them it has yet to be given. */
#ifndef DRIFTLINE_CUDA_COPY_H
#define DRIFTLINE_CUDA_COPY_H

#include <stddef.h>
#include <stdint.h>

enum {
    CUDA_COPY_STALE = 256
}; /* more changed rows than this are copied together, with those
                                   between */

/* Zeroed: the device has no rows. It has the first n, but for those that have changed since. */
struct cuda_copy {
    size_t n, n_stale;
    uint32_t stale[CUDA_COPY_STALE]; /* positions below n */
};

/* After the row at `position` was changed or removed: `rows` are stored now. */
void cuda_copy_note(struct cuda_copy *, uint32_t position, size_t rows);

/* Calls put(to, first, n) for the ranges of the `rows` stored that the device lacks; rows that were
   appended are among them. Returns the first code that is not 0, and then the copy is as before. */
int cuda_copy_bring(struct cuda_copy *, size_t rows, int (*put)(void *to, size_t first, size_t n),
                    void *to);

#endif
