/* decode.c - soft decoding: the best codeword for n real numbers; the check of a code. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/asteria/code/ecc.h"
#include "src/core/error.h"

/* 1 All codewords. The correlation sum_i (1 - 2 b_i) p_i with the codeword of address a is the
 * Hadamard transform, at a, of the array that has p_i at bit i's column, because b_i = <a, column>.
 * The transform over the four low address bits is taken while the components are entered; the rest
 * are sums of whole vectors. Codes of fewer than four bits repeat their values above 2^k; the first
 * of equal values is the answer.
 */

enum { TRANSFORM_BITS_MAX = 12, LANES = 16 };

/* lanes[a] += p (-1)^<a, column>, for the four low address bits. */
static inline void enter(float *lanes, unsigned column, float p)
{
    float signed_p[LANES] = { p };

    for (unsigned half = 1; half < LANES; half *= 2)
        for (unsigned i = 0; i < half; i++)
            signed_p[half + i] = column & half ? -signed_p[i] : signed_p[i];
    for (unsigned i = 0; i < LANES; i++)
        lanes[i] += signed_p[i];
}

static inline void butterflies(float *restrict low, float *restrict high, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float a = low[i], b = high[i];
        low[i] = a + b;
        high[i] = a - b;
    }
}

/* Two stages at once: of `half` and of 2 * half. */
static inline void butterflies_twice(float *restrict f, size_t half)
{
    float *restrict f1 = f + half, *restrict f2 = f + 2 * half, *restrict f3 = f + 3 * half;

    for (size_t i = 0; i < half; i++) {
        const float a = f[i] + f1[i], b = f[i] - f1[i], c = f2[i] + f3[i], d = f2[i] - f3[i];
        f[i] = a + c;
        f1[i] = b + d;
        f2[i] = a - c;
        f3[i] = b - d;
    }
}

static void transform(float *f, size_t size)
{
    size_t half = LANES;

    for (; 2 * half < size; half *= 4)
        for (size_t i = 0; i < size; i += 4 * half)
            butterflies_twice(f + i, half);
    if (half < size)
        butterflies(f, f + half, half);
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
    _Alignas(64) float f[1 << TRANSFORM_BITS_MAX];
    const size_t size = e->k < 4 ? LANES : (size_t)1 << e->k;

    memset(f, 0, size * sizeof *f);
    for (unsigned i = 0; i < e->n; i++)
        enter(f + e->columns[i] / LANES * LANES, e->columns[i], p[i]);
    transform(f, size);
    return greatest(f, size);
}

/* 2 Ordered statistics (Fossorier and Lin 1995). The most certain bits that determine a codeword
 * (the basis) are taken as they are, then flipped one and two at a time. A codeword's loss is the
 * sum of |p_i| over the bits where it differs from the word; the maximum of the correlation is the
 * minimum of the loss.
 */

struct ordered {
    uint64_t rows[16];     /* generators: each basis bit is set in exactly one */
    uint64_t basis;        /* its bits */
    float loss[4][256];    /* of each byte of differing bits */
    uint64_t word, unlike; /* hard decisions; their difference from the best codeword */
    float least;
};

static void weigh(struct ordered *o, unsigned n, const float *p)
{
    for (unsigned byte = 0; byte < 4; byte++) {
        float *loss = o->loss[byte];
        loss[0] = 0;
        for (unsigned bit = 0; bit < 8; bit++) {
            const float size = byte * 8 + bit < n ? fabsf(p[byte * 8 + bit]) : 0;
            for (unsigned i = 0; i < 1U << bit; i++)
                loss[(1U << bit) + i] = loss[i] + size;
        }
    }
}

