/* bor_loss.c - the loss that the butterfly's angles are trained on. Near rows should agree in their
 * bits and others should not; bits should be balanced and independent; few coordinates should hold
 * most of the length.
 */
#include "algorithms/asteria/rotation/bor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/error.h"
#include "src/core/order.h"

static const double AGREE = 0.8, DIFFER = 0.2;
static const double BALANCE_WEIGHT = 0.2, LENGTH_WEIGHT = 0.5;

/* Mean square error of a uniform quantiser with 8 bits over 8 deviations, relative to the
   coordinate's mean square. */
static const double QUANTISER_ERROR = (8.0 / 255) * (8.0 / 255) / 12;

int asteria_bor_loss_init(struct asteria_bor_loss *l, const struct index_env *env, size_t m,
                          size_t rank, size_t size, size_t n)
{
    struct mem_group *g = &l->memory;
    *l = (struct asteria_bor_loss){ .memory.mem = env->mem,
                                    .m = m,
                                    .rank = rank < size ? rank : size,
                                    .size = size,
                                    .n = n,
                                    .beta = 1 };
    l->t = mem_group_array(g, 2 * n * m, sizeof *l->t);
    l->gradient = mem_group_array(g, 2 * n * m, sizeof *l->gradient);
    l->energy = mem_group_array(g, size, sizeof *l->energy);
    l->pull = mem_group_array(g, size, sizeof *l->pull);
    l->negatives = mem_group_array(g, n, sizeof *l->negatives);
    l->work = mem_group_array(g, m * (m + 1), sizeof *l->work);
    l->sorted = mem_group_array(g, size, sizeof *l->sorted);
    if (!g->failed)
        return OK;
    return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for a batch of %zu rows",
                2 * n);
}

void asteria_bor_loss_rotate(struct asteria_bor_loss *l, size_t row, const float *z, size_t stride)
{
    const float steep = (float)(l->beta * sqrt((double)l->size));
    for (size_t i = 0; i < l->m; i++)
        l->t[row * l->m + i] = tanhf(steep * z[i * stride]);
}

/* Hinge of one pair: weight * max(0, sign * (<a, b> / m - bound)). Adds its gradient
   to both rows. */
static double hinge(struct asteria_bor_loss *l, size_t a, size_t b, double sign, double bound)
{
    const float *x = l->t + a * l->m, *y = l->t + b * l->m;
    float *gx = l->gradient + a * l->m, *gy = l->gradient + b * l->m;
    float sum = 0;
    for (size_t i = 0; i < l->m; i++)
        sum += x[i] * y[i];
    const double over = sign * ((double)sum / (double)l->m - bound);
    if (over <= 0)
        return 0;
    const float push = (float)(sign / (double)(l->m * l->n));
    for (size_t i = 0; i < l->m; i++) {
        gx[i] += push * y[i];
        gy[i] += push * x[i];
    }
    return over / (double)l->n;
}

/* work: T'T / n - I, and the mean. */
static void moments(struct asteria_bor_loss *l)
{
    double *mean = l->work + l->m * l->m;
    memset(l->work, 0, l->m * (l->m + 1) * sizeof *l->work);
    for (size_t r = 0; r < l->n; r++) {
        const float *restrict t = l->t + r * l->m;
        for (size_t i = 0; i < l->m; i++) {
            double *restrict line = l->work + i * l->m;
            const double ti = (double)t[i];
            mean[i] += ti;
            for (size_t j = 0; j < l->m; j++)
                line[j] += ti * (double)t[j];
        }
    }
    for (size_t i = 0; i < l->m * (l->m + 1); i++)
        l->work[i] /= (double)l->n;
    for (size_t i = 0; i < l->m; i++)
        l->work[i * l->m + i] -= 1;
}

static double balance_loss(struct asteria_bor_loss *l)
{
    const double m = (double)l->m, n = (double)l->n;
    const double *mean = l->work + l->m * l->m;
    double loss = 0;
    moments(l);
    for (size_t i = 0; i < l->m; i++)
        loss += mean[i] * mean[i] / m;
    for (size_t i = 0; i < l->m * l->m; i++)
        loss += l->work[i] * l->work[i] / (m * m);
    for (size_t i = 0; i < l->m * l->m; i++)
        l->work[i] *= BALANCE_WEIGHT * 4 / (n * m * m);
    for (size_t r = 0; r < l->n; r++) {
        const float *restrict t = l->t + r * l->m;
        float *restrict g = l->gradient + r * l->m;
        for (size_t i = 0; i < l->m; i++) {
            const double *restrict line = l->work + i * l->m;
            double sum = BALANCE_WEIGHT * 2 / (n * m) * mean[i];
            for (size_t j = 0; j < l->m; j++)
                sum += line[j] * (double)t[j];
            g[i] += (float)sum;
        }
    }
    return loss;
}

/* Among outputs of equal energy at the limit, the first ones are kept. */
static double length_loss(struct asteria_bor_loss *l)
{
    const float pull = (float)(LENGTH_WEIGHT * (QUANTISER_ERROR - 1) / (double)l->n);
    size_t ties = l->rank;
    double kept = 0;
    for (size_t i = 0; i < l->size; i++) {
        l->sorted[i] = (float)l->energy[i];
        l->pull[i] = 0;
    }
    if (l->rank == 0)
        return 1;
    qsort(l->sorted, l->size, sizeof *l->sorted, order_f32);
    const float limit = l->sorted[l->size - l->rank];
    for (size_t i = 0; i < l->size; i++)
        ties -= (float)l->energy[i] > limit;
    for (size_t i = 0; i < l->size; i++) {
        if ((float)l->energy[i] < limit || ((float)l->energy[i] == limit && ties == 0))
            continue;
        ties -= (float)l->energy[i] == limit;
        kept += l->energy[i];
        l->pull[i] = pull;
    }
    return 1 - kept + QUANTISER_ERROR * kept;
}

double asteria_bor_loss(struct asteria_bor_loss *l)
{
    const float steep = (float)(l->beta * sqrt((double)l->size));
    double agreement = 0;
    memset(l->gradient, 0, 2 * l->n * l->m * sizeof *l->gradient);
    for (size_t i = 0; i < l->n; i++) {
        agreement += hinge(l, i, l->n + i, -1, AGREE);
        if (l->negatives[i] != UINT32_MAX)
            agreement += hinge(l, i, l->negatives[i], 1, DIFFER);
    }
    const double loss =
        agreement + BALANCE_WEIGHT * balance_loss(l) + LENGTH_WEIGHT * length_loss(l);
    for (size_t i = 0; i < 2 * l->n * l->m; i++)
        l->gradient[i] *= steep * (1 - l->t[i] * l->t[i]);
    return loss;
}
