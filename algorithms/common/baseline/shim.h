/* shim.h - what the shims over libraries do alike: answers in our order, and exceptions as error codes. */
#ifndef DRIFTLINE_COMMON_BASELINE_SHIM_H
#define DRIFTLINE_COMMON_BASELINE_SHIM_H

#include "src/core/index.h"

/* The k answers to a query, nearest first: orders equal distances by id. */
static inline void baseline_order_ties(uint64_t *ids, const float *distances, size_t k)
{
    for (size_t i = 1; i < k; i++) {
        const uint64_t id = ids[i];
        size_t to = i;
        for (; to > 0 && !(distances[to - 1] < distances[i]) && ids[to - 1] > id; to--)
            ids[to] = ids[to - 1];
        ids[to] = id;
    }
}

#ifdef __cplusplus
#include <exception>
#include <new>

/* Returns what `body` returns, or the code of error.h for the exception it throws; `what` begins the
   message. */
template <class F>
int baseline_guarded(struct error *err, const char *library, const char *what, F body)
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return fail(err, ERR_NO_MEMORY, "%s: %s ran out of memory", what, library);
    } catch (const std::exception &e) {
        return fail(err, ERR_BASELINE, "%s: %s: %s", what, library, e.what());
    } catch (...) {
        return fail(err, ERR_BASELINE, "%s: %s threw something that is not an exception", what,
                    library);
    }
}
#endif

#endif
