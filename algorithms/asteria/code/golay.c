/* golay.c - the extended Golay code as three octets (Turyn), and its soft decoder.
 *
 * H: values of the affine functions on F_2^3, the [8,4,4] code. H': those of affine functions of
 * 1/i, i an element of F_8; H and H' share 0 and 1 only. The Golay code is {(a + x, b + x, a + b +
 * x): a, b in H, x in H'}. Write each of a, b, x as a linear function and a constant. The three
 * constants are the signs of the octets, in all eight combinations. Let A_x, B_x, C_x be the
 * Hadamard transforms of the octets of p multiplied by x's signs. Then
 *
 *     max over codewords = max over linear a, b, x of |A_x(a)| + |B_x(b)| + |C_x(a + b)|:
 *
 * 512 sums of three for 4096 codewords, computed for all x side by side. Sums are doubles. The
 * information bits that shortening left out are fixed to 0 by components larger than the sum of all
 * others, and floats would lose the others' digits.
 */
#include <math.h>

#include "algorithms/asteria/code/ecc.h"

/* 1/i in F_8 = F_2[t] / (t^3 + t + 1); the entry of 0 is 0. */
static const unsigned char inverse[8] = { 0, 1, 5, 6, 7, 2, 3, 4 };

static inline unsigned odd(unsigned bits)
{
    return (unsigned)__builtin_parity(bits);
}

/* Message: a in bits 0-2, b in 3-5, x in 6-8, signs of the octets in 9-11. Bit o * 8 + i of the
   result is position i of octet o. */
static uint32_t octets_of(unsigned message)
{
    const unsigned a = message & 7, b = message >> 3 & 7, x = message >> 6 & 7;
    uint32_t word = 0;

    for (unsigned i = 0; i < 8; i++) {
        const unsigned third = odd(x & inverse[i]);
        word |= (odd(a & i) ^ third ^ (message >> 9 & 1)) << i;
        word |= (odd(b & i) ^ third ^ (message >> 10 & 1)) << (8 + i);
        word |= (odd((a ^ b) & i) ^ third ^ (message >> 11 & 1)) << (16 + i);
    }
    return word;
}

/* The word's bits in the order of `place`. */
static uint32_t arranged(const struct asteria_ecc_golay *g, uint32_t word)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < 24; i++)
        bits |= (word >> g->place[i] & 1) << i;
    return bits;
}

void asteria_ecc_golay_generate(struct asteria_ecc_golay *g, uint64_t rows[12])
{
    uint32_t words[12];
    unsigned rank = 0, parity = 12;

    for (unsigned i = 0; i < 12; i++)
        words[i] = octets_of(1U << i);
    /* Gauss-Jordan: the columns with a pivot are the information bits. */
    for (unsigned column = 0; column < 24; column++) {
        unsigned pivot = rank;
        while (pivot < 12 && !(words[pivot] >> column & 1))
            pivot++;
        if (pivot == 12) {
            g->place[parity++] = (unsigned char)column;
            continue;
        }
        const uint32_t row = words[pivot];
        words[pivot] = words[rank];
        words[rank] = row;
        for (unsigned i = 0; i < 12; i++)
            words[i] ^= i != rank && (words[i] >> column & 1) ? row : 0;
        g->place[rank++] = (unsigned char)column;
    }
    for (unsigned i = 0; i < 12; i++) {
        rows[i] = arranged(g, words[i]);
        g->address[i] = (uint16_t)(arranged(g, octets_of(1U << i)) & 0xFFF);
    }
    for (unsigned i = 0; i < 8; i++)
        for (unsigned x = 0; x < 8; x++)
            g->sign[i][x] = odd(x & inverse[i]) ? -1 : 1;
}

/* [o][a][x]: correlation of octet o with linear function a, and its absolute value. */
struct scores {
    double octet[3][8][8], size[3][8][8];
};

static void transform(const struct asteria_ecc_golay *g, const double octet[8], double to[8][8],
                      double size[8][8])
{
    for (unsigned i = 0; i < 8; i++)
        for (unsigned x = 0; x < 8; x++)
            to[i][x] = octet[i] * (double)g->sign[i][x];
    for (unsigned half = 1; half < 8; half *= 2)
        for (unsigned i = 0; i < 8; i++)
            for (unsigned x = 0; x < 8 && !(i & half); x++) {
                const double low = to[i][x], high = to[i + half][x];
                to[i][x] = low + high;
                to[i + half][x] = low - high;
            }
    for (unsigned i = 0; i < 8; i++)
        for (unsigned x = 0; x < 8; x++)
            size[i][x] = fabs(to[i][x]);
}

static inline double sum_of(const struct scores *s, unsigned a, unsigned b, unsigned x)
{
    return s->size[0][a][x] + s->size[1][b][x] + s->size[2][a ^ b][x];
}

/* The smallest address for a, b, x; an octet of correlation 0 may have either sign. */
static uint32_t smallest(const struct asteria_ecc_golay *g, const struct scores *s, unsigned a,
                         unsigned b, unsigned x)
{
    const double octet[3] = { s->octet[0][a][x], s->octet[1][b][x], s->octet[2][a ^ b][x] };
    unsigned fixed = a | b << 3 | x << 6, loose = 0;
    uint32_t least = UINT32_MAX;

    for (unsigned o = 0; o < 3; o++) {
        fixed |= (unsigned)(octet[o] < 0) << (9 + o);
        loose |= (unsigned)(octet[o] == 0) << (9 + o);
    }
    /* All subsets of loose, the empty one last. */
    for (unsigned subset = loose;; subset = (subset - 1) & loose) {
        uint32_t address = 0;
        for (unsigned bits = fixed | subset; bits; bits &= bits - 1)
            address ^= g->address[__builtin_ctz(bits)];
        least = address < least ? address : least;
        if (!subset)
            return least;
    }
}

static uint32_t smallest_of_best(const struct asteria_ecc_golay *g, const struct scores *s)
{
    double best[8] = { 0 }, most = 0;
    uint32_t least = UINT32_MAX;

    for (unsigned b = 0; b < 8; b++)
        for (unsigned a = 0; a < 8; a++)
            for (unsigned x = 0; x < 8; x++) {
                const double sum = sum_of(s, a, b, x);
                best[x] = sum > best[x] ? sum : best[x];
            }
    for (unsigned x = 0; x < 8; x++)
        most = best[x] > most ? best[x] : most;
    for (unsigned x = 0; x < 8; x++)
        for (unsigned b = 0; b < 8 && best[x] >= most; b++)
            for (unsigned a = 0; a < 8; a++)
                if (sum_of(s, a, b, x) >= most) {
                    const uint32_t address = smallest(g, s, a, b, x);
                    least = address < least ? address : least;
                }
    return least;
}

uint32_t asteria_ecc_golay_decode(const struct asteria_ecc_golay *g, const float *info, unsigned k,
                                  const float *parity)
{
    double octets[3][8], all = 1;
    struct scores scores;

    for (unsigned i = 0; i < 12; i++)
        all += fabs((double)parity[i]) + (i < k ? fabs((double)info[i]) : 0);
    for (unsigned i = 0; i < 12; i++) {
        octets[g->place[i] / 8][g->place[i] % 8] = i < k ? (double)info[i] : all;
        octets[g->place[12 + i] / 8][g->place[12 + i] % 8] = (double)parity[i];
    }
    for (unsigned o = 0; o < 3; o++)
        transform(g, octets[o], scores.octet[o], scores.size[o]);
    return smallest_of_best(g, &scores);
}
