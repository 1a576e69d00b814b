/* synthetic.c - the kinds of synthetic data with their options, and opening a source. rows.c
 * has the formulas. */
#include "src/data/synthetic/synthetic.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "src/core/rng.h"
#include "src/data/synthetic/rows.h"

#define P struct synthetic_params
#define ROWS \
    PARAM_INT(P, rows, 100000, 1, 1e12, "number of rows; they are computed when they are read")
#define DIM PARAM_INT(P, dim, 128, 1, 65536, "columns")
#define WEIGHTS                     \
    PARAM_REAL(P, weights, 0, 0, 8, \
               "cluster c is chosen in proportion to (c + 1)^-weights; 0: all alike")

#define BITS PARAM_INT(P, bits, 64, 64, INDEX_CODE_BITS_MAX, "bits of a code, a multiple of 64")

static const struct param uniform_table[] = {
    PARAM_INT(P, rows, 1000000, 1, 1e12,
              "uniform codes in the background; the planted codes follow them"),
    PARAM_INT(P, clusters, 10, 0, 1e9, "planted clusters; their centres are the queries"),
    PARAM_INT(P, members, 10, 1, 1e6, "codes in a planted cluster, the centre included"),
    PARAM_INT(P, radius, 10, 0, INDEX_CODE_BITS_MAX,
              "bits flipped in a copy of a centre, at most; 0: none"),
    BITS,
    PARAM_END
};
static const struct param codes_table[] = {
    ROWS,
    PARAM_REAL(P, skew, 0.8, 0, 1,
               "how far a bit's probability differs from 1/2; 0: uniform codes"),
    BITS, PARAM_END
};
static const struct param gaussian_table[] = { ROWS, DIM, PARAM_END };
static const struct param mixture_table[] = {
    ROWS,
    DIM,
    PARAM_INT(P, clusters, 100, 1, 10000000,
              "Gaussian clusters; centres have standard deviation 1 per column"),
    PARAM_INT(P, latent, 16, 0, 65536, "dimensions of a cluster, in directions of its own; 0: all"),
    PARAM_REAL(P, spread, 0.5, 0, 1000,
               "standard deviation around the centre, per column; at 1 the clusters overlap"),
    PARAM_REAL(P, noise, 0.05, 0, 1000,
               "standard deviation of noise in every direction, per column"),
    WEIGHTS,
    PARAM_REAL(P, byte_scale, 0, 0, 127,
               "rows are bytes: 128 and this times the number, from 0 to 255; 0: rows are floats"),
    PARAM_END
};
static const struct param drift_table[] = {
    ROWS,
    DIM,
    PARAM_INT(P, clusters, 50, 1, 1000000, "clusters that exist at the same time"),
    PARAM_REAL(P, spread, 0.5, 0, 1000, "standard deviation around the centre, per column"),
    PARAM_REAL(P, speed, 1, 0, 1000,
               "how far a centre moves from the first row to the last, as standard deviation per "
               "column; 0: not at all"),
    PARAM_REAL(P, turnover, 2, 0, 1000,
               "generations of clusters from the first row to the last; 0: none vanishes"),
    PARAM_REAL(P, rotation, 0, -100, 100,
               "rotation of all data from the first row to the last, in radians"),
    WEIGHTS,
    PARAM_END
};
static const struct param sphere_table[] = {
    ROWS, DIM,
    PARAM_REAL(P, exponent, 1, 0, 8, "decay of the spectrum: variance j^-exponent; 0: isotropic"),
    PARAM_REAL(P, mean_cosine, 0.5, 0, 0.999,
               "cosine of a row with the common mean; embeddings have 0.3 to 0.8"),
    PARAM_END
};

const struct synthetic_type synthetic_types[SYNTHETIC_KINDS] = {
    [SYNTHETIC_UNIFORM] = { "uniform",
                            "uniform codes with planted clusters, whose centres are the "
                            "queries",
                            uniform_table },
    [SYNTHETIC_CODES] = { "codes", "codes with bits of unequal probability", codes_table },
    [SYNTHETIC_GAUSSIAN] = { "gaussian",
                             "independent normal columns: the hardest neighbours there are",
                             gaussian_table },
    [SYNTHETIC_MIXTURE] = { "mixture", "Gaussian clusters, each in its own few directions",
                            mixture_table },
    [SYNTHETIC_DRIFT] = { "drift", "clusters that move, appear and vanish; rows are in time order",
                          drift_table },
    [SYNTHETIC_SPHERE] = { "sphere",
                           "unit vectors with a power-law spectrum and a common mean, as "
                           "embeddings",
                           sphere_table },
};

static bool is_of_codes(enum synthetic_kind kind)
{
    return kind == SYNTHETIC_UNIFORM || kind == SYNTHETIC_CODES;
}

