/* pq_anisotropic_internal.h - state of score-aware product quantization, and what its training
 * shares with its encoding. Private to pq_anisotropic.c and pq_anisotropic_train.c. */
#ifndef DRIFTLINE_COMMON_QUANTIZER_PQ_ANISOTROPIC_INTERNAL_H
#define DRIFTLINE_COMMON_QUANTIZER_PQ_ANISOTROPIC_INTERNAL_H

#include <math.h>
#include <string.h>

#include "algorithms/common/quantizer/pq_internal.h"
#include "kernels/kernels.h"

struct pq_anisotropic {
    struct quantizer base;
    struct pq *pq; /* 4 bits: groups, codewords, tables of a query; its mean is not used */
    float eta;     /* at least 1 */
    bool products;
};

/* The errors of a group's codewords: |r - w|^2, and <r - w, x> / |x|, its part along the row. */
struct pq_word_errors {
    float square[PQ_WORDS_4], along[PQ_WORDS_4];
};

/* 1 / |x|, or 0. */
static inline float pq_inverse_norm(const struct pq *q, const float *row)
{
    const float norm_sq = q->kernels->ip_f32(row, row, q->base.work_dim);
    return norm_sq > 0 ? 1 / sqrtf(norm_sq) : 0;
}

/* `inverse`: of the row's norm. */
static inline void pq_word_errors(const struct pq *q, size_t g, const float *row,
                                  const float *centroid, float inverse, struct pq_word_errors *to)
{
    memset(to, 0, sizeof *to);
    for (size_t d = pq_group_begin(q, g); d < pq_group_begin(q, g + 1); d++) {
        const float r = row[d] - centroid[d], direction = row[d] * inverse;
        const float *words = q->words + d * PQ_WORDS_4;
        for (size_t j = 0; j < PQ_WORDS_4; j++) {
            const float off = r - words[j];
            to->square[j] += off * off;
            to->along[j] += off * direction;
        }
    }
}

/* The codeword of least loss, where the other groups' errors along the row sum to `rest`. As in
   nearest_of_16() of pq.c, losses are not negative, so they order like integers, and the lowest
   four bits are replaced by the codeword's number. */
static inline unsigned pq_least_loss(const struct pq_word_errors *e, float eta, float rest)
{
    float loss[PQ_WORDS_4];
    for (size_t j = 0; j < PQ_WORDS_4; j++) {
        const float along = rest + e->along[j];
        loss[j] = e->square[j] + (eta - 1) * along * along;
    }
    int32_t key[PQ_WORDS_4], least = INT32_MAX;
    memcpy(key, loss, sizeof key);
    for (size_t j = 0; j < PQ_WORDS_4; j++) {
        const int32_t k = (key[j] & ~15) | (int32_t)j;
        least = k < least ? k : least;
    }
    return (unsigned)least & 15;
}

/* pq_anisotropic_train.c: quantizer_ops of the same names. */
int pq_anisotropic_train(struct quantizer **out, const struct index_env *,
                         const struct quantizer_options *, const float *rows, size_t n);
void pq_anisotropic_destroy(const struct index_env *, struct quantizer *);
uint64_t pq_anisotropic_bytes(const struct quantizer *);
size_t pq_anisotropic_save(const struct quantizer *, void *bytes);
int pq_anisotropic_load(struct quantizer **out, const struct index_env *, const void *bytes,
                        size_t n);

#endif
