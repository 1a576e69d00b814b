/* rows.c - rows of bytes as floats. */
#include "algorithms/divf/storage/rows.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/rng.h"

void divf_widen(const struct index_env *env, const void *rows, size_t n, float *to)
{
    const uint8_t *bytes = rows;

    if (!divf_rows_are_bytes(env)) {
        memcpy(to, rows, n * env->dim * sizeof *to);
        return;
    }
    for (size_t i = 0; i < n * env->dim; i++)
        to[i] = bytes[i];
}

bool divf_same_vector(const float *a, const float *b, size_t dim)
{
    for (size_t i = 0; i < dim; i++)
        if (a[i] < b[i] || a[i] > b[i])
            return false;
    return true;
}

bool divf_same_row(const struct index_env *env, const void *a, const void *b)
{
    return divf_rows_are_bytes(env) ? memcmp(a, b, env->dim) == 0
                                    : divf_same_vector(a, b, env->dim);
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

float *divf_sample_rows(const struct index_env *env, struct rng *rng, const void *rows, size_t n,
                        size_t m)
{
    const size_t row_bytes = element_row_bytes(env->element, env->dim);
    uint64_t *picks = mem_array(env->mem, m, sizeof *picks);
    float *sample = mem_array(env->mem, m * env->dim, sizeof *sample);

    if (picks && sample) {
        rng_sample(rng, n, m, picks);
        qsort(picks, m, sizeof *picks, ascending);
        for (size_t i = 0; i < m; i++)
            divf_widen(env, (const unsigned char *)rows + picks[i] * row_bytes, 1,
                       sample + i * env->dim);
    } else {
        mem_free(env->mem, sample);
        sample = NULL;
    }
    mem_free(env->mem, picks);
    return sample;
}
