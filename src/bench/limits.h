/* limits.h - this processor's limits: sequential reading, and float multiply-adds. */
#ifndef DRIFTLINE_BENCH_LIMITS_H
#define DRIFTLINE_BENCH_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* Reads `bytes` bytes, a multiple of 256, in order with the set's widest loads. The result depends
   on every byte, so that the compiler cannot skip any. */
uint64_t bench_limit_read(enum isa isa, const void *data, size_t bytes);

/* Float multiply-adds without loads, enough of them independent to fill the pipes. Returns how many
   were done, each lane counted. The scalar set uses a multiplication and an addition. */
double bench_limit_multiply_add(enum isa isa, size_t rounds);

#endif
