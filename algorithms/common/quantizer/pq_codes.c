/* pq_codes.c - codes of 8 bits per group that are read one at a time. */
#include "algorithms/common/quantizer/pq_codes.h"

#include <string.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/quantizer/pq_internal.h"
#include "algorithms/common/rotation/axes.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

int pq_codes_train(struct quantizer **out, const struct index_env *env, uint64_t seed,
                   size_t groups, const float *rows, size_t n)
{
    float *mean = mem_zalloc(env->mem, env->dim * sizeof *mean);
    struct quantizer_options options = { .kind = QUANTIZER_PQ,
                                         .seed = seed,
                                         .pq_bits = 8,
                                         .pq_groups = groups,
                                         .centroids = mean,
                                         .n_centroids = 1 };

    float *copy = NULL;
    *out = NULL;
    if (mean)
        rows = quantizer_near_rows(env, rows, n, &n, &copy); /* for the mean, too */
    if (!mean || !rows) {
        mem_free(env->mem, mean);
        return fail(env->error, ERR_NO_MEMORY, "pq: out of memory for a mean");
    }
    axes_mean(rows, n, env->dim, mean);
    const int rc = quantizer_train(out, env, &options, rows, n);
    mem_free(env->mem, copy);
    mem_free(env->mem, mean);
    return rc;
}

int pq_codes_field(struct store_fields *f, const char *tag, const struct index_env *env,
                   struct quantizer **q)
{
    if (quantizer_field(f, tag, env, q) == OK && *q &&
        ((*q)->kind != QUANTIZER_PQ || pq_of(*q)->n_words != PQ_CODES_WORDS))
        f->code = store_corrupt(f->r, "not a quantizer of 8 bits per group");
    return f->code;
}

size_t pq_codes_bytes(const struct quantizer *base)
{
    return pq_of(base)->groups;
}

/* Squared distances of a group of the vector from its codewords. */
static void group_distances(const struct pq *q, size_t g, const float *row, float *distance)
{
    memset(distance, 0, PQ_CODES_WORDS * sizeof *distance);
    for (size_t d = pq_group_begin(q, g); d < pq_group_begin(q, g + 1); d++) {
        const float *words = q->words + d * PQ_CODES_WORDS;

        for (size_t j = 0; j < PQ_CODES_WORDS; j++) {
            const float off = row[d] - words[j];

            distance[j] += off * off;
        }
    }
}

void pq_codes_put(const struct quantizer *base, const float *transformed, uint8_t *code)
{
    const struct pq *q = pq_of(base);
    float distance[PQ_CODES_WORDS];

    for (size_t g = 0; g < q->groups; g++) {
        group_distances(q, g, transformed, distance);
        code[g] = (uint8_t)q->kernels->argmin_f32(distance, PQ_CODES_WORDS);
    }
}

void pq_codes_get(const struct quantizer *base, const uint8_t *code, float *transformed)
{
    const struct pq *q = pq_of(base);

    for (size_t g = 0; g < q->groups; g++)
        for (size_t d = pq_group_begin(q, g); d < pq_group_begin(q, g + 1); d++)
            transformed[d] = q->words[d * PQ_CODES_WORDS + code[g]];
}

void pq_codes_query(const struct quantizer *base, const float *transformed, float *table)
{
    const struct pq *q = pq_of(base);

    for (size_t g = 0; g < q->groups; g++)
        group_distances(q, g, transformed, table + g * PQ_CODES_WORDS);
}

void pq_codes_distances(const struct quantizer *base, const float *table, const uint8_t *codes,
                        const uint32_t *numbers, size_t n, float *distances)
{
    const size_t groups = pq_of(base)->groups;

    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(codes + numbers[i] * groups);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *code = codes + numbers[i] * groups;
        float sum = 0;

        for (size_t g = 0; g < groups; g++)
            sum += table[g * PQ_CODES_WORDS + code[g]];
        distances[i] = sum;
    }
}
