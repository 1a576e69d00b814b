/* topk.h - the k nearest of a stream: a bounded max-heap on (distance, id). Ties go to the smaller
 * id.
 *
 * The arrays are the caller's, k long; topk_sort() leaves them nearest first, padded with ID_NONE
 * and INFINITY.
 */
#ifndef DRIFTLINE_TOPK_H
#define DRIFTLINE_TOPK_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

struct topk {
    size_t k, n;
    float *distances; /* a max-heap while filling */
    uint64_t *ids;
};

struct kernels;

static inline struct topk topk_begin(size_t k, float *distances, uint64_t *ids)
{
    return (struct topk){ k, 0, distances, ids };
}

/* What a candidate must not exceed to be worth offering: INFINITY until k are held. */
static inline float topk_limit(const struct topk *t)
{
    return t->n < t->k ? INFINITY : t->distances[0];
}

void topk_push(struct topk *, float distance, uint64_t id);

/* Offers n candidates. ids NULL: id of candidate i is first_id + i. scratch: n positions. */
void topk_offer(struct topk *, const struct kernels *, const float *distances, const uint64_t *ids,
                uint64_t first_id, size_t n, uint32_t *scratch);

void topk_sort(struct topk *);

#endif
