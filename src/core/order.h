/* order.h - orders of plain numbers and strings, or of structs by a first member of that type, ascending, for
   qsort() and bsearch(); the k-th smallest of n; a key to sort floats by. */
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

/* Of strings, by pointers to them. */
static inline int order_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The k-th smallest (0-based) of n values, which are reordered: Hoare's selection, with the median of
   three as pivot. */
#define SELECT(name, type)                                                     \
    static inline type name(type *v, size_t n, size_t k)                       \
    {                                                                          \
        size_t low = 0, high = n - 1;                                          \
        while (low < high) {                                                   \
            const type a = v[low], b = v[low + (high - low) / 2], c = v[high], \
                       least = a < b ? a : b, most = a < b ? b : a,            \
                       pivot = c < least  ? least                              \
                               : c > most ? most                               \
                                          : c;                                 \
            size_t i = low, j = high;                                          \
            for (;; i++, j--) {                                                \
                while (v[i] < pivot)                                           \
                    i++;                                                       \
                while (v[j] > pivot)                                           \
                    j--;                                                       \
                if (i >= j)                                                    \
                    break;                                                     \
                const type swapped = v[i];                                     \
                v[i] = v[j];                                                   \
                v[j] = swapped;                                                \
            }                                                                  \
            if (k <= j)                                                        \
                high = j;                                                      \
            else                                                               \
                low = j + 1;                                                   \
        }                                                                      \
        return v[low];                                                         \
    }

SELECT(order_select_f32, float)
SELECT(order_select_f64, double)

#undef SELECT

/* Ascends with the float, which may be negative, then with the number. */
static inline uint64_t order_key_f32(float x, uint32_t number)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits ^= bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31;
    return (uint64_t)bits << 32 | number;
}

/* The float that such a key was made of. */
static inline float order_f32_of(uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    float x;
    bits ^= bits >> 31 ? UINT32_C(1) << 31 : UINT32_MAX;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
