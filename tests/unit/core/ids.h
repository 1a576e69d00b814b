/* ids.h - id patterns that are known to hurt hash tables. */
#ifndef DRIFTLINE_TESTS_UNIT_CORE_IDS_H
#define DRIFTLINE_TESTS_UNIT_CORE_IDS_H

#include "src/core/rng.h"

enum pattern { DENSE, STRIDE_8, STRIDE_64, HIGH_BITS, RANDOM, TOP, PATTERNS };

/* i: less than 2^20. */
static inline uint64_t id_of(enum pattern pattern, uint64_t i)
{
    switch (pattern) {
        case STRIDE_8: return i * 8;
        case STRIDE_64: return i * 64;
        case HIGH_BITS: return i << 44;
        case RANDOM: return rng_mix(i, 1) >> 1;
        case TOP: return UINT64_MAX - 1 - i;
        default: return i;
    }
}

#endif
