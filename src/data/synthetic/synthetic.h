/* synthetic.h - generated data: row i is a function of (kind, parameters, seed, i) alone.
 *
 * A source of a billion rows costs nothing until it is read. Reading in any order and from any
 * thread gives the same bytes. A smaller source of the same seed is a prefix of a larger one, but
 * not for uniform, whose planted rows come last, nor for drift, whose time is i / rows. Codes are
 * the same on every machine. Floats are the same if the compiler neither contracts nor reorders
 * arithmetic (gcc -std=c11 does not) and log() rounds alike.
 *
 * In the formulas, z and e are vectors of independent N(0,1), u is uniform in [0,1), and R_s is a
 * random rotation fixed by s: two rounds of random signs and Walsh-Hadamard transforms over two
 * overlapping windows. All are drawn anew for each row unless stated. Queries use the same formulas
 * with other random numbers, so no query is a row.
 *
 *   uniform   rows uniform codes of `bits` bits, then clusters x members codes: each cluster is a
 *             centre, then copies of it with U(1..radius) bits flipped at positions drawn with replacement;
 *             radius 0: none are flipped (the HFTrie experiment). n = rows + clusters * members.
 *             The queries are the first centres, at most `clusters` of them. They are rows, as in
 *             that experiment.
 *   codes     codes of `bits` bits. Bit b is set with probability 1/2 + skew * c_b / 2, rounded to
 *             1/65536, where c_b is uniform in [-1,1] and fixed by the seed. skew 0: uniform codes.
 *   gaussian  x = z.
 *   mixture   x = m_c + spread * sqrt(dim / latent) * R_c (z_1 .. z_latent, 0 ..) + noise * e, with
 *             m_c ~ N(0, I) fixed and P(c) proportional to (c + 1)^-weights. latent 0 means dim.
 *             E|x - m_c|^2 = dim (spread^2 + noise^2). With byte_scale a > 0, rows are bytes:
 *             128 + a x, rounded, at least 0 and at most 255.
 *   drift     At time t = (i + 1/2) / rows, `clusters` clusters exist. Each exists for a time of
 *             1 / turnover (turnover 0: always), then vanishes, and another appears elsewhere.
 *             Their births are staggered. m_c(t) = m_c + speed * (t - birth) * d_c, d_c ~ N(0, I);
 *             x = Q(t) (m_c(t) + spread * e), where Q(t) rotates by rotation * t radians in the
 *             dim / 2 planes of one random rotation. P(c) as in mixture, over the clusters that
 *             exist. Queries: the formula at t = at.
 *   sphere    x = y / |y|, y = mean_cosine * m + sqrt(1 - mean_cosine^2) * R_0 w, |m| = 1 fixed,
 *             w_j ~ N(0, l_j), l_j proportional to (j + 1)^-exponent and summing to 1. The cosine
 *             of a row and m is about mean_cosine, that of two rows about its square.
 */
#ifndef DRIFTLINE_DATA_SYNTHETIC_SYNTHETIC_H
#define DRIFTLINE_DATA_SYNTHETIC_SYNTHETIC_H

#include "src/core/param.h"
#include "src/data/source/source.h"

enum synthetic_kind {
    SYNTHETIC_UNIFORM,
    SYNTHETIC_CODES,
    SYNTHETIC_GAUSSIAN,
    SYNTHETIC_MIXTURE,
    SYNTHETIC_DRIFT,
    SYNTHETIC_SPHERE,
    SYNTHETIC_KINDS
};

/* The options of all kinds; a kind uses those of its table. */
struct synthetic_params {
    int64_t rows, dim;
    int64_t bits;                      /* of a code */
    int64_t clusters, members, radius; /* radius in bits */
    int64_t latent;
    double spread, noise, weights;
    double byte_scale; /* mixture: rows are bytes; 0: floats */
    double skew;
    double speed, turnover, rotation;
    double exponent, mean_cosine;
};

struct synthetic_type {
    const char *name;          /* "uniform" */
    const char *summary;       /* one line of text */
    const struct param *table; /* of struct synthetic_params */
};
extern const struct synthetic_type synthetic_types[SYNTHETIC_KINDS];

/* Opens a source; the caller closes it with source_close(). params: set by param_defaults() and
   param_set() with the kind's table. ERR_ARGUMENT; ERR_NO_MEMORY if the centres do not fit:
   clusters x dim floats, for drift times the generations. */
int synthetic_open(enum synthetic_kind, const struct synthetic_params *, uint64_t seed,
                   struct source **, struct error *);

/* n new points of the distribution of s, a source of synthetic_open(), as a source that does not
   depend on s. at: for drift, the time of the points in [0,1]; other kinds ignore it. Each seed
   gives another set. ERR_ARGUMENT, ERR_NO_MEMORY. */
int synthetic_queries(const struct source *s, size_t n, uint64_t seed, double at,
                      struct source **out, struct error *);

#endif
