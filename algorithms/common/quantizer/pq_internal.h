/* pq_internal.h - the state of product quantization, shared by pq.c, pq_train.c and
   pq_anisotropic.c. */
#ifndef DRIFTLINE_COMMON_QUANTIZER_PQ_INTERNAL_H
#define DRIFTLINE_COMMON_QUANTIZER_PQ_INTERNAL_H

#include "algorithms/common/quantizer/quantizer.h"

/* Codewords per group. */
enum { PQ_WORDS_4 = 16, PQ_WORDS_8 = 256 };

struct pq {
    struct quantizer base;
    const struct kernels *kernels;
    size_t n_words; /* per group: PQ_WORDS_4 or PQ_WORDS_8 */
    size_t groups, lines, add_at;
    float reach;   /* no r^ is longer */
    float eta;     /* pq_anisotropic.c: at least 1 */
    bool products; /* likewise */
    float *mean;   /* dim; subtracted first, because smaller numbers round better; not used by
                      pq_anisotropic.c */
    float *words;  /* dim x n_words: component d of the codewords of d's group */
};

static inline const struct pq *pq_of(const struct quantizer *q)
{
    return (const struct pq *)(const void *)q;
}

/* Group g is dimensions pq_group_begin(g) up to pq_group_begin(g + 1). */
static inline size_t pq_group_begin(const struct pq *q, size_t g)
{
    return g * q->base.work_dim / q->groups;
}

/* The tables of a line: two of 16 bytes, or one of 256. */
static inline size_t pq_table_bytes(const struct pq *q)
{
    return q->n_words == PQ_WORDS_8 ? PQ_WORDS_8 : 2 * PQ_WORDS_4;
}

/* The tables of all lines follow. */
struct pq_query {
    _Alignas(64) float slope;
    float offset;   /* sum of the tables' smallest entries */
    float rounding; /* the largest rounding error of a sum of lookups */
    float norm;     /* |q| */
    float distance, slack;
};

/* pq_train.c: quantizer_ops of the same names. */
int pq_train(struct quantizer **out, const struct index_env *, const struct quantizer_options *,
             const float *rows, size_t n);
void pq_destroy(const struct index_env *, struct quantizer *);
uint64_t pq_bytes(const struct quantizer *);
size_t pq_save(const struct quantizer *, void *bytes);
int pq_load(struct quantizer **out, const struct index_env *, const void *bytes, size_t n);

/* pq.c: likewise. */
void pq_copy(const struct quantizer *, const void *from, unsigned i, void *to, unsigned j);
void pq_query(const struct quantizer *, const float *row, void *query);
void pq_query_list(const struct quantizer *, void *query, const float *centroid, float distance,
                   float error);

#endif
