/* kernels.h - `./harness bench kernels`: each kernel against scalar and the machine's limits. */
#ifndef DRIFTLINE_BENCH_KERNELS_H
#define DRIFTLINE_BENCH_KERNELS_H

#include <stdio.h>

/* Measures on this thread for about half a minute and prints each table to out when it is complete.
   Returns 0; or -1 if memory is exhausted, with a message on `out`. */
int bench_kernels(FILE *out);

#endif
