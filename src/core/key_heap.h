/* key_heap.h - a min-heap of 64-bit keys: yields the few smallest of a list without sorting it.
 *
 * keys[0] is the smallest key.
 */
#ifndef DRIFTLINE_CORE_KEY_HEAP_H
#define DRIFTLINE_CORE_KEY_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Restores the heap below `at`, where only keys[at] may be greater than its children. */
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

/* Makes a heap of keys in any order. */
static inline void key_heap_make(uint64_t *keys, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        key_heap_sift(keys, n, i);
}

/* Removes the smallest key from the heap of *n > 0. */
static inline uint64_t key_heap_pop(uint64_t *keys, size_t *n)
{
    const uint64_t least = keys[0];

    keys[0] = keys[--*n];
    key_heap_sift(keys, *n, 0);
    return least;
}

#endif
