/* good_files.h - the bytes of small valid files, six values each. */
#ifndef DRIFTLINE_TESTS_UNIT_DATA_GOOD_FILES_H
#define DRIFTLINE_TESTS_UNIT_DATA_GOOD_FILES_H

#include "tests/unit/data/data_files.h"

static const float six[6] = { 1, -2.5f, 3, 4, 5, 1e-20f };
static const uint8_t six_bytes[6] = { 0, 1, 2, 250, 254, 255 };
static const int32_t six_ints[6] = { 0, -1, 2, 70000, INT32_MAX, INT32_MIN };

static inline struct blob idx_bytes(void)
{
    struct blob b = { { 0, 0, 8, 3 }, 4 };
    blob_big_u32(&b, 2);
    blob_big_u32(&b, 3);
    blob_big_u32(&b, 1);
    blob_add(&b, six_bytes, 6);
    return b;
}

static inline struct blob fbin_bytes(void)
{
    return bin_bytes(2, 3, six, sizeof six);
}

static inline struct blob fvecs_bytes(void)
{
    return vecs_bytes(2, 3, six, 12);
}

static inline struct blob npy_good(void)
{
    return npy_bytes(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", six,
                     sizeof six);
}

#endif
