/* blas_threads.h - OpenBLAS with one thread, where threads of ours call it side by side, or where
 * the order of its sums must not depend on the number of threads.
 *
 * OpenBLAS has one number of threads for the whole process, and its threads would compete with
 * ours for the same processors. Sections may overlap, in one thread or several: the number is set
 * to one as the first begins, and set back as the last ends. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_BLAS_THREADS_H
#define DRIFTLINE_COMMON_CONCURRENCY_BLAS_THREADS_H

#ifdef __cplusplus
extern "C" {
#endif

void blas_threads_one(void);  /* begins a section */
void blas_threads_back(void); /* ends it */

#ifdef __cplusplus
}
#endif
#endif
