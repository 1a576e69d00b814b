/* device_codes.h - device = cuda with quantizer = rabitq: codes on the device, by place. */
#ifndef DRIFTLINE_DIVF_SEARCH_DEVICE_CODES_H
#define DRIFTLINE_DIVF_SEARCH_DEVICE_CODES_H

#include "algorithms/divf/device.h"

/* Whether a search for the k nearest copies compares codes there. */
bool divf_device_uses_codes(const struct divf *, size_t k);
/* Brings the device's copy of the codes up to date. The caller has d->changing. */
int divf_device_bring_codes(struct divf *);
void divf_device_drop_codes(struct divf *);

/* Sets `found` and `out` to each query's candidates. high, low and terms of `queries` are not read. */
int divf_device_code_candidates(struct divf *, const struct device_rabitq_queries *, size_t threads,
                                size_t k, size_t capacity, uint32_t *found,
                                struct device_candidate *out);

#endif
