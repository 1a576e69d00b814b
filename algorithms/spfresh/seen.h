/* seen.h - the entries a query has come across, each once: a set of (slot, version), open addressing.
 *
 * The version is part of it because a stale entry must not hide a current one.
 */
#ifndef DRIFTLINE_SPFRESH_SEEN_H
#define DRIFTLINE_SPFRESH_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

struct seen {
    uint64_t *keys; /* 0: free */
    size_t mask, n; /* capacity - 1 */
    struct mem *mem;
};

static inline uint64_t seen_key(uint32_t slot, unsigned version)
{
    return ((uint64_t)slot << 16 | version) + 1;
}

static inline size_t seen_home(const struct seen *s, uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & s->mask;
}

void seen_init(struct seen *, struct mem *);
void seen_free(struct seen *);
/* Forgets all, and makes room for n. false: out of memory. */
bool seen_begin(struct seen *, size_t n);
/* Room for n more. */
bool seen_reserve(struct seen *, size_t n);

/* Whether it is new; now it is there. Room was reserved. */
static inline bool seen_add(struct seen *s, uint32_t slot, unsigned version)
{
    const uint64_t key = seen_key(slot, version);
    size_t at = seen_home(s, key);

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
