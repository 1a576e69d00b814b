/* ecc.h - linear block codes with soft decoding: many words share few addresses.
 *
 * Bit i of a word is 1 where the hash's component p_i is negative. Decoding finds the codeword b
 * that maximises sum_i (1 - 2 b_i) p_i. Bits of small |p_i| give way first, so near rows, whose
 * words differ in few such bits, get the same codeword. The address is its information bits.
 * (Encoding raw bits with a generator matrix, as the paper's prototype does, has the opposite
 * effect: one different bit becomes d of them.)
 *
 * Codes are systematic: bits 0 .. k-1 of a codeword are the address, parity bits follow. A code
 * shortened by s has its last s information bits fixed to 0 and left out: length and dimension fall
 * by s, the distance does not.
 *
 *     golay    [24,12,8]   all codewords, eight at a time
 *     bch      [31,16,7]   shortened to at most 12 address bits: [27,12]; as hamming
 *     hamming  [15,11,3]   all codewords, by a Hadamard transform
 *     none     [a,a,1]     the word itself
 */
#ifndef DRIFTLINE_ASTERIA_CODE_ECC_H
#define DRIFTLINE_ASTERIA_CODE_ECC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/options.h"

struct error;

enum { ECC_WORD_MAX = 32, ECC_ADDRESS_MAX = 24 };

struct asteria_ecc {
    enum asteria_code kind;
    unsigned n, k; /* length, dimension; after shortening */
    /* Up to (distance - 1) / 2 bits that differ from a codeword are corrected if all
       |p_i| are equal. */
    unsigned distance;
    uint64_t rows[ECC_ADDRESS_MAX]; /* rows[j]: the codeword of address bit j alone */
    uint16_t columns[ECC_WORD_MAX]; /* k <= 12: address bits that add to bit i */
};

/* k: address bits, 1 .. the code's maximum. */
void asteria_ecc_init(struct asteria_ecc *, enum asteria_code, unsigned k);
/* The maximum number of address bits of a code: 12, 12, 11, 24. */
unsigned asteria_ecc_bits_most(enum asteria_code);

/* p: n floats, here and below. Bit i of the result: p_i < 0. */
uint64_t asteria_ecc_word(const struct asteria_ecc *, const float *p);
uint64_t asteria_ecc_codeword(const struct asteria_ecc *, uint32_t address);
static inline uint32_t ecc_address(const struct asteria_ecc *e, uint64_t codeword)
{
    return (uint32_t)(codeword & ((1ULL << e->k) - 1));
}
/* The address of the best codeword; of equally good ones the smallest address. */
uint32_t asteria_ecc_decode(const struct asteria_ecc *, const float *p);
/* sum_i (1 - 2 b_i) p_i. */
float asteria_ecc_correlation(const struct asteria_ecc *, uint64_t codeword, const float *p);

/* Addresses near a soft word: the word decoded, then decoded with some of its t least certain bits
   flipped (their p_i negated), by rising sum of the flipped |p_i|. Distinct; `most` at most.
   Returns their number. At most 8 * most sets of bits are tried. t: at most ECC_FLIPS_MAX. */
enum { ECC_FLIPS_MAX = 12 };
size_t asteria_ecc_flips(const struct asteria_ecc *, const float *p, unsigned t, size_t most,
                         uint32_t *addresses);

/* ERR_INVARIANT: a codeword is not decoded to its address, or has a weight that the code does not
   have. Checks all codewords, or 4096 of them. */
int asteria_ecc_check(const struct asteria_ecc *, struct error *);

#endif
