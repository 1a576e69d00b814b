/* device.h - RaBitQ codes and queries in the layout of a device's kernels
 * (kernels/cuda/device.h, section 9). */
#ifndef DRIFTLINE_COMMON_QUANTIZER_RABITQ_DEVICE_H
#define DRIFTLINE_COMMON_QUANTIZER_RABITQ_DEVICE_H

#include "algorithms/common/quantizer/quantizer.h"
#include "kernels/cuda/device.h"

/* Whether the quantizer's codes have that layout: rabitq of 8 bits at most. The functions below are for
   those. NULL: no. */
bool rabitq_fits_device(const struct quantizer *);
size_t rabitq_device_dim(const struct quantizer *);
unsigned rabitq_device_bits(const struct quantizer *);

/* 32-bit words of a code. */
size_t rabitq_device_words(const struct quantizer *);
/* Code i of a block. */
void rabitq_device_code(const struct quantizer *, const void *block, unsigned i, uint32_t *words,
                        struct device_rabitq_row *);
/* transformed: work_dim floats. high, low: rabitq_device_dim() each. */
void rabitq_device_query(const struct quantizer *, const float *transformed, int8_t *high,
                         int8_t *low, struct device_rabitq_query *);

#endif
