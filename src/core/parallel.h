/* parallel.h - a fixed set of threads and one way to use them: split a range into chunks.
 *
 * Which thread does which chunk varies; what a chunk is does not. Code whose result depends only on
 * the chunks is therefore the same at every thread count.
 */
#ifndef DRIFTLINE_PARALLEL_H
#define DRIFTLINE_PARALLEL_H

#include <stddef.h>

struct pool;

/* threads >= 1, the caller's counted. NULL: out of memory or no threads to be had. */
struct pool *pool_create(size_t threads);
void pool_destroy(struct pool *);
size_t pool_threads(const struct pool *);

/* Calls work(arg, first, end, worker) for [0, n) cut into chunks of `chunk`, on at most `threads`
   threads; worker is 0 .. threads-1, for scratch of one's own. Returns the first code that is not
   OK (no further chunk starts then). With one thread it runs in the caller, in order. Not to be
   nested. */
int parallel_for(struct pool *, size_t threads, size_t n, size_t chunk,
                 int (*work)(void *arg, size_t first, size_t end, size_t worker), void *arg);

#endif
