/* code_device.h - device = cuda of methods over codes: queries that would be compared with every
 * code are compared on a GPU, which has a copy of the store's codes (kernels/cuda/device.h).
 *
 * Hamming distances are whole numbers, so the answers are those of code_scan.h. */
#ifndef DRIFTLINE_COMMON_CODES_CODE_DEVICE_H
#define DRIFTLINE_COMMON_CODES_CODE_DEVICE_H

#include "algorithms/common/rows/dense_rows.h"
#include "src/core/index.h"

struct code_device;

/* Queries of a request, aligned, and their numbers in it. */
struct code_queries {
    const uint64_t *queries;
    const uint32_t *numbers;
    size_t n;
};

/* Opens a device for the codes of a store, which must be there until it is closed and notes its
   changes from now on. On failure *out is NULL: ERR_UNSUPPORTED without a library, driver or device;
   ERR_NO_MEMORY. */
int code_device_open(struct code_device **out, struct dense_rows *, const struct index_env *,
                     const char *method);
void code_device_close(struct code_device *); /* may be NULL */

/* Whether a request of this many queries is long enough for the device; k: 0 for ranges. false for
   NULL. */
bool code_device_takes(const struct code_device *, size_t queries, size_t k);

/* Delivers all codes within the radius of each query; adds to result->work. Any number of threads
   may call; the device does one call at a time. ERR_NO_MEMORY, ERR_BASELINE, and what found()
   returns. */
int code_device_range(struct code_device *, const struct code_queries *, unsigned radius,
                      struct range_result *);
/* Writes the k nearest of each query to its place in the result; adds to result->work. */
int code_device_nearest(struct code_device *, const struct code_queries *, size_t k, size_t threads,
                        struct search_result *);

/* Statistics of the device; nothing for NULL. */
void code_device_stats(const struct code_device *, struct stat_sink *);
size_t code_device_bytes(const struct code_device *); /* of host memory */

#endif
