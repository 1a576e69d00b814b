/* order.h - orders of plain numbers, ascending, for qsort() and bsearch(). */
#ifndef DRIFTLINE_ORDER_H
#define DRIFTLINE_ORDER_H

#include <stddef.h>
#include <stdint.h>

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

#endif
