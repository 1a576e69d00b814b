/* ordinals.h - numbers of slots or pages that a query has met, numbered in the order of meeting.
 *
 * An open-addressed table of positions in `slots`, at most half full. It is cleared slot by slot, so
 * a query pays for what the one before it met and not for the largest there ever was.
 */
#ifndef DRIFTLINE_SPFRESH_ORDINALS_H
#define DRIFTLINE_SPFRESH_ORDINALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

struct ordinals {
    uint32_t *table; /* position + 1; 0: free */
    uint32_t *slots;
    size_t n;
    unsigned bits; /* the table has 2^bits places, slots half as many; 0: none yet */
};

void ordinals_init(struct ordinals *);
void ordinals_free(struct ordinals *, struct mem *);
/* Room for n slots, those met kept. false: out of memory, unchanged. */
bool ordinals_reserve(struct ordinals *, struct mem *, size_t n);

static inline uint32_t ordinals_place(const struct ordinals *s, uint32_t slot)
{
    return slot * UINT32_C(0x9e3779b1) >> (32 - s->bits);
}

static inline void ordinals_clear(struct ordinals *s)
{
    const size_t mask = ((size_t)1 << s->bits) - 1;

    for (size_t i = 0; i < s->n; i++)
        for (size_t at = ordinals_place(s, s->slots[i]); s->table[at]; at = (at + 1) & mask)
            s->table[at] = 0;
    s->n = 0;
}

/* Whether there is room for n more without ordinals_reserve(). */
static inline bool ordinals_has_room(const struct ordinals *s, size_t n)
{
    return s->bits && s->n + n <= (size_t)1 << (s->bits - 1);
}

/* The slot's position; it is new if that is the n of before. There is room for one. */
static inline size_t ordinals_add(struct ordinals *s, uint32_t slot)
{
    const size_t mask = ((size_t)1 << s->bits) - 1;
    size_t at = ordinals_place(s, slot);

    for (; s->table[at]; at = (at + 1) & mask)
        if (s->slots[s->table[at] - 1] == slot)
            return s->table[at] - 1;
    s->slots[s->n] = slot;
    s->table[at] = (uint32_t)++s->n;
    return s->n - 1;
}

#endif
