/* key_set.h - the set of keys (slots, pages, slots with versions) that a query has met,
 * numbered in order of arrival.
 *
 * An open-addressed table of positions in `keys`, at most half full. A large table with
 * few keys is cleared key by key, so that clearing does not cost as much as the largest query ever. */
#ifndef DRIFTLINE_COMMON_ROWS_KEY_SET_H
#define DRIFTLINE_COMMON_ROWS_KEY_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

struct key_set {
    uint32_t *table; /* position + 1; 0: free */
    uint64_t *keys;
    size_t n;
    unsigned bits; /* table size is 2^bits, that of keys half; 0: not allocated */
};

void key_set_free(struct key_set *, struct mem *);
/* Grows to a capacity of n keys and keeps the content. false: out of memory, unchanged. */
bool key_set_reserve(struct key_set *, struct mem *, size_t n);

static inline size_t key_set_bytes(const struct key_set *s)
{
    return s->bits ? (sizeof *s->table << s->bits) + (sizeof *s->keys << (s->bits - 1)) : 0;
}

static inline size_t key_set_place(const struct key_set *s, uint64_t key)
{
    return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - s->bits));
}

/* A set that was never reserved is empty. */
void key_set_clear(struct key_set *);

/* Returns the key's position; n: it is not in the set. */
static inline size_t key_set_find(const struct key_set *s, uint64_t key)
{
    const size_t mask = ((size_t)1 << s->bits) - 1;

    for (size_t at = key_set_place(s, key); s->table[at]; at = (at + 1) & mask)
        if (s->keys[s->table[at] - 1] == key)
            return s->table[at] - 1;
    return s->n;
}

/* Returns the key's position; if it equals the former n, the key is new. Needs
   capacity for one. */
static inline size_t key_set_add(struct key_set *s, uint64_t key)
{
    const size_t mask = ((size_t)1 << s->bits) - 1;
    size_t at = key_set_place(s, key);

    for (; s->table[at]; at = (at + 1) & mask)
        if (s->keys[s->table[at] - 1] == key)
            return s->table[at] - 1;
    s->keys[s->n] = key;
    s->table[at] = (uint32_t)++s->n;
    return s->n - 1;
}

#endif
