/* elements.c - the numbers that a file may hold: names, sizes, and conversion without loss. */
#include <math.h>
#include <string.h>

#include "src/data/source/source.h"

const struct data_element data_elements[DATA_ELEMENTS] = {
    { INDEX_F32, "f32", 4, "f4", 0x0d, 0, 0 },   { INDEX_U8, "u8", 1, "u1", 0x08, 1, 0 },
    { ELEMENT_I8, "i8", 1, "i1", 0x09, 1, 0 },   { ELEMENT_I16, "i16", 2, "i2", 0x0b, 1, 1 },
    { ELEMENT_I32, "i32", 4, "i4", 0x0c, 1, 0 }, { ELEMENT_I64, "i64", 8, "i8", 0, 1, 0 },
    { ELEMENT_F16, "f16", 2, "f2", 0, 0, 1 },    { ELEMENT_F64, "f64", 8, "f8", 0x0e, 0, 0 },
    { ELEMENT_U16, "u16", 2, "u2", 0, 1, 1 },    { ELEMENT_U32, "u32", 4, "u4", 0, 1, 1 },
    { ELEMENT_U64, "u64", 8, "u8", 0, 1, 1 },
};

const struct data_element *data_element_of(enum element element)
{
    static const struct data_element none = { .npy = "" };
    for (size_t i = 0; i < DATA_ELEMENTS; i++)
        if (data_elements[i].element == element)
            return &data_elements[i];
    return &none;
}

size_t data_row_bytes(enum element element, size_t dim)
{
    if (element == INDEX_B64)
        return index_row_bytes(element, dim);
    const size_t bytes = data_element_of(element)->bytes;
    return bytes && dim <= SIZE_MAX / bytes ? dim * bytes : 0;
}

const char *data_element_name(enum element element)
{
    const char *name = data_element_of(element)->name;
    return name ? name : index_element_name(element);
}

bool data_element_named(const char *name, enum element *out)
{
    for (size_t i = 0; i < DATA_ELEMENTS; i++)
        if (!strcmp(data_elements[i].name, name)) {
            *out = data_elements[i].element;
            return true;
        }
    return index_element_named(name, out);
}

/* IEEE half precision to float, subnormals included. */
static float half_value(uint16_t half)
{
    int exponent = half >> 10 & 31;
    float mantissa = (float)(half & 1023), magnitude;
    if (exponent == 31)
        magnitude = mantissa != 0 ? NAN : INFINITY;
    else if (exponent == 0)
        magnitude = ldexpf(mantissa, -24);
    else
        magnitude = ldexpf(mantissa + 1024, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

/* long double holds each 64-bit integer and each double exactly on the machines that
   Driftline builds for. */
long double data_element_value(enum element from, const void *in, size_t i)
{
    const char *at = in;
    float f32;
    double f64;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch ((int)from) {
        case INDEX_U8: return ((const uint8_t *)in)[i];
        case (int)ELEMENT_I8: return ((const int8_t *)in)[i];
        case (int)ELEMENT_I16: memcpy(&i16, at + 2 * i, 2); return i16;
        case (int)ELEMENT_I32: memcpy(&i32, at + 4 * i, 4); return i32;
        case (int)ELEMENT_I64: memcpy(&i64, at + 8 * i, 8); return (long double)i64;
        case (int)ELEMENT_F16: memcpy(&u16, at + 2 * i, 2); return half_value(u16);
        case (int)ELEMENT_U16: memcpy(&u16, at + 2 * i, 2); return u16;
        case (int)ELEMENT_U32: memcpy(&u32, at + 4 * i, 4); return u32;
        case (int)ELEMENT_U64: memcpy(&u64, at + 8 * i, 8); return (long double)u64;
        case (int)ELEMENT_F64: memcpy(&f64, at + 8 * i, 8); return f64;
        default: memcpy(&f32, at + 4 * i, 4); return f32;
    }
}

/* at: of `bytes` bytes, which the element has. */
static bool put_value(enum element to, void *at, size_t bytes, long double v)
{
    static const struct {
        enum element element;
        long double low, high;
    } whole[] = { { INDEX_U8, 0, UINT8_MAX },
                  { ELEMENT_I8, INT8_MIN, INT8_MAX },
                  { ELEMENT_I32, INT32_MIN, INT32_MAX },
                  { ELEMENT_I64, INT64_MIN, INT64_MAX } };
    if (to == INDEX_F32) {
        const float f = (float)v;
        memcpy(at, &f, bytes);
        return !isfinite(v) || isfinite(f);
    }
    if (to == ELEMENT_F64) {
        const double d = (double)v;
        memcpy(at, &d, bytes);
        return true;
    }
    for (size_t j = 0; j < sizeof whole / sizeof *whole; j++)
        if (to == whole[j].element && v >= whole[j].low && v <= whole[j].high && v == floorl(v)) {
            const int64_t number = (int64_t)v; /* little-endian: its first bytes are the value */
            memcpy(at, &number, bytes);
            return true;
        }
    return false;
}

/* Whether an integer survives as a float: a 64-bit id above 2^24 would silently
 * become its neighbour. */
static bool float_keeps(enum element from, long double v)
{
    return !data_element_of(from)->integer || (long double)(float)v == v;
}

size_t data_convert_elements(enum element from, const void *in, enum element to, void *out,
                             size_t count)
{
    if (from == to || (from == INDEX_U8 && to == INDEX_B64) ||
        (from == INDEX_B64 && to == INDEX_U8)) {
        memcpy(out, in, data_row_bytes(from, count));
        return count;
    }
    if (from == INDEX_B64 || to == INDEX_B64)
        return 0;
    if (from == INDEX_U8 && to == INDEX_F32) {
        const uint8_t *bytes = in;
        float *floats = out;
        for (size_t i = 0; i < count; i++)
            floats[i] = (float)bytes[i];
        return count;
    }
    const size_t bytes = data_element_of(to)->bytes;
    for (size_t i = 0; i < count; i++) {
        long double v = data_element_value(from, in, i);
        if (to == INDEX_F32 && !float_keeps(from, v))
            return i;
        if (!put_value(to, (char *)out + i * bytes, bytes, v))
            return i;
    }
    return count;
}
