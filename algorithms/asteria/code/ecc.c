/* ecc.c - codes: generator matrices, systematic and shortened; soft decoding; addresses near a word;
 * the check of a code.
 */
#include "algorithms/asteria/code/ecc.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "src/core/error.h"
#include "src/core/key_heap.h"
#include "src/core/order.h"

/* Codes of more address bits cannot be decoded by trying all codewords. */
enum { TRANSFORM_BITS_MAX = 12 };

static const struct {
    const char *name;
    unsigned bits, checks, distance; /* most address bits; parity bits */
    uint16_t parity[ECC_ADDRESS_MAX];
} codes[] = {
    [ECC_GOLAY] = { "golay",
                    12,
                    12,
                    8,
                    { 0x25f, 0x4e7, 0xe2b, 0x793, 0x3ad, 0x9d5, 0x579, 0x96e, 0xab6, 0xcda, 0xf1c,
                      0xfe0 } },
    /* The cyclic code of the polynomial whose roots are a, a^3, a^5 in F_32 = F_2[a] / (a^5 + a^2 +
       1), and their conjugates: 107657 in octal. The parity of bit i is the remainder of
       x^(15 + i). */
    [ECC_BCH] = { "bch",
                  12,
                  15,
                  7,
                  { 0x0faf, 0x1f5e, 0x3ebc, 0x7d78, 0x755f, 0x6511, 0x458d, 0x04b5, 0x096a, 0x12d4,
                    0x25a8, 0x4b50 } },
    /* All different, of two or more bits. Those of three bits come first, so that shortened codes
       have distance 4. */
    [ECC_HAMMING] = { "hamming", 11, 4, 3, { 7, 11, 13, 14, 3, 5, 6, 9, 10, 12, 15 } },
    [ECC_NONE] = { "none", ECC_ADDRESS_MAX, 0, 1, { 0 } },
};

unsigned asteria_ecc_bits_most(enum asteria_code kind)
{
    return codes[kind].bits;
}

void asteria_ecc_init(struct asteria_ecc *e, enum asteria_code kind, unsigned k)
{
    *e = (struct asteria_ecc){
        .kind = kind, .n = k + codes[kind].checks, .k = k, .distance = codes[kind].distance
    };
    for (unsigned i = 0; i < k; i++)
        e->rows[i] = 1ULL << i | (uint64_t)codes[kind].parity[i] << k;
    for (unsigned i = 0; i < e->n && k <= TRANSFORM_BITS_MAX; i++)
        for (unsigned j = 0; j < k; j++)
            e->columns[i] |= (uint16_t)((e->rows[j] >> i & 1) << j);
}

uint64_t asteria_ecc_word(const struct asteria_ecc *e, const float *p)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < e->n; i++)
        word |= (uint64_t)(p[i] < 0) << i;
    return word;
}

uint64_t asteria_ecc_codeword(const struct asteria_ecc *e, uint32_t address)
{
    uint64_t codeword = 0;

    for (uint32_t bits = address; bits; bits &= bits - 1)
        codeword ^= e->rows[__builtin_ctz(bits)];
    return codeword;
}

float asteria_ecc_correlation(const struct asteria_ecc *e, uint64_t codeword, const float *p)
{
    float sum = 0;

    for (unsigned i = 0; i < e->n; i++)
        sum += codeword >> i & 1 ? -p[i] : p[i];
    return sum;
}

/* ----------------------------------------------------------------------- all codewords */

/* Of bch and hamming. The correlation sum_i (1 - 2 b_i) p_i with the codeword of address a is the
 * Hadamard transform, at a, of the array that has p_i at bit i's column, because b_i = <a, column>.
 * Its stages have constant geometry (Pease 1968): all take neighbours (2 i, 2 i + 1) to (i, i + half),
 * and the last restores the natural order. Codes of fewer than four bits repeat their values above
 * 2^k; the first of equal values is the answer.
 */
enum { LANES = 16 };

static void stage(const float *restrict from, float *restrict to, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        to[i] = from[2 * i] + from[2 * i + 1];
        to[i + half] = from[2 * i] - from[2 * i + 1];
    }
}

/* The index of the maximum; the first one if several are equal. */
static uint32_t greatest(const float *f, size_t size)
{
    float lanes[LANES], most;
    uint32_t at = 0;

    memcpy(lanes, f, sizeof lanes);
    for (size_t i = LANES; i < size; i += LANES)
        for (unsigned j = 0; j < LANES; j++)
            lanes[j] = f[i + j] > lanes[j] ? f[i + j] : lanes[j];
    most = lanes[0];
    for (unsigned j = 1; j < LANES; j++)
        most = lanes[j] > most ? lanes[j] : most;
    for (unsigned here = 0; at < size; at += LANES) {
        for (unsigned j = 0; j < LANES; j++)
            here |= f[at + j] == most;
        if (here)
            break;
    }
    while (f[at] != most)
        at++;
    return at;
}

