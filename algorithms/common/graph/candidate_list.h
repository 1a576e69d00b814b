/* candidate_list.h - the candidates of a search in a graph: the `ef` nearest nodes met so far, nearest
 * first, each with a flag for "expanded".
 *
 * A candidate is one number, which orders by (distance, node): the distance's bits, the node, the flag.
 * A distance's sign bit is 0, which leaves the lowest bit for the flag. */
#ifndef DRIFTLINE_COMMON_GRAPH_CANDIDATE_LIST_H
#define DRIFTLINE_COMMON_GRAPH_CANDIDATE_LIST_H

#include <stdbool.h>
#include <string.h>

#include "src/core/mem.h"

static inline uint64_t candidate_of(float distance, uint32_t node)
{
    uint32_t bits;

    memcpy(&bits, &distance, sizeof bits);
    return (uint64_t)bits << 33 | (uint64_t)node << 1;
}

static inline uint32_t candidate_node(uint64_t candidate)
{
    return (uint32_t)(candidate >> 1);
}

static inline float candidate_distance(uint64_t candidate)
{
    const uint32_t bits = (uint32_t)(candidate >> 33);
    float distance;

    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

/* All before the cursor are expanded. */
struct candidate_list {
    uint64_t *keys;
    size_t n, ef, cursor, capacity;
};

/* Empties the list. false: out of memory. */
static inline bool candidate_list_begin(struct candidate_list *l, struct mem *mem, size_t ef)
{
    l->n = l->cursor = 0;
    l->ef = ef;
    return mem_grow(mem, &l->keys, &l->capacity, ef, sizeof *l->keys);
}

/* How many candidates are before this one. The processor cannot predict the comparison, so the
   binary search has no branch on it. */
static inline size_t candidate_list_place(const struct candidate_list *l, uint64_t key)
{
    const uint64_t *place = l->keys;

    for (size_t n = l->n; n > 0; n /= 2) {
        const size_t half = n - n / 2;

        place += half & (0 - (size_t)(place[half - 1] < key));
    }
    return (size_t)(place - l->keys);
}

/* at < ef. If the list is full, the last one goes. */
static inline void candidate_list_put(struct candidate_list *l, size_t at, uint64_t key)
{
    l->n -= l->n == l->ef;
    memmove(l->keys + at + 1, l->keys + at, (l->n - at) * sizeof *l->keys);
    l->keys[at] = key;
    l->n++;
    l->cursor = at < l->cursor ? at : l->cursor;
}

/* Puts the candidate in, unless ef others are nearer. */
static inline void candidate_list_offer(struct candidate_list *l, uint64_t key)
{
    const size_t at = candidate_list_place(l, key);

    if (at < l->ef)
        candidate_list_put(l, at, key);
}

/* The position of the nearest candidate from `at` on that is not expanded; l->n: none. */
static inline size_t candidate_list_next(const struct candidate_list *l, size_t at)
{
    while (at < l->n && (l->keys[at] & 1))
        at++;
    return at;
}

#endif
