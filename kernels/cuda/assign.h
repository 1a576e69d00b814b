/* assign.h - the functions of assign.cu in the table of device.cu; described in device.h. */
#ifndef DRIFTLINE_ASSIGN_H
#define DRIFTLINE_ASSIGN_H

#include "kernels/cuda/device.h"

int centroids_create(const float *centroids, size_t k, size_t dim, device_centroids **out,
                     char *why, size_t why_bytes);
void centroids_destroy(device_centroids *centroids);
int centroids_assign(device_centroids *to, const float *rows, size_t n, size_t soft_k,
                     uint32_t *nearest, float *distances_sq, char *why, size_t why_bytes);

#endif
