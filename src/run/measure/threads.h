/* threads.h - how a process prepares itself for measuring. */
#ifndef DRIFTLINE_RUN_MEASURE_THREADS_H
#define DRIFTLINE_RUN_MEASURE_THREADS_H

#include <jansson.h>

/* Sets the numbers of threads of OpenBLAS and OpenMP, and pins the process to `threads` processors.
   Returns a new object { threads, cpus, blas_threads, omp_threads, clock_ns, threads_before }. */
json_t *threads_set(size_t threads);
/* Names what has changed of the calling thread since threads_set(): "processors", "priority" or
   "scheduling policy". NULL: nothing. */
const char *threads_changed(void);

#endif