static uint32_t decode_all(const struct asteria_ecc *e, const float *p)
{
    _Alignas(64) float buffers[2][1 << TRANSFORM_BITS_MAX];
    const unsigned bits = e->k < 4 ? 4 : e->k;
    const size_t size = (size_t)1 << bits;

    memset(buffers[0], 0, size * sizeof(float));
    for (unsigned i = 0; i < e->n; i++)
        buffers[0][e->columns[i]] += p[i];
    for (unsigned i = 0; i < bits; i++)
        stage(buffers[i % 2], buffers[(i + 1) % 2], size / 2);
    return greatest(buffers[bits % 2], size);
}

/* ------------------------------------------------------------------------------- golay */

/* The extended Golay code as three octets (Turyn). H: values of the affine functions on F_2^3, the
 * [8,4,4] code. H': those of affine functions of 1/i, i an element of F_8; H and H' share 0 and 1
 * only. The Golay code is {(a + x, b + x, a + b + x): a, b in H, x in H'}. Write each of a, b, x as a
 * linear function and a constant. The three constants are the signs of the octets, in all eight
 * combinations. Let A_x, B_x, C_x be the Hadamard transforms of the octets of p multiplied by x's
 * signs. Then
 *
 *     max over codewords = max over linear a, b, x of |A_x(a)| + |B_x(b)| + |C_x(a + b)|:
 *
 * 512 sums of three for 4096 codewords, computed for all x side by side. Sums are doubles. The
 * information bits that shortening left out are fixed to 0 by components larger than the sum of all
 * others, and floats would lose the others' digits.
 */

/* Bit i of a codeword is position i % 8 of octet i / 8 of these. The first twelve determine the
   others: Gauss-Jordan elimination of the octets' generators gives them, and golay()'s parities. */
static const unsigned char golay_place[24] = { 0, 1,  2,  3,  4,  5,  6,  8,  9,  10, 12, 16,
                                               7, 11, 13, 14, 15, 17, 18, 19, 20, 21, 22, 23 };
/* What a message's bits add to the address: a in bits 0-2, b in 3-5, x in 6-8, signs of the octets in
   9-11. */
static const uint16_t golay_address[12] = { 0x02a, 0x04c, 0x070, 0x100, 0x200, 0x400,
                                            0x756, 0x478, 0x61c, 0x07f, 0x780, 0x800 };
/* [i] bit x: whether x changes the sign of position i. 1/i in F_8 = F_2[t] / (t^3 + t + 1), with 0 for
   0, is 0, 1, 5, 6, 7, 2, 3, 4; the bit is the parity of x & 1/i. */
static const unsigned char golay_flips[8] = { 0x00, 0xaa, 0x5a, 0x3c, 0x96, 0xcc, 0x66, 0xf0 };

/* [o][a][x]: correlation of octet o with linear function a, and its absolute value. */
struct scores {
    double octet[3][8][8], size[3][8][8];
};

static void transform(const double octet[8], double to[8][8], double size[8][8])
{
    for (unsigned i = 0; i < 8; i++)
        for (unsigned x = 0; x < 8; x++)
            to[i][x] = golay_flips[i] >> x & 1 ? -octet[i] : octet[i];
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
static uint32_t smallest(const struct scores *s, unsigned a, unsigned b, unsigned x)
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
            address ^= golay_address[__builtin_ctz(bits)];
        least = address < least ? address : least;
        if (!subset)
            return least;
    }
}

static uint32_t smallest_of_best(const struct scores *s)
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
                    const uint32_t address = smallest(s, a, b, x);
                    least = address < least ? address : least;
                }
    return least;
}

static uint32_t decode_golay(unsigned k, const float *info)
{
    const float *parity = info + k;
    double octets[3][8], all = 1;
    struct scores scores;

    for (unsigned i = 0; i < 12; i++)
        all += fabs((double)parity[i]) + (i < k ? fabs((double)info[i]) : 0);
    for (unsigned i = 0; i < 12; i++) {
        octets[golay_place[i] / 8][golay_place[i] % 8] = i < k ? (double)info[i] : all;
        octets[golay_place[12 + i] / 8][golay_place[12 + i] % 8] = (double)parity[i];
    }
    for (unsigned o = 0; o < 3; o++)
        transform(octets[o], scores.octet[o], scores.size[o]);
    return smallest_of_best(&scores);
}