/* The caller may have filled params without param_set(), which checks ranges. */
static int check_ranges(enum synthetic_kind kind, const struct synthetic_params *params,
                        struct error *err)
{
    char scratch[PARAM_TEXT_BYTES];
    for (const struct param *p = synthetic_types[kind].table; p->name; p++) {
        double v = param_get(p, params, scratch).number;
        if (!(v >= p->min && v <= p->max))
            return fail(err, ERR_ARGUMENT, "synthetic %s: %s = %g, expected %g to %g",
                        synthetic_types[kind].name, p->name, v, p->min, p->max);
    }
    if (is_of_codes(kind) && params->bits % 64 != 0)
        return fail(err, ERR_ARGUMENT,
                    "synthetic %s: bits = %" PRId64 ", expected a multiple of 64",
                    synthetic_types[kind].name, params->bits);
    if (kind == SYNTHETIC_UNIFORM && params->radius > params->bits)
        return fail(err, ERR_ARGUMENT,
                    "synthetic uniform: radius = %" PRId64 " passes bits = %" PRId64,
                    params->radius, params->bits);
    if (kind == SYNTHETIC_MIXTURE && params->latent > params->dim)
        return fail(err, ERR_ARGUMENT,
                    "synthetic mixture: latent = %" PRId64 " passes dim = %" PRId64, params->latent,
                    params->dim);
    return OK;
}

static uint64_t hash_of(const struct synthetic *y)
{
    char scratch[PARAM_TEXT_BYTES];
    uint64_t numbers[32] = { (uint64_t)y->kind, y->seed, y->is_query, y->query_seed, y->n };
    size_t used = 5;
    memcpy(&numbers[used++], &y->at, sizeof y->at);
    for (const struct param *p = synthetic_types[y->kind].table; p->name; p++) {
        double v = param_get(p, &y->params, scratch).number;
        /* They came later: floats and codes of 64 bits keep the hash that they had. */
        if ((v == 0 && strcmp(p->name, "byte_scale") == 0) ||
            (v == 64 && strcmp(p->name, "bits") == 0))
            continue;
        memcpy(&numbers[used++], &v, sizeof v);
    }
    return XXH3_64bits(numbers, used * sizeof numbers[0]);
}

static void synthetic_close(struct source *s)
{
    struct synthetic *y = s->state;
    free(y->tables);
    free(y);
}

static int open_one(const struct synthetic *like, struct source **out, struct error *err)
{
    struct source *s = source_new(synthetic_types[like->kind].name, err);
    struct synthetic *y = malloc(sizeof *y);
    *out = NULL;
    if (!s || !y) {
        free(s);
        free(y);
        return fail(err, ERR_NO_MEMORY, "synthetic %s: out of memory",
                    synthetic_types[like->kind].name);
    }
    *y = *like;
    s->state = y;
    s->close = synthetic_close;
    s->read = synthetic_read;
    s->n = y->n;
    bool codes = is_of_codes(y->kind);
    bool bytes = y->kind == SYNTHETIC_MIXTURE && y->params.byte_scale > 0;
    s->element = codes ? INDEX_B64 : bytes ? INDEX_U8 : INDEX_F32;
    s->dim = (size_t)(codes ? y->params.bits : y->params.dim);
    s->hash = hash_of(y);
    int rc = synthetic_make_tables(y, err);
    if (rc) {
        fail_within(err, "synthetic %s", synthetic_types[y->kind].name);
        source_close(s);
    } else {
        *out = s;
    }
    return rc;
}

int synthetic_open(enum synthetic_kind kind, const struct synthetic_params *params, uint64_t seed,
                   struct source **out, struct error *err)
{
    *out = NULL;
    int rc = check_ranges(kind, params, err);
    if (rc)
        return rc;
    struct synthetic y = {
        .kind = kind, .params = *params, .seed = seed, .n = (size_t)params->rows
    };
    if (kind == SYNTHETIC_UNIFORM)
        y.n += (size_t)params->clusters * (size_t)params->members;
    return open_one(&y, out, err);
}

int synthetic_queries(const struct source *s, size_t n, uint64_t seed, double at,
                      struct source **out, struct error *err)
{
    *out = NULL;
    if (s->close != synthetic_close)
        return fail(err, ERR_ARGUMENT, "%s: is not synthetic, it has no fresh points", s->name);
    struct synthetic y = *(const struct synthetic *)s->state;
    size_t centres = (size_t)y.params.clusters;
    if (!n)
        return fail(err, ERR_ARGUMENT, "synthetic %s: 0 queries were asked for", s->name);
    if (!(at >= 0 && at <= 1))
        return fail(err, ERR_ARGUMENT, "synthetic %s: at = %g, expected 0 to 1", s->name, at);
    if (y.kind == SYNTHETIC_UNIFORM && n > centres)
        return fail(
            err, ERR_ARGUMENT,
            "synthetic uniform: %zu queries were asked for, but its queries are the centres of "
            "its %zu planted clusters",
            n, centres);
    y.is_query = true;
    y.query_seed = seed;
    y.n = n;
    y.at = y.kind == SYNTHETIC_DRIFT ? at : 0;
    y.tables = NULL;
    return open_one(&y, out, err);
}
