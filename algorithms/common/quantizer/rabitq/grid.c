/* grid.c - the grid point of nearest direction. */
#include "algorithms/common/quantizer/rabitq/grid_internal.h"

#include "kernels/kernels.h"

/* TRIALS values t = (most + 2 - i / 4) / max a, then STEPS steps. For 128 normal components the
   error is then 0 to 0.3 % above the sweep's up to six bits, 2 to 3 % at seven and eight. */
enum { TRIALS = 12, STEPS = 2 };

static struct rabitq_grid grid_at(const struct kernels *kernels, const float *a, size_t n,
                                  unsigned bits, float t)
{
    struct rabitq_grid l = { .t = t, .most = (float)((1u << bits) - 1) };
    const size_t padded = (n + 31) / 32 * 32;
    l.product = kernels->grid_f32(a, padded, t, l.most, &l.norm_sq);
    l.norm_sq -= 0.25f * (float)(padded - n);
    return l;
}

/* Whether a point's cosine with the vector is greater. */
static int is_better(const struct rabitq_grid *a, const struct rabitq_grid *b)
{
    return a->product * a->product * b->norm_sq > b->product * b->product * a->norm_sq;
}

/* Eight independent chains of comparisons, so that they overlap. */
static float largest(const float *a, size_t n)
{
    float max[8] = { 0 };
    for (size_t i = 0; i < n; i += 8) /* zeros follow */
        for (size_t j = 0; j < 8; j++)
            max[j] = a[i + j] > max[j] ? a[i + j] : max[j];
    for (size_t j = 1; j < 8; j++)
        max[0] = max[j] > max[0] ? max[j] : max[0];
    return max[0];
}

struct rabitq_grid rabitq_grid_fit(const struct kernels *kernels, const float *a, size_t n,
                                   unsigned bits)
{
    const float max = largest(a, n);
    const float most = (float)((1u << bits) - 1);
    struct rabitq_grid best = grid_at(kernels, a, n, bits, (most + 2) / max);
    for (size_t i = 1; i < TRIALS; i++) {
        const struct rabitq_grid l =
            grid_at(kernels, a, n, bits, (most + 2 - 0.25f * (float)i) / max);
        best = is_better(&l, &best) ? l : best;
    }
    for (size_t i = 0; i < STEPS; i++) {
        const struct rabitq_grid l = grid_at(kernels, a, n, bits, best.norm_sq / best.product);
        if (!is_better(&l, &best))
            break;
        best = l;
    }
    return best;
}
