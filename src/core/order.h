/* order.h - orders of plain numbers, ascending, for qsort() and bsearch(); a key to sort floats by. */
#ifndef DRIFTLINE_ORDER_H
#define DRIFTLINE_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ORDER(name, type)                                      \
    static inline int name(const void *a, const void *b)       \
    {                                                          \
        const type x = *(const type *)a, y = *(const type *)b; \
        return (x > y) - (x < y);                              \
    }

ORDER(order_u32, uint32_t)
ORDER(order_u64, uint64_t)
ORDER(order_i64, int64_t)
ORDER(order_size, size_t)
ORDER(order_f32, float)
ORDER(order_f64, double)

#undef ORDER

/* Ascends with the float, which may be negative, then with the number. */
static inline uint64_t order_key_f32(float x, uint32_t number)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits ^= bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31;
    return (uint64_t)bits << 32 | number;
}

#endif
