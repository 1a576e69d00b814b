/* bench.h - `./harness bench`: each kernel beside the scalar one and the machine's limits; on a device,
 * beside its limits and one core of the processor. */
#ifndef DRIFTLINE_BENCH_BENCH_H
#define DRIFTLINE_BENCH_BENCH_H

#include <stdio.h>

struct error;

/* Measures on this thread for about half a minute and prints each table to out when it is complete.
   Returns 0; or -1 if memory is exhausted, with a message on `out`. */
int bench_kernels(FILE *out);

/* Prints to out. ERR_UNSUPPORTED: no library, driver or device; ERR_NO_MEMORY, of the host or
   the device; ERR_BASELINE: the device failed. */
int bench_cuda(FILE *out, struct error *);

#endif
