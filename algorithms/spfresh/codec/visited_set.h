/* visited_set.h - the entries that a query has visited: an open-addressed set of (slot, version).
 *
 * The version is part of the key because a stale entry must not hide a current one. */
#ifndef DRIFTLINE_SPFRESH_CODEC_VISITED_SET_H
#define DRIFTLINE_SPFRESH_CODEC_VISITED_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

struct spfresh_visited_set {
    uint64_t *keys; /* 0: free */
    size_t mask, n; /* mask: capacity - 1 */
    struct mem *mem;
};

static inline uint64_t spfresh_visited_set_key(uint32_t slot, unsigned version)
{
    return ((uint64_t)slot << 16 | version) + 1;
}

static inline size_t spfresh_visited_set_home(const struct spfresh_visited_set *s, uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & s->mask;
}

void spfresh_visited_set_init(struct spfresh_visited_set *, struct mem *);
void spfresh_visited_set_free(struct spfresh_visited_set *);
/* Empties the set. false: out of memory. */
bool spfresh_visited_set_begin(struct spfresh_visited_set *);
/* Reserves capacity for n more. false: out of memory. */
bool spfresh_visited_set_reserve(struct spfresh_visited_set *, size_t n);

/* Adds an entry and returns whether it is new. Capacity must be reserved. */
static inline bool spfresh_visited_set_add(struct spfresh_visited_set *s, uint32_t slot,
                                           unsigned version)
{
    const uint64_t key = spfresh_visited_set_key(slot, version);
    size_t at = spfresh_visited_set_home(s, key);

    while (s->keys[at] != 0) {
        if (s->keys[at] == key)
            return false;
        at = (at + 1) & s->mask;
    }
    s->keys[at] = key;
    s->n++;
    return true;
}

#endif
