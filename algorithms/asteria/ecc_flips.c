/* ecc_flips.c - addresses near a soft word: its least certain bits are turned, the cheapest turns first. */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/ecc_parts.h"

/* A set of the t least certain bits, bit i being the i-th least certain. */
struct turn_set {
    float sum; /* of |p| */
    uint32_t set;
};

/* TRIES_EACH: sets tried for an address wanted; farther on ever fewer lead to a new one. */
enum { SETS_MAX = 1 << ECC_FLIPS_MAX, TRIES_EACH = 8 };

/* Sets not yet taken, the cheapest on top; of equal cost the smaller set. */
struct heap {
    size_t n;
    struct turn_set sets[SETS_MAX];
};

static inline bool cheaper(struct turn_set a, struct turn_set b)
{
    return a.sum < b.sum || (a.sum == b.sum && a.set < b.set);
}

static void push(struct heap *h, struct turn_set entry)
{
    size_t at = h->n++;

    for (; at > 0 && cheaper(entry, h->sets[(at - 1) / 2]); at = (at - 1) / 2)
        h->sets[at] = h->sets[(at - 1) / 2];
    h->sets[at] = entry;
}

static struct turn_set pop(struct heap *h)
{
    const struct turn_set top = h->sets[0], last = h->sets[--h->n];
    size_t at = 0;

    for (size_t child = 1; child < h->n; child = 2 * at + 1) {
        child += child + 1 < h->n && cheaper(h->sets[child + 1], h->sets[child]);
        if (!cheaper(h->sets[child], last))
            break;
        h->sets[at] = h->sets[child];
        at = child;
    }
    h->sets[at] = last;
    return top;
}

/* The t least |p|, rising; of equals the lower bit first. Returns t, or the word's length if that is less. */
static unsigned least_certain(const struct ecc *e, const float *p, unsigned t, unsigned *bits)
{
    unsigned n = 0;

    for (unsigned i = 0; i < e->n; i++) {
        unsigned at = n < t ? n++ : t;
        for (; at > 0 && fabsf(p[i]) < fabsf(p[bits[at - 1]]); at--)
            if (at < t)
                bits[at] = bits[at - 1];
        if (at < t)
            bits[at] = i;
    }
    return n;
}

/* Open addressing; addresses are below 2^24. */
struct seen {
    size_t mask;
    uint32_t at[2 * SETS_MAX]; /* address + 1 */
};

static bool is_new(struct seen *s, uint32_t address)
{
    size_t i = address * 2654435761U >> 8 & s->mask;

    for (; s->at[i]; i = (i + 1) & s->mask)
        if (s->at[i] == address + 1)
            return false;
    s->at[i] = address + 1;
    return true;
}

static struct turn_set weighed(const float *p, const unsigned *bits, uint32_t set)
{
    struct turn_set w = { 0, set };

    for (uint32_t left = set; left; left &= left - 1)
        w.sum += fabsf(p[bits[__builtin_ctz(left)]]);
    return w;
}

static uint32_t decode_turned(const struct ecc *e, const float *p, const unsigned *bits,
                              uint32_t set)
{
    float turned[ECC_WORD_MAX];

    memcpy(turned, p, e->n * sizeof *p);
    for (uint32_t left = set; left; left &= left - 1)
        turned[bits[__builtin_ctz(left)]] *= -1;
    return ecc_decode(e, turned);
}

/* From each set come two that no other leads to: its highest bit moved up by one, and the bit above it added. Neither
   is cheaper than the set, so sets come in order, each once, and never are more held than there are. */
size_t ecc_flips(const struct ecc *e, const float *p, unsigned t, size_t most, uint32_t *addresses)
{
    unsigned bits[ECC_FLIPS_MAX];
    const unsigned n_bits = least_certain(e, p, t < ECC_FLIPS_MAX ? t : ECC_FLIPS_MAX, bits);
    struct heap heap = { .n = 0 };
    struct seen seen;
    size_t n = 0, tried = 1;

    if (most == 0)
        return 0;
    most = most < (size_t)1 << n_bits ? most : (size_t)1 << n_bits;
    for (seen.mask = 1; seen.mask < 2 * most; seen.mask *= 2)
        ;
    memset(seen.at, 0, seen.mask-- * sizeof *seen.at);
    addresses[n++] = ecc_decode(e, p);
    (void)is_new(&seen, addresses[0]);
    if (n_bits > 0)
        push(&heap, weighed(p, bits, 1));
    for (; heap.n > 0 && n < most && tried < TRIES_EACH * most; tried++) {
        const struct turn_set next = pop(&heap);
        const unsigned high = 31U - (unsigned)__builtin_clz(next.set);
        const uint32_t address = decode_turned(e, p, bits, next.set);
        if (is_new(&seen, address))
            addresses[n++] = address;
        if (high + 1 < n_bits) {
            push(&heap, weighed(p, bits, next.set | 2U << high));
            push(&heap, weighed(p, bits, (next.set ^ 1U << high) | 2U << high));
        }
    }
    return n;
}
