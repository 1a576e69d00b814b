/* parallel.h - a fixed set of threads that process a range in chunks.
 *
 * Which thread processes a chunk varies; the bounds of the chunks do not. Code whose result depends
 * only on the chunks therefore gives the same result at every thread count.
 */
#ifndef DRIFTLINE_PARALLEL_H
#define DRIFTLINE_PARALLEL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pool;

/* threads >= 1, including the caller's. NULL: out of memory, or the system provides no thread. */
struct pool *pool_create(size_t threads);
void pool_destroy(struct pool *);
size_t pool_threads(const struct pool *);

/* Cuts [0, n) into chunks of `chunk` and calls work(arg, first, end, worker) for each, on at most
   `threads` threads. worker is 0 .. threads-1, to index per-thread scratch memory. Returns the
   first code that is not OK; after it no further chunk starts. With one thread the chunks run in
   the caller, in order. Calls must not be nested. */
int parallel_for(struct pool *, size_t threads, size_t n, size_t chunk,
                 int (*work)(void *arg, size_t first, size_t end, size_t worker), void *arg);

#ifdef __cplusplus
}
#endif
#endif
