/* ecc.h - linear block codes, decoded softly: many words, few addresses.
 *
 * A word's bit i is 1 where the hash's component p_i is negative. Decoding looks for the codeword b that maximises
 * sum_i (1 - 2 b_i) p_i: bits of small |p_i| are doubted first, so that near rows, whose words differ in few such
 * bits, get one codeword. The address is its information bits. (Encoding raw bits by a generator, as in the source's
 * prototype, does the opposite: one unlike bit becomes d of them.)
 *
 * Codes are systematic: bits 0 .. k-1 of a codeword are the address, then come its parity bits. Shortened by s: the
 * last s information bits are 0 and left out; length and dimension fall by s, the distance does not.
 *
 *     golay    [24,12,8]   all codewords, eight at a time
 *     golay2   [48,24,8]   two golay words side by side: halves of p are decoded apart
 *     bch      [31,16,7]   ordered statistics, order 2 (Fossorier and Lin 1995); 10 address bits or fewer: all
 *     hamming  [15,11,3]   all codewords, by a fast Hadamard transform; so the two below
 *     rm       [32,6,16]   Reed-Muller(1,5)
 *     random   [24,12]     parity bits at random
 *     none     [a,a,1]     the word itself
 */
#ifndef DRIFTLINE_ASTERIA_ECC_H
#define DRIFTLINE_ASTERIA_ECC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/options.h"

struct error;
struct mem;

enum { ECC_WORD_MAX = 48, ECC_ADDRESS_MAX = 24 };

/* How golay codewords are three octets (ecc_golay.c). */
struct ecc_golay {
    unsigned char place[24]; /* of bit i of a whole codeword: octet * 8 + position in it */
    uint16_t address[12];    /* of a message's bit */
    float sign[8][8];        /* that x gives position i: [i][x] */
};

struct ecc {
    enum asteria_code kind;
    unsigned n, k; /* length, dimension; after shortening */
    /* guaranteed: (distance - 1) / 2 unlike bits of any codeword are put right when all |p_i| are equal */
    unsigned distance;
    uint64_t rows[ECC_ADDRESS_MAX]; /* codeword of address bit j alone */
    uint16_t columns[ECC_WORD_MAX]; /* k <= 16: address bits whose sum bit i of a codeword is */
    uint64_t *codewords;            /* 2^k of them: golay, bch, hamming, random; NULL: the others */
    unsigned half;                  /* golay2: k of the first half; the second has the rest */
    struct ecc_golay golay;
};

/* k: bits of address wanted, 1 .. the code's own (12, 24, 16, 11, 6, 24, 12); seed: random's.
   ERR_ARGUMENT where the code has fewer; ERR_NO_MEMORY. */
int ecc_create(struct ecc **, struct mem *, enum asteria_code, unsigned k, uint64_t seed,
               struct error *);
void ecc_destroy(struct mem *, struct ecc *); /* NULL is allowed */
size_t ecc_bytes(const struct ecc *);

/* The most address bits a code has. */
unsigned ecc_bits_most(enum asteria_code);

/* p: n floats, here and below. Bit i: p_i < 0. */
uint64_t ecc_word(const struct ecc *, const float *p);
uint64_t ecc_codeword(const struct ecc *, uint32_t address);
static inline uint32_t ecc_address(const struct ecc *e, uint64_t codeword)
{
    return (uint32_t)(codeword & ((1ULL << e->k) - 1));
}
/* The address of the best codeword; of equals the smallest. Exact but for bch, whose ordered statistics may miss the
   best one: never for a word within its distance's guarantee. */
uint32_t ecc_decode(const struct ecc *, const float *p);
/* sum_i (1 - 2 b_i) p_i. */
float ecc_correlation(const struct ecc *, uint64_t codeword, const float *p);

/* Addresses in the order in which flips of the least certain bits lead to them: the word itself decoded, then with one or
   more of its t least certain bits turned (their p_i negated), by rising sum of |p_i| turned. Distinct; at most `most`.
   Returns how many; no more than 8 x most sets of bits are tried. t: ECC_FLIPS_MAX at most. */
enum { ECC_FLIPS_MAX = 12 };
size_t ecc_flips(const struct ecc *, const float *p, unsigned t, size_t most, uint32_t *addresses);

/* ERR_INVARIANT: decode(codeword) is not the address, or a weight that the code has not. Codewords: all, or 4096 of
   them. */
int ecc_check(const struct ecc *, struct error *);

#endif
