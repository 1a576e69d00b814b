/* drift.c - detects when new vectors of a cluster lie in directions that its axes do not cover, and
 * gives it new axes.
 *
 * A sketch is a few orthonormal rows u_1 .. u_r that follow the leading directions of the residuals
 * v = (x - centroid) / |x - centroid| by Oja's rule, u_i += eta <u_i, v> v. They are made
 * orthonormal again, first row first, every LOOK vectors. This is simultaneous iteration on the
 * second moment of v, so u_1 tends to its leading eigenvector, u_2 to the next, and so on. eta
 * starts at 1, so that a few vectors suffice, and falls to ETA, which forgets old vectors. (The
 * paper uses the displacement from an approximate neighbour instead of the centroid, and a fixed
 * eta; see docs/methods/ampi.md.)
 *
 * If u_1 is more than drift_theta degrees from the nearest of the cluster's axes, its cones are
 * rebuilt with the sketch's rows as axes. This happens at most once per LOOK vectors and an eighth
 * of the cluster, so that rebuilding costs a constant share of inserting. */
#include <math.h>
#include <string.h>

#include "algorithms/ampi/ampi.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { LOOK = 32, REBUILD_SHARE = 8 };
#define ETA 0.01

bool ampi_sketch_open(struct ampi *a, struct ampi_cluster *c)
{
    size_t bytes = a->rank * a->base.env.dim * sizeof *c->sketch;
    if (c->sketch)
        return true;
    c->sketch = mem_alloc(a->base.env.mem, bytes);
    if (c->sketch)
        memcpy(c->sketch, a->axes, bytes); /* any start except zero works */
    return c->sketch;
}

static void add_scaled(float *to, float factor, const float *v, size_t n)
{
    for (size_t j = 0; j < n; j++)
        to[j] += factor * v[j];
}

static void scale(float *v, float factor, size_t n)
{
    for (size_t j = 0; j < n; j++)
        v[j] *= factor;
}

/* out = (a - b) / |a - b|; false if that has no direction. */
static bool direction(const struct index_env *env, const float *a, const float *b, float *out)
{
    for (size_t j = 0; j < env->dim; j++)
        out[j] = a[j] - b[j];
    double length = sqrt((double)env->kernels->ip_f32(out, out, env->dim));
    if (!(length > 1e-18 && length < 1e18)) /* its square would lose all digits */
        return false;
    scale(out, (float)(1 / length), env->dim);
    return true;
}

void ampi_drift_note(struct ampi *a, size_t cluster, const float *row)
{
    const struct index_env *env = &a->base.env;
    struct ampi_cluster *c = &a->part.cluster[cluster];
    if (!direction(env, row, a->part.centroids + cluster * env->dim, a->residual))
        return;
    double seen = (double)c->drifted, eta = fmax(ETA, 10 / (10 + seen));
    if (c->drifted == 0)
        memcpy(c->sketch, a->residual, env->dim * sizeof *c->sketch);
    double along = (double)env->kernels->ip_f32(c->sketch, a->residual, env->dim);
    double length_sq = (double)env->kernels->ip_f32(c->sketch, c->sketch, env->dim);
    c->leading += fmax(ETA, 1 / (1 + seen)) * (fmin(along * along / length_sq, 1) - c->leading);
    for (size_t i = 0; i < a->rank; i++) {
        float *u = c->sketch + i * env->dim;
        add_scaled(u, (float)eta * env->kernels->ip_f32(u, a->residual, env->dim), a->residual,
                   env->dim);
    }
    c->drifted++;
    c->unchecked++;
    c->since++;
}

/* Subtracts from row i its components along the rows before it; returns the length that remains. */
static double reduce(const struct ampi *a, float *sketch, size_t i)
{
    const struct index_env *env = &a->base.env;
    float *u = sketch + i * env->dim;
    for (int pass = 0; pass < 2; pass++) { /* the second pass corrects the rounding of the first */
        double length = sqrt((double)env->kernels->ip_f32(u, u, env->dim));
        if (!(length > 0))
            return 0;
        scale(u, (float)(1 / length), env->dim);
        for (size_t j = 0; j < i; j++)
            add_scaled(u, -env->kernels->ip_f32(u, sketch + j * env->dim, env->dim),
                       sketch + j * env->dim, env->dim);
    }
    return sqrt((double)env->kernels->ip_f32(u, u, env->dim));
}

/* A row of which too little remains is replaced by a coordinate axis: at least one of these has 1 /
   sqrt(dim) of its length outside the span of the rows before. */
static void orthonormalise(const struct ampi *a, float *sketch)
{
    size_t dim = a->base.env.dim;
    for (size_t i = 0; i < a->rank; i++) {
        float *u = sketch + i * dim;
        double left = reduce(a, sketch, i);
        for (size_t j = 0; j < dim && left < 0.1; j++) {
            memset(u, 0, dim * sizeof *u);
            u[(i + j) % dim] = 1;
            left = reduce(a, sketch, i);
        }
        scale(u, (float)(1 / left), dim);
    }
}

/* Degrees between the sketch's leading row and the nearest axis, in either direction. */
static double angle_of(const struct ampi *a, const struct ampi_cluster *c)
{
    float along[AMPI_FANS_MAX];
    double most = 0;
    ampi_project(a, c->sketch, ampi_axes(a, c), along);
    for (size_t f = 0; f < a->fans; f++)
        most = fmax(most, fabs((double)along[f]));
    return acos(fmin(most, 1)) * 57.29577951308232;
}

/* Rebuilds with the sketch's rows as axes, and shared axes for the fans beyond `rank`. */
static int use_sketch_axes(struct ampi *a, size_t cluster)
{
    const struct index_env *env = &a->base.env;
    size_t sketched = a->rank * env->dim, all = a->fans * env->dim;
    float *axes = mem_array(env->mem, all, sizeof *axes);
    if (!axes)
        return fail(env->error, ERR_NO_MEMORY, "ampi: out of memory for the axes of a cluster");
    memcpy(axes, a->part.cluster[cluster].sketch, sketched * sizeof *axes);
    memcpy(axes + sketched, a->axes + sketched, (all - sketched) * sizeof *axes);
    int rc = ampi_cluster_rebuild(a, cluster, axes);
    mem_free(env->mem, axes);
    if (!rc) {
        a->part.cluster[cluster].drift_rebuilds++;
        a->counters.drift_rebuilds++;
    }
    return rc;
}

int ampi_drift_check(struct ampi *a, size_t cluster)
{
    struct ampi_cluster *c = &a->part.cluster[cluster];
    if (c->unchecked < LOOK)
        return OK;
    c->unchecked = 0;
    orthonormalise(a, c->sketch);
    c->angle = angle_of(a, c);
    if (a->params.drift_theta <= 0 || c->angle <= a->params.drift_theta ||
        (uint64_t)c->since * REBUILD_SHARE < c->live)
        return OK;
    return use_sketch_axes(a, cluster);
}

double ampi_drift_norm(const struct ampi *a, size_t cluster)
{
    const struct index_env *env = &a->base.env;
    size_t at = cluster * env->dim;
    return sqrt(
        (double)env->kernels->l2sq_f32(a->part.centroids + at, a->part.origins + at, env->dim));
}
