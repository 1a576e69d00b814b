/* bench_limits.h - what this processor can do at most: reading in order, and multiplying and adding. */
#ifndef DRIFTLINE_BENCH_LIMITS_H
#define DRIFTLINE_BENCH_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* Reads `bytes` bytes in order, in the widest loads of the set, and does next to nothing with them; bytes is
   a multiple of 256. The result depends on every byte, so that none is left out. */
uint64_t limit_read(enum isa isa, const void *data, size_t bytes);

/* Float multiply-adds without loads, as many at once as the pipes take: returns how many were done (lanes
   counted one by one). Scalar ones are a multiplication and an addition. */
double limit_multiply_add(enum isa isa, size_t rounds);

#endif
