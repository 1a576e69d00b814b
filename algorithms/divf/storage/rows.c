/* rows.c - vectors of rows of bytes, and of rows under INDEX_IP. */
#include "algorithms/divf/storage/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/rng.h"

struct divf_space divf_space_of(const struct index_env *env)
{
    struct divf_space s = { .kind = env->element == INDEX_U8  ? DIVF_BYTES
                                    : env->metric == INDEX_IP ? DIVF_LIFTED
                                                              : DIVF_FLOATS,
                            .row_dim = env->dim,
                            .row_bytes = index_row_bytes(env->element, env->dim),
                            .kernels = env->kernels };
    s.dim = env->dim + (s.kind == DIVF_LIFTED);
    return s;
}

static float norm_sq_of(const struct divf_space *s, const float *row)
{
    return s->kernels->ip_f32(row, row, s->row_dim);
}

static void lift(const struct divf_space *s, const float *row, float *to)
{
    const float rest = s->lift - norm_sq_of(s, row);

    memcpy(to, row, s->row_bytes);
    to[s->row_dim] = rest > 0 ? sqrtf(rest) : 0;
}

void divf_widen(const struct divf_space *s, const void *rows, size_t n, float *to)
{
    const unsigned char *bytes = rows;

    if (s->kind == DIVF_FLOATS)
        memcpy(to, rows, n * s->row_bytes);
    for (size_t i = 0; s->kind == DIVF_BYTES && i < n * s->row_dim; i++)
        to[i] = bytes[i];
    for (size_t i = 0; s->kind == DIVF_LIFTED && i < n; i++)
        lift(s, (const void *)(bytes + i * s->row_bytes), to + i * s->dim);
}

void divf_widen_queries(const struct divf_space *s, const void *rows, size_t n, float *to)
{
    const unsigned char *bytes = rows;

    if (s->kind != DIVF_LIFTED) {
        divf_widen(s, rows, n, to);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(to + i * s->dim, bytes + i * s->row_bytes, s->row_bytes);
        to[i * s->dim + s->row_dim] = 0;
    }
}

bool divf_same_vector(const float *a, const float *b, size_t dim)
{
    for (size_t i = 0; i < dim; i++)
        if (a[i] < b[i] || a[i] > b[i])
            return false;
    return true;
}

bool divf_same_row(const struct divf_space *s, const void *a, const void *b)
{
    return s->kind == DIVF_BYTES ? memcmp(a, b, s->row_bytes) == 0
                                 : divf_same_vector(a, b, s->row_dim);
}

float *divf_sample_rows(const struct divf_space *s, struct mem *mem, struct rng *rng,
                        const void *rows, size_t n, size_t m)
{
    uint64_t *picks = mem_array(mem, m, sizeof *picks);
    float *sample = mem_array(mem, m * s->dim, sizeof *sample);

    if (picks && sample) {
        rng_sample(rng, n, m, picks);
        qsort(picks, m, sizeof *picks, order_u64);
        for (size_t i = 0; i < m; i++)
            divf_widen(s, (const unsigned char *)rows + picks[i] * s->row_bytes, 1,
                       sample + i * s->dim);
    } else {
        mem_free(mem, sample);
        sample = NULL;
    }
    mem_free(mem, picks);
    return sample;
}

float divf_greatest_norm(const struct divf_space *s, const void *rows, size_t n)
{
    const unsigned char *bytes = rows;
    float greatest = 0;

    for (size_t i = 0; s->kind == DIVF_LIFTED && i < n; i++)
        greatest = fmaxf(greatest, norm_sq_of(s, (const void *)(bytes + i * s->row_bytes)));
    return greatest;
}
