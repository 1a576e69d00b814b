/* device.h - device = cuda: a GPU rotates batches of rows, and hashes them where words are the
   signs of the rotated row, bit for bit as the processor; training has its gradients from it;
   batches of queries get candidates by the certain bounds of LRSQ codes (search/device.c). */
#ifndef DRIFTLINE_ASTERIA_BUCKETS_DEVICE_H
#define DRIFTLINE_ASTERIA_BUCKETS_DEVICE_H

#include "algorithms/asteria/asteria.h"
#include "kernels/cuda/device.h"
#include "src/core/device/cuda.h"

/* NULL: none yet. Each of the model with its version. */
struct asteria_device {
    struct cuda cuda;
    struct device_encoder *encoder;
    struct device_bounds *bounds;
    uint32_t encoder_version, bounds_version;
    pthread_mutex_t lock; /* one batch at a time */
};

/* On failure *out is NULL. ERR_UNSUPPORTED, ERR_NO_MEMORY. */
int asteria_device_open(struct asteria_device **out, const struct index_env *);
void asteria_device_close(struct asteria_device *, const struct index_env *); /* NULL is allowed */
/* Whether it rotates n rows for the model; false for NULL. A dense matrix is left to the
   processor, whose sums have another order. */
bool asteria_device_rotates(const struct asteria_device *, const struct asteria_model *, size_t n);
/* Writes z, n x out_dim, and without vantages the words. Any number of threads may call.
   ERR_NO_MEMORY, ERR_BASELINE. */
int asteria_device_rotate(struct asteria_device *, const struct index_env *,
                          const struct asteria_model *, const void *rows, size_t n, float *z,
                          uint64_t *words);
void asteria_device_drop_bounds(struct asteria_device *);

#endif
