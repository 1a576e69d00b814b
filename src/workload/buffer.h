/* buffer.h - memory from mmap(). Freeing it returns it to the system, so that the measured growth
 * of the process is due to the method. */
#ifndef DRIFTLINE_WORKLOAD_BUFFER_H
#define DRIFTLINE_WORKLOAD_BUFFER_H

#include <stddef.h>

#include "src/core/error.h"

/* A zeroed struct is an empty buffer. */
struct buffer {
    void *bytes; /* page-aligned */
    size_t capacity;
};
/* Makes the capacity larger than `bytes`. The contents are lost when it grows. ERR_NO_MEMORY. */
int buffer_reserve(struct buffer *, size_t bytes, struct error *);
void buffer_free(struct buffer *);

#endif
