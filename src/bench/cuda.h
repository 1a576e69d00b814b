/* cuda.h - `./harness bench cuda`: the device's limits, and each of our kernels against them and
   against one core of the processor. */
#ifndef DRIFTLINE_BENCH_CUDA_H
#define DRIFTLINE_BENCH_CUDA_H

#include <stdio.h>

struct error;

/* Prints to out. ERR_UNSUPPORTED: no library, driver or device; ERR_NO_MEMORY, of the host or
   the device; ERR_BASELINE: the device failed. */
int bench_cuda(FILE *out, struct error *);

#endif
