/* rows.h - what rows.cu has on the device, and lists.cu reads. */
#ifndef DRIFTLINE_CUDA_ROWS_H
#define DRIFTLINE_CUDA_ROWS_H

#include "kernels/cuda/session.h"

struct device_rows {
    device_session *session;
    device_metric metric;
    size_t dim, n = 0;
    size_t tile_rows;                     /* a multiple of SELECT_MAX_GROUPS */
    size_t memory_bytes;                  /* of the device */
    device_array<float> rows, lengths_sq; /* n x dim, n */
    device_array<unsigned> longest_sq;    /* the bits of a float */
    device_array<uint8_t> bytes;
    device_array<float> queries, query_lengths_sq, scores, minima, limits;
    device_array<uint32_t> found, kept;
    device_array<float> refined;
    device_array<device_candidate> candidates, nearest; /* before and after they are refined */
};

#endif