uint32_t asteria_ecc_decode(const struct asteria_ecc *e, const float *p)
{
    return e->kind == ECC_NONE    ? (uint32_t)asteria_ecc_word(e, p)
           : e->kind == ECC_GOLAY ? decode_golay(e->k, p)
                                  : decode_all(e, p);
}

/* ------------------------------------------------------------------- addresses near a word */

/* A set of flipped bits; bit i stands for the i-th least certain one. Sets are tried by the sum of
   their |p|, then by their number. TRIES_EACH: sets tried per address wanted; later ones rarely lead
   to a new address. */
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

static uint32_t decode_flipped(const struct asteria_ecc *e, const float *p, const unsigned *bits,
                               uint32_t set)
{
    float flipped[ECC_WORD_MAX];

    memcpy(flipped, p, e->n * sizeof *p);
    for (uint32_t left = set; left; left &= left - 1)
        flipped[bits[__builtin_ctz(left)]] *= -1;
    return asteria_ecc_decode(e, flipped);
}

size_t asteria_ecc_flips(const struct asteria_ecc *e, const float *p, unsigned t, size_t most,
                         uint32_t *addresses)
{
    unsigned bits[ECC_FLIPS_MAX];
    const unsigned n_bits = least_certain(e, p, t, bits);
    float sums[SETS_MAX] = { 0 };
    uint64_t keys[SETS_MAX];
    size_t n = 0, n_keys = 0;

    for (uint32_t set = 1; set < 1U << n_bits; set++) {
        const unsigned high = 31U - (unsigned)__builtin_clz(set);
        sums[set] = sums[set ^ 1U << high] + fabsf(p[bits[high]]);
        keys[n_keys++] = order_key_f32(sums[set], set);
    }
    key_heap_make(keys, n_keys);
    if (most > 0)
        addresses[n++] = asteria_ecc_decode(e, p);
    for (size_t tried = 1; n_keys > 0 && n < most && tried < TRIES_EACH * most; tried++) {
        const uint32_t set = (uint32_t)key_heap_pop(keys, &n_keys);
        const uint32_t address = decode_flipped(e, p, bits, set);
        if (is_new(addresses, n, address))
            addresses[n++] = address;
    }
    return n;
}

/* ----------------------------------------------------------------------------------- check */

static int check_codeword(const struct asteria_ecc *e, uint32_t address, struct error *error)
{
    const char *name = codes[e->kind].name;
    const uint64_t codeword = asteria_ecc_codeword(e, address);
    const unsigned weight = (unsigned)__builtin_popcountll(codeword);
    /* Weights that the code's theory allows: Golay's are 0, 8, 12, 16 and 24. */
    const bool allowed =
        weight == 0 || (e->kind == ECC_GOLAY ? weight % 4 == 0 && weight != 4 && weight != 20
                                             : weight >= e->distance);
    float p[ECC_WORD_MAX];

    if (!allowed || ecc_address(e, codeword) != address)
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: the codeword of address %" PRIu32 " is %" PRIx64
                    ", which the code does not have",
                    name, address, codeword);
    for (unsigned i = 0; i < e->n; i++)
        p[i] = codeword >> i & 1 ? -1 : 1;
    if (asteria_ecc_decode(e, p) != address)
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: the codeword of address %" PRIu32
                    " is decoded to address %" PRIu32,
                    name, address, asteria_ecc_decode(e, p));
    return OK;
}

int asteria_ecc_check(const struct asteria_ecc *e, struct error *error)
{
    /* All codewords, or 4096: those of single address bits, and others far from one another. */
    const uint32_t all = 1U << e->k, n = all < 4096 ? all : 4096;
    const uint32_t step = n == all ? 1 : (uint32_t)(((uint64_t)all * 39) / 64 | 1);
    int rc = OK;

    for (unsigned i = 0; i < e->n && e->k <= TRANSFORM_BITS_MAX; i++)
        for (unsigned j = 0; j < e->k; j++)
            if ((e->columns[i] >> j & 1U) != (e->rows[j] >> i & 1))
                return fail(error, ERR_INVARIANT,
                            "asteria: code %s: bit %u of address bit %u's codeword differs from "
                            "the column's",
                            codes[e->kind].name, i, j);
    for (unsigned j = 0; j < e->k && rc == OK; j++)
        rc = check_codeword(e, 1U << j, error);
    for (uint32_t i = 0; i < n && rc == OK; i++)
        rc = check_codeword(e, (uint32_t)((uint64_t)i * step) & (all - 1), error);
    return rc;
}
