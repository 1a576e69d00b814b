/* topk.h - the k nearest of a stream: a bounded max-heap on (distance, id).
 *
 * Ties go to the smaller id. The caller owns the arrays, each of k elements. topk_sort() sorts them
 * nearest first and pads them with INDEX_NO_ID and INFINITY.
 */
#ifndef DRIFTLINE_TOPK_H
#define DRIFTLINE_TOPK_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct topk {
    size_t k, n;
    float *distances; /* a max-heap while filling */
    uint64_t *ids;
};

struct kernels;

static inline struct topk topk_begin(size_t k, float *distances, uint64_t *ids)
{
    const struct topk empty = { k, 0, distances, ids };

    return empty;
}

/* The largest distance a candidate may have to enter the heap: INFINITY until k are held. */
static inline float topk_limit(const struct topk *t)
{
    return t->n < t->k ? INFINITY : t->distances[0];
}

static inline bool topk_holds(const struct topk *t, uint64_t id)
{
    bool found = false;

    for (size_t i = 0; i < t->n; i++)
        found |= t->ids[i] == id;
    return found;
}

void topk_push(struct topk *, float distance, uint64_t id);

/* Offers n candidates. ids = NULL: candidate i has the id first_id + i. scratch
   holds n positions. */
void topk_offer(struct topk *, const struct kernels *, const float *distances, const uint64_t *ids,
                uint64_t first_id, size_t n, uint32_t *scratch);

void topk_sort(struct topk *);

#ifdef __cplusplus
}
#endif
#endif
