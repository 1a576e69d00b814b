/* candidate_set.h - the set of slots or pages that a query has met, numbered in order of arrival.
 *
 * An open-addressed table of positions in `slots`, at most half full. It is cleared slot by slot,
 * so clearing costs as much as the last query met, not as much as the largest query ever. */
#ifndef DRIFTLINE_SPFRESH_CODEC_CANDIDATE_SET_H
#define DRIFTLINE_SPFRESH_CODEC_CANDIDATE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

struct spfresh_candidate_set {
    uint32_t *table; /* position + 1; 0: free */
    uint32_t *slots;
    size_t n;
    unsigned bits; /* table size is 2^bits, that of slots half; 0: not allocated */
};

void spfresh_candidate_set_free(struct spfresh_candidate_set *, struct mem *);
/* Grows to a capacity of n slots and keeps the content. false: out of memory, unchanged. */
bool spfresh_candidate_set_reserve(struct spfresh_candidate_set *, struct mem *, size_t n);

static inline uint32_t spfresh_candidate_set_place(const struct spfresh_candidate_set *s,
                                                   uint32_t slot)
{
    return slot * UINT32_C(0x9e3779b1) >> (32 - s->bits);
}

static inline void spfresh_candidate_set_clear(struct spfresh_candidate_set *s)
{
    const size_t mask = ((size_t)1 << s->bits) - 1;

    for (size_t i = 0; i < s->n; i++)
        for (size_t at = spfresh_candidate_set_place(s, s->slots[i]); s->table[at];
             at = (at + 1) & mask)
            s->table[at] = 0;
    s->n = 0;
}

/* Returns the slot's position; n: it is not in the set. */
static inline size_t spfresh_candidate_set_find(const struct spfresh_candidate_set *s,
                                                uint32_t slot)
{
    const size_t mask = ((size_t)1 << s->bits) - 1;

    for (size_t at = spfresh_candidate_set_place(s, slot); s->table[at]; at = (at + 1) & mask)
        if (s->slots[s->table[at] - 1] == slot)
            return s->table[at] - 1;
    return s->n;
}

/* Returns the slot's position; if it equals the former n, the slot is new. Needs
   capacity for one. */
static inline size_t spfresh_candidate_set_add(struct spfresh_candidate_set *s, uint32_t slot)
{
    const size_t mask = ((size_t)1 << s->bits) - 1;
    size_t at = spfresh_candidate_set_place(s, slot);

    for (; s->table[at]; at = (at + 1) & mask)
        if (s->slots[s->table[at] - 1] == slot)
            return s->table[at] - 1;
    s->slots[s->n] = slot;
    s->table[at] = (uint32_t)++s->n;
    return s->n - 1;
}

#endif
