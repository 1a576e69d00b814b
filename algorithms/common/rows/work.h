/* work.h - adding what the threads of a search did. */
#ifndef DRIFTLINE_COMMON_ROWS_WORK_H
#define DRIFTLINE_COMMON_ROWS_WORK_H

#include "src/core/index.h"

static inline void work_add(struct work *to, const struct work *more)
{
    to->distances += more->distances;
    to->estimates += more->estimates;
    to->bytes_read += more->bytes_read;
    to->scanned += more->scanned;
}

#endif