/* The basis and its rows, by falling |p|; of equal |p| the lower bit first. */
static void choose_basis(struct ordered *o, const struct asteria_ecc *e, const float *p)
{
    unsigned order[ECC_WORD_MAX], rank = 0;

    for (unsigned i = 0; i < e->n; i++) {
        unsigned at = i;
        for (; at > 0 && fabsf(p[order[at - 1]]) < fabsf(p[i]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    memcpy(o->rows, e->rows, e->k * sizeof *o->rows);
    o->basis = 0;
    for (unsigned i = 0; i < e->n && rank < e->k; i++) {
        const unsigned bit = order[i];
        unsigned pivot = rank;
        while (pivot < e->k && !(o->rows[pivot] >> bit & 1))
            pivot++;
        if (pivot == e->k)
            continue;
        const uint64_t row = o->rows[pivot];
        o->rows[pivot] = o->rows[rank];
        o->rows[rank] = row;
        for (unsigned j = 0; j < e->k; j++)
            o->rows[j] ^= j != rank && (o->rows[j] >> bit & 1) ? row : 0;
        o->basis |= 1ULL << bit;
        rank++;
    }
}

static inline void consider(struct ordered *o, const struct asteria_ecc *e, uint64_t unlike)
{
    const float loss = o->loss[0][unlike & 255] + o->loss[1][unlike >> 8 & 255] +
                       o->loss[2][unlike >> 16 & 255] + o->loss[3][unlike >> 24];

    if (loss > o->least || (loss == o->least && ecc_address(e, o->word ^ unlike) >=
                                                    ecc_address(e, o->word ^ o->unlike)))
        return;
    o->least = loss;
    o->unlike = unlike;
}

/* Three flipped basis bits are tried only where no other bit differs: this corrects any
   three flips. */
static void consider_thirds(struct ordered *o, const struct asteria_ecc *e, uint64_t unlike,
                            unsigned from)
{
    for (unsigned i = from; i < e->k; i++)
        if (!((unlike ^ o->rows[i]) & ~o->basis))
            consider(o, e, unlike ^ o->rows[i]);
}

static uint32_t decode_ordered(const struct asteria_ecc *e, const float *p)
{
    struct ordered o = { .word = asteria_ecc_word(e, p), .least = INFINITY };
    uint64_t unlike;

    choose_basis(&o, e, p);
    weigh(&o, e->n, p);
    unlike = o.word;
    for (unsigned i = 0; i < e->k; i++)
        unlike ^= o.rows[i] & o.basis & o.word ? o.rows[i] : 0;
    o.unlike = unlike;
    consider(&o, e, unlike);
    for (unsigned i = 0; i < e->k; i++) {
        consider(&o, e, unlike ^ o.rows[i]);
        for (unsigned j = i + 1; j < e->k; j++) {
            const uint64_t both = unlike ^ o.rows[i] ^ o.rows[j];
            consider(&o, e, both);
            consider_thirds(&o, e, both, j + 1);
        }
    }
    return ecc_address(e, o.word ^ o.unlike);
}

uint32_t asteria_ecc_decode(const struct asteria_ecc *e, const float *p)
{
    switch (e->kind) {
        case ECC_GOLAY: return asteria_ecc_golay_decode(&e->golay, p, e->k, p + e->k);
        case ECC_NONE: return (uint32_t)asteria_ecc_word(e, p);
        case ECC_BCH:
            /* Trying all 2^10 codewords is as cheap as a basis with its flips. */
            return e->k <= 10 ? decode_all(e, p) : decode_ordered(e, p);
        default: return decode_all(e, p);
    }
}

/* ----------------------------------------------------------------------------------- check */

static int check_codeword(const struct asteria_ecc *e, uint32_t address, struct error *error)
{
    const char *name = e->name;
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

    for (unsigned i = 0; i < e->n && e->k <= 16; i++)
        for (unsigned j = 0; j < e->k; j++)
            if ((e->columns[i] >> j & 1U) != (e->rows[j] >> i & 1))
                return fail(error, ERR_INVARIANT,
                            "asteria: code %s: bit %u of address bit %u's codeword differs from "
                            "the column's",
                            e->name, i, j);
    for (unsigned j = 0; j < e->k && rc == OK; j++)
        rc = check_codeword(e, 1U << j, error);
    for (uint32_t i = 0; i < n && rc == OK; i++)
        rc = check_codeword(e, (uint32_t)((uint64_t)i * step) & (all - 1), error);
    return rc;
}
