/* key_heap.h - the least of many 64-bit keys, taken one at a time: for a few of a list that need not be sorted
 * whole. keys[0] is the least.
 */
#ifndef DRIFTLINE_KEY_HEAP_H
#define DRIFTLINE_KEY_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Only keys[at] may be greater than what is below it. */
static inline void key_heap_sift(uint64_t *keys, size_t n, size_t at)
{
    const uint64_t key = keys[at];

    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && keys[child + 1] < keys[child];
        if (key <= keys[child])
            break;
        keys[at] = keys[child];
        at = child;
    }
    keys[at] = key;
}

/* Of keys in any order. */
static inline void key_heap_make(uint64_t *keys, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        key_heap_sift(keys, n, i);
}

#endif
