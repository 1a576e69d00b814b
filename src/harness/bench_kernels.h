/* bench_kernels.h - `./harness bench kernels`: each kernel against scalar and the machine's limits. */
#ifndef DRIFTLINE_BENCH_KERNELS_H
#define DRIFTLINE_BENCH_KERNELS_H

#include <stdio.h>

/* Measures on this thread for about half a minute and prints tables to out as they are done. Returns 0,
   or -1 when memory is short, which `out` is told. */
int bench_kernels(FILE *out);

#endif
