/* bor_device.h - the gradients of a butterfly's training on a device, bit for bit those of the
 * processor. */
#ifndef DRIFTLINE_ASTERIA_ROTATION_BOR_DEVICE_H
#define DRIFTLINE_ASTERIA_ROTATION_BOR_DEVICE_H

#include "algorithms/asteria/rotation/bor.h"
#include "kernels/cuda/device.h"

/* Zeroed: the processor trains, and `trainer` is NULL. */
struct asteria_bor_device {
    const struct asteria_trainer *at;
    struct device_trainer *trainer;
    float *heads; /* 2 n x m of the loss */
};

/* Copies the rows, unless `at` is NULL. Call asteria_bor_device_end() in any case. ERR_NO_MEMORY,
   ERR_BASELINE. */
int asteria_bor_device_begin(struct asteria_bor_device *, const struct index_env *,
                             const struct asteria_trainer *at, const struct asteria_bor *,
                             const struct asteria_bor_loss *, const float *mean, const float *rows,
                             size_t n);
void asteria_bor_device_end(struct asteria_bor_device *, const struct index_env *);
/* Fills the loss's t, and the sums of the outputs' squares. batch: 2 n rows. */
int asteria_bor_device_forward(struct asteria_bor_device *, const struct index_env *,
                               const struct asteria_bor *, struct asteria_bor_loss *,
                               const uint32_t *batch, double *energy);
int asteria_bor_device_backward(struct asteria_bor_device *, const struct index_env *,
                                const struct asteria_bor_loss *, double *d_angles);

#endif
