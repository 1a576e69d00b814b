/* synthetic.h - data made on demand: row i is computed from (kind, parameters, seed, i) alone.
 *
 * So a source of a billion rows costs nothing until it is read, reading in any order and from any
 * thread gives the same bytes, and a smaller source of the same seed is a prefix of a larger one
 * (but for uniform, whose planted rows come last, and drift, whose time is i / rows). Codes are the
 * same on every machine; floats on every machine whose compiler neither contracts nor reorders
 * arithmetic (gcc -std=c11 does not) and whose log() rounds alike.
 *
 * In the formulas z, e are vectors of independent N(0,1), u is uniform in [0,1), R_s is a random
 * rotation fixed by s (two rounds of random signs and Walsh-Hadamard transforms over two
 * overlapping windows), all of them drawn afresh a row unless said otherwise. Queries use the same
 * formulas with other random numbers, so none is a row.
 *
 *   uniform   rows uniform 64-bit codes, then clusters x members: a centre, then copies of it with
 * U(1..radius) bits flipped (radius 0: none), positions drawn with replacement (the HFTrie experiment). n = rows +
 * clusters * members. Queries: the centres, in order, at most `clusters` of them; they are rows, as
 * the experiment has it. codes     64-bit codes, bit b set with probability 1/2 + skew * c_b / 2,
 * c_b uniform in [-1,1] fixed by the seed (probabilities are rounded to 1/65536); skew 0: uniform.
 *   gaussian  x = z.
 *   mixture   x = m_c + spread * sqrt(dim / latent) * R_c (z_1 .. z_latent, 0 ..) + noise * e;  m_c
 * ~ N(0, I) fixed; P(c) proportional to (c + 1)^-weights. latent 0 means dim. E|x - m_c|^2 = dim
 * (spread^2 + noise^2). drift     time t = (i + 1/2) / rows. `clusters` live at every moment; each
 * lives 1 / turnover of the time (turnover 0: for ever), then vanishes and another appears
 * elsewhere, their births staggered. m_c(t) = m_c + speed * (t - birth) * d_c, d_c ~ N(0, I); x =
 * Q(t) (m_c(t) + spread * e), Q(t) turning by rotation * t radians in the dim / 2 planes of one
 * random rotation. P(c) as in mixture, over the live. Queries: the formula at t = at. sphere    x =
 * y / |y|, y = mean_cosine * m + sqrt(1 - mean_cosine^2) * R_0 w, |m| = 1 fixed, w_j ~ N(0, l_j),
 *             l_j proportional to (j + 1)^-exponent and summing to 1. The cosine of a row to m is
 * about mean_cosine, of two rows about its square.
 */
#ifndef DRIFTLINE_SYNTHETIC_H
#define DRIFTLINE_SYNTHETIC_H

#include "source.h"
#include "src/core/param.h"

enum synthetic_kind {
    SYNTHETIC_UNIFORM,
    SYNTHETIC_CODES,
    SYNTHETIC_GAUSSIAN,
    SYNTHETIC_MIXTURE,
    SYNTHETIC_DRIFT,
    SYNTHETIC_SPHERE,
    SYNTHETIC_KINDS
};

/* Every kind's options; each kind reads those of its table. */
struct synthetic_params {
    int64_t rows, dim;
    int64_t clusters, members, radius; /* radius in bits */
    int64_t latent;
    double spread, noise, weights;
    double skew;
    double speed, turnover, rotation;
    double exponent, mean_cosine;
};

const char *synthetic_name(enum synthetic_kind);          /* "uniform" */
const char *synthetic_summary(enum synthetic_kind);       /* one line for people */
const struct param *synthetic_table(enum synthetic_kind); /* of struct synthetic_params */
/* ERR_CONFIG for an unknown name, with "did you mean". */
int synthetic_named(const char *name, enum synthetic_kind *, struct error *);

/* params from param_defaults() and param_set() over the kind's table. Closed with source_close().
   ERR_ARGUMENT, ERR_NO_MEMORY (fixed centres: clusters x dim floats, drift: times its generations).
 */
int synthetic_open(enum synthetic_kind, const struct synthetic_params *, uint64_t seed,
                   struct source **, struct error *);

/* n fresh points of the distribution of `s`, a source of synthetic_open(); of time `at` in [0,1]
   for drift, ignored by others. The seed tells one set of queries from another. *out lives on after
   s is closed. */
int synthetic_queries(const struct source *s, size_t n, uint64_t seed, double at,
                      struct source **out, struct error *);

/* Whether s is such a source. */
bool synthetic_is(const struct source *s);

#endif
