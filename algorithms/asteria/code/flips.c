/* flips.c - addresses near a soft word: its least certain bits are flipped, the cheapest
   flips first. */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/code/internal.h"

/* A set of flipped bits; bit i stands for the i-th least certain one. */
struct flip_set {
    float sum; /* of |p| */
    uint32_t set;
};

/* TRIES_EACH: sets tried per address wanted; later sets rarely lead to a new address. */
enum { SETS_MAX = 1 << ECC_FLIPS_MAX, TRIES_EACH = 8 };

/* Sets not yet tried, the cheapest on top; of equal cost the smaller set. */
struct heap {
    size_t n;
    struct flip_set sets[SETS_MAX];
};

static inline bool cheaper(struct flip_set a, struct flip_set b)
{
    return a.sum < b.sum || (a.sum == b.sum && a.set < b.set);
}

static void push(struct heap *h, struct flip_set entry)
{
    size_t at = h->n++;

    for (; at > 0 && cheaper(entry, h->sets[(at - 1) / 2]); at = (at - 1) / 2)
        h->sets[at] = h->sets[(at - 1) / 2];
    h->sets[at] = entry;
}

static struct flip_set pop(struct heap *h)
{
    const struct flip_set top = h->sets[0], last = h->sets[--h->n];
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

/* Finds the t least |p| in rising order; of equal ones the lower bit first. Returns t, or the
   word's length if that is less. */
static unsigned least_certain(const struct asteria_ecc *e, const float *p, unsigned t,
                              unsigned *bits)
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

/* A hash set with open addressing; addresses are below 2^24. */
struct flips_seen {
    size_t mask;
    uint32_t at[2 * SETS_MAX]; /* address + 1 */
};

static bool is_new(struct flips_seen *s, uint32_t address)
{
    size_t i = address * 2654435761U >> 8 & s->mask;

    for (; s->at[i]; i = (i + 1) & s->mask)
        if (s->at[i] == address + 1)
            return false;
    s->at[i] = address + 1;
    return true;
}

static struct flip_set weighed(const float *p, const unsigned *bits, uint32_t set)
{
    struct flip_set w = { 0, set };

    for (uint32_t left = set; left; left &= left - 1)
        w.sum += fabsf(p[bits[__builtin_ctz(left)]]);
    return w;
}

static uint32_t decode_flipped(const struct asteria_ecc *e, const float *p, const unsigned *bits,
                               uint32_t set)
{
    float flipped[ECC_WORD_MAX];

    memcpy(flipped, p, e->n * sizeof *p);
    for (uint32_t left = set; left; left &= left - 1)
        flipped[bits[__builtin_ctz(left)]] *= -1;
    return asteria_ecc_decode(e, flipped);
}

/* Each set leads to two new ones that no other set leads to: its highest bit moved up by one, and
   the bit above it added. Neither is cheaper than the set, so sets come in order of cost, each
   once, and the heap never holds more than SETS_MAX. */
size_t asteria_ecc_flips(const struct asteria_ecc *e, const float *p, unsigned t, size_t most,
                         uint32_t *addresses)
{
    unsigned bits[ECC_FLIPS_MAX];
    const unsigned n_bits = least_certain(e, p, t < ECC_FLIPS_MAX ? t : ECC_FLIPS_MAX, bits);
    struct heap heap = { .n = 0 };
    struct flips_seen seen;
    size_t n = 0, tried = 1;

    if (most == 0)
        return 0;
    most = most < (size_t)1 << n_bits ? most : (size_t)1 << n_bits;
    for (seen.mask = 1; seen.mask < 2 * most; seen.mask *= 2)
        ;
    memset(seen.at, 0, seen.mask-- * sizeof *seen.at);
    addresses[n++] = asteria_ecc_decode(e, p);
    (void)is_new(&seen, addresses[0]);
    if (n_bits > 0)
        push(&heap, weighed(p, bits, 1));
    for (; heap.n > 0 && n < most && tried < TRIES_EACH * most; tried++) {
        const struct flip_set next = pop(&heap);
        const unsigned high = 31U - (unsigned)__builtin_clz(next.set);
        const uint32_t address = decode_flipped(e, p, bits, next.set);
        if (is_new(&seen, address))
            addresses[n++] = address;
        if (high + 1 < n_bits) {
            push(&heap, weighed(p, bits, next.set | 2U << high));
            push(&heap, weighed(p, bits, (next.set ^ 1U << high) | 2U << high));
        }
    }
    return n;
}
