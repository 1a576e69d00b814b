/* flips.c - addresses near a soft word: its least certain bits are flipped, the cheapest
   flips first. */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/code/ecc.h"
#include "src/core/key_heap.h"
#include "src/core/order.h"

/* A set of flipped bits; bit i stands for the i-th least certain one. Keys of sets ascend with the
   sum of their |p|, then with the set (order.h). */
/* TRIES_EACH: sets tried per address wanted; later sets rarely lead to a new address. */
enum { SETS_MAX = 1 << ECC_FLIPS_MAX, TRIES_EACH = 8 };

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

static bool is_new(const uint32_t *addresses, size_t n, uint32_t address)
{
    for (size_t i = 0; i < n; i++)
        if (addresses[i] == address)
            return false;
    return true;
}

static uint64_t key_of(const float *p, const unsigned *bits, uint32_t set)
{
    float sum = 0;

    for (uint32_t left = set; left; left &= left - 1)
        sum += fabsf(p[bits[__builtin_ctz(left)]]);
    return order_key_f32(sum, set);
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
    uint64_t keys[SETS_MAX]; /* a heap of sets not yet tried */
    size_t n = 0, n_keys = 0, tried = 1;

    if (most == 0)
        return 0;
    most = most < (size_t)1 << n_bits ? most : (size_t)1 << n_bits;
    addresses[n++] = asteria_ecc_decode(e, p);
    if (n_bits > 0)
        key_heap_push(keys, &n_keys, key_of(p, bits, 1));
    for (; n_keys > 0 && n < most && tried < TRIES_EACH * most; tried++) {
        const uint32_t set = (uint32_t)key_heap_pop(keys, &n_keys);
        const unsigned high = 31U - (unsigned)__builtin_clz(set);
        const uint32_t address = decode_flipped(e, p, bits, set);
        if (is_new(addresses, n, address))
            addresses[n++] = address;
        if (high + 1 < n_bits) {
            key_heap_push(keys, &n_keys, key_of(p, bits, set | 2U << high));
            key_heap_push(keys, &n_keys, key_of(p, bits, (set ^ 1U << high) | 2U << high));
        }
    }
    return n;
}
